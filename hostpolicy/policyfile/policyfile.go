// Package policyfile turns policy files, TOML or KubeArmor's YAML, into valid
// policies, and says of everything that it cannot accept what it is, where it
// stands and what to write instead.
package policyfile

import (
	"fmt"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// File is a policy file in memory. Name is the path used in positions.
type File struct {
	Name    string
	Content []byte
}

// Load reads one policy file: KubeArmor's YAML where the name ends in .yaml or
// .yml, which may hold several policies, else TOML, which is one. There is no
// policy where any problem is an Error. The problems are in the order of their
// places.
func Load(name string, content []byte, o Options) ([]hostpolicy.Policy, []hostpolicy.Problem) {
	l := o.load(name, content)
	return l.policies, l.problems
}

// loaded is what one file holds.
type loaded struct {
	policies []hostpolicy.Policy
	named    []hostpolicy.Position // where each policy's name is written
	inactive []Inactive
	problems []hostpolicy.Problem
}

func (o Options) load(name string, content []byte) loaded {
	if isYAML(name) {
		return o.loadYAML(name, content)
	}
	s := newSource(name, content)
	s.lookupUser = o.LookupUser
	root := s.parse(content)
	if root == nil {
		return loaded{problems: s.sorted()}
	}
	policy, named := s.policy(root)
	if s.failed() || policy == nil {
		return loaded{problems: s.sorted()}
	}
	return loaded{
		policies: []hostpolicy.Policy{*policy}, named: []hostpolicy.Position{s.position(named)},
		problems: s.sorted(),
	}
}

// LoadSet reads several files and checks them against each other. Policies of
// files with an Error are left out; the others keep the order of the files.
func LoadSet(files []File, o Options) ([]hostpolicy.Policy, []hostpolicy.Problem) {
	var policies []hostpolicy.Policy
	var problems []hostpolicy.Problem
	names := uniqueNames{}
	for _, f := range files {
		l := o.load(f.Name, f.Content)
		names.check(&l)
		policies = append(policies, l.policies...)
		problems = append(problems, l.problems...)
	}
	return policies, problems
}

// uniqueNames is where each policy name was first seen.
type uniqueNames map[string]hostpolicy.Position

// check claims the names of a file's policies. Where somebody holds one
// already, the file is refused, and claims none.
func (u uniqueNames) check(l *loaded) {
	claimed := make(map[string]hostpolicy.Position)
	failed := false
	for i := range l.policies {
		name, at := l.policies[i].Name, l.named[i]
		first, taken := u[name]
		if !taken {
			first, taken = claimed[name]
		}
		if !taken {
			claimed[name] = at
			continue
		}
		failed = true
		l.problems = append(l.problems, hostpolicy.Problem{
			Position: at, Code: codeDuplicate, Severity: hostpolicy.Error, Field: "name",
			Message: fmt.Sprintf("a policy named %q is already defined at %s", name, first),
			Fix:     "give one of them another name",
		})
	}
	if failed {
		l.policies, l.named, l.inactive = nil, nil, nil
		sortProblems(l.problems)
		return
	}
	for name, at := range claimed {
		u[name] = at
	}
}
