package lsm

import (
	"slices"
	"sort"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Place is where a policy applies: its selector without the users. One that
// names no place is everywhere.
type Place struct {
	Host, Everything bool
	Container        *hostpolicy.ContainerSelector
	Unit             []hostpolicy.Glob
}

// Holds reports whether a process with these surroundings is there; container
// is nil on the host, units are the outermost first.
func (p *Place) Holds(container *hostpolicy.Container, units []string) bool {
	s := hostpolicy.Selector{Host: p.Host, Everything: p.Everything, Container: p.Container, Unit: p.Unit}
	if !s.Host && s.Container == nil && len(s.Unit) == 0 {
		return true
	}
	return s.Matches(hostpolicy.Subject{Container: container, Units: units})
}

// PlacesOf is the places that hold a process, as ascending indexes: all that
// tells workloads apart. Containers and units of which it is the same share
// one number in RoleKey.Workload; what PlacesOf(nil, nil) gives is the host, 0.
func (r *Ruleset) PlacesOf(container *hostpolicy.Container, units []string) []uint32 {
	var list []uint32
	for i := range r.Places {
		if r.Places[i].Holds(container, units) {
			list = append(list, uint32(i))
		}
	}
	return list
}

// Users tells users apart. A bit stands for one list of users that policies
// name, real and effective uids and login uids apart.
type Users struct {
	IDs    []UserRow // bits of a uid or effective uid, ordered by First
	Logins []UserRow // bits of a login uid
	// Classes are the sets of bits that a process can have, ascending; the
	// index is RoleKey.User, and [0] is 0.
	Classes []uint64
}

// UserRow holds for the ids from First up to the next row.
type UserRow struct {
	First uint32
	Bits  uint64
}

// User is the class of a process, as the kernel finds it. login is
// hostpolicy.NoLogin where nobody logged in.
func (r *Ruleset) User(uid, euid, login uint32) uint32 {
	bits := userBits(r.Users.IDs, uid) | userBits(r.Users.IDs, euid)
	if login != hostpolicy.NoLogin {
		bits |= userBits(r.Users.Logins, login)
	}
	if i, ok := slices.BinarySearch(r.Users.Classes, bits); ok {
		return uint32(i)
	}
	return 0
}

func userBits(rows []UserRow, id uint32) uint64 {
	i := sort.Search(len(rows), func(i int) bool { return rows[i].First > id })
	if i == 0 {
		return 0
	}
	return rows[i-1].Bits
}
