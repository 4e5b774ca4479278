package policyfile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Limits of what the patterns of one policy may cost together. Each one's own
// limits leave room for a file that takes minutes to look at.
const (
	manyAlternatives = 16      // a pattern with more is weighed
	maxWeight        = 1 << 20 // bytes that the weighed patterns expand to
	// maxSteps bounds the time of comparing patterns with each other, for the
	// price of warnings that are not given.
	maxSteps = 1 << 30
)

// weigh refuses a policy whose braces are too much, and says whether its
// patterns may be compared with each other.
func (l *linter) weigh() (cheap, ok bool) {
	heavy, globs, texts := 0, 0, 0
	var within *hostpolicy.Pattern // of the policy, which its rules share
	for i := range l.policy.Rules {
		r := &l.policy.Rules[i]
		for _, list := range []struct {
			key      string
			patterns []hostpolicy.Pattern
			places   []hostpolicy.Position
		}{
			{"path", r.Path, r.Places.Path}, {"except", r.Except, r.Places.Except}, {"within", r.Within, r.Places.Within},
			{"from", r.From, r.Places.From}, {"except_from", r.ExceptFrom, r.Places.ExceptFrom},
		} {
			if list.key == "within" && len(list.patterns) > 0 {
				if within == &list.patterns[0] {
					continue
				}
				within = &list.patterns[0]
			}
			for j, p := range list.patterns {
				texts += len(p.String())
				if !strings.ContainsAny(p.String(), "*?[{") {
					continue
				}
				alternatives, size := p.Expand(), 0
				for _, alt := range alternatives {
					size += len(alt)
				}
				globs += size
				if len(alternatives) > manyAlternatives {
					heavy += size
				}
				if heavy > maxWeight {
					l.warn(codePattern, r, list.key, list.places, j, fmt.Sprintf("the braces of the policy's patterns expand to more than %d bytes together", maxWeight),
						"write * for what differs, or split the policy")
					l.problems[len(l.problems)-1].Severity = hostpolicy.Error
					return false, false
				}
			}
		}
	}
	return texts == 0 || globs <= maxSteps/texts, true
}
