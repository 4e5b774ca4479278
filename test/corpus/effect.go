package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// entry is a line of a file that names what a rule is about.
var entry = regexp.MustCompile(`^[\s-]*(path|dir|pattern|execname|protocol|capability|cidr|domain|syscall|class):`)

// unmentioned are the entries of a file that no rule is about and no problem
// speaks of. It reads lines, not YAML, so that it does not err as the loader
// does.
func unmentioned(content []byte, policies []hostpolicy.Policy, problems []hostpolicy.Problem) []string {
	spoken := make(map[int]bool)
	for _, p := range problems {
		spoken[p.Position.Line] = true
	}
	for i := range policies {
		for j := range policies[i].Rules {
			r := &policies[i].Rules[j]
			spoken[r.Position.Line] = true
			for _, list := range [][]hostpolicy.Position{r.Places.Path, r.Places.From, r.Places.Protocol, r.Places.Address, r.Places.Ports, r.Places.Capabilities} {
				for _, p := range list {
					spoken[p.Line] = true
				}
			}
		}
	}
	var missing []string
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		if entry.MatchString(line) && !spoken[n] {
			missing = append(missing, fmt.Sprintf("line %d, %q: no rule is about it", n, strings.TrimSpace(line)))
		}
	}
	return missing
}

// idle are the rules of entries that decide no access, though one is made up
// for each that a rule is about.
func idle(policies []hostpolicy.Policy, problems []hostpolicy.Problem) []string {
	// An entry may have made several rules, of which one has to count.
	counts := make(map[int]bool)
	for _, p := range problems {
		counts[p.Position.Line] = true
	}
	each := func(do func(p *hostpolicy.Policy, r *hostpolicy.Rule)) {
		for i := range policies {
			for j := range policies[i].Rules {
				do(&policies[i], &policies[i].Rules[j])
			}
		}
	}
	each(func(p *hostpolicy.Policy, r *hostpolicy.Rule) {
		counts[r.Position.Line] = counts[r.Position.Line] || decides(p, r)
	})
	var found []string
	each(func(p *hostpolicy.Policy, r *hostpolicy.Rule) {
		if !counts[r.Position.Line] {
			found = append(found, fmt.Sprintf("line %d, %s: no access is decided by it", r.Position.Line, r.ID()))
		}
	})
	return found
}

// decides reports whether some access ends as the rule says because of it: with
// the rule's action, and otherwise without the rule, or by another rule that
// says the same.
func decides(p *hostpolicy.Policy, r *hostpolicy.Rule) bool {
	s := subject(p, r)
	if !p.AppliesTo.Matches(s) || !r.Admits(s) {
		return false
	}
	for _, op := range hostpolicy.Operations(r.Class) {
		for _, o := range witnesses(r, op) {
			makesList := r.Action == hostpolicy.Allow && !r.Matches(op, o) && r.Lists(op, o)
			want := r.Action
			if makesList {
				want = p.OtherwiseIn(r.Class)
			} else if !r.Matches(op, o) {
				continue
			}
			if hostpolicy.Decide([]hostpolicy.Policy{*p}, s, op, o).Action == want {
				return true
			}
		}
	}
	return false
}

// subject is a process that the rule is about.
func subject(p *hostpolicy.Policy, r *hostpolicy.Rule) hostpolicy.Subject {
	s := hostpolicy.Subject{Programs: []string{"/usr/bin/anything"}, UID: 1000, EUID: 1000, LoginUID: hostpolicy.NoLogin}
	if len(r.From) > 0 {
		s.Programs = names(r.From[0])
	}
	c := p.AppliesTo.Container
	if c == nil {
		return s
	}
	s.Container = &hostpolicy.Container{ID: "1", Labels: make(map[string]string)}
	if len(c.Name) > 0 {
		s.Container.Name = literal(c.Name[0])
	}
	for _, l := range c.Labels {
		s.Container.Labels[l.Key] = literal(l.Values[0])
	}
	if len(c.Namespace) > 0 {
		s.Container.Labels[hostpolicy.NamespaceLabel] = literal(c.Namespace[0])
	}
	return s
}

func literal(g hostpolicy.Glob) string {
	name, _ := g.Literal()
	return name
}

// witnesses are objects that the rule is about.
func witnesses(r *hostpolicy.Rule, op hostpolicy.Operation) []hostpolicy.Object {
	var out []hostpolicy.Object
	switch r.Class {
	case hostpolicy.Process, hostpolicy.File:
		for _, p := range r.Path {
			for _, name := range names(p) {
				out = append(out, hostpolicy.Object{Names: []string{name}}, hostpolicy.Object{Names: []string{name}, Owned: true})
			}
		}
	case hostpolicy.Network:
		protocols := r.Protocol
		if len(protocols) == 0 {
			protocols = hostpolicy.Protocols()
		}
		for _, p := range protocols {
			end := hostpolicy.Endpoint{}
			if len(r.Address) > 0 {
				end.Addr = r.Address[0].Prefix.Addr()
			}
			if len(r.Ports) > 0 {
				end.Port = r.Ports[0].First
			}
			out = append(out, hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{p}, Remote: end, Local: end}})
		}
	case hostpolicy.Capability:
		for _, c := range r.Capabilities {
			out = append(out, hostpolicy.Object{Capability: c})
		}
	case hostpolicy.System:
		if slices.Contains(r.Operations, op) {
			out = append(out, hostpolicy.Object{})
		}
	}
	return out
}

// names are some that a pattern matches.
func names(p hostpolicy.Pattern) []string {
	var out []string
	for _, alternative := range p.Expand() {
		var b strings.Builder
		text := strings.TrimSuffix(alternative, "/")
		for i := 0; i < len(text); i++ {
			switch text[i] {
			case '*', '?':
				b.WriteByte('x')
			case '[':
				end := i + strings.IndexByte(text[i:], ']')
				b.WriteByte(member(text[i : end+1]))
				i = end
			case '\\':
				i++
				b.WriteByte(text[i])
			default:
				b.WriteByte(text[i])
			}
		}
		for _, name := range []string{b.String(), b.String() + "/x"} {
			if p.Match(name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// member is a byte of a set such as [a-z].
func member(set string) byte {
	for c := byte('!'); c < 0x7f; c++ {
		p, err := hostpolicy.ParsePattern("/" + set)
		if err == nil && p.Match("/"+string(rune(c))) {
			return c
		}
	}
	return 'x'
}
