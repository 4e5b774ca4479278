// Package canonical rewrites the patterns of policies to the names that files
// really have, by following the symbolic links of one file system tree. It is
// the one part of loading a policy that looks at the machine.
package canonical

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

// Root is the tree in which links are followed. No link leads out of it.
type Root struct{ dir *os.Root }

// Open opens a tree: "/", or "/proc/1/root" for the host's own view.
func Open(dir string) (Root, error) {
	d, err := os.OpenRoot(dir)
	if err != nil {
		return Root{}, fmt.Errorf("open root of names: %w", err)
	}
	return Root{d}, nil
}

// Close releases the tree.
func (r Root) Close() error { return r.dir.Close() }

// Result is a policy set under its canonical names.
type Result struct {
	Policies    []hostpolicy.Policy
	Resolutions []Resolution // of the patterns that changed
	Problems    []hostpolicy.Problem
}

// Resolution says what a pattern became.
type Resolution struct {
	Rule      string // the rule's ID
	Key       string // path, except, from, except_from or within
	Written   string
	Canonical []string
}

// Policies is Resolve without the side table.
func (r Root) Policies(policies []hostpolicy.Policy) ([]hostpolicy.Policy, []hostpolicy.Problem) {
	res := r.Resolve(policies)
	return res.Policies, res.Problems
}

// Resolve rewrites the longest literal prefix of every pattern to its canonical
// name. A pattern that ends at a link stands for two names afterwards, what the
// link leads to and the link itself: whoever may replace the link could change
// what the name means. Resolve changes none of its arguments; all policies are
// in the result, also those with an error. Policies for containers stay as they
// are: their names are of the container's own tree.
func (r Root) Resolve(policies []hostpolicy.Policy) Result {
	w := newWalker(r.dir)
	var res Result
	for _, p := range policies {
		if p.AppliesTo.Container != nil {
			res.Policies = append(res.Policies, p)
			continue
		}
		before := p.LockOuts()
		p.Rules = slices.Clone(p.Rules)
		for i := range p.Rules {
			c := rewriting{w, &p.Rules[i], &res}
			rule := &p.Rules[i]
			places := &rule.Places
			c.lists()
			c.strays("path", rule.Path, rule.Except, places.Path)
			c.strays("from", rule.From, rule.ExceptFrom, places.From)
		}
		res.Problems = append(res.Problems, newLockOuts(before, &p)...)
		res.Policies = append(res.Policies, p)
	}
	slices.SortStableFunc(res.Problems, func(a, b hostpolicy.Problem) int {
		if c := strings.Compare(a.Position.File, b.Position.File); c != 0 {
			return c
		}
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
	return res
}

// newLockOuts are those that only the canonical names brought to light: a link
// of another name to the login shell, for instance.
func newLockOuts(before []hostpolicy.LockOut, p *hostpolicy.Policy) []hostpolicy.Problem {
	known := make(map[string]bool)
	for _, l := range before {
		known[l.Rule.ID()] = true
	}
	q := *p
	q.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r hostpolicy.Rule) bool { return known[r.ID()] })
	return policyfile.LockOuts(&q)
}

// rewriting is the work on one rule.
type rewriting struct {
	walk *walker
	rule *hostpolicy.Rule
	res  *Result
}

func (c rewriting) list(key string, patterns []hostpolicy.Pattern, places []hostpolicy.Position) ([]hostpolicy.Pattern, []hostpolicy.Position) {
	if len(patterns) == 0 {
		return patterns, places
	}
	placed := len(places) == len(patterns)
	var out []hostpolicy.Pattern
	var outPlaces []hostpolicy.Position
	for i, p := range patterns {
		at := c.rule.Position
		if placed {
			at = places[i]
		}
		names := c.pattern(key, p, at)
		if len(names) != 1 || names[0] != p {
			r := Resolution{Rule: c.rule.ID(), Key: key, Written: p.String()}
			for _, n := range names {
				r.Canonical = append(r.Canonical, n.String())
			}
			c.res.Resolutions = append(c.res.Resolutions, r)
		}
		for _, n := range names {
			if slices.Contains(out, n) {
				continue
			}
			out = append(out, n)
			if placed {
				outPlaces = append(outPlaces, at)
			}
		}
	}
	return out, outPlaces
}

// pattern is what one pattern becomes. Braces are expanded, because each of
// their alternatives may be a link of its own.
func (c rewriting) pattern(key string, p hostpolicy.Pattern, at hostpolicy.Position) []hostpolicy.Pattern {
	alternatives := p.Expand()
	if len(alternatives) == 1 {
		return c.alternative(key, p, at)
	}
	var out []hostpolicy.Pattern
	changed := false
	for _, text := range alternatives {
		alt, err := hostpolicy.ParsePattern(text)
		if err != nil {
			return []hostpolicy.Pattern{p} // cannot happen, and must not lose a name
		}
		names := c.alternative(key, alt, at)
		changed = changed || len(names) != 1 || names[0] != alt
		out = append(out, names...)
	}
	if !changed {
		return []hostpolicy.Pattern{p}
	}
	return out
}

// alternative resolves a pattern without braces. What cannot be resolved stays
// as it is.
func (c rewriting) alternative(key string, p hostpolicy.Pattern, at hostpolicy.Position) []hostpolicy.Pattern {
	prefix, rest := p.Split()
	found := c.walk.resolve(prefix)
	say := func(severity hostpolicy.Severity, code, message, fix string) {
		c.res.Problems = append(c.res.Problems, hostpolicy.Problem{
			Position: at, Code: code, Severity: severity,
			Field:   c.rule.Class.String() + "." + c.rule.Name + "." + key,
			Message: message, Fix: fix,
		})
	}
	if found.trouble != "" {
		say(hostpolicy.Warning, codeUnresolved, fmt.Sprintf("%q: %s", p, found.trouble), found.fix)
	}
	if found.keep {
		return []hostpolicy.Pattern{p}
	}
	c.judge(key, p, rest, found, say)
	var out []hostpolicy.Pattern
	names := []string{found.name}
	if found.link != "" && found.link != found.name && (rest == "" || rest == "/") {
		names = append(names, found.link)
	}
	for _, name := range names {
		q, err := p.WithPrefix(name)
		if err != nil {
			say(hostpolicy.Warning, codeUnresolved, fmt.Sprintf("%q leads to %q, which no pattern can name", p, name), "name what it leads to")
			continue
		}
		out = append(out, q)
	}
	if len(out) == 0 {
		return []hostpolicy.Pattern{p}
	}
	return out
}

// CodeDirectory is a path without a trailing slash that is a directory on
// disk: the one error of a policy that anybody may cause who can make one.
const CodeDirectory = "HA040"

const (
	codeMultiCall  = "HA041"
	codeNotDir     = "HA042"
	codeUnresolved = "HA043"
	codeStray      = "HA044"
)

// multiCall are programs that are many commands in one file.
var multiCall = []string{"busybox", "busybox.static", "toybox", "coreutils", "gnu-coreutils", "uutils", "rust-coreutils"}

func (c rewriting) judge(key string, p hostpolicy.Pattern, rest string, found resolved, say func(hostpolicy.Severity, string, string, string)) {
	switch {
	case rest == "" && found.dir:
		severity := hostpolicy.Warning
		if key == "path" {
			severity = hostpolicy.Error
		}
		say(severity, CodeDirectory, fmt.Sprintf("%q is a directory", p.String()), fmt.Sprintf("write %q for the directory and all beneath it", p.String()+"/"))
	case rest == "/" && found.exists && !found.dir:
		say(hostpolicy.Warning, codeNotDir, fmt.Sprintf("%q is not a directory", p.String()), fmt.Sprintf("write %q for the file", strings.TrimSuffix(p.String(), "/")))
	}
	program := key == "path" && c.rule.Class == hostpolicy.Process || strings.HasSuffix(key, "from")
	if base := path.Base(found.name); program && rest == "" && found.exists && slices.Contains(multiCall, base) {
		fix := "no rule can tell programs apart that are one file"
		if key == "path" {
			if len(c.rule.Args) > 0 {
				return
			}
			fix = fmt.Sprintf("add args = [%q] to narrow the rule to that command", path.Base(p.String()))
		}
		say(hostpolicy.Warning, codeMultiCall, fmt.Sprintf("%q is %s, many commands in one file: all its names are hit", p.String(), found.name), fix)
	}
}
