package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Gap is a rule, or a part of one, that cannot be enforced.
type Gap struct {
	Rule     string // its ID
	Position hostpolicy.Position
	Reason   string
}

// Supported cuts policies down to what a backend enforces, and says for each
// rule that it cut what is missing; gaps are in the order of the rules. A rule
// that works in part keeps that part. What is left never refuses what the
// whole set permits: where a rule that permits something is cut, so are the
// allow rules of its class that could apply to the same subjects, because their
// list would now refuse that.
func Supported(policies []hostpolicy.Policy, support lsm.Support) ([]hostpolicy.Policy, []Gap) {
	if len(support.Missing)+len(support.Lacks) == 0 {
		return policies, nil
	}
	c := cutting{support: support, policies: policies}
	for i := range policies {
		var list []cutRule
		for j := range policies[i].Rules {
			list = append(list, c.rule(&policies[i], &policies[i].Rules[j]))
		}
		c.cut = append(c.cut, list)
	}
	c.dropLists()
	return c.result()
}

// cutRule is what is left of a rule.
type cutRule struct {
	hostpolicy.Rule
	gone bool
	less bool // it does not decide about all that it did
	why  []shortfall
}

// shortfall is what of a rule is cut and why; what is "" for a reason that is a
// sentence by itself.
type shortfall struct{ what, reason string }

func (r *cutRule) lacks(what, reason string) {
	r.why = append(r.why, shortfall{what, reason})
}

// reason joins what is cut, naming each reason once.
func (r *cutRule) reason() string {
	var order []string
	whats := make(map[string][]string)
	for _, w := range r.why {
		if _, seen := whats[w.reason]; !seen {
			order = append(order, w.reason)
		}
		whats[w.reason] = append(whats[w.reason], w.what)
	}
	for i, reason := range order {
		if what := strings.Join(whats[reason], ", "); what != "" {
			order[i] = what + ": " + reason
		}
	}
	return strings.Join(order, "; ")
}

type cutting struct {
	support  lsm.Support
	policies []hostpolicy.Policy
	cut      [][]cutRule // by policy
}

func (c *cutting) rule(p *hostpolicy.Policy, r *hostpolicy.Rule) cutRule {
	out := cutRule{Rule: *r}
	lacks := func(f lsm.Feature, what string) {
		if reason, ok := c.support.Lacks[f]; ok {
			out.lacks(what, reason)
			out.gone, out.less = true, true
		}
	}
	for _, f := range selectorFeatures(&p.AppliesTo) {
		lacks(f, string(f))
	}
	if r.OwnerOnly {
		lacks(lsm.OwnerOnly, "owner_only")
	}
	if len(r.Args) > 0 {
		lacks(lsm.Args, "args")
	}
	if r.Action == hostpolicy.Allow && len(r.Within) > 0 {
		c.missing(&out, lsm.KindMove, "moving what it lists out of the subtree")
	}
	switch r.Class {
	case hostpolicy.Process:
		lacks(lsm.OfProcess, "class process")
		if r.Action == hostpolicy.Allow && len(r.Within) > 0 {
			lacks(lsm.ProcessWithin, "within")
		}
		c.program(&out)
	case hostpolicy.File:
		lacks(lsm.OfFile, "class file")
		if r.Action == hostpolicy.Allow && len(r.Within) > 0 {
			lacks(lsm.Within, "within")
		}
		c.file(&out)
	case hostpolicy.Network:
		lacks(lsm.OfNetwork, "class network")
	case hostpolicy.Capability:
		lacks(lsm.OfCapability, "class capability")
	case hostpolicy.System:
		c.operations(&out)
	}
	return out
}

// selectorFeatures is what whom a policy is for asks of a backend.
func selectorFeatures(s *hostpolicy.Selector) []lsm.Feature {
	var list []lsm.Feature
	switch {
	case s.Host:
		list = append(list, lsm.OnHost)
	case s.Everything:
		list = append(list, lsm.OnEverything)
	case s.Container != nil:
		list = append(list, lsm.OnContainer)
	case len(s.Unit) > 0:
		list = append(list, lsm.OnUnit)
	}
	if len(s.User) > 0 {
		list = append(list, lsm.ByUser)
	}
	if len(s.LoginUser) > 0 {
		list = append(list, lsm.ByLogin)
	}
	return list
}

// missing reports a kind of access that the kernel cannot judge.
func (c *cutting) missing(r *cutRule, k lsm.Kind, what string) bool {
	reason, missing := c.support.Missing[k]
	if missing {
		r.lacks(what, reason)
	}
	return missing
}

func (c *cutting) program(r *cutRule) {
	if c.missing(r, lsm.KindExec, "executing") {
		r.gone, r.less = true, true
	}
	if restricts(r.Action) {
		c.missing(r, lsm.KindMap, "mapping as a program")
	}
}

func (c *cutting) file(r *cutRule) {
	// An allow rule for one access makes a list that refuses the other.
	list := r.Action == hostpolicy.Allow
	for _, part := range []struct {
		access hostpolicy.Access
		kind   lsm.Kind
		what   string
	}{{hostpolicy.Read, lsm.KindRead, "reading"}, {hostpolicy.Write, lsm.KindWrite, "writing"}} {
		if (list || r.Access&part.access != 0) && c.missing(r, part.kind, part.what) {
			r.Access &^= part.access
			r.less = true
		}
	}
	if r.Access&hostpolicy.Write != 0 {
		c.missing(r, lsm.KindMove, "moving a directory above it")
	}
	r.gone = r.gone || r.Access == 0
}

func (c *cutting) operations(r *cutRule) {
	operations := r.Operations
	if r.Action == hostpolicy.Allow {
		operations = hostpolicy.Operations(hostpolicy.System) // its list is about all
	}
	for _, op := range operations {
		if reason, ok := c.support.Lacks[lsm.OfSystem(op)]; ok {
			r.lacks(op.String(), reason)
			r.Operations = slices.DeleteFunc(slices.Clone(r.Operations), func(o hostpolicy.Operation) bool { return o == op })
			r.less = true
		}
	}
	r.gone = r.gone || len(r.Operations) == 0
}

// dropLists cuts the allow-lists that would refuse what a rule permits that was
// cut; an allow rule that goes takes others with it.
func (c *cutting) dropLists() {
	for changed := true; changed; {
		changed = false
		for class := hostpolicy.Process; class <= hostpolicy.System; class++ {
			lost := c.lost(class)
			for i := range c.policies {
				for j := range c.cut[i] {
					r := &c.cut[i][j]
					if r.Class != class || r.Action != hostpolicy.Allow || r.gone {
						continue
					}
					because := lost.overlapping(&c.policies[i].AppliesTo)
					if because == "" {
						continue
					}
					r.gone, r.less, changed = true, true, true
					if because == r.ID() {
						continue // said already
					}
					r.lacks("", fmt.Sprintf("without %s, which is not enforced, this allow-list would refuse what that permits", because))
				}
			}
		}
	}
}

// permits is the rules, by their policies' places, that permit something and
// are cut: the smallest ID of each.
type permits struct{ host, container, both string }

// lost collects the audit and allow rules of a class that decide about less
// than they did.
func (c *cutting) lost(class hostpolicy.Class) permits {
	var p permits
	for i := range c.policies {
		for j := range c.cut[i] {
			r := &c.cut[i][j]
			if r.Class != class || r.Action == hostpolicy.Block || !r.less {
				continue
			}
			place := &p.both
			switch s := &c.policies[i].AppliesTo; {
			case s.Host:
				place = &p.host
			case s.Container != nil && !s.Everything:
				place = &p.container
			}
			if id := r.ID(); *place == "" || id < *place {
				*place = id
			}
		}
	}
	return p
}

// overlapping is the ID of a cut rule that could apply to a subject of the
// selector, or "". Only the host and containers are known to be apart.
func (p *permits) overlapping(s *hostpolicy.Selector) string {
	ids := []string{p.both, p.host, p.container}
	switch {
	case s.Host:
		ids = ids[:2]
	case s.Container != nil && !s.Everything:
		ids[1] = ""
	}
	slices.Sort(ids)
	for _, id := range ids {
		if id != "" {
			return id
		}
	}
	return ""
}

func (c *cutting) result() ([]hostpolicy.Policy, []Gap) {
	var gaps []Gap
	out := make([]hostpolicy.Policy, len(c.policies))
	for i, p := range c.policies {
		out[i] = p
		out[i].Rules = nil
		for _, r := range c.cut[i] {
			if len(r.why) > 0 {
				gaps = append(gaps, Gap{Rule: r.ID(), Position: r.Position, Reason: r.reason()})
			}
			if !r.gone {
				out[i].Rules = append(out[i].Rules, r.Rule)
			}
		}
	}
	return out, gaps
}
