package compile

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// setTable interns sorted sets of numbers. Id 0 is the empty set.
type setTable struct {
	ids     map[string]uint32
	sets    [][]uint32
	members int
	key     []byte
}

func newSetTable() *setTable {
	t := &setTable{ids: make(map[string]uint32)}
	t.intern(nil)
	return t
}

// setTableOf is the table of sets that were numbered before.
func setTableOf(sets [][]uint32) *setTable {
	t := newSetTable()
	for _, set := range sets[1:] {
		t.intern(set)
	}
	return t
}

// intern numbers a set and reports whether it is new. It keeps a copy.
func (t *setTable) intern(set []uint32) (uint32, bool) {
	t.key = appendSet(t.key[:0], set)
	if id, ok := t.ids[string(t.key)]; ok {
		return id, false
	}
	id := uint32(len(t.sets))
	t.ids[string(t.key)] = id
	t.sets = append(t.sets, slices.Clone(set))
	t.members += len(set)
	return id, true
}

func appendSet[T ~uint32](key []byte, set []T) []byte {
	for _, v := range set {
		key = binary.LittleEndian.AppendUint32(key, uint32(v))
	}
	return key
}

func sortSet[T cmp.Ordered](set []T) []T {
	slices.Sort(set)
	return slices.Compact(set)
}
