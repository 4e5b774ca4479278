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

	p := &hostpolicy.Policy{Position: s.position(0)}
	name, ok := s.policyName(get("name"))
	p.Name = name.value
	defaults := hostpolicy.Rule{
		Policy:   p.Name,
		Action:   s.action(get("action"), "action", hostpolicy.Block),
		Severity: s.severity(get("severity"), "severity", 0),
		Tags:     s.tags(get("tags"), "tags", nil),
		Message:  s.message(get("message"), "message", ""),
	}
	defaults.Within, defaults.Places.Within = s.patterns(get("within"), "within")
	p.Dangerous = s.boolean(get("dangerous"), "dangerous")
	s.selector(get("applies_to"), p)
	s.otherwise(get("otherwise"), p)
	for _, class := range classes {
		p.Rules = append(p.Rules, s.rules(get(class.String()), class, defaults)...)
	}
	slices.SortFunc(p.Rules, func(a, b hostpolicy.Rule) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Name, b.Name))
	})
	s.noEffect(root, p)
	s.problems = append(s.problems, Lint(p)...)
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

// otherwise needs the selector, which says what the default is.
func (s *source) otherwise(n *node, p *hostpolicy.Policy) {
	wide := p.AppliesTo.Wide()
	p.Otherwise = hostpolicy.Block
	if wide {
		p.Otherwise = hostpolicy.Audit
	}
	if n == nil {
		return
	}
	t, ok := s.string(n, "otherwise")
	switch {
	case !ok:
	case t.value == "audit":
		p.Otherwise = hostpolicy.Audit
	case t.value == "block":
		p.Otherwise = hostpolicy.Block
		if wide && !p.Dangerous {
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
	missing := func(key, what, fix string) {
		if value(key) == nil {
			s.err(codeNoPath, at, field, "the rule names no "+what, fix)
		}
	}

	r.Class, r.Name, r.Position = class, name, s.position(at)
	r.Action = s.action(value("action"), join(field, "action"), r.Action)
	r.Severity = s.severity(value("severity"), join(field, "severity"), r.Severity)
	r.Tags = s.tags(value("tags"), join(field, "tags"), r.Tags)
	r.Message = s.message(value("message"), join(field, "message"), r.Message)
	r.From, r.Places.From = s.patterns(get("from"))
	r.ExceptFrom, r.Places.ExceptFrom = s.patterns(get("except_from"))
	s.within(value("within"), join(field, "within"), &r)
	switch class {
	case hostpolicy.Process, hostpolicy.File:
		missing("path", "path", `add path = "/..."; "/**" is every path`)
		r.Path, r.Places.Path = s.patterns(get("path"))
		r.Except, r.Places.Except = s.patterns(get("except"))
		r.OwnerOnly = s.boolean(get("owner_only"))
		r.Access = hostpolicy.Exec
		if class == hostpolicy.File {
			r.Access = s.access(get("access"))
		} else {
			r.Args, r.Places.Args = s.args(get("args"))
		}
	case hostpolicy.Network:
		r.Direction = s.direction(get("direction"))
		r.Protocol, r.Places.Protocol = s.protocols(get("protocol"))
		r.Address, r.Places.Address = s.addresses(get("address"))
		r.LocalAddress, r.Places.LocalAddress = s.addresses(get("local_address"))
		r.Ports, r.Places.Ports = s.ports(get("ports"))
	case hostpolicy.Capability:
		missing("name", "capability", `add name = ["CAP_..."]`)
		r.Capabilities, r.Places.Capabilities = s.capabilities(get("name"))
	case hostpolicy.System:
		missing("operation", "operation", `add operation = ["..."], one of `+systemOperations())
		r.Operations, r.Places.Operations = s.operations(get("operation"))
	}
	return r
}

// within is the rule's own or else the policy's, which holds for the rules that
// make a list of names and for no other.
func (s *source) within(n *node, field string, r *hostpolicy.Rule) {
	if n == nil {
		if r.Action != hostpolicy.Allow || r.Class != hostpolicy.Process && r.Class != hostpolicy.File {
			r.Within, r.Places.Within = nil, nil
		}
		return
	}
	if r.Class != hostpolicy.Process && r.Class != hostpolicy.File {
		return // reported as an unknown key
	}
	if r.Action != hostpolicy.Allow {
		s.err(codeWithin, n.key, field, fmt.Sprintf("only an allow rule makes a list that could be limited, and this one says %s", r.Action),
			`remove it and write the subtree in path, or write action = "allow"`)
	}
	r.Within, r.Places.Within = s.patterns(n, field)
}
