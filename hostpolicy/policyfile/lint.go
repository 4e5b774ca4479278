package policyfile

import (
	"fmt"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Lint reports what is well formed and yet not what its author can want, of a
// policy from whatever file. Nearly all of it are warnings; a lock-out is an
// error.
func Lint(p *hostpolicy.Policy) []hostpolicy.Problem {
	l := &linter{policy: p, pairs: maxPairs}
	cheap, ok := l.weigh()
	if !ok {
		return l.problems
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if cheap {
			l.neverMatters(r)
			l.uselessExceptions(r)
			l.uselessAllow(r)
		}
		l.argv0(r)
		l.network(r)
		l.interpreters(r, "from", r.From, r.Places.From)
		l.interpreters(r, "except_from", r.ExceptFrom, r.Places.ExceptFrom)
	}
	if cheap {
		l.overruled()
	}
	l.closed()
	l.executor()
	return append(l.problems, LockOuts(p)...)
}

type linter struct {
	policy   *hostpolicy.Policy
	problems []hostpolicy.Problem
	pairs    int // comparisons of lists with lists that may still be made
}

// maxPairs bounds the time of a policy with long lists, for the price of a
// warning that is not given.
const maxPairs = 1 << 20

func (l *linter) afford(a, b int) bool {
	if b > 0 && a > l.pairs/b {
		return false
	}
	l.pairs -= a * b
	return true
}

// warn reports item i of a rule's list, or the rule where it has no place.
func (l *linter) warn(code string, r *hostpolicy.Rule, key string, places []hostpolicy.Position, i int, message, fix string) {
	l.problems = append(l.problems, hostpolicy.Problem{
		Position: placeOf(r, places, i), Code: code, Severity: hostpolicy.Warning, Field: ruleField(r, key), Message: message, Fix: fix,
	})
}

func placeOf(r *hostpolicy.Rule, places []hostpolicy.Position, i int) hostpolicy.Position {
	if i >= 0 && i < len(places) {
		return places[i]
	}
	return r.Position
}

func ruleField(r *hostpolicy.Rule, key string) string {
	field := join(r.Class.String(), r.Name)
	if key != "" {
		field += "." + key
	}
	return field
}

func allows(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow }

// unconditional reports whether a rule holds for whatever program, and for all
// that it names.
func unconditional(r *hostpolicy.Rule) bool {
	return len(r.Except)+len(r.From)+len(r.ExceptFrom)+len(r.Args) == 0 && !r.OwnerOnly
}

// noEffect warns of keys of the file that nothing in it makes use of.
func (s *source) noEffect(root *node, p *hostpolicy.Policy) {
	if len(p.Rules) == 0 && !s.failed() {
		s.warn(codeNoRules, 0, "", "the policy has no rule", "add a table [process.RULE-NAME], [file.RULE-NAME] or of another class")
	}
	listing := slices.ContainsFunc(p.Rules, allows)
	if n := root.children["otherwise"]; n != nil && (n.value == "audit" || n.value == "block") && !listing {
		s.warn(codeNoAllow, n.at, "otherwise", "no rule of the policy allows anything, so this has no effect", `remove it, or write action = "allow" in the rules of the list`)
	}
	if n := root.children["within"]; n != nil && !slices.ContainsFunc(p.Rules, func(r hostpolicy.Rule) bool {
		return allows(r) && (r.Class == hostpolicy.Process || r.Class == hostpolicy.File)
	}) {
		s.warn(codeNoAllow, n.at, "within", "no process or file rule of the policy allows anything, so this has no effect", `remove it, or write action = "allow" in the rules of the list`)
	}
	if n := root.children["otherwise"]; n != nil && p.AppliesTo.Everything && p.Otherwise == hostpolicy.Block && listing {
		s.warn(codeCatchAll, n.at, "otherwise", "this list refuses what it lacks in every container too, whose files and programs have other names", "write one policy for the host and one for containers")
	}
}

// neverMatters warns of what the rule's own exceptions cover.
func (l *linter) neverMatters(r *hostpolicy.Rule) {
	for _, list := range []struct {
		key, except string
		patterns    []hostpolicy.Pattern
		places      []hostpolicy.Position
		exceptions  []hostpolicy.Pattern
	}{
		{"path", "except", r.Path, r.Places.Path, r.Except},
		{"from", "except_from", r.From, r.Places.From, r.ExceptFrom},
	} {
		if !l.afford(len(list.patterns), len(list.exceptions)) {
			continue
		}
		var covered []int
		for i, p := range list.patterns {
			if slices.ContainsFunc(list.exceptions, func(e hostpolicy.Pattern) bool { return covers(e, p) }) {
				covered = append(covered, i)
			}
		}
		// An allow rule that permits nothing still makes the list, so the one
		// that is there for nothing else is meant.
		if list.key == "path" && allows(*r) && len(covered) == len(list.patterns) {
			continue
		}
		for _, i := range covered {
			l.warn(codeNeverMatter, r, list.key, list.places, i, fmt.Sprintf("%s can never match, because %s covers it", quote(list.patterns[i].String()), list.except),
				"remove it, or narrow "+list.except)
		}
	}
}

// uselessExceptions warns of exceptions from what the rule does not name.
func (l *linter) uselessExceptions(r *hostpolicy.Rule) {
	for _, list := range []struct {
		key, of    string
		exceptions []hostpolicy.Pattern
		places     []hostpolicy.Position
		patterns   []hostpolicy.Pattern
	}{
		{"except", "path", r.Except, r.Places.Except, r.Path},
		{"except_from", "from", r.ExceptFrom, r.Places.ExceptFrom, r.From},
	} {
		if len(list.patterns) == 0 || !l.afford(len(list.patterns), len(list.exceptions)) {
			continue
		}
		for i, e := range list.exceptions {
			if !slices.ContainsFunc(list.patterns, func(p hostpolicy.Pattern) bool { return !apart(e, p) }) {
				l.warn(codeNeverMatter, r, list.key, list.places, i, fmt.Sprintf("%s excepts nothing, because no %s of the rule names anything there", quote(e.String()), list.of),
					"remove it, or correct one of the two")
			}
		}
	}
}

// uselessAllow warns of allow rules that refuse nothing, and of paths that
// their list does not reach.
func (l *linter) uselessAllow(r *hostpolicy.Rule) {
	if r.Action != hostpolicy.Allow || r.Class != hostpolicy.Process && r.Class != hostpolicy.File {
		return
	}
	if !l.afford(len(r.Path), len(r.Within)) {
		return
	}
	for i, p := range r.Path {
		whole := p.String() == "/" || p.String() == "/**"
		switch {
		case len(r.Within) > 0 && !slices.ContainsFunc(r.Within, func(w hostpolicy.Pattern) bool { return !apart(w, p) }):
			l.warn(codeNeverMatter, r, "path", r.Places.Path, i, fmt.Sprintf("%s lies outside within, where the list refuses nothing anyway", quote(p.String())), "remove it, or widen within")
		case whole && len(r.Except)+len(r.Args) == 0 && !r.OwnerOnly && (r.Class == hostpolicy.Process || r.Access == hostpolicy.Read|hostpolicy.Write):
			l.warn(codeNeverMatter, r, "path", r.Places.Path, i, fmt.Sprintf("%s allows everything, so the list refuses nothing", quote(p.String())), "remove the rule, or name what is allowed")
		}
	}
}

// argv0 warns of args on a program that takes any argv[0] and stays what it is.
func (l *linter) argv0(r *hostpolicy.Rule) {
	if len(r.Args) == 0 {
		return
	}
	for i, p := range r.Path {
		path, ok := p.Literal()
		if !ok {
			continue
		}
		base := path[lastSlash(path)+1:]
		// A name that is among args may be a link to such a program.
		if slices.Contains(multiCall, base) || slices.Contains(r.Args, base) {
			continue
		}
		l.warn(codeArgv0, r, "path", r.Places.Path, i, fmt.Sprintf("%s is not known to be many commands in one file; whoever starts a program chooses the name that args compares", quote(p.String())),
			"remove args, or name the program that holds the commands, such as /bin/busybox")
	}
}

// multiCall are programs that are many commands in one file.
var multiCall = []string{"busybox", "busybox.static", "toybox", "coreutils", "gnu-coreutils", "uutils", "rust-coreutils", "systemctl", "udevadm", "kmod", "xtables-nft-multi", "xtables-legacy-multi"}

// executor warns of lists of programs for units that leave out what systemd
// starts every service through.
func (l *linter) executor() {
	p := l.policy
	if len(p.AppliesTo.Unit) == 0 || p.OtherwiseIn(hostpolicy.Process) != hostpolicy.Block {
		return
	}
	const executor = "/usr/lib/systemd/systemd-executor"
	object := hostpolicy.Object{Names: []string{executor}, Args: []string{executor}, Owned: true}
	systemd := hostpolicy.Subject{Programs: []string{"/usr/lib/systemd/systemd"}}
	var list *hostpolicy.Rule
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Class != hostpolicy.Process || !r.Admits(systemd) {
			continue
		}
		if r.Matches(hostpolicy.OpExec, object) {
			return
		}
		if r.Action == hostpolicy.Allow && r.Lists(hostpolicy.OpExec, object) && list == nil {
			list = r
		}
	}
	if list != nil {
		l.warn(codeExecutor, list, "", nil, -1, "since version 254 systemd starts every service through "+executor+", which the list refuses",
			fmt.Sprintf("allow %q as well", executor))
	}
}
