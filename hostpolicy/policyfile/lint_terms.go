package policyfile

import (
	"fmt"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// overruledTerms is overruled for capabilities, operations and network rules.
func (l *linter) overruledTerms() {
	overruledItems(l, hostpolicy.Capability, "name", func(r *hostpolicy.Rule) ([]hostpolicy.Cap, []hostpolicy.Position) {
		return r.Capabilities, r.Places.Capabilities
	})
	overruledItems(l, hostpolicy.System, "operation", func(r *hostpolicy.Rule) ([]hostpolicy.Operation, []hostpolicy.Position) {
		return r.Operations, r.Places.Operations
	})
	rules := l.policy.Rules
	var blocks []*hostpolicy.Rule
	for i := range rules {
		// Each of these is compared with every other network rule.
		if r := &rules[i]; r.Class == hostpolicy.Network && r.Action == hostpolicy.Block && unconditional(r) && len(blocks) < maxGlobs {
			blocks = append(blocks, r)
		}
	}
	for i := range rules {
		r := &rules[i]
		if r.Class != hostpolicy.Network || r.Action == hostpolicy.Block {
			continue
		}
		for _, b := range blocks {
			if l.afford(len(b.Ports)+len(b.Address)+len(b.LocalAddress)+1, len(r.Ports)+len(r.Address)+len(r.LocalAddress)+1) && coversTraffic(b, r) {
				l.warn(codeNeverMatter, r, "", nil, -1, fmt.Sprintf("the rule has no effect, because %s blocks all that it names and block wins", ruleField(b, "")), "remove it, or narrow that rule")
				break
			}
		}
	}
}

// overruledItems warns of items that an unconditional rule of a stronger
// action names as well, or one of the same action that is named before it.
func overruledItems[T comparable](l *linter, class hostpolicy.Class, key string, items func(*hostpolicy.Rule) ([]T, []hostpolicy.Position)) {
	rules := l.policy.Rules
	strongest := make(map[T]*hostpolicy.Rule)
	for i := range rules {
		r := &rules[i]
		if r.Class != class || !unconditional(r) {
			continue
		}
		list, _ := items(r)
		for _, v := range list {
			// Rules are in the order of their names, so the first of an action
			// is the one that events name.
			if s := strongest[v]; s == nil || r.Action < s.Action {
				strongest[v] = r
			}
		}
	}
	for i := range rules {
		r := &rules[i]
		if r.Class != class {
			continue
		}
		list, places := items(r)
		for j, v := range list {
			s := strongest[v]
			switch {
			case s == nil || s == r || s.Action > r.Action:
			case s.Action < r.Action:
				l.warn(codeNeverMatter, r, key, places, j, fmt.Sprintf("%v has no effect, because the action of %s, %s, wins", v, ruleField(s, ""), s.Action), "remove it here or there")
			case len(r.From)+len(r.ExceptFrom) == 0 || r.Action != hostpolicy.Allow:
				l.warn(codeNeverMatter, r, key, places, j, fmt.Sprintf("%v is named by %s as well, which decides", v, ruleField(s, "")), "remove it here or there")
			}
		}
	}
}

// coversTraffic reports whether rule b certainly matches wherever r does.
func coversTraffic(b, r *hostpolicy.Rule) bool {
	if b.Direction != r.Direction {
		return false
	}
	if len(b.Protocol) > 0 && (len(r.Protocol) == 0 || slices.ContainsFunc(r.Protocol, func(p hostpolicy.Protocol) bool { return !slices.Contains(b.Protocol, p) })) {
		return false
	}
	// A block rule with an address or port leaves the steps before it alone,
	// which an allow rule permits.
	if r.Action == hostpolicy.Allow && len(b.Ports)+len(b.Address)+len(b.LocalAddress) > 0 && r.Direction == hostpolicy.In {
		return false
	}
	if len(b.Ports) > 0 && (len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p hostpolicy.PortRange) bool {
		return !slices.ContainsFunc(b.Ports, func(q hostpolicy.PortRange) bool { return q.First <= p.First && p.Last <= q.Last })
	})) {
		return false
	}
	return coversAddresses(b.Address, r.Address) && coversAddresses(b.LocalAddress, r.LocalAddress)
}

func coversAddresses(by, list []hostpolicy.Address) bool {
	if len(by) == 0 {
		return true
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(a hostpolicy.Address) bool {
		return !slices.ContainsFunc(by, func(b hostpolicy.Address) bool {
			return a == b || a.Domain == "" && b.Domain == "" && b.Prefix.Bits() <= a.Prefix.Bits() && b.Prefix.Contains(a.Prefix.Addr())
		})
	})
}
