package policyfile

import (
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Table reads the keys of a TOML table, and reports what it cannot use with
// its place: for files that are written like policies and are none. Reading a
// key that is not there gives the zero value and reports nothing.
type Table struct {
	s     *source
	n     *node
	field string // the table's dotted key, "" for the file
}

// Text is a string of a file and its place.
type Text struct {
	Value    string
	Position hostpolicy.Position
}

// ParseTable reads a file. ok is false where it is no TOML; then, as always,
// Problems say why.
func ParseTable(name string, content []byte, o Options) (t Table, ok bool) {
	s := newSource(name, content)
	s.lookupUser = o.LookupUser
	n := s.parse(content)
	return Table{s: s, n: n}, n != nil
}

// Problems are all that was reported of the file, in the order of their places.
func (t Table) Problems() []hostpolicy.Problem { return t.s.sorted() }

// Position is that of the table's header or, of an inline table, its key.
func (t Table) Position() hostpolicy.Position {
	if t.n.header {
		return t.s.position(t.n.at)
	}
	return t.s.position(t.n.key)
}

// Only reports all other keys than these. what names the kind of table for
// people, "a case".
func (t Table) Only(what string, keys ...string) {
	for _, key := range t.n.keys {
		if slices.Contains(keys, key) {
			continue
		}
		fix := what + " takes " + strings.Join(keys, ", ")
		if near := nearest(key, keys); near != "" {
			fix = "did you mean " + near + "?"
		}
		for _, at := range t.n.children[key].mentions {
			t.s.err(codeUnknownKey, at, join(t.field, key), "unknown key", fix)
		}
	}
}

// Keys are those of the table, in the order of the file.
func (t Table) Keys() []string { return t.n.keys }

// Has reports whether the table holds the key.
func (t Table) Has(key string) bool { return t.n.children[key] != nil }

// Report adds an error at a key's value, or at the table where it has no such
// key.
func (t Table) Report(code, key, message, fix string) {
	at, field := t.n.at, t.field
	if c := t.n.children[key]; c != nil {
		at, field = c.at, join(t.field, key)
	} else if key != "" {
		field = join(t.field, key)
	}
	t.s.err(code, at, field, message, fix)
}

// ReportAt adds an error at one of the texts of a key.
func (t Table) ReportAt(code, key string, text Text, message, fix string) {
	t.s.problems = append(t.s.problems, hostpolicy.Problem{
		Position: text.Position, Code: code, Severity: hostpolicy.Error, Field: join(t.field, key), Message: message, Fix: fix,
	})
}

// Table is the table at a key. A key that holds something else is reported.
func (t Table) Table(key string) (Table, bool) {
	c := t.n.children[key]
	if c == nil {
		return Table{}, false
	}
	if !c.table {
		t.s.wrongType(c, join(t.field, key), "a table", "")
		return Table{}, false
	}
	return Table{t.s, c, join(t.field, key)}, true
}

// Strings are a string or a list of strings, of which none is empty.
func (t Table) Strings(key string) []Text {
	var out []Text
	for _, v := range t.s.strings(t.n.children[key], join(t.field, key)) {
		out = append(out, Text{v.value, t.s.position(v.at)})
	}
	return out
}

// String is one string.
func (t Table) String(key string) (Text, bool) {
	c := t.n.children[key]
	if c == nil {
		return Text{}, false
	}
	v, ok := t.s.string(c, join(t.field, key))
	return Text{v.value, t.s.position(c.at)}, ok
}

// Bool is true or false.
func (t Table) Bool(key string) bool {
	return t.s.boolean(t.n.children[key], join(t.field, key))
}

// Action is block, audit or allow, or zero.
func (t Table) Action(key string) hostpolicy.Action {
	return t.s.action(t.n.children[key], join(t.field, key), 0)
}

// Nearest is the candidate that a word is most likely a misspelling of, or "".
func Nearest(word string, candidates []string) string { return nearest(word, candidates) }

// Codes of problems that other files share with policies.
const (
	CodeUnreadable = codeUnreadable
	CodeType       = codeType
	CodeEmpty      = codeEmpty
)

// ReadFile is a file's content, read with the care that policies are read with:
// nothing but a regular file of a bounded size.
func ReadFile(path string, o Options) ([]byte, []hostpolicy.Problem) {
	content, _, problem := o.read(path)
	if problem != nil {
		return nil, []hostpolicy.Problem{*problem}
	}
	return content, nil
}
