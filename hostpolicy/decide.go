package hostpolicy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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

// Decide is the reference evaluator: what becomes of one operation by one
// subject. Neither the order of the policies nor that of their rules changes
// the outcome.
func Decide(policies []Policy, s Subject, op Operation, o Object) Decision {
	var matched [Allow + 1]tier
	var list [Allow + 1]tier // by the policy's Otherwise
	class := op.Class()
	for i := range policies {
		p := &policies[i]
		if !p.AppliesTo.Matches(s) {
			continue
		}
		for j := range p.Rules {
			r := &p.Rules[j]
			if r.Class != class || !r.Action.Valid() || !r.Admits(s) {
				continue
			}
			if r.Action == Allow && r.Lists(op, o) {
				list[p.OtherwiseIn(class)].add(p, r)
			}
			if r.Matches(op, o) {
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

// Matches reports whether the rule, for a subject that it admits, is about
// this operation on this object.
func (r *Rule) Matches(op Operation, o Object) bool {
	if r.Class != op.Class() {
		return false
	}
	switch r.Class {
	case Process, File:
		return r.Access&op.access() != 0 && (op != OpMap || r.Action != Allow) &&
			(!r.OwnerOnly || o.Owned == (r.Action == Allow)) && r.Runs(op, o) && r.Names(o)
	case Network:
		return o.Socket != nil && r.Reaches(op, o.Socket)
	case Capability:
		return slices.Contains(r.Capabilities, o.Capability)
	case System:
		return slices.Contains(r.Operations, op)
	}
	return false
}

// Lists reports whether an allow rule makes an allow-list that is about this
// operation on this object.
func (r *Rule) Lists(op Operation, o Object) bool {
	if r.Class != op.Class() || op == OpMap {
		return false
	}
	return len(r.Within) == 0 || slices.ContainsFunc(o.Names, func(name string) bool { return matchAny(r.Within, name) })
}

// Runs reports whether the rule is about the command that an exec runs. What
// is mapped executable may be any of the program's commands.
func (r *Rule) Runs(op Operation, o Object) bool {
	return len(r.Args) == 0 || op == OpMap ||
		slices.ContainsFunc(Applets(o.Args), func(name string) bool { return slices.Contains(r.Args, name) })
}

// Applets are the names by which an exec calls a program: the last component
// of argv[0], without the hyphen of a login shell, and for a multi-call
// program called by its own name the one that it then looks at (`busybox sh`,
// `coreutils --coreutils-prog=ls`).
func Applets(args []string) []string {
	var names []string
	for _, arg := range args {
		name := arg
		if len(names) > 0 && names[len(names)-1] == "coreutils" {
			for _, option := range []string{"--coreutils-prog=", "--coreutils-prog-shebang="} {
				name = strings.TrimPrefix(name, option)
			}
		}
		name = strings.TrimPrefix(name[strings.LastIndexByte(name, '/')+1:], "-")
		names = append(names, name)
		if !strings.HasPrefix(name, "busybox") && !strings.HasPrefix(name, "toybox") && name != "coreutils" {
			break
		}
	}
	return names
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
	n := 0
	for i := range policies {
		n += len(policies[i].Rules)
	}
	rules := make([]Rule, 0, n)
	for i := range policies {
		rules = append(rules, policies[i].Rules...)
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID(), b.ID()) })
	return rules
}
