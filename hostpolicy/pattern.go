package hostpolicy

import "strings"

// Pattern is a validated absolute path pattern. It is immutable and
// comparable; the zero value matches nothing.
//
// A pattern names files by bytes, not runes, so that names which are not
// UTF-8 can be named too and `?` is one byte:
//
//	?       one byte but '/'
//	*       any run of bytes but '/', also an empty one; a leading dot is
//	        nothing special
//	[a-z]   one byte of the set; [!a-z] and [^a-z] one that is not in it;
//	        never '/'
//	**      any run of bytes, '/' included
//	{a,b}   either; may nest and may contain '/'
//	\x      the byte x itself
//
// Where ** is a whole component it stands for directories: /a/**/b matches
// /a/b and /a/x/y/b, and /a/** everything beneath /a but not /a itself. A
// trailing slash means the directory itself and everything beneath it, also
// after a glob (/home/*/.ssh/); "/" alone is the root directory and everything.
// Braces are expanded before anything else, so /a/{b,} is /a/b and /a/.
type Pattern struct{ text string }

// Limits of a pattern. They keep a hostile one from costing memory or time.
const (
	maxPatternBytes  = 4096      // PATH_MAX
	maxNameBytes     = 255       // NAME_MAX
	maxBraceDepth    = 8         // nested braces
	maxAlternatives  = 1024      // patterns that braces expand to
	maxExpandedBytes = 256 << 10 // of all of them together
)

// PatternError says what is wrong with a pattern.
type PatternError struct {
	Text   string
	Offset int    // in bytes, where the fault was found
	Reason string // "is not absolute"
	Fix    string // what to write instead, or ""
}

func (e *PatternError) Error() string {
	s := quoteShort(e.Text) + " " + e.Reason
	if e.Fix != "" {
		s += " (" + e.Fix + ")"
	}
	return s
}

// String is the pattern as written.
func (p Pattern) String() string { return p.text }

// ParsePattern validates an absolute path pattern. Its error is a
// *PatternError.
func ParsePattern(text string) (Pattern, error) {
	if err := checkText(text); err != nil {
		return Pattern{}, err
	}
	if err := checkSyntax(text); err != nil {
		return Pattern{}, err
	}
	alternatives, ok := expand(text)
	if !ok {
		return Pattern{}, &PatternError{text, strings.IndexByte(text, '{'), "expands to too many alternatives", "split it over several patterns"}
	}
	for _, alt := range alternatives {
		if err := checkComponents(text, alt); err != nil {
			return Pattern{}, err
		}
	}
	return Pattern{text}, nil
}

// Expand is the pattern without its braces: the patterns of which it matches
// the union, in the order written. They hold no unescaped brace.
func (p Pattern) Expand() []string {
	if p.text == "" {
		return nil
	}
	alternatives, _ := expand(p.text)
	return alternatives
}

// Literal is the one path that the pattern matches, where it holds neither a
// glob nor braces nor a trailing slash.
func (p Pattern) Literal() (string, bool) {
	literal, rest := p.Split()
	return literal, p.text != "" && rest == ""
}

// Split cuts the pattern after its longest literal prefix of whole components.
// The prefix is an unescaped clean path, "/" if no component is literal; the
// rest is pattern text, either empty or beginning with '/':
//
//	/bin/sh      "/bin/sh"   ""
//	/etc/ssl/    "/etc/ssl"  "/"
//	/bin/*/x     "/bin"      "/*/x"
//	/            "/"         "/"
func (p Pattern) Split() (literal, rest string) {
	var b strings.Builder
	end := 0 // of the prefix within the text
	for end < len(p.text) {
		name, next, ok := literalComponent(p.text, end+1)
		if !ok || name == "" {
			break
		}
		b.WriteByte('/')
		b.WriteString(name)
		end = next
	}
	if end == 0 {
		return "/", p.text
	}
	return b.String(), p.text[end:]
}

// literalComponent unescapes the component that begins at i, and reports
// false where it holds a glob or a brace.
func literalComponent(text string, i int) (name string, next int, ok bool) {
	var b strings.Builder
	for ; i < len(text) && text[i] != '/'; i++ {
		switch text[i] {
		case '*', '?', '[', '{':
			return "", 0, false
		case '\\':
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), i, true
}

// WithPrefix is the pattern with the literal prefix of Split replaced, as
// where that prefix turned out to be a symbolic link.
func (p Pattern) WithPrefix(literal string) (Pattern, error) {
	_, rest := p.Split()
	if literal == "/" {
		if rest == "" {
			return Pattern{}, &PatternError{p.text, 0, "is the root directory", `write "/" for the root directory and everything beneath it`}
		}
		return ParsePattern(rest)
	}
	return ParsePattern(Escape(literal) + rest)
}

var escaper = strings.NewReplacer(
	`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`)

// Escape is the pattern text that matches exactly the given path.
func Escape(literal string) string { return escaper.Replace(literal) }
