package hostpolicy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// quoteShort quotes a text for a message, without pages of it.
func quoteShort(text string) string {
	const limit = 120
	if len(text) > limit {
		return fmt.Sprintf("%q...", text[:limit])
	}
	return fmt.Sprintf("%q", text)
}

func checkText(text string) error {
	fail := func(offset int, reason, fix string) error {
		return &PatternError{text, offset, reason, fix}
	}
	switch {
	case text == "":
		return fail(0, "is empty", "write an absolute path")
	case len(text) > maxPatternBytes:
		return fail(maxPatternBytes, fmt.Sprintf("is longer than %d bytes", maxPatternBytes), "")
	case text[0] != '/' && strings.ContainsAny(text[:1], "{["):
		return fail(0, "is not absolute", "begin with the slash, before any brace")
	case text[0] != '/':
		return fail(0, "is not absolute", fmt.Sprintf("write %s", quoteShort("/"+text)))
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return fail(i, "contains a NUL byte", "no file name can")
	}
	return nil
}

// checkSyntax looks at escapes, brackets and braces.
func checkSyntax(text string) error {
	fail := func(offset int, reason, fix string) error {
		return &PatternError{text, offset, reason, fix}
	}
	type brace struct {
		at     int
		commas int
	}
	var open []brace
	for i := 0; i < len(text); {
		switch text[i] {
		case '\\':
			if i+1 == len(text) {
				return fail(i, "ends in a backslash", `write \\ for the byte itself`)
			}
			if text[i+1] == '/' {
				return fail(i, "escapes a slash", "a name cannot contain one; leave the backslash out")
			}
			i += 2
		case '[':
			_, n, reason, fix := parseSet(text[i:])
			if reason != "" {
				return fail(i, reason, fix)
			}
			i += n
		case ']':
			return fail(i, "has a ] without its [", `write \] for the byte itself`)
		case '{':
			open = append(open, brace{at: i})
			if len(open) > maxBraceDepth {
				return fail(i, fmt.Sprintf("nests braces deeper than %d", maxBraceDepth), "split it over several patterns")
			}
			i++
		case ',':
			if len(open) > 0 {
				open[len(open)-1].commas++
			}
			i++
		case '}':
			if len(open) == 0 {
				return fail(i, "has a } without its {", `write \} for the byte itself`)
			}
			last := open[len(open)-1]
			if last.commas == 0 {
				return fail(last.at, "has braces with one alternative", `write {a,b}, or \{ and \} for the bytes themselves`)
			}
			open = open[:len(open)-1]
			i++
		default:
			i++
		}
	}
	if len(open) > 0 {
		return fail(open[0].at, "has a { without its }", `write \{ for the byte itself`)
	}
	return nil
}

// byteSet is a set of bytes.
type byteSet [256]bool

// parseSet reads a bracket expression at the start of s and says how many
// bytes it takes, or what is wrong with it.
func parseSet(s string) (set byteSet, n int, reason, fix string) {
	i := 1
	negate := i < len(s) && (s[i] == '!' || s[i] == '^')
	if negate {
		i++
	}
	first := i
	// member reads one byte of the set, escaped or not.
	member := func() (byte, bool) {
		if s[i] == '\\' {
			i++
		}
		if i >= len(s) {
			return 0, false
		}
		i++
		return s[i-1], true
	}
	const unclosed, escape = "has a [ without its ]", `write \[ for the byte itself`
	for i < len(s) && s[i] != ']' {
		if s[i] == '[' && i+1 < len(s) && strings.IndexByte(":.=", s[i+1]) >= 0 {
			return set, 0, "uses a named class", "write the bytes out, as in [a-zA-Z]"
		}
		low, ok := member()
		if !ok {
			return set, 0, unclosed, escape
		}
		high := low
		if i+1 < len(s) && s[i] == '-' && s[i+1] != ']' {
			i++
			if high, ok = member(); !ok {
				return set, 0, unclosed, escape
			}
		}
		if max(low, high) >= utf8.RuneSelf {
			return set, 0, "has a character of several bytes inside [ ]", "write {ä,ö} for either: a set is of single bytes"
		}
		if low == '/' || high == '/' {
			return set, 0, "has a / inside [ ]", "a set never matches a slash"
		}
		if high < low {
			return set, 0, fmt.Sprintf("has a range that runs backwards, %q-%q", low, high), fmt.Sprintf("write %c-%c", high, low)
		}
		for b := int(low); b <= int(high); b++ {
			set[b] = true
		}
	}
	if i >= len(s) {
		return set, 0, unclosed, escape
	}
	if i == first {
		return set, 0, "has an empty set", `write \] for the byte itself`
	}
	if negate {
		for b := range set {
			set[b] = !set[b]
		}
	}
	set['/'], set[0] = false, false
	if set == (byteSet{}) {
		return set, 0, "has a set that no byte is in", ""
	}
	return set, i + 1, "", ""
}

// checkComponents looks at the components of one alternative of text.
func checkComponents(text, alt string) error {
	fail := func(reason, fix string) error {
		if alt != text {
			reason += fmt.Sprintf(" in its alternative %s", quoteShort(alt))
		}
		return &PatternError{text, 0, reason, fix}
	}
	if alt == "/" {
		return nil
	}
	if alt == "" || alt[0] != '/' {
		return fail("is not absolute", "begin with the slash, before any brace")
	}
	for i := 0; i < len(alt); {
		start := i + 1
		shortest := 0 // bytes that a matching name has at least
		for i = start; i < len(alt) && alt[i] != '/'; {
			switch alt[i] {
			case '*':
				i++
				continue
			case '[':
				_, n, _, _ := parseSet(alt[i:])
				i += n
			case '\\':
				i += 2
			default:
				i++
			}
			shortest++
		}
		component := alt[start:i]
		switch name, _, literal := literalComponent(alt, start); {
		case component == "" && i == len(alt):
			// the trailing slash
		case component == "":
			return fail("has an empty component", "write one slash")
		case literal && name == ".", literal && name == "..":
			return fail(fmt.Sprintf("has a %q component", name), "write the path without it")
		case shortest > maxNameBytes:
			return fail(fmt.Sprintf("has a component of more than %d bytes", maxNameBytes), "no file name is that long")
		}
	}
	return nil
}
