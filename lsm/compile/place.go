package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// Placement binds a ruleset to a mount table. The kernel names a file by its
// path from the root of its superblock, so each superblock starts in a state
// of its own. All numbers go on where those of the ruleset end.
type Placement struct {
	Starts   []Start        // ordered by Device
	States   []lsm.StateRow // from len(rs.States)
	Edges    []lsm.Edge     // ordered by From, then Name; none is From a state of rs
	Globs    []lsm.GlobRow  // from len(rs.Globs)
	Labels   []lsm.LabelRow // from len(rs.Labels)
	Applets  []lsm.AppletRow
	Programs [][]uint32    // from len(rs.Programs)
	Scopes   [][]uint32    // from len(rs.Scopes)
	Roles    []lsm.RoleRow // of programs that are several that rs tells apart
	Verdicts []lsm.VerdictRow
	Acts     []lsm.ActRow
	Traces   []lsm.TraceRow
	// Unnamed are mounts whose root is no directory of a file system, as in
	// nsfs: their files have no name that a pattern could match.
	Unnamed []lsm.Mount
}

// Start is the state of the root directory of a superblock.
type Start struct {
	Device uint32
	State  lsm.State
}

// placeLimits bound what mounts may add.
type placeLimits struct{ states, edges, globRows int }

var defaultPlaceLimits = placeLimits{states: 256 << 10, edges: 1 << 20, globRows: 16 << 10}

// Place computes the start states for a mount table. A file that is <Root>/x
// in its superblock has the name <Point>/x for each mount of it, also where a
// later mount hides the earlier one; its label is the union of the labels of
// all its names. A directory thus stands for a set of states of rs. Sets of
// one are that state itself, so that plain mounts of whole file systems add
// nothing.
func Place(rs *lsm.Ruleset, mounts []lsm.Mount) (Placement, error) {
	return place(rs, mounts, defaultPlaceLimits)
}

func place(rs *lsm.Ruleset, mounts []lsm.Mount, limits placeLimits) (Placement, error) {
	p := &placer{
		rs: rs, limits: limits,
		ids:    make(map[string]lsm.State),
		rows:   make(map[string]uint32),
		unions: newUnions(rs),
	}
	devices := make(map[uint32]*directory)
	for _, m := range mounts {
		if !strings.HasPrefix(m.Root, "/") || !strings.HasPrefix(m.Point, "/") {
			p.out.Unnamed = append(p.out.Unnamed, m)
			continue
		}
		if devices[m.Device] == nil {
			devices[m.Device] = &directory{}
		}
		devices[m.Device].mount(m.Root, rs.Walk(m.Point))
	}
	order := make([]uint32, 0, len(devices))
	for device := range devices {
		order = append(order, device)
	}
	slices.Sort(order)
	for _, device := range order {
		root := devices[device]
		root.number(&p.directories)
		start := p.state(root, root.points)
		if err := p.run(); err != nil {
			return Placement{}, fmt.Errorf("%s: %w", blamedMount(mounts, device), err)
		}
		p.out.Starts = append(p.out.Starts, Start{device, start})
	}
	if err := p.unions.finish(&p.out); err != nil {
		return Placement{}, err
	}
	for i := range p.out.States {
		s := &p.out.States[i]
		s.Label, s.Below = p.unions.mark(s.Label), p.unions.mark(s.Below)
	}
	return p.out, nil
}

// blamedMount names the mount of a device that gives it more names than one.
func blamedMount(mounts []lsm.Mount, device uint32) string {
	var blamed lsm.Mount
	for _, m := range mounts {
		if m.Device == device && (blamed.Point == "" || m.Root != "/") {
			blamed = m
		}
	}
	return fmt.Sprintf("mount %s (root %s of device %d:%d)", blamed.Point, blamed.Root, device>>20, device&(1<<20-1))
}

// Join is the ruleset with the placement added, for a reader that starts in
// one of its states. A container's mount table is placed on the ruleset that
// the host's placement joined: its numbers go on from there.
func (p *Placement) Join(rs *lsm.Ruleset) *lsm.Ruleset {
	joined := *rs
	joined.States = slices.Concat(rs.States, p.States)
	joined.Edges = slices.Concat(rs.Edges, p.Edges)
	joined.Globs = slices.Concat(rs.Globs, p.Globs)
	joined.Labels = slices.Concat(rs.Labels, p.Labels)
	joined.Applets = slices.Concat(rs.Applets, p.Applets)
	joined.Programs = slices.Concat(rs.Programs, p.Programs)
	joined.Scopes = slices.Concat(rs.Scopes, p.Scopes)
	joined.Roles = slices.Concat(rs.Roles, p.Roles)
	joined.Verdicts = slices.Concat(rs.Verdicts, p.Verdicts)
	joined.Acts = slices.Concat(rs.Acts, p.Acts)
	joined.Traces = slices.Concat(rs.Traces, p.Traces)
	sortRoles(joined.Roles)
	sortVerdicts(joined.Verdicts)
	sortActs(joined.Acts)
	sortTraces(joined.Traces)
	return &joined
}

// placer builds the product of the automaton with itself and the mounts.
type placer struct {
	rs          *lsm.Ruleset
	limits      placeLimits
	out         Placement
	directories uint32
	ids         map[string]lsm.State
	queue       []product
	rows        map[string]uint32
	unions      *unions
	err         error
}

// product is a state to add: a directory that has all the members' names, and
// perhaps mounts beneath.
type product struct {
	id      lsm.State
	dir     *directory // nil where no mount's root lies beneath
	members []lsm.State
}

// state numbers a product, or returns the plain state that it is.
func (p *placer) state(dir *directory, members []lsm.State) lsm.State {
	members = slices.Clone(members)
	slices.Sort(members)
	members = slices.Compact(members)
	if len(members) > 0 && members[0] == 0 {
		members = members[1:]
	}
	if dir != nil && len(dir.children) == 0 {
		dir = nil
	}
	if dir == nil && len(members) <= 1 {
		if len(members) == 0 {
			return 0
		}
		return members[0]
	}
	key := p.key(dir, members)
	if id, ok := p.ids[key]; ok {
		return id
	}
	id := lsm.State(len(p.rs.States) + len(p.out.States))
	p.ids[key] = id
	p.out.States = append(p.out.States, lsm.StateRow{
		Label: p.unions.of(p.labels(members, func(s *lsm.StateRow) lsm.Label { return s.Label })),
		Below: p.below(dir, members),
	})
	p.queue = append(p.queue, product{id, dir, members})
	if len(p.out.States) > p.limits.states {
		p.err = &tooLarge{what: "states for directories with several names", limit: p.limits.states}
	}
	return id
}

// below is the label of what a move of the directory could shake off. What is
// mounted from beneath it keeps its name at the mount, but until the mount
// table is read again its files are looked for at the old place; so is the
// root of the mount itself, which may be a file.
func (p *placer) below(dir *directory, members []lsm.State) lsm.Label {
	var roots, others []lsm.State
	if dir != nil {
		others = dir.beneath
		for _, child := range dir.children {
			roots = append(roots, child.beneath...)
		}
	}
	return p.unions.below(
		p.labels(members, func(s *lsm.StateRow) lsm.Label { return s.Below }),
		p.labels(others, func(s *lsm.StateRow) lsm.Label { return s.Below }),
		p.labels(roots, func(s *lsm.StateRow) lsm.Label { return s.Label }),
	)
}

func (p *placer) labels(members []lsm.State, label func(*lsm.StateRow) lsm.Label) []lsm.Label {
	var list []lsm.Label
	for _, m := range members {
		list = append(list, label(&p.rs.States[m]))
	}
	return list
}

func (p *placer) key(dir *directory, members []lsm.State) string {
	var set []uint32
	if dir != nil {
		set = append(set, dir.id)
	} else {
		set = append(set, 0)
	}
	for _, m := range members {
		set = append(set, uint32(m))
	}
	return string(appendSet(nil, set))
}

func (p *placer) run() error {
	for len(p.queue) > 0 && p.err == nil {
		next := p.queue[0]
		p.queue = p.queue[1:]
		p.expand(next)
		switch {
		case len(p.out.Edges) > p.limits.edges:
			p.err = &tooLarge{what: "names in directories with several names", limit: p.limits.edges}
		case len(p.out.Globs) > p.limits.globRows:
			p.err = &tooLarge{what: "rows to match the bytes of names", limit: p.limits.globRows}
		}
	}
	return p.err
}

func (p *placer) expand(s product) {
	names := s.dir.names()
	var defaults []lsm.State
	var cursor []rowCursor
	for _, m := range s.members {
		row := &p.rs.States[m]
		for _, e := range p.edges(m) {
			names = append(names, e.Name)
		}
		defaults = append(defaults, row.Default)
		cursor = append(cursor, rowCursor{row.Glob, row.Default})
	}
	slices.Sort(names)
	at := s.id - lsm.State(len(p.rs.States))
	fallback := p.state(nil, defaults)
	glob := p.row(cursor)
	p.out.States[at].Default, p.out.States[at].Glob = fallback, glob
	for _, name := range slices.Compact(names) {
		child := s.dir.child(name)
		var members []lsm.State
		if child != nil {
			members = append(members, child.points...)
		}
		for _, m := range s.members {
			members = append(members, p.rs.Step(m, name))
		}
		to := p.state(child, members)
		if to != p.natural(cursor, name) {
			p.out.Edges = append(p.out.Edges, lsm.Edge{From: s.id, Name: name, To: to})
		}
	}
}

// edges is the edges of a state of the ruleset.
func (p *placer) edges(s lsm.State) []lsm.Edge {
	find := func(s lsm.State) int {
		i, _ := slices.BinarySearchFunc(p.rs.Edges, s, func(e lsm.Edge, s lsm.State) int { return cmp.Compare(e.From, s) })
		return i
	}
	return p.rs.Edges[find(s):find(s+1)]
}
