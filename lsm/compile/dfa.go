package compile

import (
	"cmp"
	"slices"
)

// dfa is the path automaton by subset construction: a state is the set of
// nodes that hold in a directory. State 0 is dead, the empty set.
//
// What a state says about names splits into its own edges, over the literal
// names of patterns that come to this very place, and its group: what all
// other names do. Thousands of states share a group, because patterns such
// as /**/*.so hold in all of them.
type dfa struct {
	*nfa
	limits limits

	table  *setTable // of states' nodes
	states []state
	start  uint32
	edges  int

	groups   []group
	groupIDs map[string]uint32
	rowEnds  []uint32 // state, by row instance
	autos    map[string]*byteDFA
	rowCount int

	labels   *setTable // see labels.go
	err      error     // a limit, once hit
	scratch  []uint32
	own      []edge // of the state being expanded
	groupKey []byte
}

type state struct {
	label uint32 // in dfa.labels
	below uint32 // in dfa.labels
	group uint32
	own   []edge // by name id
}

// edge leads over a literal name. row is where the group's byte automaton is
// after that name: what the name would do without the edge.
type edge struct {
	name uint32
	to   uint32
	row  uint32
}

// group is a function from names to states. Its row instances are base and
// up, one for each row of auto; base itself is the dead row, whose end is
// where names lead that no glob matches.
type group struct {
	auto  *byteDFA
	base  uint32
	edges []edge     // by name id
	nodes [][]uint32 // targets of edges, as node sets without the rest
	anys  []uint32   // nodes that any name leads to
}

func newDFA(n *nfa, limits limits) (*dfa, error) {
	d := &dfa{
		nfa: n, limits: limits,
		table: newSetTable(), labels: newSetTable(),
		groupIDs: make(map[string]uint32),
		autos:    make(map[string]*byteDFA),
	}
	d.states = append(d.states, state{})
	d.start = d.state(slices.Clone(n.start))
	for s := uint32(0); int(s) < len(d.states); s++ {
		if err := d.expand(s); err != nil {
			return nil, err
		}
		if d.err != nil {
			return nil, d.err
		}
	}
	return d, nil
}

// state numbers the state of a set of nodes, which it sorts in place.
func (d *dfa) state(nodes []uint32) uint32 {
	nodes = d.prune(sortSet(nodes))
	id, isNew := d.table.intern(nodes)
	if !isNew {
		return id
	}
	s := state{}
	s.label, _ = d.labels.intern(d.labelOf(nodes))
	s.below, _ = d.labels.intern(d.belowOf(nodes))
	d.states = append(d.states, s)
	if d.err == nil {
		switch {
		case len(d.states) > d.limits.states:
			d.err = d.tooManyStates("states", d.limits.states)
		case d.table.members > d.limits.members:
			d.err = d.tooManyStates("pattern positions", d.limits.members)
		}
	}
	return id
}

// prune drops nodes that can no longer matter: those of a list of patterns
// that matches everything beneath already, and all those of a rule that is
// excepted for good.
func (d *dfa) prune(nodes []uint32) []uint32 {
	if !slices.ContainsFunc(nodes, func(n uint32) bool { return d.nodes[n].universal() }) {
		return nodes
	}
	excepted := make(map[uint32]bool) // by rule
	decided := make(map[uint32]uint32)
	for _, n := range nodes {
		if !d.nodes[n].universal() {
			continue
		}
		o := d.owners[d.nodes[n].owner]
		if _, ok := decided[d.nodes[n].owner]; !ok {
			decided[d.nodes[n].owner] = n
		}
		if o.kind == ownsExcept {
			excepted[o.index] = true
		}
	}
	return slices.DeleteFunc(nodes, func(n uint32) bool {
		o := d.owners[d.nodes[n].owner]
		if (o.kind == ownsPath || o.kind == ownsExcept) && excepted[o.index] {
			return true
		}
		keep, ok := decided[d.nodes[n].owner]
		return ok && n != keep
	})
}

// expand finds where the names lead from a state.
func (d *dfa) expand(s uint32) error {
	set := d.table.sets[s]
	d.table.sets[s] = nil // its number is all that is needed from here on
	var anys, globs []uint32
	var floating []edge
	own := d.own[:0]
	for _, id := range set {
		n := &d.nodes[id]
		if n.self {
			anys = append(anys, id)
		}
		switch n.kind {
		case leadsByAny:
			anys = append(anys, n.to)
		case leadsByGlob:
			globs = append(globs, n.at)
		case leadsByName:
			if e := (edge{name: n.at, to: n.to}); n.self {
				floating = append(floating, e)
			} else {
				own = append(own, e)
			}
		}
	}
	groupID, err := d.group(sortSet(anys), sortSet(globs), floating)
	if err != nil {
		return err
	}
	g := &d.groups[groupID]
	d.own = own
	slices.SortFunc(own, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.to, b.to))
	})
	edges := make([]edge, 0, distinctNames(own))
	for len(own) > 0 {
		name := own[0].name
		nodes := d.scratch[:0]
		for len(own) > 0 && own[0].name == name {
			nodes = append(nodes, own[0].to)
			own = own[1:]
		}
		row := g.auto.walk(d.names[name])
		nodes = append(nodes, g.anys...)
		nodes = append(nodes, g.auto.rows[row].ends...)
		if i, ok := g.find(name); ok {
			nodes = append(nodes, g.nodes[i]...)
		}
		d.scratch = nodes
		edges = append(edges, edge{name: name, to: d.state(nodes), row: g.base + row})
		if d.err != nil {
			return d.err
		}
	}
	if d.edges += len(edges); d.edges > d.limits.edges {
		return d.tooManyStates("names in directories", d.limits.edges)
	}
	d.states[s].group, d.states[s].own = groupID, edges
	return nil
}

// distinctNames counts the names in sorted edges.
func distinctNames(edges []edge) int {
	n := 0
	for i := range edges {
		if i == 0 || edges[i].name != edges[i-1].name {
			n++
		}
	}
	return n
}

// find is the index of the group's edge over a name.
func (g *group) find(name uint32) (int, bool) {
	return slices.BinarySearchFunc(g.edges, name, func(e edge, name uint32) int {
		return cmp.Compare(e.name, name)
	})
}

func (d *dfa) group(anys, globs []uint32, floating []edge) (uint32, error) {
	slices.SortFunc(floating, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.to, b.to))
	})
	key := appendSet(d.groupKey[:0], anys)
	key = append(appendSet(append(key, 0, 0, 0, 0), globs), 0, 0, 0, 0)
	for _, e := range floating {
		key = appendSet(key, []uint32{e.name + 1, e.to})
	}
	d.groupKey = key
	if id, ok := d.groupIDs[string(key)]; ok {
		return id, nil
	}
	id := uint32(len(d.groups))
	d.groupIDs[string(key)] = id
	auto, err := d.byteDFA(globs)
	if err != nil {
		return 0, err
	}
	g := group{auto: auto, base: uint32(len(d.rowEnds)), anys: anys}
	for i := range auto.rows {
		d.rowEnds = append(d.rowEnds, d.state(slices.Concat(anys, auto.rows[i].ends)))
	}
	for len(floating) > 0 {
		name := floating[0].name
		var nodes []uint32
		for len(floating) > 0 && floating[0].name == name {
			nodes = append(nodes, floating[0].to)
			floating = floating[1:]
		}
		row := auto.walk(d.names[name])
		g.edges = append(g.edges, edge{name, d.state(slices.Concat(nodes, anys, auto.rows[row].ends)), g.base + row})
		g.nodes = append(g.nodes, nodes)
	}
	d.groups = append(d.groups, g)
	if d.err == nil && len(d.rowEnds) > 4*d.limits.states {
		d.err = d.tooManyStates("states", d.limits.states)
	}
	return id, d.err
}

// tooManyStates blames the rules of the states that wait to be expanded.
func (d *dfa) tooManyStates(what string, limit int) error {
	counts := d.newBlame()
	for _, set := range d.table.sets {
		for _, n := range set {
			if node := &d.nodes[n]; node.self || node.kind == leadsByGlob || node.kind == leadsByAny {
				counts[d.rule(node.owner)]++
			}
		}
	}
	return &tooLarge{what: what, limit: limit, rules: counts.worst()}
}
