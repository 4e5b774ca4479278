package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// tableKeys are the keys of one kind of table.
type tableKeys struct {
	what  string   // where they stand, for people
	known []string // enforced
	later []string // of the language, and refused by this version
}

var (
	policyKeys = tableKeys{
		what:  "a policy",
		known: []string{"name", "action", "severity", "tags", "message", "otherwise", "dangerous", "applies_to", "process", "file"},
		later: []string{"network", "capability", "system", "within"},
	}
	selectorKeys = tableKeys{
		what:  "[applies_to]",
		known: []string{"host"},
		later: []string{"container", "unit", "user", "login_user", "everything"},
	}
	ruleKeys = map[hostpolicy.Class]tableKeys{
		hostpolicy.Process: {
			what:  "a process rule",
			known: []string{"path", "except", "from", "except_from", "action", "severity", "tags", "message"},
			later: []string{"owner_only", "within", "args"},
		},
		hostpolicy.File: {
			what:  "a file rule",
			known: []string{"path", "except", "access", "from", "except_from", "action", "severity", "tags", "message"},
			later: []string{"owner_only", "within"},
		},
	}
)

// checkKeys reports the keys of a table that cannot be honoured, wherever they
// are written.
func (s *source) checkKeys(n *node, field string, keys tableKeys) {
	for _, k := range n.keys {
		switch c := n.children[k]; {
		case slices.Contains(keys.known, k):
		case slices.Contains(keys.later, k):
			for _, at := range c.mentions {
				s.err(codeNotEnforced, at, join(field, k), "not enforced by this version", notEnforcedFix(k, keys))
			}
		default:
			for _, at := range c.mentions {
				s.err(codeUnknownKey, at, join(field, k), "unknown key", unknownFix(k, keys))
			}
		}
	}
}

func notEnforcedFix(key string, keys tableKeys) string {
	if _, isClass := hostpolicy.ParseClass(key); isClass {
		return "remove it; the classes enforced are process and file"
	}
	if slices.Contains(selectorKeys.later, key) {
		return "remove it; the only selector enforced is host = true"
	}
	return "remove it"
}

func unknownFix(key string, keys tableKeys) string {
	for _, other := range []struct {
		keys  tableKeys
		where string
	}{
		{policyKeys, "it belongs at the top of the file, before the first [table]"},
		{selectorKeys, "it belongs in [applies_to]"},
		{ruleKeys[hostpolicy.File], "it belongs in a rule of class file, [file.RULE-NAME]"},
		{ruleKeys[hostpolicy.Process], "it belongs in a rule of class process, [process.RULE-NAME]"},
	} {
		if slices.Contains(other.keys.known, key) || slices.Contains(other.keys.later, key) {
			return other.where
		}
	}
	if near := nearest(key, slices.Concat(keys.known, keys.later)); near != "" {
		return "did you mean " + near + "?"
	}
	return keys.what + " takes " + strings.Join(keys.known, ", ")
}

// join is a dotted key for people; what is not a bare key is quoted.
func join(field, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) {
		key = fmt.Sprintf("%q", key)
	}
	if len(key) > 80 {
		key = key[:80] + "..."
	}
	if field == "" {
		return key
	}
	return field + "." + key
}
