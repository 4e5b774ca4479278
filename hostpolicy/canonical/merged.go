package canonical

import (
	"path"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// mergedLinks are the links of a tree with a merged /usr, as every distribution in
// support has it.
var mergedLinks = []struct{ link, target string }{
	{"/bin", "/usr/bin"}, {"/sbin", "/usr/sbin"}, {"/lib", "/usr/lib"}, {"/lib32", "/usr/lib32"}, {"/lib64", "/usr/lib64"}, {"/libx32", "/usr/libx32"},
	{"/var/run", "/run"}, {"/var/lock", "/run/lock"},
}

// MergedName is the name of a file in a tree of which nothing is known but
// that its /usr is merged.
func MergedName(name string) string {
	name = path.Clean(name)
	for _, m := range mergedLinks {
		if rest, ok := strings.CutPrefix(name, m.link); ok && (rest == "" || rest[0] == '/') {
			return m.target + rest
		}
	}
	return name
}

// MergedUsr rewrites policies as Resolve does, in a tree of which nothing is
// known but that its /usr is merged: that of a container that does not run, or
// of any machine.
func MergedUsr(policies []hostpolicy.Policy) []hostpolicy.Policy {
	out := slices.Clone(policies)
	for i := range out {
		out[i].Rules = slices.Clone(out[i].Rules)
		for j := range out[i].Rules {
			r := &out[i].Rules[j]
			r.Path, r.Places.Path = mergedList(r.Path, r.Places.Path)
			r.Except, r.Places.Except = mergedList(r.Except, r.Places.Except)
			r.From, r.Places.From = mergedList(r.From, r.Places.From)
			r.ExceptFrom, r.Places.ExceptFrom = mergedList(r.ExceptFrom, r.Places.ExceptFrom)
			r.Within, r.Places.Within = mergedList(r.Within, r.Places.Within)
		}
	}
	return out
}

func mergedList(patterns []hostpolicy.Pattern, places []hostpolicy.Position) ([]hostpolicy.Pattern, []hostpolicy.Position) {
	placed := len(places) == len(patterns)
	var out []hostpolicy.Pattern
	var outPlaces []hostpolicy.Position
	for i, p := range patterns {
		for _, q := range mergedPattern(p) {
			if slices.Contains(out, q) {
				continue
			}
			out = append(out, q)
			if placed {
				outPlaces = append(outPlaces, places[i])
			}
		}
	}
	return out, outPlaces
}

func mergedPattern(p hostpolicy.Pattern) []hostpolicy.Pattern {
	var out []hostpolicy.Pattern
	changed := false
	for _, text := range p.Expand() {
		alt, err := hostpolicy.ParsePattern(text)
		if err != nil {
			return []hostpolicy.Pattern{p} // cannot happen, and must not lose a name
		}
		prefix, rest := alt.Split()
		target := MergedName(prefix)
		moved, err := alt.WithPrefix(target)
		if target == prefix || err != nil {
			out = append(out, alt)
			continue
		}
		changed = true
		out = append(out, moved)
		// As in Resolve: a pattern that ends at a link names the link too.
		isLink := slices.ContainsFunc(mergedLinks, func(m struct{ link, target string }) bool { return m.link == prefix })
		if isLink && (rest == "" || rest == "/") {
			out = append(out, alt)
		}
	}
	if !changed {
		return []hostpolicy.Pattern{p}
	}
	return out
}

// Name is the name that a file really has in the tree: what a name leads to
// when links are followed. A name that leads nowhere stays as it is written
// beyond what is there.
func (r Root) Name(name string) string {
	found := newWalker(r.dir).resolve(name)
	if found.name == "" {
		return path.Clean(name)
	}
	return found.name
}

// Names is Resolve without the checks of a whole set, which take seconds for
// thousands of rules: for those who ask what policies do and not whether they
// are well written. With inside the tree is a container's own root, where the
// policies for containers are resolved too.
func (r Root) Names(policies []hostpolicy.Policy, inside bool) Result {
	w := newWalker(r.dir)
	res := Result{Policies: slices.Clone(policies)}
	for i := range res.Policies {
		p := &res.Policies[i]
		if p.AppliesTo.Container != nil && !inside {
			continue
		}
		p.Rules = slices.Clone(p.Rules)
		for j := range p.Rules {
			rewriting{w, &p.Rules[j], &res}.lists()
		}
	}
	return res
}

// lists resolves the patterns of the rule.
func (c rewriting) lists() {
	rule, places := c.rule, &c.rule.Places
	rule.Path, places.Path = c.list("path", rule.Path, places.Path)
	rule.Except, places.Except = c.list("except", rule.Except, places.Except)
	rule.From, places.From = c.list("from", rule.From, places.From)
	rule.ExceptFrom, places.ExceptFrom = c.list("except_from", rule.ExceptFrom, places.ExceptFrom)
	rule.Within, places.Within = c.list("within", rule.Within, places.Within)
}
