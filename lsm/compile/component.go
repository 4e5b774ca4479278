package compile

import (
	"math/bits"
	"strings"
)

// A pattern without braces is a list of components. This parser and the
// automaton built on it are independent of hostpolicy's Pattern.Match, which
// the tests hold against them.

type componentKind uint8

const (
	literal  componentKind = iota + 1 // one name
	anyName                           // "*"
	globstar                          // "**": any number of names
	glob                              // everything else
)

type component struct {
	kind  componentKind
	start int // of its text, after the slash
	name  string
	steps []step
}

// loop is what may be repeated before a step.
type loop uint8

const (
	loopNone loop = iota
	loopName      // "*": bytes of the same component
	loopPath      // "**": bytes, and whole components
)

// step is a place in a glob: an optional loop, then one byte of the set or,
// for the last step, the end of the component.
type step struct {
	loop loop
	set  byteSet
	end  bool
}

// byteSet is a set of bytes, without '/' and NUL.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b/64] |= 1 << (b % 64) }
func (s *byteSet) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

// without removes what no name contains.
func (s byteSet) without(bytes string) byteSet {
	for i := 0; i < len(bytes); i++ {
		s[bytes[i]/64] &^= 1 << (bytes[i] % 64)
	}
	return s
}

func (s byteSet) complement() byteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s.without("/\x00")
}

// single is the only byte of the set, if it has one byte.
func (s *byteSet) single() (byte, bool) {
	var found byte
	n := 0
	for i, word := range s {
		if n += bits.OnesCount64(word); word != 0 {
			found = byte(64*i + bits.TrailingZeros64(word))
		}
	}
	return found, n == 1
}

// parseComponents reads a valid pattern without braces. dir is true where a
// trailing slash includes everything beneath.
func parseComponents(text string) (list []component, dir bool) {
	list = make([]component, 0, strings.Count(text, "/"))
	for i := 0; i < len(text); {
		start := i + 1
		if start == len(text) {
			return list, true
		}
		var c component
		c, i = parseComponent(text, start)
		if n := len(list); n > 0 && c.kind == globstar && list[n-1].kind == globstar {
			continue
		}
		list = append(list, c)
	}
	return list, false
}

func parseComponent(text string, start int) (component, int) {
	c := component{start: start}
	end := len(text)
	if slash := strings.IndexByte(text[start:], '/'); slash >= 0 {
		end = start + slash
	}
	if name := text[start:end]; !strings.ContainsAny(name, `*?[\\`) {
		c.kind, c.name = literal, name
		return c, end
	}
	var pending loop
	i := start
	for i < len(text) && text[i] != '/' {
		var set byteSet
		switch text[i] {
		case '*':
			from := i
			for i < len(text) && text[i] == '*' {
				i++
			}
			if pending = loopName; i-from > 1 {
				pending = loopPath
			}
			continue
		case '?':
			set = byteSet{}.complement()
			i++
		case '[':
			set, i = parseSet(text, i)
		case '\\':
			set.add(text[i+1])
			i += 2
		default:
			set.add(text[i])
			i++
		}
		c.steps = append(c.steps, step{loop: pending, set: set})
		pending = loopNone
	}
	if len(c.steps) == 0 {
		if c.kind = anyName; pending == loopPath {
			c.kind = globstar
		}
		return c, i
	}
	c.steps = append(c.steps, step{loop: pending, end: true})
	c.kind = glob
	if name, ok := onlyName(c.steps); ok {
		c.kind, c.name, c.steps = literal, name, nil
	}
	return c, i
}

// parseSet reads the bracket expression at i.
func parseSet(text string, i int) (byteSet, int) {
	var set byteSet
	i++
	negate := text[i] == '!' || text[i] == '^'
	if negate {
		i++
	}
	for text[i] != ']' {
		if text[i] == '\\' {
			i++
		}
		low := text[i]
		high := low
		i++
		if text[i] == '-' && text[i+1] != ']' {
			i++
			if text[i] == '\\' {
				i++
			}
			high = text[i]
			i++
		}
		for b := int(low); b <= int(high); b++ {
			set.add(byte(b))
		}
	}
	if negate {
		return set.complement(), i + 1
	}
	return set.without("/\x00"), i + 1
}

// onlyName is the one name that the steps match.
func onlyName(steps []step) (string, bool) {
	var name []byte
	for i := range steps {
		s := &steps[i]
		if s.loop != loopNone {
			return "", false
		}
		if s.end {
			break
		}
		b, ok := s.set.single()
		if !ok {
			return "", false
		}
		name = append(name, b)
	}
	return string(name), true
}
