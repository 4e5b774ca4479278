package links

import (
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Targets are the names to look for: what is kept of a policy set to search
// again. The zero value names nothing.
type Targets struct {
	except   [][]hostpolicy.Pattern // what rules leave out; [0] is nothing
	literals map[string][]uint32    // names to exceptions, by index
	trees    map[string][]*tree     // patterns by the directory where they begin
}

// tree is a pattern from its literal prefix on.
type tree struct {
	except  uint32
	pattern hostpolicy.Pattern
	// steps match the components behind the prefix, up to the first that
	// may match several.
	steps []hostpolicy.Pattern
	// deep: behind the steps anything may follow.
	deep bool
}

// excepted reports whether a name is among the exceptions.
func (t *Targets) excepted(except uint32, name string) bool {
	return slices.ContainsFunc(t.except[except], func(p hostpolicy.Pattern) bool { return p.Match(name) })
}

// Of collects what the block and audit rules for files and programs of the host
// name. The policies are under their canonical names.
func Of(policies []hostpolicy.Policy) *Targets {
	t := &Targets{except: make([][]hostpolicy.Pattern, 1), literals: make(map[string][]uint32), trees: make(map[string][]*tree)}
	for i := range policies {
		if policies[i].AppliesTo.Container != nil {
			continue // named in trees of their own
		}
		for j := range policies[i].Rules {
			r := &policies[i].Rules[j]
			if r.Action != hostpolicy.Allow && (r.Class == hostpolicy.File || r.Class == hostpolicy.Process) {
				t.add(r)
			}
		}
	}
	return t
}

func (t *Targets) add(r *hostpolicy.Rule) {
	except := uint32(0)
	if len(r.Except) > 0 {
		except = uint32(len(t.except))
		var list []hostpolicy.Pattern
		for _, p := range r.Except {
			list = append(list, clone(p))
		}
		t.except = append(t.except, list)
	}
	for _, p := range r.Path {
		for _, text := range p.Expand() {
			alt, err := hostpolicy.ParsePattern(strings.Clone(text))
			if err != nil {
				alt = p // cannot happen; the whole pattern names no less
			}
			prefix, rest := alt.Split()
			if rest == "" || rest == "/" {
				if list := t.literals[prefix]; !slices.Contains(list, except) {
					t.literals[prefix] = append(list, except)
				}
			}
			if rest != "" {
				t.trees[prefix] = append(t.trees[prefix], newTree(except, alt, rest))
			}
		}
	}
}

// clone is the pattern in memory of its own: parts of a file's text would keep
// all of it.
func clone(p hostpolicy.Pattern) hostpolicy.Pattern {
	q, err := hostpolicy.ParsePattern(strings.Clone(p.String()))
	if err != nil {
		return p
	}
	return q
}

// newTree reads what follows the prefix: "/", or components that begin with a
// slash and may end with one.
func newTree(except uint32, p hostpolicy.Pattern, rest string) *tree {
	t := &tree{except: except, pattern: p}
	rest, t.deep = strings.CutSuffix(rest, "/")
	if rest == "" {
		return t
	}
	for part := range strings.SplitSeq(rest[1:], "/") {
		step, err := hostpolicy.ParsePattern("/" + part)
		if err != nil || strings.Contains(part, "**") {
			t.deep = true
			return t
		}
		t.steps = append(t.steps, step)
	}
	return t
}

// place is how far a tree's steps have led.
type place struct {
	tree *tree
	step int // len(tree.steps): beneath all of them
}

// enter is the places that hold in the entry name of a directory, and whether
// the entry itself could be a file that is named.
func enter(at []place, name string) (in []place, named bool) {
	for _, p := range at {
		if p.step == len(p.tree.steps) {
			in, named = append(in, p), true // only deep trees get here
			continue
		}
		if !p.tree.steps[p.step].Match("/" + name) {
			continue
		}
		last := p.step+1 == len(p.tree.steps)
		named = named || last
		if !last || p.tree.deep {
			in = append(in, place{p.tree, p.step + 1})
		}
	}
	return in, named
}
