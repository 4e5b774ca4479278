package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Codes of problems in the settings file.
const (
	CodeUnreadable = "HA900" // cannot be read at all

	codeSyntax  = "HA901" // not TOML
	codeUnknown = "HA902" // no such key
	codeValue   = "HA903" // the key takes other values
	codeNotYet  = "HA904" // the feature does not exist in this version
)

// document is one settings file on its way to Settings.
type document struct {
	name     string
	text     string
	lines    map[string]hostpolicy.Position // of dotted keys and tables
	problems []hostpolicy.Problem
}

func (d *document) decode(s *Settings) {
	tree := map[string]any{}
	if _, err := toml.Decode(d.text, &tree); err != nil {
		d.syntax(err)
		return
	}
	d.index()
	d.table(s, "", tree)
	slices.SortFunc(d.problems, func(a, b hostpolicy.Problem) int {
		return a.Position.Line - b.Position.Line
	})
}

func (d *document) syntax(err error) {
	p := hostpolicy.Problem{
		Position: hostpolicy.Position{File: d.name, Line: 1, Column: 1},
		Code:     codeSyntax, Severity: hostpolicy.Error, Message: err.Error(),
		Fix: "correct the line; until then the settings stay as they were",
	}
	var pe toml.ParseError
	if errors.As(err, &pe) {
		p.Position.Line, p.Position.Column = max(pe.Position.Line, 1), max(pe.Position.Col, 1)
		p.Message = pe.Message
	}
	d.problems = append(d.problems, p)
}

// table walks one level of the tree. A name that is neither a key nor the
// beginning of one is unknown, whatever is below it.
func (d *document) table(s *Settings, prefix string, tree map[string]any) {
	for name, v := range tree {
		full := prefix + name
		if i := slices.IndexFunc(keys, func(k key) bool { return k.name == full }); i >= 0 {
			if err := keys[i].set(s, v); err != nil {
				d.value(full, err)
			}
			continue
		}
		below, isTable := v.(map[string]any)
		if isTable && isSection(full) {
			d.table(s, full+".", below)
			continue
		}
		d.unknown(full)
	}
}

func isSection(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, name+".") })
}

func (d *document) value(full string, err error) {
	p := hostpolicy.Problem{Position: d.at(full), Code: codeValue, Severity: hostpolicy.Error, Field: full}
	var not notYetError
	if errors.As(err, &not) {
		p.Code, p.Message = codeNotYet, "not enforced by this version"
		p.Fix = "leave it out, or write its default " + literal(not.def)
	} else {
		p.Message, p.Fix = "not a value of this key", err.Error()
	}
	d.problems = append(d.problems, p)
}

func (d *document) unknown(full string) {
	p := hostpolicy.Problem{
		Position: d.at(full), Code: codeUnknown, Severity: hostpolicy.Error, Field: full,
		Message: "there is no such setting", Fix: "see hostarmor.toml(5)",
	}
	if near := nearest(full); near != "" {
		p.Fix = fmt.Sprintf("did you mean %s?", near)
	}
	d.problems = append(d.problems, p)
}

func (d *document) at(full string) hostpolicy.Position {
	for name := full; name != ""; {
		if p, ok := d.lines[name]; ok {
			return p
		}
		i := strings.LastIndexByte(name, '.')
		name = name[:max(i, 0)]
	}
	return hostpolicy.Position{File: d.name, Line: 1, Column: 1}
}

// index finds the line of each key, because the decoder keeps none. It reads
// what is known to be valid TOML, so it need not be a parser: at worst, in a
// multi-line string that looks like a key, it gives a line nearby.
func (d *document) index() {
	d.lines = make(map[string]hostpolicy.Position)
	table := ""
	for i, line := range strings.Split(d.text, "\n") {
		trimmed := strings.TrimLeft(line, " \t")
		at := hostpolicy.Position{File: d.name, Line: i + 1, Column: len(line) - len(trimmed) + 1}
		name := ""
		if header, ok := strings.CutPrefix(trimmed, "["); ok {
			header, _, _ = strings.Cut(header, "]")
			table = dotted(header)
			name = table
		} else if left, _, ok := strings.Cut(trimmed, "="); ok && !strings.HasPrefix(trimmed, "#") {
			name = dotted(left)
			if table != "" {
				name = table + "." + name
			}
		}
		if _, seen := d.lines[name]; name != "" && !seen {
			d.lines[name] = at
		}
	}
}

// dotted is a written key without its quotes and spaces.
func dotted(written string) string {
	parts := strings.Split(written, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}

// nearest is the key that a mistyped one most likely meant, or "".
func nearest(name string) string {
	best, least := "", 1+len(name)/3
	for _, k := range keys {
		if n := distance(name, k.name); n <= least {
			best, least = k.name, n-1
		}
		// The right key in the wrong table.
		if _, last, _ := strings.Cut(k.name, "."); last == name[strings.LastIndexByte(name, '.')+1:] {
			return k.name
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
