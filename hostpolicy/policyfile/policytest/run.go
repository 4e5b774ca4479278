package policytest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

// Result is what became of a test file.
type Result struct {
	File File
	// Problems of the file and of its policies. Where one is an Error no
	// case was run: its outcome would be that of other policies.
	Problems []hostpolicy.Problem
	Cases    []CaseResult // of those that were run
}

// CaseResult is what became of a case.
type CaseResult struct {
	Case
	Steps []StepResult // as Case.Do
}

// Passed reports whether all steps did.
func (c *CaseResult) Passed() bool {
	return !slices.ContainsFunc(c.Steps, func(s StepResult) bool { return s.Failure != "" })
}

// StepResult is what became of a step.
type StepResult struct {
	Step
	Explanation hostpolicy.Explanation
	Failure     string // why it is not what was expected, or ""
}

// Find is the test files that paths name: files whatever their name, and of
// directories all *.test.toml beneath, in the order of their names. Links to
// directories are not followed.
func Find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(file, Suffix) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s: there is no test (*%s) beneath it", path, Suffix)
		}
	}
	return files, nil
}

// Run runs a test file. Names are those of any machine with a merged /usr; with
// a root they are resolved in that tree, as the daemon resolves them.
func Run(path, root string) (Result, error) {
	content, problems := policyfile.ReadFile(path, policyfile.Options{AnyOwner: true})
	r := Result{File: File{Name: path}, Problems: problems}
	if len(problems) > 0 {
		return r, nil
	}
	if r.File, r.Problems = Parse(path, content); len(r.Problems) > 0 {
		return r, nil
	}
	policies, problems := r.File.load()
	n, err := newNames(root, policies)
	if err != nil {
		return r, err
	}
	defer n.close()
	r.Problems = append(problems, n.problems...)
	if slices.ContainsFunc(r.Problems, func(p hostpolicy.Problem) bool { return p.Severity == hostpolicy.Error }) {
		return r, nil
	}
	for _, c := range r.File.Cases {
		r.Cases = append(r.Cases, n.run(c))
	}
	return r, nil
}

// load reads the policies that the file names.
func (f *File) load() ([]hostpolicy.Policy, []hostpolicy.Problem) {
	var paths []string
	var problems []hostpolicy.Problem
	say := func(at hostpolicy.Position, message, fix string) {
		problems = append(problems, hostpolicy.Problem{
			Position: at, Code: CodePolicies, Severity: hostpolicy.Error, Field: "policies", Message: message, Fix: fix,
		})
	}
	for _, text := range f.Policies {
		path := text.Value
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(f.Name), path)
		}
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
			continue
		} else if !strings.ContainsAny(text.Value, `*?[`) {
			if pe, ok := errors.AsType[*fs.PathError](err); ok {
				err = pe.Err
			}
			say(text.Position, fmt.Sprintf("cannot read %s: %v", short(path), err), "write its path relative to this file")
			continue
		}
		matches, err := filepath.Glob(path)
		matches = slices.DeleteFunc(matches, func(m string) bool {
			return strings.HasSuffix(m, Suffix) || !slices.Contains([]string{".toml", ".yaml", ".yml"}, filepath.Ext(m))
		})
		switch {
		case err != nil:
			say(text.Position, fmt.Sprintf("%s is not a glob: %v", short(text.Value), err), "")
		case len(matches) == 0:
			say(text.Position, fmt.Sprintf("%s matches no policy", short(text.Value)), "write its path relative to this file")
		}
		paths = append(paths, matches...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	set, problems := policyfile.ReadPaths(paths, policyfile.Options{AnyOwner: true, AnyNode: true, LookupUser: LookupUser})
	return set.Policies(), problems
}

// names are the policies under the names of a tree, as a process of the host
// and as one in a container sees it.
type names struct {
	host, inside []hostpolicy.Policy
	tree         *canonical.Root // nil for any machine
	problems     []hostpolicy.Problem
	rules        map[string]string // by the id that a case names: see knownRule
}

func newNames(root string, policies []hostpolicy.Policy) (names, error) {
	if root == "" {
		moved := canonical.MergedUsr(policies)
		return names{host: moved, inside: moved}, nil
	}
	tree, err := canonical.Open(root)
	if err != nil {
		return names{}, err
	}
	host := tree.Resolve(policies)
	return names{host: host.Policies, inside: tree.Names(policies, true).Policies, tree: &tree, problems: host.Problems}, nil
}

func (n *names) close() {
	if n.tree != nil {
		n.tree.Close()
	}
}

func (n *names) all(written []string) []string {
	out := make([]string, len(written))
	for i, name := range written {
		if n.tree == nil {
			out[i] = canonical.MergedName(name)
		} else {
			out[i] = n.tree.Name(name)
		}
	}
	return out
}

func (n *names) run(c Case) CaseResult {
	r := CaseResult{Case: c}
	policies := n.host
	if c.Subject.Container != nil {
		policies = n.inside
	}
	s := c.Subject
	s.Programs = n.all(s.Programs)
	decided := false // by the rule that the case names
	for _, step := range c.Do {
		o := step.Object
		o.Names = n.all(o.Names)
		e := hostpolicy.Explain(policies, s, step.Operation, o)
		decided = decided || e.Rule != nil && e.Rule.ID() == c.Rule
		r.Steps = append(r.Steps, StepResult{step, e, ""})
	}
	for i := range r.Steps {
		r.Steps[i].Failure = n.failure(&c, r.Steps[i].Explanation, decided)
	}
	return r
}

// failure compares a decision with what the case expects; decided is whether
// its rule decides this step or another.
func (n *names) failure(c *Case, e hostpolicy.Explanation, decided bool) string {
	came := ""
	if e.Rule != nil {
		came = e.Rule.ID()
	}
	if e.Action == c.Expect && (decided || c.Rule == came || c.Rule == "" && !c.NoRule) {
		return ""
	}
	text := fmt.Sprintf("expected %s%s, came %s%s", c.Expect, by(c.Rule, c.NoRule), e.Action, by(came, came == ""))
	if e.Rule != nil {
		text += fmt.Sprintf(" (%s)", e.Rule.Position.Source())
	}
	text += ": " + e.Reason
	if c.Rule != "" && c.Rule != came {
		if near, known := n.knownRule(c.Rule); !known {
			text += fmt.Sprintf("; no policy has a rule %s", c.Rule)
			if near != "" {
				text += fmt.Sprintf(" (did you mean %s?)", near)
			}
			return text
		}
	}
	for _, l := range e.Losers {
		if l.Rule.ID() == c.Rule || c.Rule == "" && !c.NoRule && l.Rule.Action == c.Expect {
			return text + fmt.Sprintf("; not %s: %s", l.Rule.ID(), strings.Join(l.Reasons, "; "))
		}
	}
	if c.Rule != "" && c.Rule != came {
		text += fmt.Sprintf("; %s has nothing to do with it", c.Rule)
	}
	return text
}

func by(rule string, none bool) string {
	switch {
	case none:
		return " by no rule"
	case rule == "":
		return ""
	}
	return " by " + rule
}

// knownRule looks for a rule, or else for one of a similar id. The answer is
// kept: many cases may name the same one.
func (n *names) knownRule(id string) (near string, known bool) {
	if near, asked := n.rules[id]; asked {
		return near, near == id
	}
	var ids []string
	for i := range n.host {
		for j := range n.host[i].Rules {
			ids = append(ids, n.host[i].Rules[j].ID())
		}
	}
	near = id
	if !slices.Contains(ids, id) {
		near = policyfile.Nearest(id, ids)
	}
	if n.rules == nil {
		n.rules = make(map[string]string)
	}
	n.rules[id] = near
	return near, near == id
}
