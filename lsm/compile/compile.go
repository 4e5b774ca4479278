// Package compile turns policies into the ruleset that a kernel executes: the
// path patterns into one automaton over path components, the rules that match
// alike into labels, the programs that rules tell apart into roles, and all
// that into rows of verdicts. It is pure and knows no workload; Place binds a
// ruleset to a mount table.
package compile

import (
	"errors"
	"fmt"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Codes of the problems that a compilation finds.
const (
	CodeTooLarge  = "HA201" // the automaton or the verdicts exceed a limit
	CodeDuplicate = "HA202" // two rules with one ID
	CodeNoSubject = "HA203" // a policy that applies to nothing
)

// Compile builds the ruleset of a policy set. The result depends neither on
// the order of the policies nor on that of their rules. With any problem of
// severity Error the ruleset is nil.
func Compile(policies []hostpolicy.Policy) (*lsm.Ruleset, []hostpolicy.Problem) {
	return compile(policies, defaultLimits)
}

func compile(policies []hostpolicy.Policy, limits limits) (*lsm.Ruleset, []hostpolicy.Problem) {
	rules := hostpolicy.SortedRules(policies)
	if problems := checkSet(policies, rules); len(problems) > 0 {
		return nil, problems
	}
	n := newNFA(rules)
	auto, err := n.automaton(limits)
	if err != nil {
		return nil, []hostpolicy.Problem{n.problem(err)}
	}
	labels, classes, programs := n.programClasses(auto.labels)
	info := policyInfos(policies, rules)
	roles := roleRows(classes, newDefaults(n.rules, info))
	v := verdicts{rules: n.rules, info: info, labels: labels, roles: roles, limit: limits.verdicts}
	if err := v.build(classes); err != nil {
		return nil, []hostpolicy.Problem{n.problem(err)}
	}
	for i := range auto.states {
		s := &auto.states[i]
		s.Label, s.Below = v.mark(s.Label), v.mark(s.Below)
	}
	rs := &lsm.Ruleset{
		Rules: rules, Start: auto.start, States: auto.states, Edges: auto.edges, Globs: auto.globs,
		Labels: programs, Roles: roles, Verdicts: v.marked(),
	}
	rs.Digest = digestOf(rs)
	return rs, nil
}

// automaton builds the path automaton of all patterns.
func (n *nfa) automaton(limits limits) (*automaton, error) {
	d, err := newDFA(n, limits)
	if err != nil {
		return nil, err
	}
	return d.emit(d.minimise())
}

// programClasses divides the label sets into their rules and their class of
// programs.
func (n *nfa) programClasses(sets [][]uint32) (rules [][]uint32, c *programs, rows []lsm.LabelRow) {
	c = &programs{ids: newSetTable(), members: len(n.programs) - 1}
	rules, rows = make([][]uint32, len(sets)), make([]lsm.LabelRow, len(sets))
	for i, set := range sets {
		var lists []uint32
		rules[i], lists = n.split(set)
		rows[i].Program, _ = c.ids.intern(lists)
	}
	return rules, c, rows
}

func policyInfos(policies []hostpolicy.Policy, rules []hostpolicy.Rule) []policyInfo {
	byRule := make(map[string]policyInfo, len(rules))
	for i := range policies {
		p := &policies[i]
		for j := range p.Rules {
			byRule[p.Rules[j].ID()] = policyInfo{p.Otherwise, p.Dangerous}
		}
	}
	info := make([]policyInfo, len(rules))
	for i := range rules {
		info[i] = byRule[rules[i].ID()]
	}
	return info
}

// checkSet finds what would make the numbering of rules ambiguous, or a rule
// void: both would be a gap.
func checkSet(policies []hostpolicy.Policy, rules []hostpolicy.Rule) []hostpolicy.Problem {
	var problems []hostpolicy.Problem
	for i := range policies {
		if p := &policies[i]; !p.AppliesTo.Host {
			problems = append(problems, hostpolicy.Problem{
				Position: p.Position, Code: CodeNoSubject, Severity: hostpolicy.Error, Field: "applies_to",
				Message: fmt.Sprintf("policy %q applies to nothing that can be compiled", p.Name),
				Fix:     "write host = true",
			})
		}
	}
	for i := 1; i < len(rules); i++ {
		if a, b := &rules[i-1], &rules[i]; a.ID() == b.ID() {
			problems = append(problems, hostpolicy.Problem{
				Position: b.Position, Code: CodeDuplicate, Severity: hostpolicy.Error, Field: b.Class.String() + "." + b.Name,
				Message: fmt.Sprintf("rule %s is also at %s", b.ID(), a.Position.Source()),
				Fix:     "give one of them another name",
			})
		}
	}
	return problems
}

// problem reports a limit at the rule that is most to blame.
func (n *nfa) problem(err error) hostpolicy.Problem {
	p := hostpolicy.Problem{Code: CodeTooLarge, Severity: hostpolicy.Error, Message: "the policy set " + err.Error()}
	var limit *tooLarge
	if errors.As(err, &limit) && len(limit.rules) > 0 {
		worst := &n.rules[limit.rules[0]]
		p.Position = worst.Position
		p.Field = worst.Class.String() + "." + worst.Name
		p.Fix = "fewer or simpler globs in " + n.ruleList(limit.rules)
	}
	return p
}
