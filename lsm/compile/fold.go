package compile

// The literal names of patterns such as /**/id_rsa hold in every directory.
// As edges they would be multiplied by the number of states; where that is
// many, they become part of the byte automaton, which the states share.

// function identifies what a group does with names, among all groups.
type function struct {
	row   uint32 // class of the first row
	def   uint32 // class of the default
	edges digest
}

// folding is the decision for one function.
type folding struct {
	names          *trie
	edges, bytes   int  // names, and their length together
	nPlain, nOther int  // states without edges of their own, and with
	plain, others  bool // fold in those
}

// trie is the folded names, byte by byte.
type trie struct {
	next map[byte]*trie
	to   uint32 // state class, if a name ends here
	ends bool
}

// child is nil-safe: a name that is none of the trie's stays none.
func (t *trie) child(b byte) *trie {
	if t == nil {
		return nil
	}
	return t.next[b]
}

func (t *trie) insert(name string, to uint32) {
	for i := 0; i < len(name); i++ {
		next := t.next[name[i]]
		if next == nil {
			next = &trie{next: make(map[byte]*trie)}
			t.next[name[i]] = next
		}
		t = next
	}
	t.to, t.ends = to, true
}

// function is what a group does, computed once for each.
func (e *emitter) function(id uint32) function {
	if f, ok := e.functions[id]; ok {
		return f
	}
	g := &e.dfa.groups[id]
	f := function{row: e.p.rows[g.base+g.auto.start], def: e.p.states[e.rowEnds[g.base]]}
	for _, shared := range g.edges {
		if to := e.p.states[shared.to]; to != e.p.states[e.rowEnds[shared.row]] {
			f.edges.add(hashName(e.names[shared.name]).times(to))
		}
	}
	e.functions[id] = f
	return f
}

func (e *emitter) chooseFolds() {
	for class := range uint32(e.p.nState) {
		s := &e.states[e.sample[class]]
		if len(e.dfa.groups[s.group].edges) == 0 {
			continue
		}
		f := e.function(s.group)
		if e.folds[f] == nil {
			e.folds[f] = e.newFolding(&e.dfa.groups[s.group])
		}
		if len(s.own) == 0 {
			e.folds[f].nPlain++
		} else {
			e.folds[f].nOther++
		}
	}
	for _, fold := range e.folds {
		budget := e.limits.unfolded + 16*fold.bytes // a row is worth some edges
		fold.plain = fold.nPlain*fold.edges > budget
		fold.others = fold.nOther*fold.edges > budget
	}
}

func (e *emitter) newFolding(g *group) *folding {
	fold := &folding{names: &trie{next: make(map[byte]*trie)}}
	for _, shared := range g.edges {
		if to := e.p.states[shared.to]; to != e.p.states[e.rowEnds[shared.row]] {
			fold.names.insert(e.dfa.names[shared.name], to)
			fold.edges++
			fold.bytes += len(e.dfa.names[shared.name])
		}
	}
	return fold
}

// folded is the names that a class finds in its byte automaton, or nil. The
// state of ordinary directories, which leads to itself, always has edges:
// most walks pass there.
func (e *emitter) folded(class uint32) *trie {
	s := &e.states[e.sample[class]]
	g := &e.dfa.groups[s.group]
	if len(g.edges) == 0 || e.p.states[e.rowEnds[g.base]] == class {
		return nil
	}
	fold := e.folds[e.function(s.group)]
	if len(s.own) == 0 && fold.plain || len(s.own) > 0 && fold.others {
		return fold.names
	}
	return nil
}
