package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// lint reports what is well formed and yet not what its author can want.
func (s *source) lint(root *node, p *hostpolicy.Policy) {
	if len(p.Rules) == 0 && !s.failed() {
		s.warn(codeNoRules, 0, "", "the policy has no rule", "add a table [process.RULE-NAME] or [file.RULE-NAME]")
	}
	allows := func(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow }
	if n := root.children["otherwise"]; n != nil && (n.value == "audit" || n.value == "block") && !slices.ContainsFunc(p.Rules, allows) {
		s.warn(codeNoAllow, n.at, "otherwise", "no rule of the policy allows anything, so this has no effect", `remove it, or write action = "allow" in the rules of the list`)
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		field := join(r.Class.String(), r.Name)
		s.neverMatters(r, field)
		s.interpreters(r.From, r.Places.From, field+".from")
		s.interpreters(r.ExceptFrom, r.Places.ExceptFrom, field+".except_from")
	}
	s.overruled(p.Rules)
	s.problems = append(s.problems, LockOuts(p)...)
}

// overruled warns of patterns that a block rule without conditions names in the
// very same way: whatever this rule says, that one wins.
func (s *source) overruled(rules []hostpolicy.Rule) {
	type name struct {
		class   hostpolicy.Class
		pattern hostpolicy.Pattern
	}
	blocked := make(map[name]*hostpolicy.Rule)
	for i := range rules {
		r := &rules[i]
		if r.Action != hostpolicy.Block || len(r.Except)+len(r.From)+len(r.ExceptFrom) > 0 {
			continue
		}
		for _, p := range r.Path {
			blocked[name{r.Class, p}] = r
		}
	}
	for i := range rules {
		r := &rules[i]
		for j, p := range r.Path {
			b := blocked[name{r.Class, p}]
			if b == nil || r.Action == hostpolicy.Block || b.Access&r.Access != r.Access {
				continue
			}
			s.problems = append(s.problems, hostpolicy.Problem{
				Position: r.Places.Path[j], Code: codeNeverMatter, Severity: hostpolicy.Warning,
				Field:   join(r.Class.String(), r.Name) + ".path",
				Message: fmt.Sprintf("%s has no effect, because %s.%s blocks it and block wins", quote(p.String()), b.Class, b.Name),
				Fix:     "remove it here, or narrow that rule",
			})
		}
	}
}

func (s *source) neverMatters(r *hostpolicy.Rule, field string) {
	for _, l := range []struct {
		key, except string
		patterns    []hostpolicy.Pattern
		places      []hostpolicy.Position
		exceptions  []hostpolicy.Pattern
	}{
		{"path", "except", r.Path, r.Places.Path, r.Except},
		{"from", "except_from", r.From, r.Places.From, r.ExceptFrom},
	} {
		covered := func(p hostpolicy.Pattern) bool {
			return slices.ContainsFunc(l.exceptions, func(e hostpolicy.Pattern) bool { return covers(e, p) })
		}
		if len(l.patterns) == 0 {
			continue
		}
		for i, p := range l.patterns {
			if !covered(p) {
				continue
			}
			s.problems = append(s.problems, hostpolicy.Problem{
				Position: l.places[i], Code: codeNeverMatter, Severity: hostpolicy.Warning, Field: field + "." + l.key,
				Message: fmt.Sprintf("%s can never match, because %s covers it", quote(p.String()), l.except),
				Fix:     "remove it, or narrow " + l.except,
			})
		}
	}
}

// covers reports whether e certainly matches all that p matches. A false
// "no" costs a warning; there is no false "yes".
func covers(e, p hostpolicy.Pattern) bool {
	if path, ok := p.Literal(); ok {
		return e.Match(path)
	}
	tree, rest := e.Split()
	prefix, _ := p.Split()
	switch {
	case e == p || e.String() == "/":
		return true
	case rest == "/":
		return prefix == tree || strings.HasPrefix(prefix, tree+"/")
	case rest == "/**":
		return strings.HasPrefix(prefix, tree+"/")
	}
	return false
}

// interpreter names are prefixes: python3.11 is one too.
var interpreters = []string{
	"python", "perl", "ruby", "node", "nodejs", "php", "lua", "tclsh", "wish", "awk", "gawk", "mawk", "java", "deno", "bun", "guile", "ocaml", "Rscript", "osascript",
	"sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "ash", "busybox", "toybox",
}

// interpreters warns of patterns that name one in their last component. A
// pattern such as /usr/bin/* names none in particular.
func (s *source) interpreters(patterns []hostpolicy.Pattern, places []hostpolicy.Position, field string) {
	for i, p := range patterns {
		for _, alt := range p.Expand() {
			name := interpreter(alt[strings.LastIndexByte(alt, '/')+1:])
			if name == "" {
				continue
			}
			s.problems = append(s.problems, hostpolicy.Problem{
				Position: places[i], Code: codeInterpreter, Severity: hostpolicy.Warning, Field: field,
				Message: fmt.Sprintf("%s names an interpreter (%s): the rule holds for every script that anybody runs with it", quote(p.String()), name),
				Fix:     "name a program of its own, if there is one",
			})
			break
		}
	}
}

// interpreter finds the interpreter that a base name or its literal beginning
// denotes, as in python3.11 and python3*.
func interpreter(base string) string {
	literal, globbed := base, false
	if i := strings.IndexAny(base, `*?[{\`); i >= 0 {
		literal, globbed = base[:i], true
	}
	stem := strings.TrimRight(literal, "0123456789.-")
	if stem == "" {
		return ""
	}
	for _, name := range interpreters {
		// A glob of two letters says too little: sh* may mean shutdown.
		if stem == name && (!globbed || len(stem) > 2) {
			return name
		}
	}
	return ""
}

// LockOuts are the problems of a policy's block rules that would stop PID 1, a
// login or the like: errors, or warnings where the policy is dangerous or the
// rule leaves out a program that needs what it stops. They depend on names only, so they are worth asking for again once the names are
// canonical.
func LockOuts(p *hostpolicy.Policy) []hostpolicy.Problem {
	var problems []hostpolicy.Problem
	for _, l := range p.LockOuts() {
		at := l.Rule.Position
		if l.Path < len(l.Rule.Places.Path) {
			at = l.Rule.Places.Path[l.Path]
		}
		stops := l.Names[0]
		if n := len(l.Names) - 1; n > 0 {
			stops += fmt.Sprintf(" (and %d more that the machine needs)", n)
		}
		problem := hostpolicy.Problem{
			Position: at, Code: codeLockOut, Severity: hostpolicy.Error,
			Field:   join(l.Rule.Class.String(), l.Rule.Name) + ".path",
			Message: fmt.Sprintf("%s would stop %s: it covers %s", quote(l.Rule.Path[l.Path].String()), l.What, stops),
			Fix:     `narrow it with except or from, write action = "audit", or add dangerous = true at the top of the file`,
		}
		switch {
		case p.Dangerous:
			problem.Severity = hostpolicy.Warning
			problem.Fix = "dangerous = true permits it: keep another way into the machine"
		case l.Excepted:
			problem.Severity = hostpolicy.Warning
			problem.Fix = "except_from has to name every program that needs it: try it with action = \"audit\" first"
		}
		problems = append(problems, problem)
	}
	return problems
}
