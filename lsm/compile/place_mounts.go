package compile

import (
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// directory is a directory of a superblock on the way to a mount's root.
type directory struct {
	id       uint32 // from 1
	children map[string]*directory
	points   []lsm.State // where this very directory is mounted
	beneath  []lsm.State // points of this directory and of all beneath
}

func (d *directory) mount(root string, point lsm.State) {
	d.beneath = append(d.beneath, point)
	for name := range strings.SplitSeq(root, "/") {
		if name == "" {
			continue
		}
		child := d.children[name]
		if child == nil {
			child = &directory{}
			if d.children == nil {
				d.children = make(map[string]*directory)
			}
			d.children[name] = child
		}
		d = child
		d.beneath = append(d.beneath, point)
	}
	d.points = append(d.points, point)
}

func (d *directory) number(next *uint32) {
	*next++
	d.id = *next
	for _, name := range d.names() {
		d.children[name].number(next)
	}
}

func (d *directory) names() []string {
	if d == nil {
		return nil
	}
	names := make([]string, 0, len(d.children))
	for name := range d.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (d *directory) child(name string) *directory {
	if d == nil {
		return nil
	}
	return d.children[name]
}
