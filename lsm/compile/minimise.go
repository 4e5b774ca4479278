package compile

import (
	"crypto/sha256"
	"encoding/binary"
)

// partition divides the states, and the rows of byte automata, into classes
// that nothing tells apart: the same labels for every name beneath. Class
// numbers follow the first member; state 0 is in class 0.
//
// It is Moore's refinement. What a state does with names is summed up in a
// digest of 128 bits that does not depend on how edges are divided between
// the state and its group. Two states whose functions are equal, but one says
// with a glob what the other says with literal names, stay apart; that costs
// a state and is never wrong.
type partition struct {
	states []uint32 // class, by state
	rows   []uint32 // class, by row instance
	nState int
	nRow   int
}

// digest is a sum of hashes, so that it can be built in any order.
type digest [2]uint64

func (d *digest) add(o digest) { d[0] += o[0]; d[1] += o[1] }
func (d *digest) sub(o digest) { d[0] -= o[0]; d[1] -= o[1] }

// times weighs a hash with a class.
func (d digest) times(class uint32) digest {
	m := scramble(uint64(class) + 1)
	return digest{scramble(d[0] ^ m), scramble(d[1] + m)}
}

// scramble is the finaliser of splitmix64, a permutation.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hashName(name string) digest {
	sum := sha256.Sum256([]byte(name))
	return digest{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

func (d *dfa) minimise() *partition {
	m := &minimiser{dfa: d, p: &partition{
		states: make([]uint32, len(d.states)),
		rows:   make([]uint32, len(d.rowEnds)),
	}}
	m.byState, m.spare = make(map[stateKey]uint32), make([]uint32, len(d.states))
	m.names = make([]digest, len(d.names))
	for i, name := range d.names {
		m.names[i] = hashName(name)
	}
	m.bytes = make(map[*byteDFA][][]byteRun)
	for i := range d.groups {
		m.runs(d.groups[i].auto)
	}
	m.byLabels()
	for {
		states, rows := m.p.nState, m.p.nRow
		m.refineRows()
		m.refineStates()
		if m.p.nState == states && m.p.nRow == rows {
			return m.p
		}
	}
}

type minimiser struct {
	*dfa
	p      *partition
	names  []digest // hash by name id
	bytes  map[*byteDFA][][]byteRun
	groups []digest // of the edges of each group, by group

	byState map[stateKey]uint32 // classes of a round; rounds share the room
	spare   []uint32
}

// stateKey is what tells states of one round apart.
type stateKey struct {
	old, row uint32
	edges    digest
}

// byteRun is the bytes, as the sum of their hashes, that lead a row to next.
type byteRun struct {
	bytes digest
	next  uint32
}

// runs condenses the rows of an automaton by target.
func (m *minimiser) runs(auto *byteDFA) {
	if m.bytes[auto] != nil {
		return
	}
	all := make([][]byteRun, len(auto.rows))
	for i := range auto.rows {
		at := make(map[uint32]int)
		for b, next := range auto.rows[i].next {
			if b == 0 || b == '/' {
				continue
			}
			j, ok := at[next]
			if !ok {
				j = len(all[i])
				at[next] = j
				all[i] = append(all[i], byteRun{next: next})
			}
			all[i][j].bytes.add(digest{scramble(uint64(b) << 8), scramble(uint64(b)<<8 | 1)})
		}
	}
	m.bytes[auto] = all
}

// byLabels is the first division: by what a name that ends in a state means.
func (m *minimiser) byLabels() {
	type key struct{ label, below uint32 }
	classes := make(map[key]uint32)
	for i := range m.states {
		k := key{m.states[i].label, m.states[i].below}
		c, ok := classes[k]
		if !ok {
			c = uint32(len(classes))
			classes[k] = c
		}
		m.p.states[i] = c
	}
	m.p.nState, m.p.nRow = len(classes), min(1, len(m.p.rows))
}

func (m *minimiser) refineRows() {
	type key struct {
		old, end uint32
		next     digest
	}
	classes := make(map[key]uint32, m.p.nRow)
	refined := make([]uint32, len(m.p.rows))
	for i := range m.dfa.groups {
		g := &m.dfa.groups[i]
		for row, runs := range m.bytes[g.auto] {
			at := g.base + uint32(row)
			k := key{old: m.p.rows[at], end: m.p.states[m.rowEnds[at]]}
			k.next = m.nextDigest(g, runs)
			c, ok := classes[k]
			if !ok {
				c = uint32(len(classes))
				classes[k] = c
			}
			refined[at] = c
		}
	}
	m.p.rows, m.p.nRow = refined, len(classes)
}

// nextDigest sums up where the bytes lead. It is linear in the hashes of the
// bytes, so that runs with targets of one class add up to one run.
func (m *minimiser) nextDigest(g *group, runs []byteRun) digest {
	var sum digest
	for _, r := range runs {
		class := uint64(m.p.rows[g.base+r.next]) + 1
		sum.add(digest{r.bytes[0] * (scramble(class) | 1), r.bytes[1] * (scramble(^class) | 1)})
	}
	return sum
}

func (m *minimiser) refineStates() {
	m.groups = make([]digest, len(m.dfa.groups))
	for i := range m.dfa.groups {
		g := &m.dfa.groups[i]
		for _, e := range g.edges {
			m.groups[i].add(m.edgeDigest(e))
		}
	}
	classes, refined := m.byState, m.spare
	clear(classes)
	for i := range m.states {
		s := &m.states[i]
		g := &m.dfa.groups[s.group]
		k := stateKey{old: m.p.states[i], row: m.p.rows[g.base+g.auto.start], edges: m.groups[s.group]}
		for _, e := range s.own {
			if j, ok := g.find(e.name); ok {
				k.edges.sub(m.edgeDigest(g.edges[j]))
			}
			k.edges.add(m.edgeDigest(e))
		}
		c, ok := classes[k]
		if !ok {
			c = uint32(len(classes))
			classes[k] = c
		}
		refined[i] = c
	}
	m.p.states, m.spare, m.p.nState = refined, m.p.states, len(classes)
}

// edgeDigest is zero for an edge that leads where its name would lead anyway.
func (m *minimiser) edgeDigest(e edge) digest {
	to := m.p.states[e.to]
	if to == m.p.states[m.rowEnds[e.row]] {
		return digest{}
	}
	return m.names[e.name].times(to)
}
