package reload

import "github.com/hostarmor/hostarmor/hostpolicy"

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
