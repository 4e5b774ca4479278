package policyfile

import (
	"maps"
	"slices"
)

// node is a key or value of a file with its places. The TOML decoder gives no
// position for what it has accepted, so scan reads the text a second time, for
// places only; what is valid and what a value means stays the decoder's.
type node struct {
	value    any // of a scalar
	table    bool
	array    bool
	header   bool  // opened by a [header]
	key      int   // offset of the key, of the last part in a header
	at       int   // offset of the value, or of the header's bracket
	mentions []int // offsets of the key wherever it is written
	keys     []string
	children map[string]*node
	items    []*node
}

func (n *node) child(p keyPart) *node {
	c := n.children[p.text]
	if c == nil {
		c = &node{key: p.offset, at: p.offset}
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		n.children[p.text] = c
		n.keys = append(n.keys, p.text)
	}
	c.mentions = append(c.mentions, p.offset)
	return c
}

// fill puts the decoded values to their places. A value that scan has not seen
// gets its parent's place.
func (n *node) fill(v any) {
	switch v := v.(type) {
	case map[string]any:
		n.table, n.array, n.value = true, false, nil
		n.keys = slices.DeleteFunc(n.keys, func(k string) bool { _, ok := v[k]; return !ok })
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if n.children[k] == nil {
				n.child(keyPart{k, n.at})
			}
			n.children[k].fill(v[k])
		}
	case []map[string]any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		n.fillItems(items)
	case []any:
		n.fillItems(v)
	default:
		n.table, n.array, n.value = false, false, v
	}
}

func (n *node) fillItems(v []any) {
	n.table, n.array, n.value = false, true, nil
	for len(n.items) < len(v) {
		n.items = append(n.items, &node{key: n.at, at: n.at})
	}
	n.items = n.items[:len(v)]
	for i := range v {
		n.items[i].fill(v[i])
	}
}

// kind names the type of a value for people.
func (n *node) kind() string {
	switch {
	case n.table:
		return "a table"
	case n.array:
		return "a list"
	}
	switch n.value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	}
	return "a date or time"
}
