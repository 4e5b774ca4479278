package bpflsm

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// names turns a path inside a superblock into the names that the host's mount
// table gives it.
type names struct {
	mounts map[uint32][]lsm.Mount
}

func newNames(mounts []lsm.Mount) *names {
	n := &names{mounts: map[uint32][]lsm.Mount{}}
	for _, m := range mounts {
		n.mounts[m.Device] = append(n.mounts[m.Device], m)
	}
	for _, list := range n.mounts {
		// The whole file system first, and of equals the shortest name.
		slices.SortStableFunc(list, func(a, b lsm.Mount) int {
			return cmp.Or(cmp.Compare(len(a.Root), len(b.Root)), cmp.Compare(len(a.Point), len(b.Point)))
		})
	}
	return n
}

// all lists the names of path, the likeliest first: never empty. A nil *names knows no mount.
func (n *names) all(device uint32, path string) []string {
	var list []string
	if n == nil {
		return []string{path}
	}
	for _, m := range n.mounts[device] {
		rest, ok := beneath(path, m.Root)
		if !ok {
			continue
		}
		name := strings.TrimSuffix(m.Point, "/") + rest
		if name == "" {
			name = "/"
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if list == nil {
		return []string{path} // mounted nowhere: named from its own root
	}
	return list
}

// beneath returns what follows dir in path, with its leading slash.
func beneath(path, dir string) (string, bool) {
	if dir == "/" {
		return strings.TrimSuffix(path, "/"), true
	}
	if rest, ok := strings.CutPrefix(path, dir); ok && (rest == "" || rest[0] == '/') {
		return rest, true
	}
	return "", false
}
