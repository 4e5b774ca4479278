package policyfile

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// policy builds the policy of a file and says where its name is written.
func (s *source) policy(root *node) (*hostpolicy.Policy, int) {
	s.checkKeys(root, "", policyKeys)
	get := func(key string) *node { return root.children[key] }

	p := &hostpolicy.Policy{Position: s.position(0), Otherwise: hostpolicy.Audit}
	name, ok := s.policyName(get("name"))
	p.Name = name.value
	defaults := hostpolicy.Rule{
		Policy:   p.Name,
		Action:   s.action(get("action"), "action", hostpolicy.Block),
		Severity: s.severity(get("severity"), "severity", 0),
		Tags:     s.tags(get("tags"), "tags", nil),
		Message:  s.message(get("message"), "message", ""),
	}
	p.Dangerous = s.boolean(get("dangerous"), "dangerous")
	s.otherwise(get("otherwise"), p)
	s.selector(get("applies_to"), p)
	for _, class := range []hostpolicy.Class{hostpolicy.Process, hostpolicy.File} {
		p.Rules = append(p.Rules, s.rules(get(class.String()), class, defaults)...)
	}
	slices.SortFunc(p.Rules, func(a, b hostpolicy.Rule) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Name, b.Name))
	})
	s.lint(root, p)
	if !ok {
		return nil, name.at
	}
	return p, name.at
}

func (s *source) policyName(n *node) (text, bool) {
	if n == nil {
		base := strings.TrimSuffix(path.Base(s.name), ".toml")
		if !validName(base) {
			s.err(codeName, 0, "name", fmt.Sprintf("the file's name, %s, cannot be the policy's name", quote(base)),
				`add name = "..." of letters, digits, dots, underscores and hyphens`)
			return text{}, false
		}
		return text{base, 0}, true
	}
	name, ok := s.string(n, "name")
	if ok && !validName(name.value) {
		s.err(codeName, n.at, "name", fmt.Sprintf("%s is not a name", quote(name.value)), nameFix)
		ok = false
	}
	return name, ok
}

const (
	maxName = 63
	nameFix = "use 1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit first"
)

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || r != '.' && r != '_' && r != '-') {
			return false
		}
	}
	return true
}

func (s *source) otherwise(n *node, p *hostpolicy.Policy) {
	if n == nil {
		return
	}
	t, ok := s.string(n, "otherwise")
	switch {
	case !ok:
	case t.value == "audit":
	case t.value == "block":
		p.Otherwise = hostpolicy.Block
		if !p.Dangerous {
			s.err(codeOtherwise, n.at, "otherwise", "blocking all that no rule allows, on the whole host, needs dangerous = true",
				`write otherwise = "audit" until the list is complete, then add dangerous = true`)
		}
	default:
		fix := `write "audit" or "block"`
		if near := nearest(t.value, []string{"block", "audit"}); near != "" {
			fix = fmt.Sprintf("write %q", near)
		}
		s.err(codeAction, n.at, "otherwise", fmt.Sprintf("%s is not what an allow-list can do with the rest", quote(t.value)), fix)
	}
}

func (s *source) selector(n *node, p *hostpolicy.Policy) {
	const fix = "add applies_to = { host = true } before the first [table], or the table [applies_to] with host = true"
	if n == nil {
		s.err(codeNoSelector, 0, "applies_to", "the policy does not say who is confined", fix)
		return
	}
	if !n.table {
		s.wrongType(n, "applies_to", "a table", "write applies_to = { host = true }")
		return
	}
	s.checkKeys(n, "applies_to", selectorKeys)
	host := n.children["host"]
	if host == nil {
		if len(n.keys) == 0 {
			s.err(codeEmptySelect, n.at, "applies_to", "the selector is empty", "write host = true in it")
		}
		return
	}
	before := len(s.problems)
	p.AppliesTo.Host = s.boolean(host, "applies_to.host")
	if !p.AppliesTo.Host && len(s.problems) == before {
		s.err(codeEmptySelect, host.at, "applies_to.host", "host = false selects nobody", "write host = true, or remove the policy")
	}
}

func (s *source) rules(n *node, class hostpolicy.Class, defaults hostpolicy.Rule) []hostpolicy.Rule {
	if n == nil {
		return nil
	}
	field := class.String()
	if !n.table {
		s.wrongType(n, field, "a table of rules", fmt.Sprintf("write each rule as a table [%s.RULE-NAME]", class))
		return nil
	}
	var rules []hostpolicy.Rule
	for _, name := range n.keys {
		c := n.children[name]
		switch {
		case c.table:
			rules = append(rules, s.rule(c, class, name, defaults))
		case slices.Contains(ruleKeys[class].known, name):
			s.err(codeType, c.key, join(field, name), "the rule has no name of its own",
				fmt.Sprintf("write its table as [%s.RULE-NAME]", class))
		case c.array && len(c.items) > 0 && c.items[0].header:
			s.wrongType(c, join(field, name), "one table for each rule", fmt.Sprintf("write [%s.%s] with single brackets, and another name for each rule", class, name))
		default:
			s.wrongType(c, join(field, name), "a rule's table", fmt.Sprintf("write [%s.%s] and the rule's keys under it", class, name))
		}
	}
	return rules
}

func (s *source) rule(n *node, class hostpolicy.Class, name string, r hostpolicy.Rule) hostpolicy.Rule {
	field := join(class.String(), name)
	at := n.key
	if n.header {
		at = n.at
	}
	if !validName(name) {
		s.err(codeName, n.key, field, fmt.Sprintf("%s is not a name", quote(name)), nameFix)
	}
	s.checkKeys(n, field, ruleKeys[class])
	get := func(key string) (*node, string) { return n.children[key], join(field, key) }
	value := func(key string) *node { return n.children[key] }

	r.Class, r.Name, r.Position = class, name, s.position(at)
	r.Action = s.action(value("action"), join(field, "action"), r.Action)
	r.Severity = s.severity(value("severity"), join(field, "severity"), r.Severity)
	r.Tags = s.tags(value("tags"), join(field, "tags"), r.Tags)
	r.Message = s.message(value("message"), join(field, "message"), r.Message)
	if value("path") == nil {
		s.err(codeNoPath, at, field, "the rule names no path", `add path = "/..."; "/**" is every path`)
	}
	r.Path, r.Places.Path = s.patterns(get("path"))
	r.Except, r.Places.Except = s.patterns(get("except"))
	r.From, r.Places.From = s.patterns(get("from"))
	r.ExceptFrom, r.Places.ExceptFrom = s.patterns(get("except_from"))
	r.Access = hostpolicy.Exec
	if class == hostpolicy.File {
		r.Access = s.access(get("access"))
	}
	return r
}
