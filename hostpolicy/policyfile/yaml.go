package policyfile

import (
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
)

func (o Options) loadYAML(name string, content []byte) loaded {
	s := newSource(name, content)
	if !s.checkText(content) {
		return loaded{problems: s.sorted()}
	}
	r := kubearmor.Load(name, content, kubearmor.Options{Node: o.Node, AnyNode: o.AnyNode, Posture: o.Posture})
	l := loaded{policies: r.Policies, named: r.Names, inactive: r.Inactive, problems: r.Problems}
	for i := range l.policies {
		for _, problem := range Lint(&l.policies[i]) {
			if problem.Code == codeLockOut && problem.Severity == hostpolicy.Error {
				problem.Fix = "narrow it, use action Audit, or turn the policy into TOML with hostarmor convert and add dangerous = true there"
			}
			l.problems = append(l.problems, problem)
		}
	}
	if hasError(l.problems) {
		l.policies, l.named, l.inactive = nil, nil, nil
	}
	sortProblems(l.problems)
	return l
}
