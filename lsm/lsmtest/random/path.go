package random

import (
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Name is a file's.
func (r Source) Name() string {
	return Pick(r, "a", "a", "b", "b", "c", "ab", "ba", "x", "a.so", ".so", "k*y", "\xff")
}

func (r Source) component() string {
	if r.Chance(60) {
		return hostpolicy.Escape(r.Name())
	}
	return Pick(r, "*", "*", "**", "**", "?", "a*", "*b", "*.so", "**.so", "a**", "a**b", "[ab]", "[!a]", "[^b-x]*",
		"{a,b}", "{a,b/c}", "a{,b}", "{*,?b}", "*a*", "{a,{b,x}}c", "??", "[a-c]?", "{**,a}", "*[!.]")
}

func (r Source) pattern() hostpolicy.Pattern {
	for {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteByte('/')
			b.WriteString(r.component())
		}
		if r.Chance(20) {
			b.WriteByte('/')
		}
		text := b.String()
		if r.Chance(2) {
			text = "/"
		}
		if p, err := hostpolicy.ParsePattern(text); err == nil {
			return p
		}
	}
}

func (r Source) patterns(percent, most int) []hostpolicy.Pattern {
	if !r.Chance(percent) {
		return nil
	}
	var list []hostpolicy.Pattern
	for range 1 + r.IntN(most) {
		list = append(list, r.pattern())
	}
	return list
}

// Patterns is every pattern of the policies, whatever it is for, and one more
// where there is none.
func Patterns(policies []hostpolicy.Policy) []hostpolicy.Pattern {
	var list []hostpolicy.Pattern
	for _, p := range policies {
		for _, rule := range p.Rules {
			for _, patterns := range [][]hostpolicy.Pattern{rule.Path, rule.Except, rule.From, rule.ExceptFrom, rule.Within} {
				list = append(list, patterns...)
			}
		}
	}
	if len(list) == 0 {
		p, err := hostpolicy.ParsePattern("/a")
		if err != nil {
			panic(err)
		}
		list = append(list, p)
	}
	return list
}

// Path is a clean path, mostly one that a pattern matches or nearly does.
func (r Source) Path(patterns []hostpolicy.Pattern) string {
	if r.Chance(10) {
		return Clean(r.Names(r.IntN(6)))
	}
	path := r.Sample(Pick(r, Pick(r, patterns...).Expand()...))
	if r.Chance(50) {
		return path
	}
	return r.mutate(path)
}

// Names is n components, each behind a slash.
func (r Source) Names(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte('/')
		b.WriteString(r.Name())
	}
	return b.String()
}

// Clean drops empty components, and dots.
func Clean(path string) string {
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

// Sample writes a path that a pattern without braces matches.
func (r Source) Sample(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			if i+1 < len(text) && text[i+1] == '*' {
				i++
				b.WriteString(strings.TrimPrefix(r.Names(r.IntN(3)), "/"))
				if r.Chance(20) {
					b.WriteByte('/')
				}
			} else if r.Chance(70) {
				b.WriteString(r.Name())
			}
		case '?':
			b.WriteByte("abx\xff."[r.IntN(5)])
		case '[':
			end := i + 2
			for text[end] != ']' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			r.sampleSet(&b, text[i:end+1])
			i = end
		case '\\':
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	path := b.String()
	if strings.HasSuffix(text, "/") && r.Chance(70) {
		path += r.Names(1 + r.IntN(2))
	}
	return Clean(path)
}

func (r Source) sampleSet(b *strings.Builder, set string) {
	g, err := hostpolicy.ParseGlob(set)
	if err != nil {
		return
	}
	for range 1000 {
		if c := "abcdx.\xff"[r.IntN(7)]; g.Match(string([]byte{c})) {
			b.WriteByte(c)
			return
		}
	}
}

func (r Source) mutate(path string) string {
	at := r.IntN(len(path))
	switch r.IntN(5) {
	case 0: // another byte
		path = path[:at] + string("ab/x."[r.IntN(5)]) + path[at+1:]
	case 1: // one less
		path = path[:at] + path[at+1:]
	case 2: // one more
		path = path[:at] + string("ab/x."[r.IntN(5)]) + path[at:]
	case 3: // a component beneath
		path += "/" + r.Name()
	case 4: // its directory
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
	}
	return Clean("/" + path)
}

// Mounts is a mount table in which some files have several names.
func (r Source) Mounts(patterns []hostpolicy.Pattern) []lsm.Mount {
	list := []lsm.Mount{{Device: 1, Root: "/", Point: "/"}}
	if r.Chance(10) {
		list = nil
	}
	for range r.IntN(5) {
		m := lsm.Mount{Device: uint32(1 + r.IntN(3)), Root: "/", Point: r.Path(patterns)}
		if r.Chance(60) {
			m.Root = r.Path(patterns)
		}
		list = append(list, m)
	}
	return list
}

// File is a file of a superblock, by its path from the root of that.
type File struct {
	Device uint32
	Path   string
}

// File is one of a mounted superblock, mostly beneath a mount's root.
func (r Source) File(mounts []lsm.Mount, patterns []hostpolicy.Pattern) File {
	path := r.Path(patterns)
	if len(mounts) == 0 || r.Chance(20) {
		return File{uint32(1 + r.IntN(3)), path}
	}
	m := Pick(r, mounts...)
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(m.Point, "/")+"/"); ok {
		return File{m.Device, Clean(m.Root + "/" + rest)}
	}
	return File{m.Device, Clean(m.Root + r.Names(r.IntN(3)))}
}

// Names is the names of a file in a mount table, each once.
func (f File) Names(mounts []lsm.Mount) []string {
	var names []string
	for _, m := range mounts {
		root := strings.TrimSuffix(m.Root, "/")
		if m.Device == f.Device && (f.Path == m.Root || strings.HasPrefix(f.Path, root+"/")) {
			names = append(names, Clean(m.Point+"/"+strings.TrimPrefix(f.Path, root)))
		}
	}
	return names
}
