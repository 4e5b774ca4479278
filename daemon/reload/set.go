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
	Gaps []compile.Gap
	// Links tells whether the same files would mean something else now.
	Links Links
	// BuiltIn is the policy that no file holds, for status; nil where there
	// is none.
	BuiltIn *Policy
	// Enforced are the policies in the Ruleset, under their canonical names.
	Enforced []hostpolicy.Policy
}

// File is one policy file of a set.
type File struct {
	Path     string
	SHA256   string
	State    policyfile.State
	MaskedBy string
	// LastGood is true where the content is not the file's, which is
	// broken, but what was in force before.
	LastGood bool
	Problems []hostpolicy.Problem
	Policies []Policy              // none where it could not be read
	Inactive []policyfile.Inactive // those that are not for this machine

	content  []byte
	policies []hostpolicy.Policy
	tried    bool // Recover has gone back to the last good content already
	// asWritten: that a path of it is a directory by now is no error. It was
	// in force like this, and who makes the directory may not lift it.
	asWritten bool
}

// Policy is what is kept of a policy: enough for status.
type Policy struct {
	Name  string
	Rules []Rule
}

// Rule is what is kept of a rule: enough for status.
type Rule struct {
	ID     string
	Line   uint32 // in its file
	Action hostpolicy.Action
}

// Refused reports whether the set has an error.
func (s *Set) Refused() bool {
	return slices.ContainsFunc(s.Problems, isError)
}

// RuleCount is the number of rules of files in force with this set.
func (s *Set) RuleCount() int {
	n := 0
	for i := range s.Files {
		if s.Files[i].State == policyfile.Active {
			for _, p := range s.Files[i].Policies {
				n += len(p.Rules)
			}
		}
	}
	return n
}

// Rejected reports whether nothing of the file is in force.
func (f *File) Rejected() bool { return f.State == policyfile.Rejected }

// Policies are the names of the active policies of files.
func (s *Set) Policies() []string {
	var names []string
	for i := range s.Files {
		if s.Files[i].State == policyfile.Active {
			for _, p := range s.Files[i].Policies {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// Forget lets go of all that only the way into the kernel needs, so that an
// idle daemon is small.
func (s *Set) Forget() {
	s.Ruleset, s.Enforced = nil, nil
	for i := range s.Files {
		s.Files[i].content, s.Files[i].policies = nil, nil
	}
}

// Machine is what a set is loaded for.
type Machine struct {
	Root    string             // the tree in which links are followed
	Support lsm.Support        // what its kernel can enforce
	Files   policyfile.Options // what its settings say of policy files
	// BuiltIn is in force beside the policies of files; nil is none.
	BuiltIn *hostpolicy.Policy
}

// Look reads the directories and compiles what they hold.
func Look(dirs []string, m Machine) (*Set, error) {
	read, problems := policyfile.ReadDirs(dirs, m.Files)
	s := &Set{}
	for i := range read.Files {
		s.Files = append(s.Files, newFile(&read.Files[i]))
	}
	if err := s.build(m, problems); err != nil {
		return nil, err
	}
	return s, nil
}

func newFile(e *policyfile.Entry) File {
	f := File{
		Path: e.Path, SHA256: e.SHA256, State: e.State, MaskedBy: e.MaskedBy,
		Inactive: e.Inactive, content: e.Content, policies: e.Policies,
	}
	f.describe()
	return f
}

// describe keeps what status tells of the file's policies.
func (f *File) describe() {
	f.Policies = describe(f.policies)
}

func describe(policies []hostpolicy.Policy) []Policy {
	var out []Policy
	var ids []string
	for i := range policies {
		for j := range policies[i].Rules {
			ids = append(ids, policies[i].Rules[j].ID())
		}
	}
	// Parts of one text, so that what is kept does not pin what is not.
	text := strings.Join(ids, "")
	for i := range policies {
		p := &policies[i]
		kept := Policy{Name: strings.Clone(p.Name), Rules: make([]Rule, len(p.Rules))}
		for j := range p.Rules {
			r := &p.Rules[j]
			kept.Rules[j] = Rule{ID: text[:len(ids[0])], Line: uint32(r.Position.Line), Action: r.Action}
			text, ids = text[len(ids[0]):], ids[1:]
		}
		out = append(out, kept)
	}
	return out
}

// build makes the ruleset of the files' policies; problems are those of
// reading them.
func (s *Set) build(m Machine, problems []hostpolicy.Problem) error {
	var policies []hostpolicy.Policy
	sum := sha256.New()
	for i := range s.Files {
		f := &s.Files[i]
		if f.State == policyfile.Active {
			policies = append(policies, f.policies...)
			fmt.Fprintf(sum, "%s %q\n", f.SHA256, f.Path)
		}
	}
	s.ID = hex.EncodeToString(sum.Sum(nil)[:16])
	s.Ruleset, s.Gaps, s.Enforced, s.BuiltIn = nil, nil, nil, nil

	tree, err := canonical.Open(m.Root)
	if err != nil {
		return fmt.Errorf("load the policies: %w", err)
	}
	defer tree.Close()
	resolved := tree.Resolve(policies)
	s.takeAsWritten(resolved.Problems)
	problems = append(problems, resolved.Problems...)
	problems = append(problems, Reserved(policies)...)
	all := resolved.Policies
	written := policies
	if m.BuiltIn != nil {
		written = append(slices.Clip(written), *m.BuiltIn)
		// After all checks: what is wrong with it is not the administrator's
		// to mend.
		own, _ := tree.Policies([]hostpolicy.Policy{*m.BuiltIn})
		all = append(all, own...)
		s.BuiltIn = &describe([]hostpolicy.Policy{*m.BuiltIn})[0]
	}
	s.Links = linksOf(m.Root, written)
	enforceable, gaps := compile.Supported(all, m.Support)
	s.Gaps = gaps
	ruleset, found := compile.Compile(enforceable)
	s.Problems = order(append(problems, found...))
	if len(all) > 0 && !s.Refused() {
		s.Ruleset, s.Enforced = ruleset, enforceable
	}
	s.assign()
	return nil
}

// takeAsWritten makes warnings of the errors that files are in force with.
func (s *Set) takeAsWritten(problems []hostpolicy.Problem) {
	taken := make(map[string]bool)
	for i := range s.Files {
		taken[s.Files[i].Path] = s.Files[i].asWritten
	}
	for i := range problems {
		if p := &problems[i]; p.Code == canonical.CodeDirectory && taken[p.Position.File] {
			p.Severity = hostpolicy.Warning
			p.Message += ", and the rule names nothing but the directory itself"
		}
	}
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
