// Package policyfile turns TOML policy files into valid policies, and says of
// everything that it cannot accept what it is, where it stands and what to
// write instead.
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

// Load reads one TOML policy. The policy is nil where any problem is an Error.
// The problems are in the order of their places.
func Load(name string, content []byte) (*hostpolicy.Policy, []hostpolicy.Problem) {
	policy, problems, _ := load(name, content)
	return policy, problems
}

// load also gives the place of the policy's name.
func load(name string, content []byte) (*hostpolicy.Policy, []hostpolicy.Problem, hostpolicy.Position) {
	s := newSource(name, content)
	root := s.parse(content)
	if root == nil {
		return nil, s.sorted(), s.position(0)
	}
	policy, named := s.policy(root)
	if s.failed() {
		policy = nil
	}
	return policy, s.sorted(), s.position(named)
}

// LoadSet reads several files and checks them against each other. Policies of
// files with an Error are left out; the others keep the order of the files.
func LoadSet(files []File) ([]hostpolicy.Policy, []hostpolicy.Problem) {
	var policies []hostpolicy.Policy
	var problems []hostpolicy.Problem
	names := uniqueNames{}
	for _, f := range files {
		policy, found, named := load(f.Name, f.Content)
		if policy != nil {
			if p, ok := names.take(policy.Name, named); ok {
				policies = append(policies, *policy)
			} else {
				found = append(found, p)
				sortProblems(found)
			}
		}
		problems = append(problems, found...)
	}
	return policies, problems
}

// uniqueNames is where each policy name was first seen.
type uniqueNames map[string]hostpolicy.Position

// take claims a name, or says who holds it.
func (u uniqueNames) take(name string, at hostpolicy.Position) (hostpolicy.Problem, bool) {
	first, taken := u[name]
	if !taken {
		u[name] = at
		return hostpolicy.Problem{}, true
	}
	return hostpolicy.Problem{
		Position: at, Code: codeDuplicate, Severity: hostpolicy.Error, Field: "name",
		Message: fmt.Sprintf("a policy named %q is already defined at %s", name, first),
		Fix:     "give one of them another name",
	}, false
}
