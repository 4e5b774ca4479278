package policyfile

import (
	"fmt"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// LockOuts are the problems of a policy's rules that would stop PID 1, a login
// or the like: errors, or warnings where the policy is dangerous, the rule
// leaves out a program that needs what it stops, or the machine stays
// reachable. They depend on names only, so they are worth asking for again
// once the names are canonical.
func LockOuts(p *hostpolicy.Policy) []hostpolicy.Problem {
	var problems []hostpolicy.Problem
	for _, l := range p.LockOuts() {
		problem := hostpolicy.Problem{
			Position: l.Rule.Position, Code: codeLockOut, Severity: hostpolicy.Error,
			Field: ruleField(l.Rule, l.Key), Message: lockOutMessage(l),
			Fix: `narrow it with except or from, write action = "audit", or add dangerous = true at the top of the file`,
		}
		subject := "it"
		switch l.Key {
		case "path":
			problem.Position = placeOf(l.Rule, l.Rule.Places.Path, l.Index)
		case "name":
			problem.Position = placeOf(l.Rule, l.Rule.Places.Capabilities, l.Index)
		case "operation":
			problem.Position = placeOf(l.Rule, l.Rule.Places.Operations, l.Index)
		}
		if l.Key != "path" {
			problem.Fix = `narrow it with from or except_from, write action = "audit", or add dangerous = true at the top of the file`
		}
		if l.Unlisted {
			subject = "what is missing"
			problem.Fix = `allow it, write otherwise = "audit", or add dangerous = true at the top of the file`
		}
		switch {
		case l.Mild:
			problem.Severity = hostpolicy.Warning
			problem.Fix = `where that is meant, nothing; else name whom it is for with from, or use action = "audit"`
		case p.Dangerous:
			problem.Severity = hostpolicy.Warning
			problem.Fix = "dangerous = true permits it: keep another way into the machine"
		case l.Excepted:
			problem.Severity = hostpolicy.Warning
			problem.Fix = fmt.Sprintf("except_from has to name every program that needs %s: try it with action = \"audit\" first", subject)
		}
		problems = append(problems, problem)
	}
	return problems
}

func lockOutMessage(l hostpolicy.LockOut) string {
	more := ""
	if n := len(l.Names) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more that the machine needs)", n)
	}
	why := ""
	if l.Why != "" {
		why = ": " + l.Why
	}
	switch {
	case l.Unlisted && why == "":
		return fmt.Sprintf("the list would stop %s: no rule allows %s%s", l.What, l.Names[0], more)
	case l.Unlisted:
		return fmt.Sprintf("the list would stop %s: no rule allows %s%s, but %s", l.What, l.Names[0], more, l.Why)
	case l.Key == "path":
		return fmt.Sprintf("%s would stop %s: it covers %s%s", quote(l.Rule.Path[l.Index].String()), l.What, l.Names[0], more)
	case l.Mild && l.Key == "":
		return fmt.Sprintf("the rule would cut off %s%s", l.What, why)
	case l.Key == "":
		return fmt.Sprintf("the rule would stop %s%s%s", l.What, more, why)
	}
	item := ""
	if l.Key == "name" {
		item = l.Rule.Capabilities[l.Index].String()
	} else {
		item = l.Rule.Operations[l.Index].String()
	}
	if l.Mild {
		return fmt.Sprintf("blocking %s would be noticed by %s%s", item, l.What, why)
	}
	return fmt.Sprintf("blocking %s would stop %s%s%s", item, l.What, more, why)
}
