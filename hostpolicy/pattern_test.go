package hostpolicy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustPattern(t *testing.T, text string) Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatternMatch(t *testing.T) {
	for _, test := range []struct{ pattern, yes, no string }{
		{"/bin/sh", "/bin/sh", "/ /bin /bin/s /bin/shx /bin/sh/x /x/bin/sh"},
		{"/", "/ /a /a/b", ""},
		{"/*", "/a /.a", "/ /a/b"},
		{"/**", "/a /a/b/c", "/"},
		{"/a/**", "/a/b /a/b/c /a/.x", "/ /a /ab /b/a/c"},
		{"/a/**/b", "/a/b /a/x/b /a/x/y/b /a/b/b", "/a /a/x /a/xb /a/b/x /a/bb"},
		{"/a/**/**/b", "/a/b /a/x/b /a/x/y/b", "/a /ab"},
		{"/**/b", "/b /x/b /x/y/b", "/ /x /xb /b/x"},
		{"/a/**/*", "/a/b /a/b/c", "/a"},
		{"/a/***/b", "/a/b /a/x/y/b", "/ab"},
		{"/usr/lib/**.so", "/usr/lib/a.so /usr/lib/.so /usr/lib/x/a.so /usr/lib/x/.so", "/usr/lib/a.soo /usr/lib/so /usr/lib.so"},
		{"/a**", "/a /ab /a/b /ab/c/d", "/ /b /b/a"},
		{"/a**/b", "/a/b /ax/b /a/x/b /ax/y/z/b", "/a /ab /a/xb"},
		{"/**a/b", "/a/b /xa/b /x/a/b /x/ya/b", "/b /ax/b"},
		{"/a/b*/c", "/a/b/c /a/bx/c", "/a/b/x/c /a/xb/c"},
		{"/a/?", "/a/b", "/a /a/bb /a/b/c"},
		{"/a/*b*", "/a/b /a/xby /a/bb", "/a/x /a/b/x"},
		{"/a/[b-d]", "/a/b /a/d", "/a/a /a/e /a/bb"},
		{"/a[!b]c", "/axc", "/abc /a/c /ac"},
		{"/a[^b]c", "/axc", "/abc /a/c"},
		{"/[a-]", "/a /-", "/b"},
		{`/[\]x]`, "/] /x", "/y"},
		{"/{a,b}/c", "/a/c /b/c", "/c /a /ab/c"},
		{"/x{/a,/b/c}/d", "/x/a/d /x/b/c/d", "/x/d /x/b/d"},
		{"/a{,b{c,d}}", "/a /abc /abd", "/ab /ac"},
		{"/a/{b,}", "/a /a/b /a/c/d", "/ab"},
		{"/{[,],x}y", "/,y /xy", "/y"},
		{`/a\*`, "/a*", "/a /ax"},
		{`/a\{b,c\}`, "/a{b,c}", "/ab"},
		{"/etc/ssl/", "/etc/ssl /etc/ssl/a /etc/ssl/a/b", "/etc /etc/sslx /x/etc/ssl"},
		{"/home/*/.ssh/", "/home/a/.ssh /home/a/.ssh/x/y", "/home/.ssh /home/a/b/.ssh /home/a/.sshx"},
		{"/a/**/", "/a/b /a/b/c", "/a"},
		{"/a**/", "/a /ab /a/b /ab/c", "/b"},
		{"/\xff?", "/\xff\xfe", "/\xff"},
	} {
		p := mustPattern(t, test.pattern)
		for path := range strings.FieldsSeq(test.yes) {
			if !p.Match(path) {
				t.Errorf("%s does not match %s", p, path)
			}
		}
		for path := range strings.FieldsSeq(test.no) {
			if p.Match(path) {
				t.Errorf("%s matches %s", p, path)
			}
		}
	}
	if (Pattern{}).Match("/") || (Pattern{}).Match("") {
		t.Error("the zero pattern matches something")
	}
}

func TestParsePatternErrors(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, test := range []struct{ pattern, want string }{
		{"", `"" is empty (write an absolute path)`},
		{"etc/ssl", `"etc/ssl" is not absolute (write "/etc/ssl")`},
		{"{/a,/b}", `"{/a,/b}" is not absolute (begin with the slash, before any brace)`},
		{"//a", `"//a" has an empty component (write one slash)`},
		{"/a//b", `"/a//b" has an empty component (write one slash)`},
		{"/a//", `"/a//" has an empty component (write one slash)`},
		{"/a/./b", `"/a/./b" has a "." component (write the path without it)`},
		{"/a/..", `"/a/.." has a ".." component (write the path without it)`},
		{"/a/{b,..}", `"/a/{b,..}" has a ".." component in its alternative "/a/.." (write the path without it)`},
		{`/a/\..`, `"/a/\\.." has a ".." component (write the path without it)`},
		{"/a/{b,}/c", `"/a/{b,}/c" has an empty component in its alternative "/a//c" (write one slash)`},
		{"/a\x00", `"/a\x00" contains a NUL byte (no file name can)`},
		{"/a\\", `"/a\\" ends in a backslash (write \\ for the byte itself)`},
		{`/a\/b`, `"/a\\/b" escapes a slash (a name cannot contain one; leave the backslash out)`},
		{"/a[b", `"/a[b" has a [ without its ] (write \[ for the byte itself)`},
		{`/a[b\`, `"/a[b\\" has a [ without its ] (write \[ for the byte itself)`},
		{"/a[a-", `"/a[a-" has a [ without its ] (write \[ for the byte itself)`},
		{"/a[]", `"/a[]" has an empty set (write \] for the byte itself)`},
		{"/a[b/c]", `"/a[b/c]" has a / inside [ ] (a set never matches a slash)`},
		{"/a[äö]", `"/a[äö]" has a character of several bytes inside [ ] (write {ä,ö} for either: a set is of single bytes)`},
		{"/a[!\u00e4]", `"/a[!ä]" has a character of several bytes inside [ ] (write {ä,ö} for either: a set is of single bytes)`},
		{"/a[a-ä]", `"/a[a-ä]" has a character of several bytes inside [ ] (write {ä,ö} for either: a set is of single bytes)`},
		{"/a[z-a]", `"/a[z-a]" has a range that runs backwards, 'z'-'a' (write a-z)`},
		{"/a[[:alpha:]]", `"/a[[:alpha:]]" uses a named class (write the bytes out, as in [a-zA-Z])`},
		{"/a]", `"/a]" has a ] without its [ (write \] for the byte itself)`},
		{"/a}", `"/a}" has a } without its { (write \} for the byte itself)`},
		{"/a{b,c", `"/a{b,c" has a { without its } (write \{ for the byte itself)`},
		{"/home/${USER}", `"/home/${USER}" has braces with one alternative (write {a,b}, or \{ and \} for the bytes themselves)`},
		{"/" + strings.Repeat("{a,", 9) + strings.Repeat("}", 9), `"/{a,{a,{a,{a,{a,{a,{a,{a,{a,}}}}}}}}}" nests braces deeper than 8 (split it over several patterns)`},
		{"/" + strings.Repeat("{a,b}", 11), `"/` + strings.Repeat("{a,b}", 11) + `" expands to too many alternatives (split it over several patterns)`},
		{"/" + long, `"/` + long[:119] + `"... has a component of more than 255 bytes (no file name is that long)`},
		{"/" + strings.Repeat("?", 256), `"/` + strings.Repeat("?", 119) + `"... has a component of more than 255 bytes (no file name is that long)`},
		{"/" + strings.Repeat("ab/", 1366), `"/` + strings.Repeat("ab/", 39) + `ab"... is longer than 4096 bytes`},
	} {
		_, err := ParsePattern(test.pattern)
		var typed *PatternError
		if !errors.As(err, &typed) {
			t.Errorf("ParsePattern(%.40q) = %v, want a *PatternError", test.pattern, err)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("ParsePattern(%.40q) (-want +got):\n%s", test.pattern, diff)
		}
	}
}

func TestPatternExpand(t *testing.T) {
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		{"/a/b", []string{"/a/b"}},
		{"/{a,b}{c,d}", []string{"/ac", "/ad", "/bc", "/bd"}},
		{"/{a,{b,c}d,}e", []string{"/ae", "/bde", "/cde", "/e"}},
		{`/{[,}]x,\,}`, []string{"/[,}]x", `/\,`}},
		{"/a,b", []string{"/a,b"}},
	} {
		if diff := cmp.Diff(test.want, mustPattern(t, test.pattern).Expand()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.pattern, diff)
		}
	}
}

func TestPatternSplit(t *testing.T) {
	for _, test := range []struct {
		pattern, literal, rest string
		isLiteral              bool
		moved                  string // with the prefix /n*w
	}{
		{"/bin/sh", "/bin/sh", "", true, `/n\*w`},
		{`/b\*n/s\h`, "/b*n/sh", "", true, `/n\*w`},
		{"/etc/ssl/", "/etc/ssl", "/", false, `/n\*w/`},
		{"/bin/*/x", "/bin", "/*/x", false, `/n\*w/*/x`},
		{"/bin/{a,b/c}/x", "/bin", "/{a,b/c}/x", false, `/n\*w/{a,b/c}/x`},
		{"/a/b[c]", "/a", "/b[c]", false, `/n\*w/b[c]`},
		{"/a/b?/", "/a", "/b?/", false, `/n\*w/b?/`},
		{"/", "/", "/", false, `/n\*w/`},
		{"/*", "/", "/*", false, `/n\*w/*`},
	} {
		p := mustPattern(t, test.pattern)
		literal, rest := p.Split()
		if literal != test.literal || rest != test.rest {
			t.Errorf("%s: Split() = %q, %q, want %q, %q", p, literal, rest, test.literal, test.rest)
		}
		if path, ok := p.Literal(); ok != test.isLiteral || ok && path != test.literal {
			t.Errorf("%s: Literal() = %q, %t", p, path, ok)
		}
		moved, err := p.WithPrefix("/n*w")
		if err != nil || moved.String() != test.moved {
			t.Errorf("%s: WithPrefix(/n*w) = %q, %v, want %q", p, moved, err, test.moved)
		}
		moved, err = p.WithPrefix("/")
		if test.isLiteral {
			if err == nil {
				t.Errorf("%s: the root directory alone is no pattern, but WithPrefix(/) = %q", p, moved)
			}
		} else if err != nil || moved.String() != test.rest {
			t.Errorf("%s: WithPrefix(/) = %q, %v, want %q", p, moved, err, test.rest)
		}
	}
}

// Backtracking without memory would take longer than anyone can wait.
func TestMatchIsBounded(t *testing.T) {
	path := "/" + strings.Repeat("a", 250) + "/" + strings.Repeat("a/", 900) + "b"
	for _, text := range []string{
		"/" + strings.Repeat("*a", 120) + "c",
		"/" + strings.Repeat("**a", 200) + "c",
		strings.Repeat("/**/a", 300) + "/c",
		"/" + strings.Repeat("{*,**}", 8) + "c",
	} {
		if mustPattern(t, text).Match(path) {
			t.Errorf("%.40s matches", text)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"/bin/sh", "/a/**/b", "/usr/lib/**.so", "/home/*/.ssh/", "/{a,b{c,d/e}}", "/a/{b,}", `/[!a-z\]]\*`, "/"} {
		f.Add(seed, "/a/b")
		f.Add(seed, "/a")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := ParsePattern(text)
		if err != nil {
			var typed *PatternError
			if !errors.As(err, &typed) {
				t.Fatalf("%v is no *PatternError", err)
			}
			return
		}
		got := p.Match(path)
		if path != "" && path[0] == '/' && got != slices.ContainsFunc(p.Expand(), func(alt string) bool { return matchAlternative(alt, path) }) {
			t.Fatalf("%q: the short cut differs on %q", text, path)
		}
		union := false
		for _, alt := range p.Expand() {
			part, err := ParsePattern(alt)
			if err != nil {
				t.Fatalf("alternative %q of %q: %v", alt, text, err)
			}
			union = union || part.Match(path)
		}
		if got != union {
			t.Fatalf("%q and its alternatives differ on %q", text, path)
		}
		literal, _ := p.Split()
		if same, err := p.WithPrefix(literal); err == nil && same.Match(path) != got {
			t.Fatalf("%q and %q differ on %q", p, same, path)
		} else if err != nil && len(text) < maxPatternBytes/2 {
			t.Fatalf("%q: WithPrefix(%q): %v", text, literal, err)
		}
		if path, ok := p.Literal(); ok && !p.Match(path) {
			t.Fatalf("%q does not match itself", text)
		}
	})
}
