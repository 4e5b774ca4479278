package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// answer is what explain found.
type answer struct {
	hostpolicy.Explanation
	q           *asked
	subject     hostpolicy.Subject // under its real names
	object      hostpolicy.Object
	inForce     hostpolicy.Action // with the rules that the backend enforces
	notEnforced string            // why that is another action, or ""
	problems    []hostpolicy.Problem
	policies    int
	inactive    int
}

type answerJSON struct {
	Schema      int             `json:"schema"`
	Action      string          `json:"action"`
	Rule        string          `json:"rule"`
	Source      string          `json:"source"`
	Reason      string          `json:"reason"`
	Otherwise   bool            `json:"otherwise"` // an allow-list decided
	Remedy      string          `json:"remedy"`
	Names       []string        `json:"names,omitempty"` // of the file, as the rules judge it
	Enforced    bool            `json:"enforced"`
	InForce     string          `json:"in_force"` // the action with what the backend enforces
	NotEnforced string          `json:"not_enforced,omitempty"`
	Losers      []loserJSON     `json:"losers"`
	MoreLosers  int             `json:"more_losers"`
	Problems    []event.Problem `json:"problems"`
}

type loserJSON struct {
	Rule   string   `json:"rule"`
	Source string   `json:"source"`
	Action string   `json:"action"`
	Why    []string `json:"why"`
}

func (a *answer) json() answerJSON {
	j := answerJSON{
		Schema: event.Schema, Action: a.Action.String(), Reason: a.Reason, Otherwise: a.Otherwise, Remedy: a.remedy(), Names: a.object.Names,
		Enforced: a.notEnforced == "", InForce: a.inForce.String(), NotEnforced: a.notEnforced, Losers: []loserJSON{}, MoreLosers: a.More, Problems: event.Problems(a.problems),
	}
	if a.Rule != nil {
		j.Rule, j.Source = a.Rule.ID(), a.Rule.Position.Source()
	}
	for _, l := range a.Losers {
		j.Losers = append(j.Losers, loserJSON{l.Rule.ID(), l.Rule.Position.Source(), l.Rule.Action.String(), l.Reasons})
	}
	return j
}

func (a *answer) remedy() string {
	return a.Remedy(a.subject, a.q.access.Operation, a.object)
}

func (a *answer) text(w io.Writer) error {
	t := &failing{w: w}
	line := func(format string, args ...any) { fmt.Fprintln(t, printable(fmt.Sprintf(format, args...))) }
	row := func(head, text string) { line("%-9s%s", head, text) }

	access := a.q.operation
	if a.q.object != "" {
		access += " " + a.q.object
	}
	if names := a.object.Names; len(names) > 1 || len(names) == 1 && names[0] != a.q.object {
		access += ", which is " + strings.Join(names, " and ")
	}
	line("%s  %s", strings.ToUpper(a.Action.String()), access)
	if a.notEnforced != "" {
		line("NOT ENFORCED by the %s backend, which has it as %s: %s", a.q.on, a.inForce, a.notEnforced)
	}
	row("By", a.who())
	if r := a.Rule; r == nil {
		row("Rule", none(a.policies))
	} else {
		row("Rule", fmt.Sprintf("%s, %s (%s)", r.ID(), r.Action, r.Position.Source()))
		if r.Message != "" {
			row("Message", r.Message)
		}
	}
	row("Why", a.Grounds(a.subject, a.object))
	row("Change", a.remedy())
	if a.Rule != nil && a.Action == hostpolicy.Block && !a.Dangerous && a.subject.Container == nil {
		row("Exempt", "PID 1 and the daemon, unless the policy has dangerous = true")
	}
	if len(a.Losers) > 0 {
		fmt.Fprintln(t, "\nDid not decide")
		for _, l := range a.Losers {
			line("  %s, %s (%s)", l.Rule.ID(), l.Rule.Action, l.Rule.Position.Source())
			for _, why := range l.Reasons {
				line("    %s", why)
			}
		}
		if a.More > 0 {
			line("  and %s", count(a.More, "rule that is less near", "rules that are less near"))
		}
	}
	a.notes(t, line)
	return written(t.err)
}

// notes say what makes the verdict less than the whole truth.
func (a *answer) notes(t io.Writer, line func(string, ...any)) {
	if failed := errorsOf(a.problems); len(failed) > 0 {
		fmt.Fprintln(t, "\nThe policies have errors, so the daemon would refuse this set and keep the one before.")
		fmt.Fprintln(t, "What has errors was left out of the verdict:")
		for _, p := range failed[:min(len(failed), 10)] {
			line("  %s", problemLine(event.Problems([]hostpolicy.Problem{p})[0]))
		}
		if more := len(failed) - 10; more > 0 {
			line("  and %d more: hostarmor check", more)
		}
	}
	if a.inactive > 0 {
		line("\n%s not for this machine and left out: hostarmor check", count(a.inactive, "policy is", "policies are"))
	}
}

func errorsOf(problems []hostpolicy.Problem) []hostpolicy.Problem {
	var failed []hostpolicy.Problem
	for _, p := range problems {
		if p.Severity == hostpolicy.Error {
			failed = append(failed, p)
		}
	}
	return failed
}

// who is the subject in words.
func (a *answer) who() string {
	s := a.subject
	program := "an unknown program (--exe)"
	if len(s.Programs) > 0 {
		program = s.Programs[0]
	}
	parts := []string{program, fmt.Sprintf("uid %d", s.UID)}
	if s.LoginUID != hostpolicy.NoLogin {
		parts = append(parts, fmt.Sprintf("login uid %d", s.LoginUID))
	}
	for _, unit := range s.Units {
		parts = append(parts, "in "+unit)
	}
	switch c := s.Container; {
	case c == nil:
		parts = append(parts, "on the host")
	case c.Name == "":
		parts = append(parts, "in a container")
	default:
		parts = append(parts, "in container "+c.Name)
	}
	if c := s.Container; c != nil && c.Image != "" {
		parts = append(parts, "of image "+c.Image)
	}
	return strings.Join(parts, ", ")
}

func none(policies int) string {
	if policies == 0 {
		return "none, because there is no policy"
	}
	return "none of " + count(policies, "policy", "policies")
}
