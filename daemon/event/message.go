package event

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// sentence is MESSAGE of a decision: who was refused what, by which rule at
// which line, and the command that changes it.
func sentence(d *lsm.Denial, r Rule, known bool, unit string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s, pid %d, uid %d", verb(d), show(d.Comm), show(d.Exe), d.PID, d.UID)
	if unit != "" {
		fmt.Fprintf(&b, ", %s", show(unit))
	}
	fmt.Fprintf(&b, ") %s", deed(d, r, known))
	switch {
	case d.Unjudged:
		b.WriteString(": its name could not be resolved. More: hostarmor status")
		return b.String()
	case !known:
		fmt.Fprintf(&b, ": rule %d of generation %d, whose policy is gone. More: hostarmor status", d.Rule, d.Generation)
		return b.String()
	case d.Otherwise:
		fmt.Fprintf(&b, ": no allow rule of its policy names it, the first is %s at %s", r.ID, r.Source())
	case r.own():
		fmt.Fprintf(&b, ": rule %s, which is built in", r.ID)
	case reachesInto(d, r):
		fmt.Fprintf(&b, ": rule %s at %s trusts that program", r.ID, r.Source())
	default:
		fmt.Fprintf(&b, ": rule %s at %s", r.ID, r.Source())
	}
	if r.Message != "" {
		fmt.Fprintf(&b, " (%s)", show(r.Message))
	}
	b.WriteString(remedy(d, r))
	return b.String()
}

func verb(d *lsm.Denial) string {
	switch {
	case d.Unjudged && d.Permitted:
		return "Not judged, let through:"
	case d.Unjudged:
		return "Not judged, refused:"
	case d.Action == hostpolicy.Block && d.Exempt:
		return "Let through, because PID 1 and the daemon are exempt:"
	case d.Action == hostpolicy.Block && d.Permitted:
		return "Let through, because HostArmor is in audit mode:"
	case d.Action == hostpolicy.Block:
		return "Refused:"
	}
	return "Noted:"
}

func deed(d *lsm.Denial, r Rule, known bool) string {
	refused := !d.Permitted && (d.Unjudged || d.Action == hostpolicy.Block)
	w := fileWords(d)
	if d.Kind == lsm.KindAct {
		w = actWords(d, r, known)
	}
	text := w.did
	if refused {
		text = "may not " + w.do
	}
	if w.object != "" {
		text += " " + w.object
	}
	if refused && d.Kind == lsm.KindMove {
		text += " (files beneath it are protected)"
	}
	return text
}

func remedy(d *lsm.Denial, r Rule) string {
	switch {
	case d.Action == hostpolicy.Block && d.Permitted && !d.Exempt:
		return ". Why nothing is blocked: hostarmor status"
	case r.ID == protect.Policies:
		return ". To permit it for a while: hostarmor unlock --for 10m"
	case r.own() && d.Action == hostpolicy.Block && !d.Exempt:
		return ". To permit it, set self = false under [protect] in hostarmor.toml, then: hostarmor reload"
	case r.own():
		return ""
	case d.Action == hostpolicy.Block && d.Exempt:
		return `. To refuse it to them too, set dangerous = true there, then: hostarmor reload`
	case d.Otherwise:
		return ". To permit it, add it to that rule, then: hostarmor reload"
	case d.Action == hostpolicy.Block:
		return ". To permit it, change that rule, then: hostarmor reload"
	case d.Action == hostpolicy.Audit:
		return `. To refuse it, set action = "block" there, then: hostarmor reload`
	}
	return ""
}

// show quotes names that could break out of the sentence: whoever chooses a
// file's name must not write the operator's terminal or a second line.
func show(s string) string {
	if s == "" {
		return "?"
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return strconv.Quote(s)
		}
	}
	return s
}
