package reload

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// CodeUnsupported is a rule that the active backend cannot enforce.
const CodeUnsupported = "HA050"

// Unsupported words the gaps as problems with the given severity.
func (s *Set) Unsupported(severity hostpolicy.Severity) []hostpolicy.Problem {
	out := make([]hostpolicy.Problem, len(s.Gaps))
	for i, g := range s.Gaps {
		out[i] = hostpolicy.Problem{
			Position: g.Position, Code: CodeUnsupported, Severity: severity, Field: g.Rule,
			Message: "not enforced on this machine: " + g.Reason,
			Fix:     `remove the rule, or set unsupported = "warn" in hostarmor.toml to load the rest`,
		}
	}
	return out
}

// supported cuts the policies down to what the kernel can enforce, and says
// what it cut. A rule that works in part keeps that part: at the daemon's
// start half a rule is better than none, and at a reload every gap is an error
// unless the settings say otherwise.
func supported(policies []hostpolicy.Policy, support lsm.Support) ([]hostpolicy.Policy, []Gap) {
	if len(support.Missing) == 0 {
		return policies, nil
	}
	var gaps []Gap
	out := make([]hostpolicy.Policy, len(policies))
	for i, p := range policies {
		out[i] = p
		out[i].Rules = nil
		for _, r := range p.Rules {
			kept, why := cut(r, support)
			if why != nil {
				gaps = append(gaps, Gap{Rule: r.ID(), Position: r.Position, Reason: strings.Join(why, "; ")})
			}
			if kept.Access != 0 {
				out[i].Rules = append(out[i].Rules, kept)
			}
		}
	}
	return out, gaps
}

// cut removes from a rule's access what cannot be enforced. A rule whose
// access is left empty is gone.
func cut(r hostpolicy.Rule, support lsm.Support) (hostpolicy.Rule, []string) {
	var why []string
	miss := func(k lsm.Kind, what string) bool {
		reason, missing := support.Missing[k]
		if missing {
			why = append(why, fmt.Sprintf("%s: %s", what, reason))
		}
		return missing
	}
	if r.Class == hostpolicy.Process {
		if miss(lsm.KindExec, "executing") {
			r.Access = 0
		}
		if r.Action != hostpolicy.Allow {
			miss(lsm.KindMap, "mapping as a program")
		}
		return r, why
	}
	if r.Access&hostpolicy.Read != 0 && miss(lsm.KindRead, "reading") {
		r.Access &^= hostpolicy.Read
	}
	if r.Access&hostpolicy.Write != 0 {
		if miss(lsm.KindWrite, "writing") {
			r.Access &^= hostpolicy.Write
		} else {
			miss(lsm.KindMove, "moving a directory above it")
		}
	}
	return r, why
}
