package hostpolicy

import "strings"

// Match reports whether the pattern matches a clean absolute path, one without
// empty, "." and ".." components and without a trailing slash. It is the
// plain reading of the pattern and the yardstick for compiled automata; its
// time is bounded by the product of both lengths.
func (p Pattern) Match(path string) bool {
	if path == "" || path[0] != '/' || !p.begins(path) {
		return false
	}
	for _, alt := range p.Expand() {
		if matchAlternative(alt, path) {
			return true
		}
	}
	return false
}

// begins compares up to the first byte that means something else than itself,
// which settles most comparisons without expanding braces.
func (p Pattern) begins(path string) bool {
	for i := range len(p.text) {
		switch c := p.text[i]; {
		case c == '*' || c == '?' || c == '[' || c == '{' || c == '\\':
			return true
		case i == len(path):
			// The directory itself, perhaps as one of several alternatives.
			return c == '/' && (i == len(p.text)-1 || p.text[i+1] == '{')
		case c != path[i]:
			return false
		}
	}
	return true
}

func matchAlternative(alt, path string) bool {
	if path == "/" {
		return alt == "/"
	}
	// A slash cannot be escaped, so this one is the directory mark.
	pattern, dir := strings.CutSuffix(alt, "/")
	return newMatcher(pattern, path, dir).match(0, 0)
}

// matcher remembers the (pattern, path) offsets that are known not to match,
// without which stars would backtrack exponentially.
type matcher struct {
	pattern, path string
	dir           bool     // what is beneath a match matches too
	failed        []uint64 // a bit for each pair of offsets
}

func newMatcher(pattern, path string, dir bool) *matcher {
	m := &matcher{pattern: pattern, path: path, dir: dir}
	if strings.IndexByte(pattern, '*') >= 0 {
		m.failed = make([]uint64, (len(pattern)+1)*(len(path)+1)/64+1)
	}
	return m
}

// match reports whether the pattern from i on matches all of the path from j.
func (m *matcher) match(i, j int) bool {
	if m.failed == nil {
		return m.attempt(i, j)
	}
	bit := i*(len(m.path)+1) + j
	if m.failed[bit/64]&(1<<(bit%64)) != 0 {
		return false
	}
	if m.attempt(i, j) {
		return true
	}
	m.failed[bit/64] |= 1 << (bit % 64)
	return false
}

func (m *matcher) attempt(i, j int) bool {
	if i == len(m.pattern) {
		return j == len(m.path) || m.dir && m.path[j] == '/'
	}
	more := j < len(m.path)
	if m.pattern[i] == '/' {
		if stars := m.stars(i + 1); stars >= 2 {
			switch after := i + 1 + stars; {
			case after == len(m.pattern):
				return more && m.path[j] == '/' && j+1 < len(m.path)
			case m.pattern[after] == '/':
				// No directory, or one more and then again.
				if !more || m.path[j] != '/' {
					return false
				}
				if m.match(after, j) {
					return true
				}
				next := strings.IndexByte(m.path[j+1:], '/')
				return next >= 0 && m.match(i, j+1+next)
			}
		}
	}
	switch m.pattern[i] {
	case '*':
		stars := m.stars(i)
		if m.match(i+stars, j) {
			return true
		}
		return more && (stars >= 2 || m.path[j] != '/') && m.match(i, j+1)
	case '?':
		return more && m.path[j] != '/' && m.match(i+1, j+1)
	case '[':
		set, n, _, _ := parseSet(m.pattern[i:])
		return more && set[m.path[j]] && m.match(i+n, j+1)
	case '\\':
		i++
	}
	return more && m.pattern[i] == m.path[j] && m.match(i+1, j+1)
}

// stars counts the stars at i.
func (m *matcher) stars(i int) int {
	n := 0
	for i+n < len(m.pattern) && m.pattern[i+n] == '*' {
		n++
	}
	return n
}
