package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// findings is the answer of check as JSON.
type findings struct {
	Schema   int             `json:"schema"`
	Backend  string          `json:"backend"`
	Files    int             `json:"files"`
	Policies int             `json:"policies"`
	Rules    int             `json:"rules"`
	Inactive []inactive      `json:"inactive"`
	Problems []event.Problem `json:"problems"`
}

// inactive is a valid policy that is not for this machine.
type inactive struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Reason string `json:"reason"`
}

func newCheck() *cobra.Command {
	var out format
	var strict bool
	var why string
	var on backend
	c := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Find every problem of policy files, without the daemon or root",
		Long: `Parses, validates and compiles policies as the daemon would: TOML, and KubeArmor's
YAML. A PATH is a file, a directory, or - for standard input; without one, the
directories of the settings are checked, with the owner and mode that the daemon
asks for. Policies of a PATH are checked as if they were for this machine,
whatever their nodeSelector.

A rule that the backend of this version does not enforce is an error, as it is
for the daemon. --why CODE explains a code, with what to write.

Exit code 0: clean, or warnings alone. 1: problems. 3: a path cannot be read.`,
		RunE: func(c *cobra.Command, paths []string) error {
			if c.Flags().Changed("why") {
				if len(paths) > 0 {
					return fmt.Errorf("--why %s explains a code and checks no files", why)
				}
				return explainCode(c.OutOrStdout(), why, out)
			}
			l, err := load(paths, len(paths) > 0, c.InOrStdin())
			if err != nil {
				return failure{err}
			}
			f, problems, err := l.check(&on)
			if err != nil {
				return failure{err}
			}
			if out.json() {
				err = printJSON(c.OutOrStdout(), f)
			} else {
				err = f.text(c.OutOrStdout(), problems, l.content)
			}
			if err == nil && bad(problems, strict) {
				return exit(exitWrong)
			}
			return err
		},
	}
	out.flag(c)
	c.Flags().BoolVar(&strict, "strict", false, "let warnings fail the check too")
	on.flag(c, `check what this backend enforces: "bpf" or "apparmor"`)
	c.Flags().StringVar(&why, "why", "", "explain this code of a problem, as HA014")
	complete(c, "why", codeNames()...)
	return c
}

// check finds what is wrong with the policies beyond their text.
func (l *loaded) check(on *backend) (findings, []hostpolicy.Problem, error) {
	tree, err := canonical.Open("/")
	if err != nil {
		return findings{}, nil, err
	}
	defer tree.Close()
	problems := l.problems
	policies, found := tree.Policies(l.set.Policies())
	problems = append(problems, found...)
	problems = append(problems, reload.Reserved(policies)...)
	enforced, gaps := on.supported(policies)
	problems = append(problems, on.gapProblems(gaps)...)
	_, found = compile.Compile(enforced)
	problems = append(problems, found...)
	sortProblems(problems)
	f := findings{
		Schema: event.Schema, Backend: string(*on), Files: len(l.set.Files), Policies: len(policies),
		Inactive: []inactive{}, Problems: event.Problems(problems),
	}
	for i := range policies {
		f.Rules += len(policies[i].Rules)
	}
	for _, p := range l.inactive() {
		f.Inactive = append(f.Inactive, inactive{p.Name, p.Position.String(), p.Reason})
	}
	return f, problems, nil
}

func sortProblems(problems []hostpolicy.Problem) {
	slices.SortStableFunc(problems, func(a, b hostpolicy.Problem) int {
		return cmp.Or(
			cmp.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
		)
	})
}

func (f findings) text(w io.Writer, problems []hostpolicy.Problem, content contents) error {
	t := &failing{w: w}
	showProblems(t, problems, content)
	for _, p := range f.Inactive {
		fmt.Fprintln(t, printable(fmt.Sprintf("%s: policy %s is not for this machine: %s", p.Source, p.Name, p.Reason)))
	}
	fmt.Fprintf(t, "%s, %s, %s: %s\n", count(f.Files, "file", "files"), count(f.Policies, "policy", "policies"), count(f.Rules, "rule", "rules"), tally(problems))
	return written(t.err)
}

// tally counts problems.
func tally(problems []hostpolicy.Problem) string {
	var failed, warned int
	for _, p := range problems {
		if p.Severity == hostpolicy.Error {
			failed++
		} else {
			warned++
		}
	}
	switch {
	case failed > 0:
		return count(failed, "error", "errors") + ", " + count(warned, "warning", "warnings")
	case warned > 0:
		return count(warned, "warning", "warnings")
	}
	return "clean"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func bad(problems []hostpolicy.Problem, strict bool) bool {
	return slices.ContainsFunc(problems, func(p hostpolicy.Problem) bool {
		return strict || p.Severity == hostpolicy.Error
	})
}

// failing keeps the first error of its writes.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.w.Write(b)
	f.err = err
	return n, err
}
