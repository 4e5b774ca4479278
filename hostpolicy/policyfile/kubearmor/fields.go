package kubearmor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// object is a mapping whose fields are known. The readers below return what a
// field holds, its default where it is absent, and report what it cannot be.
type object struct {
	l      *loader
	at     pos
	path   string // "spec.process"
	fields map[string]field
}

// object reads a mapping with these fields and no others. Nothing is an empty
// mapping. It reports false where there is no mapping.
func (l *loader) object(n *node, path string, known ...string) (object, bool) {
	o := object{l: l, path: path, fields: make(map[string]field)}
	if n == nil {
		return o, true
	}
	o.at = n.at
	switch n.kind {
	case null:
		return o, true
	case mapping:
	default:
		l.wrongType(n, path, "a mapping")
		return o, false
	}
	for _, f := range n.fields {
		if !slices.Contains(known, f.name) {
			l.unknown(f, path, known)
			continue
		}
		o.fields[f.name] = f
	}
	return o, true
}

func (l *loader) unknown(f field, path string, known []string) {
	fix := "known here: " + strings.Join(known, ", ")
	if near := nearest(f.name, known); near != "" {
		fix = fmt.Sprintf("write %s", near)
	}
	where := path
	if where == "" {
		where = "the document"
	}
	l.err(codeUnknown, f.at, join(path, f.name), fmt.Sprintf("%s has no field %s", where, quote(f.name)), fix)
}

func join(path, name string) string {
	if len(name) > 60 {
		name = strings.ToValidUTF8(name[:60], "") + "..."
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func (l *loader) wrongType(n *node, path, want string) {
	l.err(codeType, n.at, path, fmt.Sprintf("%s is expected here, not %s", want, n), "")
}

func (o object) has(name string) bool {
	_, ok := o.fields[name]
	return ok
}

func (o object) value(name string) *node { return o.fields[name].value }

func (o object) field(name string) string { return join(o.path, name) }

// text reads one string. Nothing is absent.
func (o object) text(name string) (value string, at pos, ok bool) {
	n := o.value(name)
	if n == nil {
		return "", o.at, false
	}
	if n.kind == null {
		o.l.err(codeType, n.at, o.field(name), "the field is empty", "write a value, or remove the field")
		return "", n.at, false
	}
	if !n.plain() {
		o.l.wrongType(n, o.field(name), "a string")
		return "", n.at, false
	}
	return n.text, n.at, true
}

// list reads a list. An empty one is reported, because its author meant
// something.
func (o object) list(name string) []*node {
	n := o.value(name)
	switch {
	case n == nil:
		return nil
	case n.kind == null || n.kind == sequence && len(n.items) == 0:
		o.l.warn(codeNoRules, o.fields[name].at, o.field(name), "the list is empty, so it does nothing", "remove it, or list something")
		return nil
	case n.kind != sequence:
		o.l.err(codeType, n.at, o.field(name), fmt.Sprintf("a list is expected here, not %s", n), "begin each entry with a hyphen")
		return nil
	}
	return n.items
}

// strings reads a list of strings.
func (o object) strings(name string) []*node {
	var out []*node
	for _, item := range o.list(name) {
		if !item.plain() {
			o.l.wrongType(item, o.field(name), "a string")
			continue
		}
		out = append(out, item)
	}
	return out
}

// Words that YAML 1.1 took for booleans, and Kubernetes' tools still do.
var oldBooleans = map[string]bool{"yes": true, "on": true, "y": true, "no": false, "off": false, "n": false}

func (o object) boolean(name string) bool {
	n := o.value(name)
	switch {
	case n == nil:
		return false
	case n.kind == boolean:
		return strings.EqualFold(n.text, "true")
	case n.kind == scalar && !n.quoted:
		if v, ok := oldBooleans[strings.ToLower(n.text)]; ok {
			o.l.warn(codeUnderstood, n.at, o.field(name), fmt.Sprintf("%s is understood as %t", quote(n.text), v), fmt.Sprintf("write %t", v))
			return v
		}
	}
	o.l.err(codeType, n.at, o.field(name), fmt.Sprintf("a boolean is expected here, not %s", n), "write true or false, without quotes")
	return false
}

// traits are what a policy, a section and a rule may each say.
type traits struct {
	action   hostpolicy.Action
	severity int
	tags     []string
	message  string
}

// traitNames are their fields.
var traitNames = []string{"action", "severity", "tags", "message"}

func with(names ...string) []string { return append(names, traitNames...) }

// traits reads those of one level; what it leaves out is that of the level
// above.
func (o object) traits(above traits) traits {
	t := above
	if a, ok := o.action(); ok {
		t.action = a
	}
	if n := o.value("severity"); n != nil && n.kind != null {
		v, err := strconv.Atoi(n.text)
		switch {
		case !n.plain() || err != nil && n.kind != integer:
			o.l.err(codeDescription, n.at, o.field("severity"), fmt.Sprintf("an integer from 1 to 10 is expected here, not %s", n), "")
		case err != nil || v < 1 || v > 10:
			o.l.err(codeDescription, n.at, o.field("severity"), fmt.Sprintf("%s is not from 1 to 10", n.text), "10 is the most severe")
		default:
			t.severity = v
		}
	}
	if o.has("tags") {
		if tags := o.tags(); len(tags) > 0 {
			t.tags = tags
		}
	}
	if n := o.value("message"); n != nil && n.kind != null {
		if text, at, ok := o.text("message"); ok {
			// A folded text ends in a line feed; an event is one line.
			text = strings.Join(strings.Fields(text), " ")
			if !printable(text) {
				o.l.err(codeDescription, at, o.field("message"), "the message has an unprintable character", "write it as plain text")
			}
			if text != "" {
				t.message = text
			}
		}
	}
	return t
}

func (o object) tags() []string {
	n := o.value("tags")
	items := []*node{n}
	switch {
	case n.kind == null:
		return nil
	case n.plain():
		o.l.warn(codeUnderstood, n.at, o.field("tags"), fmt.Sprintf("understood as a list with the one tag %s", quote(n.text)), "write it as a list")
	default:
		items = o.strings("tags")
	}
	var tags []string
	for _, item := range items {
		tag := strings.TrimSpace(item.text)
		switch {
		case tag == "" || slices.Contains(tags, tag):
		case strings.Contains(tag, ",") || !printable(tag):
			o.l.err(codeDescription, item.at, o.field("tags"), fmt.Sprintf("%s has a comma or an unprintable character", quote(tag)), "write one tag for each entry of the list")
		default:
			tags = append(tags, tag)
		}
	}
	return tags
}

var otherWords = map[string]string{"deny": "Block", "log": "Audit", "alert": "Audit", "permit": "Allow"}

func (o object) action() (hostpolicy.Action, bool) {
	n := o.value("action")
	if n == nil {
		return 0, false
	}
	if n.kind == null {
		o.l.warn(codeUnderstood, n.at, o.field("action"), "the action is empty, so that of the level above counts, and Block where there is none", "write Allow, Audit or Block")
		return 0, false
	}
	text, at, ok := o.text("action")
	if !ok {
		return 0, false
	}
	names := []string{"Block", "Audit", "Allow"}
	for i, name := range names {
		if strings.EqualFold(text, name) {
			if text != name && text != strings.ToLower(name) {
				o.l.warn(codeUnderstood, at, o.field("action"), fmt.Sprintf("%s is understood as %s", quote(text), name), "write "+name)
			}
			return hostpolicy.Action(i + 1), true
		}
	}
	fix := "write Allow, Audit or Block"
	if meant := otherWords[strings.ToLower(text)]; meant != "" {
		fix = "write " + meant
	} else if near := nearest(text, names); near != "" {
		fix = "write " + near
	}
	o.l.err(codeAction, at, o.field("action"), fmt.Sprintf("unknown action %s", quote(text)), fix)
	return 0, false
}

func printable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) })
}

// nearest is the candidate that word is most likely a misspelling of, or "".
func nearest(word string, candidates []string) string {
	if len(word) > 40 {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions and replacements between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := corner
			if a[i-1] != b[j-1] {
				cost++
			}
			corner = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
