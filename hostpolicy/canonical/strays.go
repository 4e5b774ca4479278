package canonical

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// The listing of one directory is bounded, because anybody may have filled it.
const (
	maxEntries = 50_000
	maxStrays  = 2_000 // links that are followed
)

// stray is what a glob misses: the first link, what it leads to, and how many
// more there are.
type stray struct {
	link, target string
	more         int
}

// strays warns of links in a directory that a glob names while the list does
// not name what they lead to: a file is judged by its own names, so the rule
// does not hold for it. It looks at the canonical patterns of one list.
func (c rewriting) strays(key string, patterns, exceptions []hostpolicy.Pattern, places []hostpolicy.Position) {
	for i, missed := range c.walk.strays(patterns, exceptions) {
		if missed.link == "" {
			continue
		}
		others := ""
		if missed.more > 0 {
			others = fmt.Sprintf(", and so for %d more links", missed.more)
		}
		where := c.rule.Position
		if i < len(places) {
			where = places[i]
		}
		c.res.Problems = append(c.res.Problems, hostpolicy.Problem{
			Position: where, Code: codeStray, Severity: hostpolicy.Warning,
			Field:   c.rule.Class.String() + "." + c.rule.Name + "." + key,
			Message: fmt.Sprintf("%q names the link %s, but nothing names %s that it leads to%s", patterns[i], missed.link, missed.target, others),
			Fix:     fmt.Sprintf("add %q if it is meant", hostpolicy.Escape(missed.target)),
		})
	}
}

// strays is what each pattern of a list misses. Many rules hold the same list,
// and to look at every link of a directory takes long.
func (w *walker) strays(patterns, exceptions []hostpolicy.Pattern) []stray {
	if !slices.ContainsFunc(patterns, func(p hostpolicy.Pattern) bool { _, ok := globbed(p); return ok }) {
		return nil
	}
	var key strings.Builder
	for _, p := range patterns {
		key.WriteString(p.String() + "\x00")
	}
	key.WriteByte(0)
	for _, p := range exceptions {
		key.WriteString(p.String() + "\x00")
	}
	if known, ok := w.missed[key.String()]; ok {
		return known
	}
	list := make([]stray, len(patterns))
	for i, p := range patterns {
		if dir, ok := globbed(p); ok {
			list[i] = w.stray(dir, p, patterns, exceptions)
		}
	}
	w.missed[key.String()] = list
	return list
}

// globbed is the directory whose names a pattern's one glob is about.
func globbed(p hostpolicy.Pattern) (dir string, ok bool) {
	dir, rest := p.Split()
	name := strings.TrimPrefix(rest, "/")
	return dir, name != "" && !strings.Contains(name, "/") && !strings.Contains(name, "**") && !strings.Contains(name, "{")
}

func (w *walker) stray(dir string, p hostpolicy.Pattern, patterns, exceptions []hostpolicy.Pattern) stray {
	var missed stray
	for _, link := range w.links(dir) {
		at := path.Join(dir, link)
		if !p.Match(at) || matchAny(exceptions, at) {
			continue
		}
		to := w.resolve(at)
		if to.keep || !to.exists || to.dir || matchAny(patterns, to.name) || matchAny(exceptions, to.name) {
			continue
		}
		if missed.link == "" {
			missed.link, missed.target = at, to.name
		} else {
			missed.more++
		}
	}
	return missed
}

func matchAny(patterns []hostpolicy.Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p hostpolicy.Pattern) bool { return p.Match(name) })
}

// links are the names of the symbolic links in a canonical directory. What
// cannot be listed has none: the warnings are a courtesy, not a check.
func (w *walker) links(dir string) []string {
	if names, ok := w.listed[dir]; ok {
		return names
	}
	var names []string
	relative := strings.TrimPrefix(dir, "/")
	if relative == "" {
		relative = "."
	}
	if f, err := w.dir.Open(relative); err == nil {
		for total := 0; total < maxEntries && len(names) < maxStrays; {
			entries, err := f.ReadDir(1000)
			for _, e := range entries {
				if e.Type()&fs.ModeSymlink != 0 {
					names = append(names, e.Name())
				}
			}
			if total += len(entries); err != nil {
				break
			}
		}
		f.Close()
	}
	slices.Sort(names)
	w.listed[dir] = names
	return names
}
