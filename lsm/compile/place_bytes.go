package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// rowCursor is where one member of a product is within a name: in a row of
// its byte automaton or, with row 0, on the way to its default.
type rowCursor struct {
	row uint32
	def lsm.State
}

// next is the cursors after one more byte.
func (p *placer) next(cursor []rowCursor, b byte) []rowCursor {
	moved := make([]rowCursor, len(cursor))
	for i, c := range cursor {
		if c.row != 0 {
			c.row = p.rs.Globs[c.row].Next[b]
		}
		moved[i] = c
	}
	return moved
}

// end is the state that a name leads to which ends here.
func (p *placer) end(cursor []rowCursor) lsm.State {
	members := make([]lsm.State, len(cursor))
	for i, c := range cursor {
		if members[i] = c.def; c.row != 0 {
			members[i] = p.rs.Globs[c.row].End
		}
	}
	return p.state(nil, members)
}

// natural is where a name leads without an edge.
func (p *placer) natural(cursor []rowCursor, name string) lsm.State {
	for i := 0; i < len(name) && alive(cursor); i++ {
		cursor = p.next(cursor, name[i])
	}
	return p.end(cursor)
}

func alive(cursor []rowCursor) bool {
	return slices.ContainsFunc(cursor, func(c rowCursor) bool { return c.row != 0 })
}

// row numbers the product of rows of byte automata, 0 where all lead to their
// defaults. Products are keyed with all defaults, so that a row that falls
// back to the owner's default has only owners with that default.
func (p *placer) row(cursor []rowCursor) uint32 {
	if !alive(cursor) {
		return 0
	}
	cursor = slices.Clone(cursor)
	slices.SortFunc(cursor, func(a, b rowCursor) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.def, b.def))
	})
	cursor = slices.Compact(cursor)
	var set []uint32
	for _, c := range cursor {
		set = append(set, c.row, uint32(c.def))
	}
	key := string(appendSet(nil, set))
	if id, ok := p.rows[key]; ok {
		return id
	}
	id := uint32(len(p.rs.Globs) + len(p.out.Globs))
	p.rows[key] = id
	p.out.Globs = append(p.out.Globs, lsm.GlobRow{})
	if len(p.out.Globs) > p.limits.globRows {
		return id // run reports it
	}
	var next [256]uint32
	for b := range next {
		if b != 0 && b != '/' {
			next[b] = p.row(p.next(cursor, byte(b)))
		}
	}
	p.out.Globs[int(id)-len(p.rs.Globs)] = lsm.GlobRow{Next: next, End: p.end(cursor)}
	return id
}
