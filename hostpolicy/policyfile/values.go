package policyfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// The readers below return what a key holds and whether it can be used; they
// report why it cannot. A key that is not there is not an error.

// text is one string of a file and its place.
type text struct {
	value string
	at    int
}

func (s *source) wrongType(n *node, field, want, fix string) {
	s.err(codeType, n.at, field, fmt.Sprintf("%s is expected here, not %s", want, n.kind()), fix)
}

func (s *source) string(n *node, field string) (text, bool) {
	if v, ok := n.value.(string); ok && !n.table && !n.array {
		return text{v, n.at}, true
	}
	fix := ""
	if !n.table && !n.array {
		fix = "put it in quotes"
	}
	s.wrongType(n, field, "a string", fix)
	return text{}, false
}

func (s *source) boolean(n *node, field string) bool {
	if n == nil {
		return false
	}
	v, ok := n.value.(bool)
	if !ok {
		s.wrongType(n, field, "a boolean", "write true or false, without quotes")
	}
	return v
}

// strings reads a string or a list of strings. The list holds at least one
// unless something was reported.
func (s *source) strings(n *node, field string) []text {
	return s.list(n, field, "a string or a list of strings", false, func(item *node) (text, bool) {
		t, ok := s.string(item, field)
		if ok && t.value == "" {
			s.err(codeEmpty, t.at, field, "the string is empty", "write a value, or remove it")
			return t, false
		}
		return t, ok
	})
}

// numbers reads strings and integers, one or a list, as they are written.
func (s *source) numbers(n *node, field, want string) []text {
	return s.list(n, field, want, true, func(item *node) (text, bool) {
		switch v := item.value.(type) {
		case int64:
			return text{strconv.FormatInt(v, 10), item.at}, true
		case string:
			if v != "" {
				return text{v, item.at}, true
			}
			s.err(codeEmpty, item.at, field, "the string is empty", "write a value, or remove it")
		default:
			s.wrongType(item, field, want, "")
		}
		return text{}, false
	})
}

// list reads one value or a list of them, without repetitions. A value is a
// string or, with ints, an integer.
func (s *source) list(n *node, field, want string, ints bool, read func(*node) (text, bool)) []text {
	if n == nil {
		return nil
	}
	items := []*node{n}
	if n.array {
		items = n.items
		if len(items) == 0 {
			s.err(codeEmpty, n.at, field, "the list is empty", "list at least one, or remove the key")
		}
	} else if _, isInt := n.value.(int64); !ints || !isInt {
		if _, isString := n.value.(string); !isString {
			s.wrongType(n, field, want, "")
			return nil
		}
	}
	var list []text
	first := make(map[string]bool)
	for _, item := range items {
		t, ok := read(item)
		switch {
		case !ok:
		case first[t.value]:
			s.repeated(t, field)
		default:
			first[t.value] = true
			list = append(list, t)
		}
	}
	return list
}

func (s *source) repeated(t text, field string) {
	s.warn(codeRepeated, t.at, field, fmt.Sprintf("%s is listed twice", quote(t.value)), "remove one")
}

// values turns texts into what they mean, with the place of each. Two texts
// may mean the same ("80" and 80); the second is left out with a warning.
func values[T comparable](s *source, list []text, field string, parse func(text) (T, bool)) ([]T, []hostpolicy.Position) {
	var out []T
	var places []hostpolicy.Position
	seen := make(map[T]bool)
	for _, t := range list {
		v, ok := parse(t)
		switch {
		case !ok:
		case seen[v]:
			s.repeated(t, field)
		default:
			seen[v] = true
			out = append(out, v)
			places = append(places, s.position(t.at))
		}
	}
	return out, places
}

func (s *source) action(n *node, field string, fallback hostpolicy.Action) hostpolicy.Action {
	if n == nil {
		return fallback
	}
	t, ok := s.string(n, field)
	if !ok {
		return fallback
	}
	var a hostpolicy.Action
	if a.UnmarshalText([]byte(t.value)) == nil {
		return a
	}
	fix := "write block, audit or allow"
	if near := nearest(t.value, []string{"block", "audit", "allow"}); near != "" {
		fix = fmt.Sprintf("write %q", near)
	} else if near := nearest(t.value, []string{"deny", "log", "permit"}); near != "" {
		fix = fmt.Sprintf("write %q", map[string]string{"deny": "block", "log": "audit", "permit": "allow"}[near])
	}
	s.err(codeAction, t.at, field, fmt.Sprintf("unknown action %s", quote(t.value)), fix)
	return fallback
}

func (s *source) severity(n *node, field string, fallback int) int {
	if n == nil {
		return fallback
	}
	v, ok := n.value.(int64)
	if !ok {
		s.wrongType(n, field, "an integer from 1 to 10", "")
		return fallback
	}
	if v < 1 || v > 10 {
		s.err(codeSeverity, n.at, field, fmt.Sprintf("%d is not from 1 to 10", v), "10 is the most severe")
		return fallback
	}
	return int(v)
}

func (s *source) tags(n *node, field string, fallback []string) []string {
	if n == nil {
		return fallback
	}
	var tags []string
	for _, t := range s.strings(n, field) {
		if strings.Contains(t.value, ",") || !printable(t.value) {
			s.err(codeText, t.at, field, fmt.Sprintf("%s has a comma or an unprintable character", quote(t.value)), "write one tag for each string of the list")
		}
		tags = append(tags, t.value)
	}
	return tags
}

func (s *source) message(n *node, field, fallback string) string {
	if n == nil {
		return fallback
	}
	t, ok := s.string(n, field)
	if ok && !printable(t.value) {
		s.err(codeText, t.at, field, "the message has a line end or an unprintable character", "write it as one line of text")
	}
	return t.value
}

func printable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) })
}

var accessNames = map[string]hostpolicy.Access{"read": hostpolicy.Read, "write": hostpolicy.Write}

func (s *source) access(n *node, field string) hostpolicy.Access {
	if n == nil {
		return hostpolicy.Read | hostpolicy.Write
	}
	var set hostpolicy.Access
	for _, t := range s.strings(n, field) {
		a, ok := accessNames[t.value]
		if !ok {
			fix := "write read or write"
			switch t.value {
			case "exec", "execute", "x":
				fix = "executing is judged by a rule of class process, [process.RULE-NAME]"
			default:
				if near := nearest(t.value, []string{"read", "write"}); near != "" {
					fix = fmt.Sprintf("write %q", near)
				}
			}
			s.err(codeAccess, t.at, field, fmt.Sprintf("unknown access %s", quote(t.value)), fix)
		}
		set |= a
	}
	return set
}

// patterns reads path patterns, with the place of each.
func (s *source) patterns(n *node, field string) ([]hostpolicy.Pattern, []hostpolicy.Position) {
	var patterns []hostpolicy.Pattern
	var places []hostpolicy.Position
	for _, t := range s.strings(n, field) {
		if !strings.HasPrefix(t.value, "/") {
			s.err(codeRelative, t.at, field, fmt.Sprintf("%s is not absolute", quote(t.value)), absoluteFix(t.value))
			continue
		}
		p, err := hostpolicy.ParsePattern(t.value)
		if err != nil {
			s.badPattern(codePattern, err, t, field)
			continue
		}
		patterns = append(patterns, p)
		places = append(places, s.position(t.at))
	}
	return patterns, places
}

// badPattern reports a *hostpolicy.PatternError.
func (s *source) badPattern(code string, err error, t text, field string) {
	message, fix := err.Error(), ""
	if pe, ok := errors.AsType[*hostpolicy.PatternError](err); ok {
		message, fix = quote(pe.Text)+" "+pe.Reason, pe.Fix
	}
	s.err(code, t.at, field, message, fix)
}

func absoluteFix(path string) string {
	for _, home := range []string{"~", "$HOME", "%h"} {
		if strings.HasPrefix(path, home) {
			return "write the whole path: policies know no home directory"
		}
	}
	if strings.HasPrefix(path, "{") || strings.HasPrefix(path, "[") {
		return "begin with the slash, before any brace"
	}
	rest := strings.TrimPrefix(path, "./")
	if strings.HasPrefix(rest, "../") || len(rest) > 200 {
		return "write the whole path from /"
	}
	if strings.HasPrefix(rest, "*") && !strings.Contains(rest, "/") {
		rest = "**/" + rest
	}
	return fmt.Sprintf("write %q", "/"+rest)
}

// quote shortens what would drown the rest of a line.
func quote(v string) string {
	if len(v) > 120 {
		v = strings.ToValidUTF8(v[:120], "") + "..."
	}
	return fmt.Sprintf("%q", v)
}
