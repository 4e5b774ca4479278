package policyfile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func lastSlash(path string) int { return strings.LastIndexByte(path, '/') }

// covers reports whether e certainly matches all that p matches. A false
// "no" costs a warning; there is no false "yes".
func covers(e, p hostpolicy.Pattern) bool {
	if path, ok := p.Literal(); ok {
		return e.Match(path)
	}
	tree, rest := e.Split()
	prefix, _ := p.Split()
	switch {
	case e == p || e.String() == "/":
		return true
	case rest == "/":
		return prefix == tree || strings.HasPrefix(prefix, tree+"/")
	case rest == "/**":
		return strings.HasPrefix(prefix, tree+"/")
	}
	return false
}

// apart reports whether no name can match both, as far as their literal
// beginnings tell. There is no false "yes".
func apart(a, b hostpolicy.Pattern) bool {
	if path, ok := a.Literal(); ok {
		return !b.Match(path)
	}
	if path, ok := b.Literal(); ok {
		return !a.Match(path)
	}
	p, _ := a.Split()
	q, _ := b.Split()
	return !beneath(p, q) && !beneath(q, p)
}

func beneath(path, tree string) bool {
	return path == tree || tree == "/" || strings.HasPrefix(path, tree+"/")
}

// blocker finds unconditional block rules of one class that cover a pattern:
// by a tree above it or by the very same text. A path under a block rule's
// glob is found for the first maxGlobs globs only, because each is compared
// with every path.
type blocker struct {
	exact   map[hostpolicy.Pattern][]*hostpolicy.Rule
	trees   map[string][]*hostpolicy.Rule // by directory: "/a/"
	beneath map[string][]*hostpolicy.Rule // by directory: "/a/**"
	globs   []globRule
}

type globRule struct {
	pattern hostpolicy.Pattern
	rule    *hostpolicy.Rule
}

const (
	maxGlobs = 64
	maxSame  = 4 // rules that are remembered for one pattern
)

func newBlocker(rules []hostpolicy.Rule, class hostpolicy.Class) *blocker {
	b := &blocker{exact: make(map[hostpolicy.Pattern][]*hostpolicy.Rule), trees: make(map[string][]*hostpolicy.Rule), beneath: make(map[string][]*hostpolicy.Rule)}
	for i := range rules {
		r := &rules[i]
		if r.Class != class || r.Action != hostpolicy.Block || !unconditional(r) {
			continue
		}
		for _, p := range r.Path {
			b.exact[p] = add(b.exact[p], r)
			switch literal, rest := p.Split(); {
			case rest == "/":
				b.trees[literal] = add(b.trees[literal], r)
			case rest == "/**":
				b.beneath[literal] = add(b.beneath[literal], r)
			case rest != "" && len(b.globs) < maxGlobs:
				b.globs = append(b.globs, globRule{p, r})
			}
		}
	}
	return b
}

// add forgets rules beyond a few, lest one pattern in thousands of rules makes
// the search quadratic.
func add(list []*hostpolicy.Rule, r *hostpolicy.Rule) []*hostpolicy.Rule {
	if len(list) < maxSame {
		return append(list, r)
	}
	return list
}

// find is a rule other than r that blocks all that p names, in the ways that r
// is about.
func (b *blocker) find(r *hostpolicy.Rule, p hostpolicy.Pattern) *hostpolicy.Rule {
	pick := func(rules []*hostpolicy.Rule) *hostpolicy.Rule {
		for _, other := range rules {
			if other != r && other.Access&r.Access == r.Access {
				return other
			}
		}
		return nil
	}
	if found := pick(b.exact[p]); found != nil {
		return found
	}
	literal, rest := p.Split()
	for dir := literal; ; dir = dir[:max(1, lastSlash(dir))] {
		if found := pick(b.trees[dir]); found != nil {
			return found
		}
		if dir != literal {
			if found := pick(b.beneath[dir]); found != nil {
				return found
			}
		}
		if dir == "/" {
			break
		}
	}
	if rest == "" {
		for _, g := range b.globs {
			if g.rule != r && g.rule.Access&r.Access == r.Access && g.pattern.Match(literal) {
				return g.rule
			}
		}
	}
	return nil
}

// overruled warns of what an unconditional block rule of the policy covers:
// whatever these rules say, that one wins.
func (l *linter) overruled() {
	rules := l.policy.Rules
	for _, class := range []hostpolicy.Class{hostpolicy.Process, hostpolicy.File} {
		blocked := newBlocker(rules, class)
		for i := range rules {
			r := &rules[i]
			if r.Class != class {
				continue
			}
			if r.Action != hostpolicy.Block {
				for j, p := range r.Path {
					if b := blocked.find(r, p); b != nil {
						l.warn(codeNeverMatter, r, "path", r.Places.Path, j,
							fmt.Sprintf("%s has no effect, because %s blocks it and block wins", quote(p.String()), ruleField(b, "")), "remove it here, or narrow that rule")
					}
				}
				continue
			}
			for j, e := range r.Except {
				if b := blocked.find(r, e); b != nil {
					l.warn(codeNeverMatter, r, "except", r.Places.Except, j,
						fmt.Sprintf("the exception %s has no effect, because %s blocks it", quote(e.String()), ruleField(b, "")), "except it there as well")
				}
			}
		}
	}
	l.overruledTerms()
}
