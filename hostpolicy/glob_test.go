package hostpolicy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, tt := range []struct{ glob, yes, no string }{
		{"web-*", "web- web-1 web-a/b", "web xweb-1"},
		{"*", "a a/b", ""},
		{"a?c", "abc a/c", "ac abbc"},
		{"[a-c]x", "ax cx", "dx x /x"},
		{"[!a]x", "bx", "ax /x"},
		{"{a,b{c,d}}*", "a bc bdx", "b c"},
		{`a\*b`, "a*b", "ab axb"},
		{"*.service", ".service a.service", "a.services"},
		{"*a*b*c", "abc xaxbxc aabbcc abcabc", "acb ab abcx"},
		{"getty@*.service", "getty@tty1.service", "getty@tty1.servic getty.service"},
	} {
		g := ParseGlobs(tt.glob)[0]
		for name := range strings.FieldsSeq(tt.yes) {
			if !g.Match(name) {
				t.Errorf("%s does not match %s", g, name)
			}
		}
		for name := range strings.FieldsSeq(tt.no) {
			if g.Match(name) {
				t.Errorf("%s matches %s", g, name)
			}
		}
	}
	if !(Glob{}).Match("") || (Glob{}).Match("a") {
		t.Error("the zero glob matches only the empty name")
	}
	for text, want := range map[string]string{"web": "web", `a\*`: "a*", "a*": "", "[a]": "", "{a,b}": "", "": ""} {
		name, ok := ParseGlobs(text)[0].Literal()
		if ok != (want != "" || text == "") || ok && name != want {
			t.Errorf("%q: Literal() = %q, %t", text, name, ok)
		}
	}
	for _, name := range []string{"plain", "*?[]{},\\", "a{b,c}", ""} {
		g := LiteralGlob(name)
		if got, ok := g.Literal(); !ok || got != name || !g.Match(name) || g.Match(name+"x") {
			t.Errorf("LiteralGlob(%q) is %q, %t", name, got, ok)
		}
	}
}

func TestParseGlobErrors(t *testing.T) {
	for _, text := range []string{"[", "[a", "]", "{a", "a}", "{a}", `a\`, "[]", "[b-a]", "a\nb", "\x7f", strings.Repeat("a", 513),
		strings.Repeat("{a,b}", 7), "{a,b}" + strings.Repeat("{c,d}", 4) + strings.Repeat("x", 300), strings.Repeat("{a,b}", 60)} {
		_, err := ParseGlob(text)
		var typed *PatternError
		if !errors.As(err, &typed) {
			t.Errorf("ParseGlob(%.40q): %v, want a *PatternError", text, err)
		}
	}
	for _, text := range []string{"", strings.Repeat("{a,b}", 6), strings.Repeat("a", 512), strings.Repeat("*", 512)} {
		if _, err := ParseGlob(text); err != nil {
			t.Errorf("ParseGlob(%.40q): %v", text, err)
		}
	}
}

func TestGlobIsBounded(t *testing.T) {
	name := strings.Repeat("a", 20_000)
	start := time.Now()
	for _, text := range []string{strings.Repeat("*a", 200) + "b", strings.Repeat("a*", 200) + "[b]", strings.Repeat("{*,a*}", 6) + "b"} {
		if ParseGlobs(text)[0].Match(name) {
			t.Errorf("%.20s matches", text)
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
}

// naiveGlob matches one alternative, by trying every way.
func naiveGlob(pattern, name string, steps *int) bool {
	if *steps--; *steps < 0 {
		return false
	}
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		for i := range len(name) + 1 {
			if naiveGlob(pattern[1:], name[i:], steps) {
				return true
			}
		}
		return false
	}
	if name == "" {
		return false
	}
	switch pattern[0] {
	case '?':
		return naiveGlob(pattern[1:], name[1:], steps)
	case '[':
		end := 1
		if pattern[end] == '!' || pattern[end] == '^' {
			end++
		}
		for pattern[end] != ']' {
			if pattern[end] == '\\' {
				end++
			}
			end++
		}
		return naiveSet(pattern[1:end], name[0]) && naiveGlob(pattern[end+1:], name[1:], steps)
	case '\\':
		return pattern[1] == name[0] && naiveGlob(pattern[2:], name[1:], steps)
	}
	return pattern[0] == name[0] && naiveGlob(pattern[1:], name[1:], steps)
}

// naiveSet is what stands between brackets.
func naiveSet(set string, c byte) bool {
	negate := set[0] == '!' || set[0] == '^'
	if negate {
		set = set[1:]
	}
	var bytes []byte
	var ranges []bool // whether a range begins behind the byte
	for i := 0; i < len(set); i++ {
		if set[i] == '\\' {
			i++
		}
		bytes = append(bytes, set[i])
		isRange := i+2 < len(set) && set[i+1] == '-'
		ranges = append(ranges, isRange)
		if isRange {
			i++
		}
	}
	in := false
	for i := 0; i < len(bytes); i++ {
		if ranges[i] {
			in = in || bytes[i] <= c && c <= bytes[i+1]
			i++
		} else {
			in = in || bytes[i] == c
		}
	}
	return in != negate && c != '/' && c != 0
}

func FuzzGlob(f *testing.F) {
	for _, seed := range []string{"web-*", "{a,b{c,d}}?", `[!a-z\]]\*`, "*a*b", "[a-]", "[--a]", `[\--a]`, "[a-c-e]"} {
		f.Add(seed, "web-1")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		g, err := ParseGlob(text)
		if err != nil {
			if _, ok := errors.AsType[*PatternError](err); !ok {
				t.Fatalf("%v is no *PatternError", err)
			}
			return
		}
		if literal, ok := g.Literal(); ok && !g.Match(literal) {
			t.Fatalf("%q does not match its own text %q", text, literal)
		}
		alternatives, _ := expand(text)
		want, steps := false, 100_000
		for _, alt := range alternatives {
			want = want || naiveGlob(alt, name, &steps)
		}
		if steps > 0 && g.Match(name) != want {
			t.Fatalf("%q on %q: %t, naively %t", text, name, !want, want)
		}
	})
}
