package compile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Units finds the workload of a process of the host from the names of its
// cgroups, the outermost first: from Start, Ruleset.Step over each name, and
// StateRow.Label of the state reached is the workload's number, 0 for the host.
// The root cgroup has no name. Its owner gives a cgroup its name, so the walk
// has to end above the first one that is not root's: names further down do not
// count, or a user could choose whose rules to be under.
//
// All numbers go on where those of the ruleset end that it was made from. The
// zero Units is for policies that name no unit: all processes are the host's.
type Units struct {
	Start  lsm.State
	States []lsm.StateRow
	Edges  []lsm.Edge // ordered by From, then Name
	Globs  []lsm.GlobRow
	// Places is, by workload number - 1, where such a process is: what
	// Ruleset.PlacesOf(nil, names) gives, and what Bind takes.
	Places [][]uint32
	// Flat is true where policies name too many units to number all that can
	// be nested: then names beneath a named unit that is no slice do not count.
	Flat bool
}

// unitLimits bound what the names of units may add.
type unitLimits struct{ workloads, edges, globRows int }

var defaultUnitLimits = unitLimits{workloads: 4096, edges: 256 << 10, globRows: 8 << 10}

// UnitsOf computes the automaton for the units that policies name. rs is the
// ruleset with the host's placement joined. An error names the policies' rules
// that are most to blame.
func UnitsOf(rs *lsm.Ruleset) (Units, error) { return unitsOf(rs, defaultUnitLimits) }

func unitsOf(rs *lsm.Ruleset, limits unitLimits) (Units, error) {
	n := &nfa{
		nodes: make([]node, 1), positions: make([]bytePosition, 1), nameIDs: make(map[string]uint32),
		// An owner for each place, which is a "rule" to the automaton, and one
		// for the names of slices.
		rules: make([]ruleInfo, len(rs.Places)+1), programs: newPatternLists(), scopes: newPatternLists(),
	}
	for i := range n.rules {
		n.rules[i].Rule = &hostpolicy.Rule{Class: hostpolicy.File, Action: hostpolicy.Allow}
	}
	for i := range rs.Places {
		var texts []string
		for _, g := range rs.Places[i].Unit {
			texts = append(texts, nameTexts(g)...)
		}
		n.addTexts(owner{ownsPath, uint32(i)}, texts)
	}
	if len(n.owners) == 0 {
		return Units{}, nil
	}
	n.addTexts(owner{ownsPath, uint32(len(rs.Places))}, []string{"/*.slice"})
	n.start = sortSet(n.start)
	room := defaultLimits
	room.globRows = limits.globRows
	names, err := n.automaton(room)
	if err != nil {
		return Units{}, unitError(rs, err)
	}
	for _, flat := range []bool{false, true} {
		b := unitBuilder{rs: rs, names: names, limits: limits, sets: newSetTable(), ids: make(map[unitState]lsm.State)}
		b.out.Flat = flat
		if err = b.build(); err == nil {
			return b.out, nil
		}
	}
	return Units{}, unitError(rs, err)
}

// nameTexts is a glob as patterns of one component: a unit's name holds no
// slash, so that ** says no more than *.
func nameTexts(g hostpolicy.Glob) []string {
	var texts []string
	for _, alt := range g.Expand() {
		var b strings.Builder
		for i := 0; i < len(alt); i++ {
			switch alt[i] {
			case '\\':
				b.WriteString(alt[i : i+2])
				i++
				continue
			case '[':
				_, end := parseSet(alt, i)
				b.WriteString(alt[i:end])
				i = end - 1
				continue
			case '*':
				if i+1 < len(alt) && alt[i+1] == '*' {
					continue
				}
			}
			b.WriteByte(alt[i])
		}
		text := "/" + b.String()
		if len(text) == 1 || strings.Contains(text[1:], "/") {
			continue
		}
		if list, _ := parseComponents(text); list[0].kind == literal && len(list[0].name) > maxName {
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// maxName is the longest name of a file or a cgroup, in bytes.
const maxName = 255

// unitError names rules for places.
func unitError(rs *lsm.Ruleset, err error) error {
	var limit *tooLarge
	if !errors.As(err, &limit) {
		return fmt.Errorf("names of units: %w", err)
	}
	var ids []string
	for _, place := range limit.rules {
		i := slices.IndexFunc(rs.Facts, func(f lsm.RuleFacts) bool { return rs.Policies[f.Policy].Place == place })
		if i >= 0 {
			ids = append(ids, rs.Rules[i].ID())
		}
	}
	return fmt.Errorf("names of units: the policy set %w (write fewer or simpler globs for the units of %s)", limit, strings.Join(ids, ", "))
}

// unitState is the places of the names so far; closed is beneath a unit where
// names do not count any more.
type unitState struct {
	set    uint32
	closed bool
}

// unitBuilder makes a state for each set of places that names can add up to,
// from the automaton for a single name.
type unitBuilder struct {
	rs     *lsm.Ruleset
	names  *automaton
	limits unitLimits
	sets   *setTable // of unit places; the number is the workload's
	ids    map[unitState]lsm.State
	queue  []unitState
	out    Units
	edges  []lsm.Edge // of the first state of names
}

func (b *unitBuilder) build() error {
	b.edges = b.names.edges
	for i, e := range b.edges {
		if e.From != b.names.start { // what names lead to says nothing of a second one
			b.edges = b.edges[:i]
			break
		}
	}
	b.out.Start = b.state(unitState{})
	for i := 0; i < len(b.queue); i++ {
		b.expand(b.queue[i])
		switch {
		case len(b.sets.sets) > b.limits.workloads:
			return b.tooLarge("numbers for units within units", b.limits.workloads)
		case len(b.out.Edges) > b.limits.edges:
			return b.tooLarge("names in units", b.limits.edges)
		case len(b.out.Globs) > b.limits.globRows:
			return b.tooLarge("rows to match the bytes of units' names", b.limits.globRows)
		}
	}
	host := b.rs.PlacesOf(nil, nil)
	for _, set := range b.sets.sets[1:] {
		b.out.Places = append(b.out.Places, unite(host, set))
	}
	return nil
}

func (b *unitBuilder) state(s unitState) lsm.State {
	id, ok := b.ids[s]
	if !ok {
		id = lsm.State(len(b.rs.States) + len(b.out.States))
		b.ids[s] = id
		b.out.States = append(b.out.States, lsm.StateRow{Label: lsm.Label(s.set), Default: id})
		b.queue = append(b.queue, s)
	}
	return id
}

// through is the state after a name, by what that name leads to by itself.
func (b *unitBuilder) through(s unitState, to lsm.State) lsm.State {
	places := b.names.labels[b.names.states[to].Label]
	slice := len(places) > 0 && places[len(places)-1] == uint32(len(b.rs.Places)+1)
	if slice {
		places = places[:len(places)-1]
	}
	if len(places) == 0 {
		return b.state(s)
	}
	set := slices.Clone(b.sets.sets[s.set])
	for _, rule := range places {
		set = append(set, rule-1)
	}
	next := unitState{closed: b.out.Flat && !slice}
	next.set, _ = b.sets.intern(sortSet(set))
	return b.state(next)
}

func (b *unitBuilder) expand(s unitState) {
	if s.closed {
		return // all names lead back
	}
	from := b.state(s)
	at := int(from) - len(b.rs.States)
	start := b.names.states[b.names.start]
	fallback := b.through(s, start.Default)
	base := uint32(len(b.rs.Globs)+len(b.out.Globs)) - 1 // the first row is 1
	rows := make([]lsm.GlobRow, 0, len(b.names.globs))
	plain := start.Glob == 0
	for i := 1; i < len(b.names.globs) && start.Glob != 0; i++ {
		row := b.names.globs[i]
		row.End = b.through(s, row.End)
		plain = (i == 1 || plain) && row.End == fallback
		for c, next := range row.Next {
			if next != 0 {
				row.Next[c] = base + next
			}
		}
		rows = append(rows, row)
	}
	b.out.States[at].Default = fallback
	if !plain {
		b.out.States[at].Glob = base + start.Glob
		b.out.Globs = append(b.out.Globs, rows...)
	}
	for _, e := range b.edges {
		if to := b.through(s, e.To); to != b.through(s, b.natural(e.Name)) {
			b.out.Edges = append(b.out.Edges, lsm.Edge{From: from, Name: e.Name, To: to})
		}
	}
}

// natural is where a name leads by itself without its edge.
func (b *unitBuilder) natural(name string) lsm.State {
	start := b.names.states[b.names.start]
	row := start.Glob
	if row == 0 {
		return start.Default
	}
	for i := 0; i < len(name); i++ {
		if row = b.names.globs[row].Next[name[i]]; row == 0 {
			return start.Default
		}
	}
	return b.names.globs[row].End
}

func (b *unitBuilder) tooLarge(what string, limit int) error {
	counts := make(blame, len(b.rs.Places))
	for _, set := range b.sets.sets {
		for _, place := range set {
			counts[place]++
		}
	}
	return &tooLarge{what: what, limit: limit, rules: counts.worst()}
}

// Join is the ruleset with the states added, for a reader that begins at Start.
func (u *Units) Join(rs *lsm.Ruleset) *lsm.Ruleset {
	joined := *rs
	joined.States = slices.Concat(rs.States, u.States)
	joined.Edges = slices.Concat(rs.Edges, u.Edges)
	joined.Globs = slices.Concat(rs.Globs, u.Globs)
	return &joined
}

// Walk is the number of the workload of a process in these cgroups, the
// outermost first. rs is what Join made.
func (u *Units) Walk(rs *lsm.Ruleset, units []string) uint32 {
	s := u.Start
	for _, name := range units {
		s = rs.Step(s, name)
	}
	return uint32(rs.States[s].Label)
}
