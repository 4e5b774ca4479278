package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
)

func newTest() *cobra.Command {
	var out format
	var root string
	c := &cobra.Command{
		Use:   "test [--root DIR] FILE...",
		Short: "Run tests of policies: who does what, and what has to come of it",
		Long: `Runs the cases of test files. FILE is a test, or a directory of which all
*.test.toml beneath it are run.

  # web.test.toml
  policies = ["web.toml"]               # relative to this file; globs too
  [case.no-shell]
  subject = { container = { name = "web-1", image = "nginx:1.27" }, exe = "/usr/sbin/nginx", user = "root" }
  do      = ["exec /bin/sh", "write /etc/ssl/private/key.pem"]
  expect  = "block"                     # block, audit or allow
  rule    = "web/process.no-shells"     # optional; "" where no rule may decide

A test gives the same result on every machine: files are named as in any tree
with a merged /usr (/bin is /usr/bin, /var/run is /run), and users have a uid of
their own for each name. --root DIR follows the links of a real tree instead.

Exit code 0: all passed. 1: a case failed, or a file has errors. 2: wrong usage.
3: a file cannot be read.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			if c.Flags().Changed("root") && root == "" {
				return errors.New("--root is empty (give it a value, or leave it out)")
			}
			files, err := policytest.Find(paths)
			if err != nil {
				return failure{err}
			}
			var tests testsJSON
			var results []policytest.Result
			for _, file := range files {
				if err := readable(file); err != nil {
					return failure{err}
				}
				r, err := policytest.Run(file, root)
				if err != nil {
					return failure{err}
				}
				tests.add(&r)
				results = append(results, r)
			}
			if out.json() {
				tests.Schema = event.Schema
				err = printJSON(c.OutOrStdout(), tests)
			} else {
				err = tests.text(c.OutOrStdout(), results)
			}
			if err == nil && tests.Failed+tests.NotRun > 0 {
				return exit(exitWrong)
			}
			return err
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"test.toml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	out.flag(c)
	c.Flags().StringVar(&root, "root", "", "follow links in this tree")
	cobra.CheckErr(c.MarkFlagDirname("root"))
	return c
}

type testsJSON struct {
	Schema   int             `json:"schema"`
	Passed   int             `json:"passed"`
	Failed   int             `json:"failed"`
	NotRun   int             `json:"files_not_run"` // because of errors
	Cases    []caseJSON      `json:"cases"`
	Problems []event.Problem `json:"problems"`
}

type caseJSON struct {
	Name   string     `json:"name"`
	Source string     `json:"source"`
	Passed bool       `json:"passed"`
	Steps  []stepJSON `json:"steps"`
}

type stepJSON struct {
	Do      string `json:"do"`
	Action  string `json:"action"`
	Rule    string `json:"rule"`
	Source  string `json:"source"`
	Reason  string `json:"reason"`
	Failure string `json:"failure,omitempty"`
}

func (j *testsJSON) add(r *policytest.Result) {
	if j.Cases == nil {
		j.Cases, j.Problems = []caseJSON{}, []event.Problem{}
	}
	j.Problems = append(j.Problems, event.Problems(r.Problems)...)
	if bad(r.Problems, false) {
		j.NotRun++
	}
	for _, c := range r.Cases {
		out := caseJSON{Name: c.Name, Source: c.Position.Source(), Passed: c.Passed()}
		if out.Passed {
			j.Passed++
		} else {
			j.Failed++
		}
		for _, s := range c.Steps {
			e := s.Explanation
			step := stepJSON{Do: s.Text, Action: e.Action.String(), Reason: e.Reason, Failure: s.Failure}
			if e.Rule != nil {
				step.Rule, step.Source = e.Rule.ID(), e.Rule.Position.Source()
			}
			out.Steps = append(out.Steps, step)
		}
		j.Cases = append(j.Cases, out)
	}
}

func (j *testsJSON) text(w io.Writer, results []policytest.Result) error {
	t := &failing{w: w}
	for _, r := range results {
		if bad(r.Problems, false) {
			showProblems(t, errorsOf(r.Problems), onDisk)
			fmt.Fprintf(t, "FAIL  %s: not run, because of the errors above\n", printable(r.File.Name))
		}
		for _, c := range r.Cases {
			verdict := "ok  "
			if !c.Passed() {
				verdict = "FAIL"
			}
			fmt.Fprintf(t, "%s  %s: %s\n", verdict, printable(c.Position.Source()), printable(c.Name))
			for _, s := range c.Steps {
				if s.Failure != "" {
					fmt.Fprintf(t, "        %s\n          %s\n", printable(s.Text), printable(s.Failure))
				}
			}
		}
	}
	fmt.Fprintf(t, "%s in %s: %d passed, %d failed", count(j.Passed+j.Failed, "case", "cases"), count(len(results), "file", "files"), j.Passed, j.Failed)
	if j.NotRun > 0 {
		fmt.Fprintf(t, ", %s not run", count(j.NotRun, "file", "files"))
	}
	fmt.Fprintln(t)
	return written(t.err)
}

// onDisk reads what a problem is about anew.
func onDisk(name string) ([]byte, bool) {
	content, problems := policyfile.ReadFile(name, policyfile.Options{AnyOwner: true})
	return content, len(problems) == 0
}
