package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// tableKeys are the keys of one kind of table.
type tableKeys struct {
	what  string // where they stand, for people
	known []string
}

var (
	policyKeys = tableKeys{"a policy", []string{
		"name", "action", "severity", "tags", "message", "otherwise", "within", "dangerous", "applies_to",
		"process", "file", "network", "capability", "system",
	}}
	selectorKeys  = tableKeys{"[applies_to]", []string{"host", "everything", "container", "unit", "user", "login_user"}}
	containerKeys = tableKeys{"container", []string{"name", "image", "labels", "except_labels", "namespace"}}

	ruleKeys = map[hostpolicy.Class]tableKeys{
		hostpolicy.Process:    {"a process rule", withCommon("path", "except", "args", "owner_only", "within")},
		hostpolicy.File:       {"a file rule", withCommon("path", "except", "access", "owner_only", "within")},
		hostpolicy.Network:    {"a network rule", withCommon("direction", "protocol", "address", "local_address", "ports")},
		hostpolicy.Capability: {"a capability rule", withCommon("name")},
		hostpolicy.System:     {"a system rule", withCommon("operation")},
	}
)

func withCommon(keys ...string) []string {
	return append(keys, "from", "except_from", "action", "severity", "tags", "message")
}

// classes are those of the language, in its order.
var classes = []hostpolicy.Class{hostpolicy.Process, hostpolicy.File, hostpolicy.Network, hostpolicy.Capability, hostpolicy.System}

// checkKeys reports the keys of a table that it does not take, wherever they
// are written.
func (s *source) checkKeys(n *node, field string, keys tableKeys) {
	for _, k := range n.keys {
		if slices.Contains(keys.known, k) {
			continue
		}
		for _, at := range n.children[k].mentions {
			s.err(codeUnknownKey, at, join(field, k), "unknown key", unknownFix(k, keys))
		}
	}
}

// otherWords are what other policy languages, and people, call a key.
var otherWords = map[string]string{
	"paths": "path", "exclude": "except", "fromsource": "from", "owneronly": "owner_only", "argv0": "args", "applet": "args",
	"port": "ports", "protocols": "protocol", "addresses": "address", "ip": "address", "cidr": "address", "remote_address": "address",
	"cap": "name", "capabilities": "name", "operations": "operation",
	"units": "unit", "users": "user", "label": "labels", "containers": "container", "all": "everything", "auid": "login_user", "loginuid": "login_user", "selector": "applies_to",
}

func unknownFix(key string, keys tableKeys) string {
	if meant := otherWords[strings.ToLower(key)]; slices.Contains(keys.known, meant) {
		return "did you mean " + meant + "?"
	}
	for _, other := range []struct {
		keys  tableKeys
		where string
	}{
		{policyKeys, "it belongs at the top of the file, before the first [table]"},
		{selectorKeys, "it belongs in [applies_to]"},
		{containerKeys, "it belongs in applies_to.container"},
		{ruleKeys[hostpolicy.File], "it belongs in a rule of class file, [file.RULE-NAME]"},
		{ruleKeys[hostpolicy.Process], "it belongs in a rule of class process, [process.RULE-NAME]"},
		{ruleKeys[hostpolicy.Network], "it belongs in a rule of class network, [network.RULE-NAME]"},
		{ruleKeys[hostpolicy.System], "it belongs in a rule of class system, [system.RULE-NAME]"},
	} {
		if slices.Contains(other.keys.known, key) {
			return other.where
		}
	}
	if near := nearest(key, keys.known); near != "" {
		return "did you mean " + near + "?"
	}
	return keys.what + " takes " + strings.Join(keys.known, ", ")
}

// join is a dotted key for people; what is not a bare key is quoted.
func join(field, key string) string {
	if !bareKey(key) {
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

func bareKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}
