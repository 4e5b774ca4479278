package hostpolicy

import (
	"fmt"
	"strings"
)

// Glob is a validated pattern for names that are not paths: of containers,
// images, labels and units. `*` is any run of bytes, `?` one byte, [a-z] and
// [!a-z] a set (never with a slash), {a,b} either, \x the byte itself. The zero value matches only
// the empty name.
type Glob struct{ text string }

// Limits of a glob, far above what names need. Globs are expanded wherever
// they are matched, so they keep a hostile one from costing time.
const (
	maxGlobBytes         = 512
	maxGlobAlternatives  = 64
	maxGlobExpandedBytes = 4 << 10
)

// ParseGlob validates a pattern. Its error is a *PatternError.
func ParseGlob(text string) (Glob, error) {
	fault := func(at int, reason, fix string) (Glob, error) {
		return Glob{}, &PatternError{text, at, reason, fix}
	}
	if len(text) > maxGlobBytes {
		return fault(0, "is longer than any name", "")
	}
	for i, r := range text {
		if r < ' ' || r == 0x7f {
			return fault(i, "holds a control character", "")
		}
	}
	if err := checkSyntax(text); err != nil {
		return Glob{}, err
	}
	alternatives, ok := expand(text)
	size := 0
	for _, alt := range alternatives {
		size += len(alt)
	}
	if !ok || len(alternatives) > maxGlobAlternatives || len(alternatives) > 1 && size > maxGlobExpandedBytes {
		return fault(strings.IndexByte(text, '{'), "expands to too many alternatives", "split it over several patterns")
	}
	return Glob{text}, nil
}

// LiteralGlob matches exactly this name.
func LiteralGlob(name string) Glob { return Glob{Escape(name)} }

// String is the pattern as written.
func (g Glob) String() string { return g.text }

// Expand is the pattern without its braces: the patterns of which it matches
// the union, in the order written. They hold no unescaped brace.
func (g Glob) Expand() []string {
	if name, ok := g.Literal(); ok {
		return []string{Escape(name)}
	}
	alternatives, _ := expand(g.text)
	return alternatives
}

// Literal is the one name that the pattern matches, where it is one.
func (g Glob) Literal() (string, bool) {
	name := unescape(g.text)
	return name, Escape(name) == g.text || !strings.ContainsAny(g.text, `*?[{\`)
}

func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// Match reports whether the pattern matches the whole name.
func (g Glob) Match(name string) bool {
	if !strings.ContainsAny(g.text, `*?[{\`) {
		return g.text == name
	}
	alternatives, _ := expand(g.text)
	for _, alt := range alternatives {
		if matchGlob(alt, name) {
			return true
		}
	}
	return false
}

// matchGlob goes back to the last star only, so that it takes at most
// len(pattern) * len(name) steps.
func matchGlob(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if next, ok := matchByte(pattern, p, name[n]); ok {
			p, n = next, n+1
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchByte matches one byte against the element at p, and says where the next
// element begins.
func matchByte(pattern string, p int, c byte) (next int, ok bool) {
	if p >= len(pattern) {
		return 0, false
	}
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		set, n, _, _ := parseSet(pattern[p:])
		return p + n, set[c]
	case '\\':
		return p + 2, pattern[p+1] == c
	}
	return p + 1, pattern[p] == c
}

// MatchAny reports whether one of the globs matches the name.
func MatchAny(globs []Glob, name string) bool {
	for _, g := range globs {
		if g.Match(name) {
			return true
		}
	}
	return false
}

// ParseGlobs is ParseGlob of several, for literals in code. It panics on an
// error.
func ParseGlobs(texts ...string) []Glob {
	globs := make([]Glob, len(texts))
	for i, text := range texts {
		g, err := ParseGlob(text)
		if err != nil {
			panic(fmt.Sprintf("hostpolicy: %v", err))
		}
		globs[i] = g
	}
	return globs
}
