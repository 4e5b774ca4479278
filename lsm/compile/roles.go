package compile

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// programs numbers the classes of programs: the sets of program lists that
// the names of an executable belong to. Class 0 is every program that no list
// names.
type programs struct {
	ids     *setTable
	members int // of program lists, numbered from 1
}

// subject is a class of programs, as rules see it.
type subject []bool // by program list

func (c *programs) subject(class uint32) subject {
	s := make(subject, c.members+1)
	for _, list := range c.ids.sets[class] {
		s[list] = true
	}
	return s
}

// admits reports whether a rule counts for the subject.
func (s subject) admits(r *ruleInfo) bool {
	return (r.from == 0 || s[r.from]) && (r.exceptFrom == 0 || !s[r.exceptFrom])
}

// tier collects rules that decide alike: the smallest RuleID is named.
type tier struct {
	rule      lsm.RuleID
	dangerous bool
}

func (t *tier) add(rule lsm.RuleID, dangerous bool) {
	if t.rule == 0 || rule < t.rule {
		t.rule = rule
	}
	t.dangerous = t.dangerous || dangerous
}

// policyInfo is what rules take from their policy.
type policyInfo struct {
	otherwise hostpolicy.Action
	dangerous bool
}

// allowList is a rule that makes its class an allow-list.
type allowList struct {
	rule lsm.RuleID
	info policyInfo
}

// defaults finds the verdicts for names that no rule matches: `otherwise` of
// the allow-lists.
type defaults struct {
	rules []ruleInfo
	// always holds the rules without conditions by class and action, the
	// conditional ones are looked at one by one.
	always      map[hostpolicy.Class]*[hostpolicy.Allow + 1]tier
	conditional []allowList
}

func newDefaults(rules []ruleInfo, info []policyInfo) *defaults {
	d := &defaults{rules: rules, always: map[hostpolicy.Class]*[hostpolicy.Allow + 1]tier{
		hostpolicy.Process: {}, hostpolicy.File: {},
	}}
	for i := range rules {
		r := &rules[i]
		if r.skip || r.Action != hostpolicy.Allow {
			continue
		}
		rule := allowList{lsm.RuleID(i + 1), info[i]}
		if r.conditional() {
			d.conditional = append(d.conditional, rule)
		} else if rule.info.otherwise.Valid() {
			d.always[r.Class][rule.info.otherwise].add(rule.rule, rule.info.dangerous)
		}
	}
	return d
}

// verdict is the default of a role.
func (d *defaults) verdict(s subject) lsm.Verdict {
	process, file := *d.always[hostpolicy.Process], *d.always[hostpolicy.File]
	for _, a := range d.conditional {
		r := &d.rules[a.rule-1]
		if !a.info.otherwise.Valid() || !s.admits(r) {
			continue
		}
		list := &file
		if r.Class == hostpolicy.Process {
			list = &process
		}
		list[a.info.otherwise].add(a.rule, a.info.dangerous)
	}
	var v lsm.Verdict
	v[lsm.KindExec] = otherwise(&process)
	v[lsm.KindRead] = otherwise(&file)
	v[lsm.KindWrite] = v[lsm.KindRead]
	return v
}

func otherwise(list *[hostpolicy.Allow + 1]tier) lsm.Cell {
	for _, a := range []hostpolicy.Action{hostpolicy.Block, hostpolicy.Audit} {
		if t := list[a]; t.rule != 0 {
			return lsm.Cell{Action: a, Rule: t.rule, Otherwise: true, Dangerous: t.dangerous}
		}
	}
	return lsm.Cell{}
}

// roleRows gives each class of programs a role; role numbers begin at 1.
func roleRows(c *programs, d *defaults) []lsm.RoleRow {
	rows := make([]lsm.RoleRow, len(c.ids.sets))
	for class := range rows {
		rows[class] = lsm.RoleRow{
			Key:     lsm.RoleKey{Program: uint32(class)},
			Role:    roleOf(uint32(class)),
			Base:    roleOf(0),
			Default: d.verdict(c.subject(uint32(class))),
		}
	}
	return slices.Clip(rows)
}

// roleOf is the host's role for a class of programs.
func roleOf(class uint32) lsm.Role { return lsm.Role(class + 1) }
