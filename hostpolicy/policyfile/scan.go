package policyfile

import (
	"strconv"
	"strings"
)

// maxDepth is far above what a policy needs, and far below what exhausts the
// decoder's stack, which no recover can survive.
const maxDepth = 16

type scanner struct {
	text    string
	i       int
	root    *node
	current *node
	deep    int // offset of what is nested too deep, or -1
}

// scan indexes text. complete is false where the text was not understood to
// its end, which for valid TOML does not happen; deep is -1 or the offset at
// which nesting went beyond maxDepth.
func scan(text string) (root *node, complete bool, deep int) {
	s := &scanner{text: text, root: &node{table: true}, deep: -1}
	s.current = s.root
	for {
		s.blank()
		if s.i >= len(s.text) {
			return s.root, true, s.deep
		}
		ok := false
		if s.text[s.i] == '[' {
			ok = s.openTable()
		} else {
			ok = s.pair(s.current, 0)
		}
		if !ok {
			return s.root, false, s.deep
		}
	}
}

func (s *scanner) peek() byte {
	if s.i < len(s.text) {
		return s.text[s.i]
	}
	return 0
}

func (s *scanner) spaces() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.i++
	}
}

// blank skips white space, line ends and comments.
func (s *scanner) blank() {
	for s.i < len(s.text) {
		switch s.text[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		case '#':
			end := strings.IndexByte(s.text[s.i:], '\n')
			if end < 0 {
				s.i = len(s.text)
				return
			}
			s.i += end
		default:
			return
		}
	}
}

type keyPart struct {
	text   string
	offset int
}

func (s *scanner) openTable() bool {
	at := s.i
	brackets := 1
	if strings.HasPrefix(s.text[s.i:], "[[") {
		brackets = 2
	}
	s.i += brackets
	parts, ok := s.keyParts()
	if !ok || !strings.HasPrefix(s.text[s.i:], "]]"[:brackets]) {
		return false
	}
	s.i += brackets
	last := parts[len(parts)-1]
	n := s.descend(s.root, parts[:len(parts)-1]).child(last)
	if brackets == 2 {
		if !n.array {
			n.array, n.key, n.at = true, last.offset, at
		}
		item := &node{table: true, header: true, key: last.offset, at: at}
		n.items = append(n.items, item)
		s.current = item
		return true
	}
	n.table, n.header, n.key, n.at = true, true, last.offset, at
	s.current = n
	return true
}

// descend goes to the table of a dotted key, making it where it is implicit.
func (s *scanner) descend(n *node, parts []keyPart) *node {
	for _, p := range parts {
		n = n.child(p)
		if len(n.items) > 0 {
			n = n.items[len(n.items)-1]
		} else {
			n.table = true
		}
	}
	return n
}

func (s *scanner) pair(table *node, depth int) bool {
	parts, ok := s.keyParts()
	if !ok || s.peek() != '=' {
		return false
	}
	s.i++
	s.spaces()
	last := parts[len(parts)-1]
	n := s.descend(table, parts[:len(parts)-1]).child(last)
	n.key = last.offset
	return s.valueOf(n, depth)
}

func (s *scanner) keyParts() ([]keyPart, bool) {
	var parts []keyPart
	for {
		s.spaces()
		start := s.i
		var text string
		switch s.peek() {
		case '"', '\'':
			if !s.quoted() {
				return nil, false
			}
			text = s.text[start+1 : s.i-1]
			if s.text[start] == '"' {
				text = unescape(text)
			}
		default:
			for s.i < len(s.text) && !strings.ContainsRune(" \t\r\n.=[]{},#\"'", rune(s.text[s.i])) {
				s.i++
			}
			if text = s.text[start:s.i]; text == "" {
				return nil, false
			}
		}
		parts = append(parts, keyPart{text, start})
		if len(parts) > maxDepth {
			s.deep = start
			return nil, false
		}
		s.spaces()
		if s.peek() != '.' {
			return parts, true
		}
		s.i++
	}
}

func (s *scanner) valueOf(n *node, depth int) bool {
	n.at = s.i
	if depth > maxDepth {
		s.deep = s.i
		return false
	}
	switch s.peek() {
	case 0:
		return false
	case '"', '\'':
		return s.str()
	case '[':
		n.array = true
		return s.list(']', func() bool {
			item := &node{key: s.i}
			n.items = append(n.items, item)
			return s.valueOf(item, depth+1)
		})
	case '{':
		n.table = true
		return s.list('}', func() bool { return s.pair(n, depth+1) })
	}
	// A date may hold a space, so a scalar ends where nothing else can begin.
	for s.i < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.i])) {
		s.i++
	}
	return s.i > n.at
}

// list reads comma-separated elements up to end.
func (s *scanner) list(end byte, element func() bool) bool {
	s.i++
	for {
		s.blank()
		if s.peek() == end {
			s.i++
			return true
		}
		if !element() {
			return false
		}
		s.blank()
		if s.peek() == ',' {
			s.i++
		} else if s.peek() != end {
			return false
		}
	}
}

func (s *scanner) str() bool {
	quote := s.text[s.i : s.i+1]
	triple := strings.Repeat(quote, 3)
	if !strings.HasPrefix(s.text[s.i:], triple) {
		return s.quoted()
	}
	for s.i += 3; s.i < len(s.text); s.i++ {
		if s.text[s.i] == '\\' && quote == `"` {
			s.i++
		} else if strings.HasPrefix(s.text[s.i:], triple) {
			// Up to two quotes may stand directly before the closing three.
			s.i += 3
			for range 2 {
				if s.peek() == quote[0] {
					s.i++
				}
			}
			return true
		}
	}
	return false
}

func (s *scanner) quoted() bool {
	quote := s.text[s.i]
	for s.i++; s.i < len(s.text); s.i++ {
		switch s.text[s.i] {
		case '\n':
			return false
		case '\\':
			if quote == '"' {
				s.i++
			}
		case quote:
			s.i++
			return true
		}
	}
	return false
}

// unescape decodes a quoted key. What is no escape is left as it stands: the
// decoder refuses it.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		c := text[i]
		if digits := strings.IndexByte("xuU", c); digits >= 0 {
			n := 2 << digits
			if i+n < len(text) {
				if v, err := strconv.ParseUint(text[i+1:i+1+n], 16, 32); err == nil {
					b.WriteRune(rune(v))
					i += n
					continue
				}
			}
		}
		if at := strings.IndexByte(`btnfre"\`, c); at >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b\"\\"[at])
		} else {
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}
