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

// strays warns of links in a directory that a glob names while the list does
// not name what they lead to: a file is judged by its own names, so the rule
// does not hold for it. It looks at the canonical patterns of one list.
func (c rewriting) strays(key string, patterns, exceptions []hostpolicy.Pattern, places []hostpolicy.Position) {
	for i, p := range patterns {
		dir, rest := p.Split()
		name := strings.TrimPrefix(rest, "/")
		if name == "" || strings.Contains(name, "/") || strings.Contains(name, "**") || strings.Contains(name, "{") {
			continue
		}
		first, target, more := "", "", 0
		for _, link := range c.walk.links(dir) {
			at := path.Join(dir, link)
			if !p.Match(at) || matchAny(exceptions, at) {
				continue
			}
			to := c.walk.resolve(at)
			if to.keep || !to.exists || to.dir || matchAny(patterns, to.name) || matchAny(exceptions, to.name) {
				continue
			}
			if first == "" {
				first, target = at, to.name
			} else {
				more++
			}
		}
		if first == "" {
			continue
		}
		others := ""
		if more > 0 {
			others = fmt.Sprintf(", and so for %d more links", more)
		}
		where := c.rule.Position
		if i < len(places) {
			where = places[i]
		}
		c.res.Problems = append(c.res.Problems, hostpolicy.Problem{
			Position: where, Code: codeStray, Severity: hostpolicy.Warning,
			Field:   c.rule.Class.String() + "." + c.rule.Name + "." + key,
			Message: fmt.Sprintf("%q names the link %s, but nothing names %s that it leads to%s", p, first, target, others),
			Fix:     fmt.Sprintf("add %q if it is meant", hostpolicy.Escape(target)),
		})
	}
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
