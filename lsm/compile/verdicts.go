package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// verdicts are the rows of a table that stays sparse: one row for each label
// that means something to ordinary programs, and rows for other classes of
// programs only where those fare differently.
type verdicts struct {
	rules  []ruleInfo
	info   []policyInfo
	labels [][]uint32 // rules, by label
	roles  []lsm.RoleRow
	limit  int

	base      []lsm.Verdict // by label; meaningful where hasBase
	hasBase   []bool
	byProgram []bool
	rows      []lsm.VerdictRow // labels without marks
}

// matched is the verdict of the rules of a label that admit the subject; ok
// is false where none does. Kinds that no rule decides are left empty.
func (v *verdicts) matched(rules []uint32, s subject) (verdict lsm.Verdict, ok bool) {
	var tiers [lsm.KindMove + 1][hostpolicy.Allow + 1]tier
	for _, id := range rules {
		r := &v.rules[id-1]
		if !s.admits(r) {
			continue
		}
		ok = true
		add := func(k lsm.Kind) { tiers[k][r.Action].add(lsm.RuleID(id), v.info[id-1].dangerous) }
		if r.governs(hostpolicy.Process, hostpolicy.Exec) {
			add(lsm.KindExec)
			if r.restricts() {
				add(lsm.KindMap)
			}
		}
		if r.governs(hostpolicy.File, hostpolicy.Read) {
			add(lsm.KindRead)
		}
		if r.governs(hostpolicy.File, hostpolicy.Write) {
			add(lsm.KindWrite)
		}
		if r.restricts() {
			add(lsm.KindMove)
		}
	}
	for k := range tiers {
		for a := hostpolicy.Block; a <= hostpolicy.Allow; a++ {
			if t := tiers[k][a]; t.rule != 0 {
				verdict[k] = lsm.Cell{Action: a, Rule: t.rule, Dangerous: t.dangerous}
				break
			}
		}
	}
	return verdict, ok
}

// withDefault fills the cells that no rule decides.
func withDefault(v, def lsm.Verdict) lsm.Verdict {
	for k := range v {
		if !v[k].Action.Valid() {
			v[k] = def[k]
		}
	}
	return v
}

func (v *verdicts) build(c *programs) error {
	v.base = make([]lsm.Verdict, len(v.labels))
	v.hasBase = make([]bool, len(v.labels))
	v.byProgram = make([]bool, len(v.labels))
	plain := c.subject(0)
	labelsOf := make(map[uint32][]uint32) // of conditional rules, by RuleID
	for label, rules := range v.labels {
		matched, ok := v.matched(rules, plain)
		v.base[label], v.hasBase[label] = matched, ok
		if ok {
			v.add(0, label, withDefault(matched, v.roles[0].Default))
		}
		for _, id := range rules {
			if v.rules[id-1].conditional() {
				v.byProgram[label] = true
				labelsOf[id] = append(labelsOf[id], uint32(label))
			}
		}
	}
	changes := v.conditionalRules(len(c.subject(0)))
	for class := 1; class < len(c.ids.sets); class++ {
		v.class(uint32(class), c, changes, labelsOf)
		if len(v.rows) > v.limit {
			return v.tooMany()
		}
	}
	return nil
}

// conditionalRules is the rules that name a program list, by list.
func (v *verdicts) conditionalRules(lists int) [][]uint32 {
	byList := make([][]uint32, lists)
	for i := range v.rules {
		r := &v.rules[i]
		if r.from != 0 {
			byList[r.from] = append(byList[r.from], uint32(i+1))
		}
		if r.exceptFrom != 0 && r.exceptFrom != r.from {
			byList[r.exceptFrom] = append(byList[r.exceptFrom], uint32(i+1))
		}
	}
	return byList
}

// class adds the rows of one class of programs.
func (v *verdicts) class(class uint32, c *programs, changes [][]uint32, labelsOf map[uint32][]uint32) {
	own, plain := c.subject(class), c.subject(0)
	var labels []uint32
	for _, list := range c.ids.sets[class] {
		for _, id := range changes[list] {
			if r := &v.rules[id-1]; own.admits(r) != plain.admits(r) {
				labels = append(labels, labelsOf[id]...)
			}
		}
	}
	labels = sortSet(labels)
	base, def := v.roles[0].Default, v.roles[class].Default
	for _, label := range labels {
		matched, _ := v.matched(v.labels[label], own)
		verdict, fallback := withDefault(matched, def), def
		if v.hasBase[label] {
			fallback = withDefault(v.base[label], base)
		}
		if verdict != fallback {
			v.add(class, int(label), verdict)
		}
	}
	if def == base {
		return
	}
	for label := range v.base {
		if len(v.rows) > v.limit {
			return
		}
		if !v.hasBase[label] {
			continue
		}
		verdict := withDefault(v.base[label], def)
		if verdict == withDefault(v.base[label], base) {
			continue
		}
		if _, done := slices.BinarySearch(labels, uint32(label)); !done {
			v.add(class, label, verdict)
		}
	}
}

func (v *verdicts) add(class uint32, label int, verdict lsm.Verdict) {
	v.rows = append(v.rows, lsm.VerdictRow{Role: roleOf(class), Label: lsm.Label(label), Verdict: verdict})
	if class != 0 {
		v.byProgram[label] = true
	}
}

// mark sets ByProgram on a label that has to carry it.
func (v *verdicts) mark(l lsm.Label) lsm.Label {
	if v.byProgram[l] {
		return l | lsm.ByProgram
	}
	return l
}

// marked is the rows in their order.
func (v *verdicts) marked() []lsm.VerdictRow {
	for i := range v.rows {
		v.rows[i].Label = v.mark(v.rows[i].Label)
	}
	sortVerdicts(v.rows)
	return v.rows
}

func sortVerdicts(rows []lsm.VerdictRow) {
	slices.SortFunc(rows, func(a, b lsm.VerdictRow) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Label, b.Label))
	})
}

// tooMany blames the allow rules with conditions: they give a class of
// programs its own default, and so its own row for almost every label.
func (v *verdicts) tooMany() error {
	counts := make(blame, len(v.rules))
	for i := range v.rules {
		r := &v.rules[i]
		if r.conditional() {
			counts[i] += 1 + len(r.From) + len(r.ExceptFrom)
			if r.Action == hostpolicy.Allow {
				counts[i] += len(v.rules)
			}
		}
	}
	return &tooLarge{"verdicts for single programs", v.limit, counts.worst()}
}
