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
