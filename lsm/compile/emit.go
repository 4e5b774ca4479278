package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// automaton is the minimised path automaton in the order of a breadth-first
// walk, which depends on nothing but the language of the patterns.
type automaton struct {
	start  lsm.State
	states []lsm.StateRow // Label and Below without marks
	edges  []lsm.Edge
	globs  []lsm.GlobRow
	labels [][]uint32 // label sets, by Label; [0] is empty
}

// emitter writes the classes of a partition.
type emitter struct {
	*dfa
	p   *partition
	out *automaton

	sample     []uint32            // a state of each class
	rowGroup   []uint32            // group, by row class
	rowAt      []uint32            // row instance, by row class
	isConstant []bool              // by row class
	functions  map[uint32]function // by group
	folds      map[function]*folding

	stateIDs []lsm.State // by class; 0 = not numbered yet, but for class 0
	queue    []uint32    // classes, in the order of their numbers
	rowIDs   map[rowKey]uint32
	labelIDs map[uint32]lsm.Label
}

// rowKey is a row to write: a row class, perhaps within a folded name, for
// states whose other names lead to `def`.
type rowKey struct {
	row  uint32
	trie *trie
	def  uint32
}

func (d *dfa) emit(p *partition) (*automaton, error) {
	e := &emitter{
		dfa: d, p: p,
		out: &automaton{
			states: make([]lsm.StateRow, 1),
			globs:  make([]lsm.GlobRow, 1),
			labels: make([][]uint32, 1),
		},
		sample:     firstOf(p.states, p.nState),
		rowAt:      firstOf(p.rows, p.nRow),
		rowGroup:   make([]uint32, p.nRow),
		isConstant: make([]bool, p.nRow),
		stateIDs:   make([]lsm.State, p.nState),
		rowIDs:     make(map[rowKey]uint32),
		labelIDs:   map[uint32]lsm.Label{0: 0},
		functions:  make(map[uint32]function),
		folds:      make(map[function]*folding),
	}
	for i := range d.groups {
		for row := range d.groups[i].auto.rows {
			at := d.groups[i].base + uint32(row)
			if class := p.rows[at]; e.rowAt[class] == at {
				e.rowGroup[class] = uint32(i)
				e.isConstant[class] = e.leadsToItself(class)
			}
		}
	}
	e.chooseFolds()
	e.out.start = e.number(p.states[d.start])
	for i := 0; i < len(e.queue); i++ {
		e.write(e.queue[i])
		if len(e.out.edges) > d.limits.edges {
			return nil, d.tooMuchOutput("names in directories", d.limits.edges)
		}
		if len(e.out.globs) > d.limits.globRows {
			return nil, d.tooMuchOutput("rows to match the bytes of names", d.limits.globRows)
		}
	}
	return e.out, nil
}

// firstOf is the first member of each class.
func firstOf(classes []uint32, n int) []uint32 {
	first := make([]uint32, n)
	next := 0
	for member, class := range classes {
		if int(class) == next { // classes are numbered by their first member
			first[class] = uint32(member)
			next++
		}
	}
	return first
}

// number gives a class its state, in the order of first use.
func (e *emitter) number(class uint32) lsm.State {
	if class == 0 || e.stateIDs[class] != 0 {
		return e.stateIDs[class]
	}
	id := lsm.State(len(e.out.states))
	e.stateIDs[class] = id
	s := &e.states[e.sample[class]]
	label := e.label(s.label)
	e.out.states = append(e.out.states, lsm.StateRow{Label: label, Below: e.label(s.below)})
	e.queue = append(e.queue, class)
	return id
}

func (e *emitter) label(set uint32) lsm.Label {
	id, ok := e.labelIDs[set]
	if !ok {
		id = lsm.Label(len(e.out.labels))
		e.labelIDs[set] = id
		e.out.labels = append(e.out.labels, e.labels.sets[set])
	}
	return id
}

// classEdge is an edge between classes.
type classEdge struct {
	name string
	to   uint32
}

func (e *emitter) write(class uint32) {
	from := e.stateIDs[class]
	s := &e.states[e.sample[class]]
	g := &e.dfa.groups[s.group]
	fold := e.folded(class)
	for _, edge := range e.merged(s, fold) {
		e.out.edges = append(e.out.edges, lsm.Edge{From: from, Name: edge.name, To: e.number(edge.to)})
	}
	start := e.p.rows[g.base+g.auto.start]
	key := rowKey{row: start, def: e.p.states[e.rowEnds[g.base]]}
	if end, ok := e.constant(start); ok {
		key.def = end
	}
	key.trie = fold
	to := e.number(key.def)
	glob := e.row(key)
	e.out.states[from].Default, e.out.states[from].Glob = to, glob
}

// merged is the edges of a state, by name, without those that its byte
// automaton makes superfluous.
func (e *emitter) merged(s *state, fold *trie) []classEdge {
	g := &e.dfa.groups[s.group]
	var list []classEdge
	for _, own := range s.own {
		natural := e.p.states[e.rowEnds[own.row]]
		if i, ok := g.find(own.name); ok && fold != nil {
			natural = e.p.states[g.edges[i].to]
		}
		if to := e.p.states[own.to]; to != natural {
			list = append(list, classEdge{e.names[own.name], to})
		}
	}
	if fold == nil {
		for _, shared := range g.edges {
			_, own := slices.BinarySearchFunc(s.own, shared.name, func(o edge, name uint32) int {
				return cmp.Compare(o.name, name)
			})
			if to := e.p.states[shared.to]; !own && to != e.p.states[e.rowEnds[shared.row]] {
				list = append(list, classEdge{e.names[shared.name], to})
			}
		}
	}
	slices.SortFunc(list, func(a, b classEdge) int { return cmp.Compare(a.name, b.name) })
	return list
}

// leadsToItself reports whether no byte leaves a row's class.
func (e *emitter) leadsToItself(row uint32) bool {
	g := &e.dfa.groups[e.rowGroup[row]]
	for b, next := range g.auto.rows[e.rowAt[row]-g.base].next {
		if b != 0 && b != '/' && e.p.rows[g.base+next] != row {
			return false
		}
	}
	return true
}

// constant is the state class where a row leads whatever bytes follow, if
// there is only one.
func (e *emitter) constant(row uint32) (uint32, bool) {
	return e.p.states[e.rowEnds[e.rowAt[row]]], e.isConstant[row]
}

// row numbers a row of the byte automaton and those behind it, or returns 0
// where all names lead to the default.
func (e *emitter) row(key rowKey) uint32 {
	if end, ok := e.constant(key.row); ok && end == key.def && key.trie == nil {
		return 0
	}
	if id, ok := e.rowIDs[key]; ok {
		return id
	}
	id := uint32(len(e.out.globs))
	e.rowIDs[key] = id
	e.out.globs = append(e.out.globs, lsm.GlobRow{})
	if len(e.out.globs) > e.limits.globRows {
		return id // emit reports it
	}
	at := e.rowAt[key.row]
	g := &e.dfa.groups[e.rowGroup[key.row]]
	var next [256]uint32
	var before rowKey // of the last byte: most bytes lead where their neighbour does
	for b, to := range g.auto.rows[at-g.base].next {
		if b == 0 || b == '/' {
			continue
		}
		through := rowKey{e.p.rows[g.base+to], key.trie.child(byte(b)), key.def}
		if b > 1 && through == before {
			next[b] = next[b-1]
			if b-1 == '/' {
				next[b] = next[b-2]
			}
			continue
		}
		next[b], before = e.row(through), through
	}
	end := e.p.states[e.rowEnds[at]]
	if key.trie != nil && key.trie.ends {
		end = key.trie.to
	}
	e.out.globs[id] = lsm.GlobRow{Next: next, End: e.number(end)}
	return id
}

func (d *dfa) tooMuchOutput(what string, limit int) error {
	counts := d.newBlame()
	for i := range d.nodes[1:] {
		if n := &d.nodes[i+1]; n.self || n.kind == leadsByGlob {
			counts[d.rule(n.owner)]++
		}
	}
	return &tooLarge{what: what, limit: limit, rules: counts.worst()}
}
