package compile

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// source makes random policies over few short names, so that patterns overlap
// often, and paths that match them or nearly do.
type source struct{ *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 1))} }

func (r source) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r source, list ...T) T { return list[r.IntN(len(list))] }

func (r source) name() string {
	return pick(r, "a", "a", "b", "b", "c", "ab", "ba", "x", "a.so", ".so", "k*y", "\xff")
}

func (r source) component() string {
	if r.chance(60) {
		return hostpolicy.Escape(r.name())
	}
	return pick(r, "*", "*", "**", "**", "?", "a*", "*b", "*.so", "**.so", "a**", "a**b", "[ab]", "[!a]", "[^b-x]*",
		"{a,b}", "{a,b/c}", "a{,b}", "{*,?b}", "*a*", "{a,{b,x}}c", "??", "[a-c]?", "{**,a}", "*[!.]")
}

func (r source) pattern() hostpolicy.Pattern {
	for {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteByte('/')
			b.WriteString(r.component())
		}
		if r.chance(20) {
			b.WriteByte('/')
		}
		text := b.String()
		if r.chance(2) {
			text = "/"
		}
		if p, err := hostpolicy.ParsePattern(text); err == nil {
			return p
		}
	}
}

func (r source) patterns(percent, most int) []hostpolicy.Pattern {
	if !r.chance(percent) {
		return nil
	}
	var list []hostpolicy.Pattern
	for range 1 + r.IntN(most) {
		list = append(list, r.pattern())
	}
	return list
}

func (r source) policies() []hostpolicy.Policy {
	var list []hostpolicy.Policy
	for i := range 1 + r.IntN(3) {
		p := hostpolicy.Policy{
			Name:      fmt.Sprintf("p%d", i),
			AppliesTo: hostpolicy.Selector{Host: true},
			Otherwise: pick(r, hostpolicy.Block, hostpolicy.Audit),
			Dangerous: r.chance(30),
		}
		conditions := pick(r, 0, 15, 50)
		for j := range 1 + r.IntN(5) {
			rule := hostpolicy.Rule{
				Policy: p.Name, Name: fmt.Sprintf("r%d", j),
				Class:      pick(r, hostpolicy.Process, hostpolicy.File, hostpolicy.File),
				Action:     pick(r, hostpolicy.Block, hostpolicy.Block, hostpolicy.Audit, hostpolicy.Allow),
				Path:       r.patterns(100, 3),
				Except:     r.patterns(30, 2),
				From:       r.patterns(conditions, 2),
				ExceptFrom: r.patterns(conditions, 2),
				Access:     hostpolicy.Exec,
			}
			if rule.Class == hostpolicy.File {
				rule.Access = pick(r, hostpolicy.Read, hostpolicy.Write, hostpolicy.Read|hostpolicy.Write)
			}
			p.Rules = append(p.Rules, rule)
		}
		list = append(list, p)
	}
	return list
}

// allPatterns is every pattern of the policies, whatever it is for.
func allPatterns(policies []hostpolicy.Policy) []hostpolicy.Pattern {
	var list []hostpolicy.Pattern
	for _, p := range policies {
		for _, rule := range p.Rules {
			list = append(list, rule.Path...)
			list = append(list, rule.Except...)
			list = append(list, rule.From...)
			list = append(list, rule.ExceptFrom...)
		}
	}
	return list
}

// path is a clean path, mostly one that a pattern matches or nearly does.
func (r source) path(patterns []hostpolicy.Pattern) string {
	if r.chance(10) {
		return clean(r.names(r.IntN(6)))
	}
	path := r.sample(pick(r, pick(r, patterns...).Expand()...))
	if r.chance(50) {
		return path
	}
	return r.mutate(path)
}

func (r source) names(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte('/')
		b.WriteString(r.name())
	}
	return b.String()
}

// clean drops empty components, and gives up on dots.
func clean(path string) string {
	var b strings.Builder
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." && name != ".." {
			b.WriteByte('/')
			b.WriteString(name)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// sample writes a path that a pattern without braces matches.
func (r source) sample(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			if i+1 < len(text) && text[i+1] == '*' {
				i++
				b.WriteString(strings.TrimPrefix(r.names(r.IntN(3)), "/"))
				if r.chance(20) {
					b.WriteByte('/')
				}
			} else if r.chance(70) {
				b.WriteString(r.name())
			}
		case '?':
			b.WriteByte("abx\xff."[r.IntN(5)])
		case '[':
			set, next := parseSet(text, i)
			for range 1000 {
				if c := "abcdx.\xff"[r.IntN(7)]; set.has(c) {
					b.WriteByte(c)
					break
				}
			}
			i = next - 1
		case '\\':
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	path := b.String()
	if strings.HasSuffix(text, "/") && r.chance(70) {
		path += r.names(1 + r.IntN(2))
	}
	return clean(path)
}

func (r source) mutate(path string) string {
	at := r.IntN(len(path))
	switch r.IntN(5) {
	case 0: // another byte
		path = path[:at] + string("ab/x."[r.IntN(5)]) + path[at+1:]
	case 1: // one less
		path = path[:at] + path[at+1:]
	case 2: // one more
		path = path[:at] + string("ab/x."[r.IntN(5)]) + path[at:]
	case 3: // a component beneath
		path += "/" + r.name()
	case 4: // its directory
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
	}
	return clean("/" + path)
}
