package compile

import (
	"fmt"
	"math"
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// Binding is what a workload adds to a ruleset: the roles of its subjects, and
// their verdicts. Nothing that is in the ruleset changes.
type Binding struct {
	Roles    []lsm.RoleRow // ordered by key
	Verdicts []lsm.VerdictRow
	Acts     []lsm.ActRow
	Traces   []lsm.TraceRow
}

// Bind computes the rows of the workloads that Ruleset.PlacesOf puts in these
// places, under a number of the caller's choice from 1 on: containers and units
// that are in the same places share it, and those in the host's places need
// none. Where files have several names, rs is the one that Placement.Join
// made, and what it adds is bound anew whenever the placement changes.
//
// A workload of the host that is in more places, as a unit is, shares the
// host's base role; any other has its own.
func Bind(rs *lsm.Ruleset, number uint32, places []uint32) (Binding, error) {
	if number == 0 {
		return Binding{}, fmt.Errorf("bind a workload: number 0 is the host")
	}
	j := newJudge(rs, rs.Labels)
	host := rs.PlacesOf(nil, nil)
	t := tables{judge: j, number: number, held: j.held(places), ownBase: !onHost(rs, host, places), limits: defaultLimits}
	t.marked = make([]bool, len(rs.Labels))
	for i := range rs.Labels {
		t.marked[i] = rs.Labels[i].Marked
	}
	if !t.ownBase {
		held := j.held(host)
		t.base = j.subject(held, j.openLists(held), 0, 0)
	}
	// Each number has as many roles as there can be, whichever are needed.
	stride := uint64(len(rs.Users.Classes)) * uint64(len(rs.Programs))
	first := uint64(endOfRoles(rs)) + uint64(number-1)*stride
	if first+stride > math.MaxUint32 {
		return Binding{}, fmt.Errorf("bind workload %d: there are no numbers for that many roles (%d each)", number, stride)
	}
	t.role = func(user, program uint32) lsm.Role {
		return lsm.Role(first) + lsm.Role(user)*lsm.Role(len(rs.Programs)) + lsm.Role(program)
	}
	known := slices.Clone(t.marked)
	if err := t.build(); err != nil {
		return Binding{}, fmt.Errorf("bind workload %d: it %w", number, err)
	}
	if i := firstNew(known, t.marked); i >= 0 {
		return Binding{}, fmt.Errorf("bind workload %d: label %d tells no subjects apart, but its verdict depends on them", number, i)
	}
	return Binding{Roles: t.roles, Verdicts: t.verdicts, Acts: t.acts, Traces: t.traces}, nil
}

// onHost reports whether places are the host's and units.
func onHost(rs *lsm.Ruleset, host, places []uint32) bool {
	for _, place := range host {
		if _, ok := slices.BinarySearch(places, place); !ok {
			return false
		}
	}
	for _, place := range places {
		_, ok := slices.BinarySearch(host, place)
		if !ok && len(rs.Places[place].Unit) == 0 {
			return false
		}
	}
	return true
}

// Join is the ruleset with the binding added, for a reader of its tables.
func (b *Binding) Join(rs *lsm.Ruleset) *lsm.Ruleset {
	joined := *rs
	joined.Roles = slices.Concat(rs.Roles, b.Roles)
	joined.Verdicts = slices.Concat(rs.Verdicts, b.Verdicts)
	joined.Acts = slices.Concat(rs.Acts, b.Acts)
	joined.Traces = slices.Concat(rs.Traces, b.Traces)
	sortRoles(joined.Roles)
	sortVerdicts(joined.Verdicts)
	sortActs(joined.Acts)
	sortTraces(joined.Traces)
	return &joined
}
