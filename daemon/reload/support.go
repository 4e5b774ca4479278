package reload

import "github.com/hostarmor/hostarmor/hostpolicy"

// CodeUnsupported is a rule that the active backend cannot enforce.
const CodeUnsupported = "HA050"

// Codes explains the code of this package.
var Codes = map[string]hostpolicy.Code{
	CodeUnsupported: {
		Title: "the backend does not enforce the rule",
		Why:   "A rule that is accepted and then not enforced would be a gap that nobody sees, so the set is refused, and the previous one stays in force. At the start what can be enforced is, and the rest is listed as NOT ENFORCED.",
		Fix:   `Remove the rule, or what the message names; or set unsupported = "warn" in hostarmor.toml, and the rest is loaded and the rule listed as NOT ENFORCED.`,
	},
}

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
