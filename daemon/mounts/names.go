package mounts

import (
	"path"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// Names are all names that a file has in a mount table, of which name is one:
// a clean path without symbolic links. Name itself is the first.
func Names(table []lsm.Mount, name string) []string {
	names := []string{name}
	home := holding(table, name)
	if home < 0 {
		return names
	}
	inside := path.Join(table[home].Root, "/", below(table[home].Point, name))
	for i, m := range table {
		if m.Device != table[home].Device || !holds(m.Root, inside) {
			continue
		}
		other := path.Join(m.Point, below(m.Root, inside))
		// A mount that something is mounted over does not give its names.
		if holding(table, other) == i && !slices.Contains(names, other) {
			names = append(names, other)
		}
	}
	return names
}

// holding is the mount that a name leads into: the one with the longest point,
// and of those at one point the last.
func holding(table []lsm.Mount, name string) int {
	found := -1
	for i, m := range table {
		if holds(m.Point, name) && (found < 0 || len(m.Point) >= len(table[found].Point)) {
			found = i
		}
	}
	return found
}

func holds(dir, name string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, dir+"/")
}

func below(dir, name string) string {
	return strings.TrimPrefix(name[len(strings.TrimSuffix(dir, "/")):], "/")
}
