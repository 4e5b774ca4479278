package lsm

import (
	"sort"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Act is a capability, by its number, or an operation of class system behind
// those.
type Act uint8

const firstOperation Act = 64 // the kernel has no more capabilities than that

// ActOf is the act of an operation; c is for OpCapability.
func ActOf(op hostpolicy.Operation, c hostpolicy.Cap) Act {
	if op == hostpolicy.OpCapability {
		return Act(c)
	}
	return firstOperation + Act(op)
}

func (a Act) String() string {
	if a < firstOperation {
		return hostpolicy.Cap(a).String()
	}
	return hostpolicy.Operation(a - firstOperation).String()
}

// ActRow is the verdict for one role on one act. A role without a row has its
// base's, else its default for the class.
type ActRow struct {
	Role Role
	Act  Act
	Cell Cell
}

// TraceRow is what becomes of a role that reaches into a process of a class of
// programs, or starts such a program in a way that could control it: where a
// rule lets these programs do what it refuses to the role. A role without a
// row has its base's, else nothing decides. Cell names that rule.
type TraceRow struct {
	Role    Role
	Program uint32
	Cell    Cell
}

// Trace is the verdict on reaching into a process of a class of programs.
func (r *Ruleset) Trace(role RoleRow, program uint32) Cell {
	for _, id := range []Role{role.Role, role.Base} {
		i := sort.Search(len(r.Traces), func(i int) bool {
			t := &r.Traces[i]
			return t.Role > id || t.Role == id && t.Program >= program
		})
		if i < len(r.Traces) && r.Traces[i].Role == id && r.Traces[i].Program == program {
			return r.Traces[i].Cell
		}
	}
	return Cell{}
}

// Act is the verdict on a capability or an operation of class system.
func (r *Ruleset) Act(role RoleRow, act Act) Cell {
	for _, id := range []Role{role.Role, role.Base} {
		i := sort.Search(len(r.Acts), func(i int) bool {
			a := &r.Acts[i]
			return a.Role > id || a.Role == id && a.Act >= act
		})
		if i < len(r.Acts) && r.Acts[i].Role == id && r.Acts[i].Act == act {
			return r.Acts[i].Cell
		}
	}
	if act < firstOperation {
		return role.Capability
	}
	return role.System
}
