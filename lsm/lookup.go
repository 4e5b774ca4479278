package lsm

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// edge finds the literal edge of s for name by binary search.
func (r *Ruleset) edge(s State, name string) (State, bool) {
	i := sort.Search(len(r.Edges), func(i int) bool {
		e := &r.Edges[i]
		return e.From > s || e.From == s && e.Name >= name
	})
	if i < len(r.Edges) && r.Edges[i].From == s && r.Edges[i].Name == name {
		return r.Edges[i].To, true
	}
	return 0, false
}

// Walk is the state of an absolute, clean path.
func (r *Ruleset) Walk(path string) State {
	s := r.Start
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			s = r.Step(s, name)
		}
	}
	return s
}

// Lookup is the verdict on a label for the subject with this key, as the
// kernel finds it. It is the yardstick of tests, not made for speed.
func (r *Ruleset) Lookup(key RoleKey, label Label) Verdict {
	return r.Judge(r.Role(key), label)
}

// Judge is the verdict of a role on a label.
func (r *Ruleset) Judge(role RoleRow, label Label) Verdict {
	if label != 0 {
		if label&ByProgram != 0 {
			if v, ok := r.verdict(role.Role, label); ok {
				return v
			}
		}
		if v, ok := r.verdict(role.Base, label); ok {
			return v
		}
	}
	return role.Default
}

// Leaves reports whether a rename or a link from one name to another takes
// something out of what allow-lists refuse to the role. Where it does not, a
// cell for KindMove that is Otherwise is no verdict: the file stays where the
// lists reach. A cell of a rule stands whatever the new name is.
//
// What has the name itself is judged on the states' labels (exchanged for
// Owned where the subject owns it), what lies beneath a directory on both
// states' Below, with `beneath` set: there the old name counts for all lists
// that could be beneath it, the new one for those that hold all of it.
func (r *Ruleset) Leaves(role RoleRow, from, to Label, beneath bool) bool {
	was, is := r.Judge(role, from), r.Judge(role, to)
	if !was[KindMove].Otherwise {
		return false
	}
	if beneath {
		return weaker(was[KindExec], is[KindHoldExec]) || weaker(was[KindRead], is[KindHoldFile])
	}
	for k := KindExec; k <= KindWrite; k++ {
		named := is[k].Action.Valid() && !is[k].Otherwise // a rule says what becomes of it there
		if was[k].Otherwise && !named && weaker(was[k], is[k]) {
			return true
		}
	}
	return false
}

// weaker reports whether a list refuses less than another did, or only logs
// what that refused.
func weaker(was, is Cell) bool {
	return was.Action.Valid() && (!is.Action.Valid() || is.Action > was.Action)
}

// Role is the row of the subject with this key.
func (r *Ruleset) Role(key RoleKey) RoleRow {
	for _, user := range []uint32{key.User, 0} {
		for _, program := range []uint32{key.Program, 0} {
			k := RoleKey{key.Workload, user, program}
			if i, ok := slices.BinarySearchFunc(r.Roles, k, func(row RoleRow, k RoleKey) int { return row.Key.Compare(k) }); ok {
				return r.Roles[i]
			}
		}
	}
	return RoleRow{}
}

// Compare orders keys by workload, user and program.
func (k RoleKey) Compare(o RoleKey) int {
	return cmp.Or(cmp.Compare(k.Workload, o.Workload), cmp.Compare(k.User, o.User), cmp.Compare(k.Program, o.Program))
}

// Applet is the label of a program that is called by this name. Where an exec
// has several (see hostpolicy.Applets) they are applied in their order.
func (r *Ruleset) Applet(label Label, name string) Label {
	index := label &^ ByProgram
	i := sort.Search(len(r.Applets), func(i int) bool {
		a := &r.Applets[i]
		return a.Label > index || a.Label == index && a.Name >= name
	})
	if i < len(r.Applets) && r.Applets[i].Label == index && r.Applets[i].Name == name {
		return r.Applets[i].To
	}
	return label
}

func (r *Ruleset) verdict(role Role, label Label) (Verdict, bool) {
	i := sort.Search(len(r.Verdicts), func(i int) bool {
		v := &r.Verdicts[i]
		return v.Role > role || v.Role == role && v.Label >= label
	})
	if i < len(r.Verdicts) && r.Verdicts[i].Role == role && r.Verdicts[i].Label == label {
		return r.Verdicts[i].Verdict, true
	}
	return Verdict{}, false
}
