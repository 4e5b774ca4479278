package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// unions are the labels of files with several names: sets of labels of the
// ruleset.
type unions struct {
	rs     *lsm.Ruleset
	table  *setTable // of labels with their marks, numbered from 1
	marked []bool    // by number
}

func newUnions(rs *lsm.Ruleset) *unions { return &unions{rs: rs, table: newSetTable()} }

// of is the label for a set of labels; new ones have no mark yet.
func (u *unions) of(labels []lsm.Label) lsm.Label {
	var set []uint32
	for _, l := range labels {
		if l != 0 {
			set = append(set, uint32(l))
		}
	}
	set = sortSet(set)
	switch len(set) {
	case 0:
		return 0
	case 1:
		return lsm.Label(set[0])
	}
	id, _ := u.table.intern(set)
	return lsm.Label(len(u.rs.Labels)) + lsm.Label(id) - 1
}

// members is the labels of the ruleset that a new label unites.
func (u *unions) members(label lsm.Label) []lsm.Label {
	var list []lsm.Label
	for _, l := range u.table.sets[int(label)-len(u.rs.Labels)+1] {
		list = append(list, lsm.Label(l))
	}
	return list
}

// mark sets ByProgram on a new label that has to carry it.
func (u *unions) mark(l lsm.Label) lsm.Label {
	if i := int(l.Index()) - len(u.rs.Labels); i >= 0 && u.marked[i] {
		return l | lsm.ByProgram
	}
	return l
}

// finish writes the rows of all new labels.
func (u *unions) finish(out *Placement) error {
	n := len(u.table.sets) - 1
	u.marked = make([]bool, n)
	out.Labels = make([]lsm.LabelRow, n)
	several := false
	for i := range out.Labels {
		var classes []uint32
		for _, l := range u.members(lsm.Label(len(u.rs.Labels) + i)) {
			if class := u.rs.Labels[l.Index()].Program; class != 0 {
				classes = append(classes, class)
			}
		}
		classes = sortSet(classes)
		if len(classes) == 1 {
			out.Labels[i].Program = classes[0]
		}
		several = several || len(classes) > 1
	}
	u.finishFromRows(out)
	if several {
		if err := u.finishFromRules(out); err != nil {
			return err
		}
	}
	for i := range out.Verdicts {
		if label := out.Verdicts[i].Label; int(label.Index()) >= len(u.rs.Labels) {
			out.Verdicts[i].Label = u.mark(label)
		}
	}
	sortVerdicts(out.Verdicts)
	return nil
}

// finishFromRows derives the verdicts on unions, for the roles of the ruleset,
// from those on their members: each member's cell names the rule that decides
// among its own, so the strongest of the cells decides among all.
func (u *unions) finishFromRows(out *Placement) {
	index := u.rowIndex()
	base := u.rs.Roles[0]
	for i := range out.Labels {
		label := lsm.Label(len(u.rs.Labels) + i)
		members := u.members(label)
		hasBase := false
		roles := slices.Clone(index.moody)
		for _, l := range members {
			u.marked[i] = u.marked[i] || l&lsm.ByProgram != 0
			for _, role := range index.roles[l] {
				if role == base.Role {
					hasBase = true
				} else {
					roles = append(roles, uint32(role))
				}
			}
		}
		var ordinary lsm.Verdict
		if hasBase {
			ordinary = u.unite(base, members)
			out.Verdicts = append(out.Verdicts, lsm.VerdictRow{Role: base.Role, Label: label, Verdict: ordinary})
		}
		for _, role := range sortSet(roles) {
			row := index.byRole[lsm.Role(role)]
			fallback := row.Default
			if hasBase {
				fallback = ordinary
			}
			if v := u.unite(row, members); v != fallback {
				u.marked[i] = true
				out.Verdicts = append(out.Verdicts, lsm.VerdictRow{Role: row.Role, Label: label, Verdict: v})
			}
		}
	}
}

// rowIndex says which roles can fare differently on a label.
type rowIndex struct {
	roles  map[lsm.Label][]lsm.Role // with a row, by label with its mark
	byRole map[lsm.Role]lsm.RoleRow
	moody  []uint32 // roles whose default is not that of the base
}

func (u *unions) rowIndex() rowIndex {
	index := rowIndex{roles: make(map[lsm.Label][]lsm.Role), byRole: make(map[lsm.Role]lsm.RoleRow)}
	needed := make(map[lsm.Label]bool)
	for _, set := range u.table.sets {
		for _, l := range set {
			needed[lsm.Label(l)] = true
		}
	}
	if len(needed) == 0 {
		return index
	}
	for _, v := range u.rs.Verdicts {
		if needed[v.Label] {
			index.roles[v.Label] = append(index.roles[v.Label], v.Role)
		}
	}
	for _, row := range u.rs.Roles {
		index.byRole[row.Role] = row
		if row.Default != u.rs.Roles[0].Default {
			index.moody = append(index.moody, uint32(row.Role))
		}
	}
	return index
}

// unite is the verdict of one role on a file with all these labels.
func (u *unions) unite(role lsm.RoleRow, labels []lsm.Label) lsm.Verdict {
	united := role.Default
	for _, l := range labels {
		v := u.rs.Lookup(role.Key, l)
		for k := range v {
			united[k] = stronger(united[k], v[k])
		}
	}
	return united
}

// stronger is the cell that decides: one of a rule before one of an allow-list,
// block before audit before allow, the smaller RuleID.
func stronger(a, b lsm.Cell) lsm.Cell {
	matched := func(c lsm.Cell) bool { return c.Action.Valid() && !c.Otherwise }
	switch {
	case !matched(b):
		return a
	case !matched(a):
		return b
	case a.Action != b.Action:
		return slices.MinFunc([]lsm.Cell{a, b}, func(x, y lsm.Cell) int { return cmp.Compare(x.Action, y.Action) })
	}
	a.Rule = min(a.Rule, b.Rule)
	a.Dangerous = a.Dangerous || b.Dangerous
	return a
}
