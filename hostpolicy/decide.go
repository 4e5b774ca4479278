package hostpolicy

import (
	"cmp"
	"fmt"
	"slices"
)

// Map is mapping a file executable, as `ld.so FILE` does. Block and audit
// rules of class process judge it; allow-lists do not, because a list of
// programs would refuse every shared library. No rule has it in its Access.
const Map Access = 1 << 3

// Decision is the verdict on one access, with the rule behind it.
type Decision struct {
	Action Action // Allow where nothing decides
	// Rule is the one with the smallest ID among those that decide; nil where
	// nothing does. Where an allow-list refuses, it is an allow rule that
	// makes the list.
	Rule      *Rule
	Otherwise bool // no rule matched, and an allow-list decided
	// Dangerous is true where a policy among those that decide has
	// `dangerous = true`, so that not even PID 1 and the daemon are exempt.
	Dangerous bool
	Reason    string // one sentence for people
}

// Decide is the reference evaluator: what becomes of one access by one
// subject. op is exactly one of Exec, Read, Write and Map. Neither the order
// of the policies nor that of their rules changes the outcome.
func Decide(policies []Policy, s Subject, op Access, o Object) Decision {
	var matched [Allow + 1]tier
	var list [Allow + 1]tier // by the policy's Otherwise
	class := classOf(op)
	for i := range policies {
		p := &policies[i]
		if !p.AppliesTo.Host {
			continue
		}
		for j := range p.Rules {
			r := &p.Rules[j]
			if r.Class != class || !r.Action.Valid() || !r.Admits(s) {
				continue
			}
			if r.Action == Allow && op != Map {
				list[p.Otherwise].add(p, r)
			}
			if r.covers(op) && r.Names(o) {
				matched[r.Action].add(p, r)
			}
		}
	}
	for _, a := range []Action{Block, Audit, Allow} {
		if t := matched[a]; t.rule != nil {
			return Decision{a, t.rule, false, t.dangerous, fmt.Sprintf("%s matches", t.rule.ID())}
		}
	}
	for _, a := range []Action{Block, Audit} {
		if t := list[a]; t.rule != nil {
			return Decision{a, t.rule, true, t.dangerous,
				fmt.Sprintf("no rule matches, and %s makes class %s an allow-list", t.rule.ID(), class)}
		}
	}
	return Decision{Action: Allow, Reason: "no rule matches"}
}

// tier collects the rules that decide alike.
type tier struct {
	rule      *Rule
	dangerous bool
}

func (t *tier) add(p *Policy, r *Rule) {
	if t.rule == nil || r.ID() < t.rule.ID() {
		t.rule = r
	}
	t.dangerous = t.dangerous || p.Dangerous
}

func classOf(op Access) Class {
	if op&(Exec|Map) != 0 {
		return Process
	}
	return File
}

func (r *Rule) covers(op Access) bool {
	if op == Map {
		return r.Access&Exec != 0 && r.Action != Allow
	}
	return r.Access&op != 0
}

// Admits reports whether the rule counts for this subject.
func (r *Rule) Admits(s Subject) bool {
	admitted := len(r.From) == 0
	for _, program := range s.Programs {
		if matchAny(r.ExceptFrom, program) {
			return false
		}
		admitted = admitted || matchAny(r.From, program)
	}
	return admitted
}

// Names reports whether the rule names this object: one of its names matches
// path, and that same name is not excepted. An exception for one name thus
// does not open a hard link to the file.
func (r *Rule) Names(o Object) bool {
	return slices.ContainsFunc(o.Names, func(name string) bool {
		return matchAny(r.Path, name) && !matchAny(r.Except, name)
	})
}

func matchAny(patterns []Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(name) })
}

// SortedRules is all rules of the policies in the byte order of their IDs: the
// order in which a compiled set numbers them. Where several rules decide
// alike, the first in this order is the one that is named.
func SortedRules(policies []Policy) []Rule {
	var rules []Rule
	for i := range policies {
		rules = append(rules, policies[i].Rules...)
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID(), b.ID()) })
	return rules
}
