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
