package reload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// Set is what the policy directories amount to.
type Set struct {
	// ID is the digest of the files that make up the set, in hexadecimal.
	ID    string
	Files []File
	// Ruleset is nil where the set has errors, and where it has no policy.
	Ruleset *lsm.Ruleset
	// Problems are all there are: errors first, then warnings.
	Problems []hostpolicy.Problem
	// Gaps are the rules that the backend cannot enforce as written.
	Gaps []Gap
	// Links tells whether the same files would mean something else now.
	Links Links
}

// File is one policy file of a set.
type File struct {
	Path     string
	Name     string // of its policy, or "" where it could not be read
	SHA256   string
	State    policyfile.State
	MaskedBy string
	// LastGood is true where the content is not the file's, which is
	// broken, but what was in force before.
	LastGood bool
	Problems []hostpolicy.Problem
	Rules    []Rule

	content []byte
	policy  *hostpolicy.Policy
	tried   bool // Recover has gone back to the last good content already
}

// Rule is what is kept of a rule: enough for status.
type Rule struct {
	ID     string
	Line   uint32 // in its file
	Action hostpolicy.Action
}

// Gap is a rule, or a part of one, that is not enforced.
type Gap struct {
	Rule     string
	Position hostpolicy.Position
	Reason   string
}

// Refused reports whether the set has an error.
func (s *Set) Refused() bool {
	return slices.ContainsFunc(s.Problems, isError)
}

// RuleCount is the number of rules in force with this set.
func (s *Set) RuleCount() int {
	n := 0
	for i := range s.Files {
		if s.Files[i].State == policyfile.Active {
			n += len(s.Files[i].Rules)
		}
	}
	return n
}

// Rejected reports whether nothing of the file is in force.
func (f *File) Rejected() bool { return f.State == policyfile.Rejected }

// Policies are the names of the active policies.
func (s *Set) Policies() []string {
	var names []string
	for i := range s.Files {
		if s.Files[i].State == policyfile.Active {
			names = append(names, s.Files[i].Name)
		}
	}
	return names
}

// Forget lets go of all that only the way into the kernel needs, so that an
// idle daemon is small.
func (s *Set) Forget() {
	s.Ruleset = nil
	for i := range s.Files {
		s.Files[i].content, s.Files[i].policy = nil, nil
	}
}

// Look reads the directories and compiles what they hold, for a kernel with
// this support. root is the tree in which links are followed.
func Look(dirs []string, root string, support lsm.Support) (*Set, error) {
	read, problems := policyfile.ReadDirs(dirs, policyfile.Options{})
	s := &Set{}
	for i := range read.Files {
		s.Files = append(s.Files, newFile(&read.Files[i]))
	}
	if err := s.build(root, support, problems); err != nil {
		return nil, err
	}
	return s, nil
}

func newFile(e *policyfile.Entry) File {
	f := File{
		Path: e.Path, SHA256: e.SHA256, State: e.State, MaskedBy: e.MaskedBy,
		content: e.Content, policy: e.Policy,
	}
	f.describe()
	return f
}

// describe keeps what status tells of the file's policy.
func (f *File) describe() {
	f.Name, f.Rules = "", nil
	if f.policy == nil {
		return
	}
	f.Name = f.policy.Name
	ids := make([]string, len(f.policy.Rules))
	for i := range f.policy.Rules {
		ids[i] = f.policy.Rules[i].ID()
	}
	// Parts of one text, so that what is kept does not pin what is not.
	text := strings.Join(ids, "")
	f.Rules = make([]Rule, len(f.policy.Rules))
	for i := range f.policy.Rules {
		r := &f.policy.Rules[i]
		id := text[:len(ids[i])]
		text = text[len(ids[i]):]
		f.Rules[i] = Rule{ID: id, Line: uint32(r.Position.Line), Action: r.Action}
	}
}

// build makes the ruleset of the files' policies; problems are those of
// reading them.
func (s *Set) build(root string, support lsm.Support, problems []hostpolicy.Problem) error {
	var policies []hostpolicy.Policy
	sum := sha256.New()
	for i := range s.Files {
		f := &s.Files[i]
		if f.State == policyfile.Active {
			policies = append(policies, *f.policy)
			fmt.Fprintf(sum, "%s %q\n", f.SHA256, f.Path)
		}
	}
	s.ID = hex.EncodeToString(sum.Sum(nil)[:16])
	s.Ruleset, s.Gaps = nil, nil

	tree, err := canonical.Open(root)
	if err != nil {
		return fmt.Errorf("load the policies: %w", err)
	}
	defer tree.Close()
	resolved := tree.Resolve(policies)
	problems = append(problems, resolved.Problems...)
	s.Links = linksOf(root, policies)

	enforceable, gaps := supported(resolved.Policies, support)
	s.Gaps = gaps
	ruleset, found := compile.Compile(enforceable)
	s.Problems = order(append(problems, found...))
	if len(policies) > 0 && !s.Refused() {
		s.Ruleset = ruleset
	}
	s.assign()
	return nil
}

// assign gives each file its problems.
func (s *Set) assign() {
	for i := range s.Files {
		f := &s.Files[i]
		f.Problems = nil
		for _, p := range s.Problems {
			if p.Position.File == f.Path {
				f.Problems = append(f.Problems, p)
			}
		}
	}
}

// order sorts problems: errors first, each in the order of places.
func order(problems []hostpolicy.Problem) []hostpolicy.Problem {
	slices.SortStableFunc(problems, func(a, b hostpolicy.Problem) int {
		return cmp.Or(
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
		)
	})
	return problems
}

func isError(p hostpolicy.Problem) bool { return p.Severity == hostpolicy.Error }
