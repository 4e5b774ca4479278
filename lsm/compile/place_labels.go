package compile

import (
	"fmt"
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// unions are the labels of files with several names, and of directories that
// hold the roots of mounts: sets of labels of the ruleset.
type unions struct {
	rs     *lsm.Ruleset
	table  *setTable // of labels with their marks, numbered from 1
	marked []bool    // by label, once finished
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

// shakenOff in a set of labels makes them one of what a move shakes off.
const shakenOff = 1<<32 - 1 // no label: it would be the last one, marked

// partly in a set of labels says that some are not of all that is beneath.
const partly = shakenOff - 1

// below is the label for what a move could shake off: that of directories'
// Below, that of directories' Below which are not its own names, and that of
// names which are beneath.
func (u *unions) below(below, others, names []lsm.Label) lsm.Label {
	names = slices.DeleteFunc(slices.Clone(names), func(l lsm.Label) bool {
		row := &u.rs.Labels[l.Index()]
		return row.Scope == 0 && !slices.ContainsFunc(row.Rules, func(id lsm.RuleID) bool { return restricts(u.rs.Rules[id-1].Action) })
	})
	if slices.ContainsFunc(others, func(l lsm.Label) bool { return l != 0 && u.rs.Labels[l.Index()].Held != 0 }) {
		others = append(others, partly)
	}
	if len(names) > 0 {
		names = append(names, shakenOff)
	}
	return u.of(slices.Concat(below, others, names))
}

// mark sets ByProgram on a new label that has to carry it.
func (u *unions) mark(l lsm.Label) lsm.Label {
	if i := int(l.Index()); i >= len(u.rs.Labels) && u.marked[i] {
		return l | lsm.ByProgram
	}
	return l
}

// finish writes the rows of all new labels, and of roles for executables whose
// names are of several classes of programs.
func (u *unions) finish(out *Placement) error {
	out.Labels = []lsm.LabelRow{}
	if len(u.table.sets) == 1 {
		return nil
	}
	rows := labelRows{
		rules: u.rs.Rules, first: len(u.rs.Labels), limit: defaultLimits.applets,
		programs: setTableOf(u.rs.Programs), scopes: setTableOf(u.rs.Scopes),
	}
	for _, set := range u.table.sets[1:] {
		rows.add(u.members(set))
	}
	if err := rows.derive(); err != nil {
		return err
	}
	joined := *u.rs
	joined.Programs, joined.Scopes = rows.programs.sets, rows.scopes.sets
	out.Programs, out.Scopes = added(joined.Programs, len(u.rs.Programs)), added(joined.Scopes, len(u.rs.Scopes))
	out.Labels, out.Applets = rows.rows, rows.applets

	j := newJudge(&joined, slices.Concat(u.rs.Labels, rows.rows))
	marked := j.marks(len(u.rs.Labels))
	for i := range u.rs.Labels {
		marked[i] = u.rs.Labels[i].Marked
	}
	known := slices.Clone(marked[:len(u.rs.Labels)])
	t := tables{
		judge: j, held: j.held(u.rs.PlacesOf(nil, nil)), ownBase: true, limits: defaultLimits, marked: marked,
		firstLabel: len(u.rs.Labels), firstProgram: len(u.rs.Programs),
	}
	next := endOfRoles(u.rs)
	added := make(map[[2]uint32]lsm.Role)
	t.role = func(user, program uint32) lsm.Role {
		if int(program) < len(u.rs.Programs) {
			return u.rs.Role(lsm.RoleKey{User: user, Program: program}).Role
		}
		key := [2]uint32{user, program}
		if added[key] == 0 {
			added[key] = next
			next++
		}
		return added[key]
	}
	if err := t.build(); err != nil {
		return err
	}
	if i := firstNew(known, t.marked); i >= 0 {
		return fmt.Errorf("label %d of the ruleset tells no programs apart, but its verdict depends on them", i)
	}
	u.marked = t.marked
	t.markRows(out.Labels, out.Applets)
	out.Roles, out.Verdicts, out.Acts, out.Traces = t.roles, t.verdicts, t.acts, t.traces
	return nil
}

// members is everything that labels of a set hold.
func (u *unions) members(set []uint32) members {
	var m members
	last := func(mark uint32) bool {
		found := set[len(set)-1] == mark
		if found {
			set = set[:len(set)-1]
		}
		return found
	}
	below := last(shakenOff)
	some := last(partly) || below
	for _, l := range set {
		row := &u.rs.Labels[lsm.Label(l).Index()]
		m.rules = append(m.rules, row.Rules...)
		m.programs = append(m.programs, u.rs.Programs[row.Program]...)
		m.scope = append(m.scope, u.rs.Scopes[row.Scope]...)
		m.beneath = append(m.beneath, u.rs.Scopes[row.Beneath]...)
		if !some {
			m.held = append(m.held, u.rs.Scopes[row.Held]...)
		}
	}
	if below {
		m.rules = slices.DeleteFunc(m.rules, func(id lsm.RuleID) bool { return !restricts(u.rs.Rules[id-1].Action) })
		m.beneath, m.scope, m.programs = append(m.beneath, m.scope...), nil, nil
	}
	m.rules, m.programs = sortSet(m.rules), sortSet(m.programs)
	m.scope, m.beneath, m.held = sortSet(m.scope), sortSet(m.beneath), sortSet(m.held)
	return m
}

// added is what a list holds beyond its first n members, nil for nothing.
func added(list [][]uint32, n int) [][]uint32 {
	if len(list) == n {
		return nil
	}
	return list[n:]
}

// firstNew is the first index that is set in b and not in a, or -1.
func firstNew(a, b []bool) int {
	for i := range a {
		if b[i] && !a[i] {
			return i
		}
	}
	return -1
}

// endOfRoles is the first number behind the host's roles.
func endOfRoles(rs *lsm.Ruleset) lsm.Role {
	var last lsm.Role
	for i := range rs.Roles {
		if rs.Roles[i].Key.Workload == 0 {
			last = max(last, rs.Roles[i].Role)
		}
	}
	return last + 1
}
