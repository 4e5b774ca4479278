package reload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

const (
	// CodeUnsupported is a rule that the active backend cannot enforce.
	CodeUnsupported = "HA050"

	codeReserved = "HA051"
)

// Codes explains the codes of this package.
var Codes = map[string]hostpolicy.Code{
	CodeUnsupported: {
		Title: "the backend does not enforce the rule",
		Why:   "A rule that is accepted and then not enforced would be a gap that nobody sees, so the set is refused, and the previous one stays in force. At the start what can be enforced is, and the rest is listed as NOT ENFORCED.",
		Fix:   `Remove the rule, or what the message names; or set unsupported = "warn" in hostarmor.toml, and the rest is loaded and the rule listed as NOT ENFORCED.`,
	},
	codeReserved: {
		Title: "the policy has the name of the one by which HostArmor protects itself",
		Why:   "That policy is built in. Events, status and hit counts tell policies apart by their names, so a second one could pass for it.",
		Fix:   `Give the policy another name: name = "...", or rename the file where it has no name of its own.`,
	},
}

// Unsupported words the gaps of files' rules as problems with the given
// severity. A gap of what is built in is nobody's to mend, see OwnGaps.
func (s *Set) Unsupported(severity hostpolicy.Severity) []hostpolicy.Problem {
	var out []hostpolicy.Problem
	for _, g := range s.Gaps {
		if own(g) {
			continue
		}
		out = append(out, hostpolicy.Problem{
			Position: g.Position, Code: CodeUnsupported, Severity: severity, Field: g.Rule,
			Message: "not enforced on this machine: " + g.Reason,
			Fix:     `remove the rule, or set unsupported = "warn" in hostarmor.toml to load the rest`,
		})
	}
	return out
}

// OwnGaps are the gaps of the built-in policy. They refuse nothing.
func (s *Set) OwnGaps() []compile.Gap {
	return slices.DeleteFunc(slices.Clone(s.Gaps), func(g compile.Gap) bool { return !own(g) })
}

func own(g compile.Gap) bool { return strings.HasPrefix(g.Rule, protect.Name+"/") }

// Reserved reports policies of files that have the built-in policy's name.
func Reserved(policies []hostpolicy.Policy) []hostpolicy.Problem {
	var out []hostpolicy.Problem
	for i := range policies {
		if p := &policies[i]; p.Name == protect.Name && !p.Self {
			out = append(out, hostpolicy.Problem{
				Position: p.Position, Code: codeReserved, Severity: hostpolicy.Error, Field: "name",
				Message: fmt.Sprintf("%q is the policy by which HostArmor protects itself", p.Name),
				Fix:     "give the policy another name",
			})
		}
	}
	return out
}
