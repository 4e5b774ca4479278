// Corpus loads every KubeArmor policy below a directory and prints what became
// of each: loaded with every rule understood, loaded with warnings, or refused,
// with the reasons. It fails where a file loads with a rule that nothing could
// ever trigger, or with an entry of the file that no rule and no problem is
// about, and where the loader panics.
//
//	go run ./test/corpus DIR
package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: corpus DIR")
		os.Exit(2)
	}
	ok, err := run(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// outcome is what became of one file.
type outcome struct {
	name     string
	policies []hostpolicy.Policy
	problems []hostpolicy.Problem
	silent   []string // what has no effect and was not said
}

// run prints the table, and reports whether no file has a silent gap.
func run(dir string, out io.Writer) (bool, error) {
	var outcomes []outcome
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, look(name, content))
		return nil
	})
	if err != nil {
		return false, err
	}
	if len(outcomes) == 0 {
		return false, fmt.Errorf("no policy below %s", dir)
	}
	return report(outcomes, out), nil
}

func look(name string, content []byte) (o outcome) {
	o.name = name
	defer func() {
		if r := recover(); r != nil {
			o.silent = append(o.silent, fmt.Sprintf("the loader panics: %v", r))
		}
	}()
	o.policies, o.problems = policyfile.Load(name, content, policyfile.Options{AnyNode: true})
	if o.refused() {
		return o
	}
	o.silent = append(unmentioned(content, o.policies, o.problems), idle(o.policies, o.problems)...)
	return o
}

func (o outcome) refused() bool {
	return slices.ContainsFunc(o.problems, func(p hostpolicy.Problem) bool { return p.Severity == hostpolicy.Error })
}

func report(outcomes []outcome, out io.Writer) bool {
	count := make(map[string]int)
	warned, refused := make(map[string]int), make(map[string]int)
	rules, ok := 0, true
	for _, o := range outcomes {
		codes := make(map[string]bool)
		severity, tally, what := hostpolicy.Warning, warned, "loaded, with warnings"
		switch {
		case o.refused():
			severity, tally, what = hostpolicy.Error, refused, "refused"
		case len(o.problems) == 0:
			what = "loaded, every rule understood"
		}
		count[what]++
		for _, p := range o.problems {
			if p.Severity == severity && !codes[p.Code] {
				codes[p.Code] = true
				tally[p.Code]++
			}
		}
		for _, p := range o.policies {
			rules += len(p.Rules)
		}
		if len(o.problems)+len(o.silent) > 0 {
			fmt.Fprintf(out, "%s: %s\n", o.name, what)
		}
		for _, p := range o.problems {
			fmt.Fprintf(out, "  %s %s %d:%d %s: %s\n", p.Severity, p.Code, p.Position.Line, p.Position.Column, p.Field, p.Message)
		}
		for _, s := range o.silent {
			fmt.Fprintf(out, "  SILENT: %s\n", s)
			ok = false
		}
	}
	fmt.Fprintf(out, "\n| files | %d |\n|---|---|\n", len(outcomes))
	for _, what := range []string{"loaded, every rule understood", "loaded, with warnings"} {
		fmt.Fprintf(out, "| %s | %d |\n", what, count[what])
	}
	byCode(out, warned)
	fmt.Fprintf(out, "| refused | %d |\n", count["refused"])
	byCode(out, refused)
	fmt.Fprintf(out, "| rules in the files that load | %d |\n", rules)
	return ok
}

// byCode prints how many files a code is in.
func byCode(out io.Writer, files map[string]int) {
	for _, code := range slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(files[b]-files[a], strings.Compare(a, b))
	}) {
		fmt.Fprintf(out, "| - %s | %d |\n", code, files[code])
	}
}
