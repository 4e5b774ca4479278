package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// findings is the answer of check as JSON.
type findings struct {
	Schema   int             `json:"schema"`
	Files    int             `json:"files"`
	Policies int             `json:"policies"`
	Rules    int             `json:"rules"`
	Problems []event.Problem `json:"problems"`
}

func newCheck() *cobra.Command {
	var out format
	var strict bool
	var backend string
	c := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Find every problem of policy files, without the daemon or root",
		Long: `Parses, validates and compiles policies as the daemon would. A PATH is a file
or a directory; without one, the directories of the settings are checked, with
the owner and mode that the daemon asks for.

Exit code 0: clean, or warnings alone. 1: problems. 3: a path cannot be read.`,
		RunE: func(c *cobra.Command, paths []string) error {
			if backend != "bpf" {
				return fmt.Errorf(`--backend %q: this version has "bpf" only`, backend)
			}
			for _, path := range paths {
				if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
					return failure{err}
				}
			}
			f, problems, err := check(paths)
			if err != nil {
				return failure{err}
			}
			if out.json() {
				err = printJSON(c.OutOrStdout(), f)
			} else {
				err = f.text(c.OutOrStdout(), problems)
			}
			if err == nil && bad(problems, strict) {
				return exit(exitWrong)
			}
			return err
		},
	}
	out.flag(c)
	c.Flags().BoolVar(&strict, "strict", false, "let warnings fail the check too")
	c.Flags().StringVar(&backend, "backend", "bpf", "compile for this backend")
	return c
}

func check(paths []string) (findings, []hostpolicy.Problem, error) {
	var set policyfile.Set
	var problems []hostpolicy.Problem
	if len(paths) == 0 {
		var dirs []string
		dirs, problems = policyDirs()
		var found []hostpolicy.Problem
		set, found = policyfile.ReadDirs(dirs, policyfile.Options{})
		problems = append(problems, found...)
	} else {
		// A user's own files, before they are installed: who owns them is
		// the daemon's business.
		set, problems = policyfile.ReadPaths(paths, policyfile.Options{AnyOwner: true})
	}
	tree, err := canonical.Open("/")
	if err != nil {
		return findings{}, nil, err
	}
	defer tree.Close()
	policies, found := tree.Policies(set.Policies())
	problems = append(problems, found...)
	_, found = compile.Compile(policies)
	problems = append(problems, found...)
	slices.SortStableFunc(problems, func(a, b hostpolicy.Problem) int {
		return cmp.Or(
			cmp.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
		)
	})
	f := findings{Schema: event.Schema, Files: len(set.Files), Policies: len(policies), Problems: event.Problems(problems)}
	for i := range policies {
		f.Rules += len(policies[i].Rules)
	}
	return f, problems, nil
}

// policyDirs are the directories that the daemon of this machine reads.
func policyDirs() ([]string, []hostpolicy.Problem) {
	text, err := os.ReadFile(settings.DefaultFile)
	if err != nil {
		return settings.Default().Dirs, nil
	}
	s, problems := settings.Load(settings.DefaultFile, text)
	return s.Dirs, problems
}

func (f findings) text(w io.Writer, problems []hostpolicy.Problem) error {
	t := &failing{w: w}
	var failed, warned int
	for _, p := range problems {
		showProblem(t, p)
		if p.Severity == hostpolicy.Error {
			failed++
		} else {
			warned++
		}
	}
	fmt.Fprintf(t, "%s, %s, %s: ", count(f.Files, "file", "files"), count(f.Policies, "policy", "policies"), count(f.Rules, "rule", "rules"))
	switch {
	case failed > 0:
		fmt.Fprintf(t, "%s, %s\n", count(failed, "error", "errors"), count(warned, "warning", "warnings"))
	case warned > 0:
		fmt.Fprintln(t, count(warned, "warning", "warnings"))
	default:
		fmt.Fprintln(t, "clean")
	}
	return written(t.err)
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
