package compile

import (
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// finishFromRules adds roles for executables with several names in different
// classes of programs. How the rules fare under both classes together is in no
// row, so it computes these verdicts from the rules themselves.
func (u *unions) finishFromRules(out *Placement) error {
	n := newNFA(u.rs.Rules)
	auto, err := n.automaton(defaultLimits)
	if err != nil {
		return err
	}
	sets := auto.labels
	known, classes, _ := n.programClasses(sets)
	info := u.policyInfos(n, known, classes)
	for i := range out.Labels {
		var united []uint32
		for _, l := range u.members(lsm.Label(len(u.rs.Labels) + i)) {
			united = append(united, auto.labels[l.Index()]...)
		}
		sets = append(sets, sortSet(united))
	}
	rules, classes, rows := n.programClasses(sets)
	copy(out.Labels, rows[len(u.rs.Labels):])
	roles := roleRows(classes, newDefaults(n.rules, info))
	out.Roles = roles[len(u.rs.Roles):]
	v := verdicts{rules: n.rules, info: info, labels: rules, roles: roles, limit: defaultLimits.verdicts}
	if err := v.build(classes); err != nil {
		return err
	}
	for i, marked := range v.byProgram[len(u.rs.Labels):] {
		u.marked[i] = u.marked[i] || marked
	}
	for _, row := range v.marked() {
		if int(row.Role) > len(u.rs.Roles) {
			out.Verdicts = append(out.Verdicts, row)
		}
	}
	return nil
}

// knowledge is what verdicts give away about a policy.
type knowledge struct {
	blocks, audits      bool // its `otherwise`
	dangerous, harmless bool
}

// policyInfos recovers what rules take from their policies: a ruleset shows
// it only in the cells that they decide. A policy that decides none of them
// can still decide for several classes together; then the stricter reading of
// `otherwise` holds. Danger is told apart by policy as far as cells do.
func (u *unions) policyInfos(n *nfa, labels [][]uint32, c *programs) []policyInfo {
	known := make(map[string]*knowledge)
	for i := range n.rules {
		known[n.rules[i].Policy] = &knowledge{}
	}
	for _, row := range u.rs.Roles {
		u.learnDefault(n, known, &row.Default, c.subject(row.Key.Program))
	}
	for i := range u.rs.Verdicts {
		row := &u.rs.Verdicts[i]
		s := c.subject(uint32(row.Role) - 1)
		for _, cell := range row.Verdict {
			if !cell.Otherwise && cell.Rule != 0 {
				learnDanger(n, known, cell, s, labels[row.Label.Index()])
			}
		}
	}
	info := make([]policyInfo, len(n.rules))
	for i := range info {
		k := known[n.rules[i].Policy]
		info[i] = policyInfo{otherwise: hostpolicy.Block, dangerous: k.dangerous && !k.harmless}
		if k.audits && !k.blocks {
			info[i].otherwise = hostpolicy.Audit
		}
	}
	return info
}

// learnDefault uses that block wins among allow-lists and that the smallest
// RuleID is named.
func (u *unions) learnDefault(n *nfa, known map[string]*knowledge, def *lsm.Verdict, s subject) {
	for i := range n.rules {
		r := &n.rules[i]
		if r.skip || r.Action != hostpolicy.Allow || !s.admits(r) {
			continue
		}
		cell := def[lsm.KindRead]
		if r.Class == hostpolicy.Process {
			cell = def[lsm.KindExec]
		}
		k := known[r.Policy]
		id := lsm.RuleID(i + 1)
		switch {
		case cell.Action == hostpolicy.Audit, id < cell.Rule:
			k.audits = true
		case id == cell.Rule:
			k.blocks = true
		}
		if id == cell.Rule || k.audits && cell.Action == hostpolicy.Audit {
			k.dangerous = k.dangerous || cell.Dangerous
			k.harmless = k.harmless || !cell.Dangerous
		}
	}
}

// learnDanger uses that a verdict is dangerous where any deciding rule is.
func learnDanger(n *nfa, known map[string]*knowledge, cell lsm.Cell, s subject, rules []uint32) {
	for _, id := range rules {
		r := &n.rules[id-1]
		if r.Class != n.rules[cell.Rule-1].Class || r.Action != cell.Action || r.Access != n.rules[cell.Rule-1].Access || !s.admits(r) {
			continue
		}
		k := known[r.Policy]
		k.dangerous = k.dangerous || cell.Dangerous
		k.harmless = k.harmless || !cell.Dangerous
	}
}
