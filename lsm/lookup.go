package lsm

import (
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
	role := r.role(key)
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

func (r *Ruleset) role(key RoleKey) RoleRow {
	for _, program := range []uint32{key.Program, 0} {
		key.Program = program
		for i := range r.Roles {
			if r.Roles[i].Key == key {
				return r.Roles[i]
			}
		}
	}
	return RoleRow{}
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
