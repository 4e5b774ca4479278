// Package render writes policies as TOML, the way a person would.
package render

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Note is a comment above a rule, or above the policy where Rule is "".
type Note struct {
	Rule string // "process.no-shells", without the policy's name
	Text string // may have several lines
}

// TOML is a valid policy as the text of a policy file, which reads as the same
// policy again; only positions differ. Its texts have to be UTF-8, as those of
// every policy that came from a file are. Where Postures differs from
// Otherwise, one file cannot hold the policy: see Split.
func TOML(p *hostpolicy.Policy, notes []Note) []byte {
	w := &writer{}
	w.notes(notes, "")
	common := shared(p.Rules)
	w.pair("name", quoted(p.Name))
	if common.action.Valid() {
		w.pair("action", quoted(common.action.String()))
	}
	w.traits(common.severity, common.tags, common.message)
	if p.Otherwise.Valid() && p.Otherwise != defaultOtherwise(&p.AppliesTo) {
		w.pair("otherwise", quoted(p.Otherwise.String()))
	}
	if p.Dangerous {
		w.pair("dangerous", "true")
	}
	w.line("")
	w.selector(&p.AppliesTo)
	for i := range p.Rules {
		r := &p.Rules[i]
		w.line("")
		w.notes(notes, r.Class.String()+"."+r.Name)
		w.rule(r, common)
	}
	return w.align()
}

func defaultOtherwise(s *hostpolicy.Selector) hostpolicy.Action {
	if s.Wide() {
		return hostpolicy.Audit
	}
	return hostpolicy.Block
}

// traits are written once where they hold for all rules.
type traits struct {
	action   hostpolicy.Action
	severity int
	tags     []string
	message  string
}

// shared is the action of most rules, and what else all of them have.
func shared(rules []hostpolicy.Rule) traits {
	if len(rules) == 0 {
		return traits{}
	}
	t := traits{severity: rules[0].Severity, tags: rules[0].Tags, message: rules[0].Message}
	count := make(map[hostpolicy.Action]int)
	for _, r := range rules {
		count[r.Action]++
		if r.Severity != t.severity {
			t.severity = 0
		}
		if !slices.Equal(r.Tags, t.tags) {
			t.tags = nil
		}
		if r.Message != t.message {
			t.message = ""
		}
	}
	t.action = hostpolicy.Block
	for _, a := range []hostpolicy.Action{hostpolicy.Audit, hostpolicy.Allow} {
		if count[a] > count[t.action] {
			t.action = a
		}
	}
	return t
}

// writer collects lines. Those with a key wait for their neighbours, so that
// the equals signs stand below each other.
type writer struct {
	lines []line
}

type line struct{ key, text string }

func (w *writer) line(text string) { w.lines = append(w.lines, line{"", text}) }

func (w *writer) pair(key, value string) { w.lines = append(w.lines, line{key, value}) }

func (w *writer) align() []byte {
	var b bytes.Buffer
	width := 0
	for i, l := range w.lines {
		if l.key == "" {
			width = 0
			b.WriteString(l.text + "\n")
			continue
		}
		if width == 0 {
			for _, next := range w.lines[i:] {
				if next.key == "" {
					break
				}
				width = max(width, len(next.key))
			}
		}
		fmt.Fprintf(&b, "%-*s = %s\n", width, l.key, l.text)
	}
	return b.Bytes()
}

func (w *writer) notes(notes []Note, rule string) {
	for _, n := range notes {
		if n.Rule != rule {
			continue
		}
		for text := range strings.Lines(n.Text) {
			w.line("# " + comment(strings.TrimRight(text, "\r\n")))
		}
	}
}

// comment keeps out what TOML does not take in comments.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func (w *writer) traits(severity int, tags []string, message string) {
	if severity != 0 {
		w.pair("severity", fmt.Sprint(severity))
	}
	if len(tags) > 0 {
		w.pair("tags", list(tags))
	}
	if message != "" {
		w.pair("message", quoted(message))
	}
}

func (w *writer) selector(s *hostpolicy.Selector) {
	w.line("[applies_to]")
	switch {
	case s.Host:
		w.pair("host", "true")
	case s.Everything:
		w.pair("everything", "true")
	case s.Container != nil:
		w.pair("container", container(s.Container))
	case len(s.Unit) > 0:
		w.pair("unit", value(texts(s.Unit)))
	}
	w.values("user", texts(s.User))
	w.values("login_user", texts(s.LoginUser))
}

func container(c *hostpolicy.ContainerSelector) string {
	var parts []string
	add := func(key string, globs []hostpolicy.Glob) {
		if len(globs) > 0 {
			parts = append(parts, key+" = "+value(texts(globs)))
		}
	}
	add("name", c.Name)
	add("image", c.Image)
	add("namespace", c.Namespace)
	for _, l := range []struct {
		key    string
		labels []hostpolicy.LabelMatch
	}{{"labels", c.Labels}, {"except_labels", c.ExceptLabels}} {
		if len(l.labels) == 0 {
			continue
		}
		var labels []string
		for _, m := range l.labels {
			labels = append(labels, key(m.Key)+" = "+value(texts(m.Values)))
		}
		parts = append(parts, l.key+" = { "+strings.Join(labels, ", ")+" }")
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func (w *writer) rule(r *hostpolicy.Rule, common traits) {
	w.line("[" + r.Class.String() + "." + key(r.Name) + "]")
	switch r.Class {
	case hostpolicy.Process:
		w.values("path", texts(r.Path))
		w.values("except", texts(r.Except))
		w.values("args", r.Args)
	case hostpolicy.File:
		w.values("path", texts(r.Path))
		w.values("except", texts(r.Except))
		switch r.Access {
		case hostpolicy.Read:
			w.pair("access", `["read"]`)
		case hostpolicy.Write:
			w.pair("access", `["write"]`)
		}
	case hostpolicy.Network:
		w.pair("direction", quoted(r.Direction.String()))
		w.values("protocol", texts(r.Protocol))
		w.values("address", texts(r.Address))
		w.values("local_address", texts(r.LocalAddress))
		if len(r.Ports) > 0 {
			w.pair("ports", ports(r.Ports))
		}
	case hostpolicy.Capability:
		w.values("name", texts(r.Capabilities))
	case hostpolicy.System:
		w.values("operation", texts(r.Operations))
	}
	w.values("from", texts(r.From))
	w.values("except_from", texts(r.ExceptFrom))
	if r.OwnerOnly {
		w.pair("owner_only", "true")
	}
	w.values("within", texts(r.Within))
	if r.Action != common.action {
		w.pair("action", quoted(r.Action.String()))
	}
	own := traits{severity: r.Severity, tags: r.Tags, message: r.Message}
	if common.severity != 0 {
		own.severity = 0
	}
	if len(common.tags) > 0 {
		own.tags = nil
	}
	if common.message != "" {
		own.message = ""
	}
	w.traits(own.severity, own.tags, own.message)
}

func (w *writer) values(key string, values []string) {
	if len(values) > 0 {
		w.pair(key, value(values))
	}
}

func texts[T fmt.Stringer](values []T) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

// value is one string, or a list of them.
func value(values []string) string {
	if len(values) == 1 {
		return quoted(values[0])
	}
	return list(values)
}

// maxLine is where a list begins to have a line for each entry.
const maxLine = 110

func list(values []string) string {
	var parts []string
	length := 0
	for _, v := range values {
		parts = append(parts, quoted(v))
		length += len(v) + 4
	}
	return brackets(parts, length)
}

func brackets(parts []string, length int) string {
	if length <= maxLine {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "[\n    " + strings.Join(parts, ",\n    ") + ",\n]"
}

// ports are integers where they can be.
func ports(ranges []hostpolicy.PortRange) string {
	var parts []string
	for _, r := range ranges {
		if r.First == r.Last {
			parts = append(parts, r.String())
		} else {
			parts = append(parts, quoted(r.String()))
		}
	}
	return brackets(parts, len(parts)*8)
}

const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func key(name string) string {
	if name != "" && strings.Trim(name, bare) == "" {
		return name
	}
	return basic(name)
}

// quoted is a string of TOML: a literal one where that spares backslashes, as
// in patterns, and loses nothing.
func quoted(text string) string {
	if strings.ContainsAny(text, `\"`) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\'' }) {
		return "'" + text + "'"
	}
	return basic(text)
}

func basic(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Split makes policies of one Otherwise each: the first has the name of p, and
// the other one, where Postures makes it necessary, a name with the ending
// "-audit" or "-block" and only the rules of classes that have allow rules.
// Together they decide as p does; only the IDs of the rules that moved differ.
func Split(p *hostpolicy.Policy) []hostpolicy.Policy {
	moved := make(map[hostpolicy.Class]bool)
	for _, r := range p.Rules {
		if r.Action == hostpolicy.Allow && p.OtherwiseIn(r.Class) != p.Otherwise {
			moved[r.Class] = true
		}
	}
	first := *p
	first.Postures = nil
	if len(moved) == 0 {
		return []hostpolicy.Policy{first}
	}
	if !slices.ContainsFunc(p.Rules, func(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow && !moved[r.Class] }) {
		// No list is left with the common answer, so the other one is it.
		first.Otherwise = p.OtherwiseIn(slices.Min(slices.Collect(maps.Keys(moved))))
		return []hostpolicy.Policy{first}
	}
	second := first
	second.Otherwise = p.OtherwiseIn(slices.Min(slices.Collect(maps.Keys(moved))))
	suffix := "-" + second.Otherwise.String()
	second.Name = strings.TrimRight(first.Name[:min(len(first.Name), 63-len(suffix))], "._-") + suffix
	first.Rules, second.Rules = nil, nil
	for _, r := range p.Rules {
		if moved[r.Class] {
			r.Policy = second.Name
			second.Rules = append(second.Rules, r)
		} else {
			first.Rules = append(first.Rules, r)
		}
	}
	return []hostpolicy.Policy{first, second}
}
