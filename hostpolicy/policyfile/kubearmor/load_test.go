package kubearmor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/render"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

var here = Options{Node: Node{Hostname: "build-7", Labels: map[string]string{"zone": "north"}}}

// TestLoad compares what each file loads as, and its problems, with the .golden
// file beside it. A new case is a new file.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/load/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("found %d cases, %v", len(files), err)
	}
	codes := make(map[string]bool)
	for _, file := range files {
		base := filepath.Base(file)
		t.Run(strings.TrimSuffix(base, ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := Load(base, content, here)
			check(t, content, r)
			for _, p := range r.Problems {
				codes[p.Code] = true
			}
			kind, _, _ := strings.Cut(base, "-")
			switch failed := hasError(r.Problems); {
			case kind == "bad" && !failed:
				t.Error("a bad file loads")
			case kind == "good" && len(r.Problems) > 0, kind == "warn" && (failed || len(r.Problems) == 0):
				t.Errorf("%d problems", len(r.Problems))
			case kind != "bad" && len(r.Policies)+len(r.Inactive) == 0:
				t.Error("no policy")
			}
			got := dump(r)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got, -update rewrites the file:\n%s", diff)
			}
		})
	}
	for code, c := range Codes {
		if c.Title == "" || c.Why == "" || c.Fix == "" || strings.ContainsAny(c.Title, ".\n") || strings.ContainsAny(c.Why+c.Fix, "\n") {
			t.Errorf("%s explains too little, or is not one line each: %+v", code, c)
		}
		if !codes[code] && code != codeTooLarge {
			t.Errorf("no case has a problem %s", code)
		}
	}
}

func hasError(problems []hostpolicy.Problem) bool {
	return slices.ContainsFunc(problems, func(p hostpolicy.Problem) bool { return p.Severity == hostpolicy.Error })
}

// dump writes the policies as TOML, with the places of their rules.
func dump(r Result) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "%s %s %s\n", p.Severity, p.Code, p)
	}
	for _, i := range r.Inactive {
		fmt.Fprintf(&b, "inactive %s %s: %s\n", i.Position, i.Name, i.Reason)
	}
	for i, p := range r.Policies {
		fmt.Fprintf(&b, "---- %s, named %s, postures %v\n", p.Position, r.Names[i], p.Postures)
		var notes []render.Note
		for _, rule := range p.Rules {
			notes = append(notes, render.Note{Rule: ruleKey(&rule), Text: fmt.Sprintf("%s %s", rule.Position, places(&rule))})
		}
		b.Write(render.TOML(&p, notes))
	}
	return b.String()
}

func places(r *hostpolicy.Rule) string {
	var parts []string
	for _, l := range []struct {
		key    string
		places []hostpolicy.Position
	}{{"path", r.Places.Path}, {"from", r.Places.From}} {
		for _, p := range l.places {
			parts = append(parts, fmt.Sprintf("%s:%d:%d", l.key, p.Line, p.Column))
		}
	}
	return strings.Join(parts, " ")
}

// check holds what is true of every result: positions inside the file, codes
// that are explained, a file taken whole or not at all, valid policies.
func check(t *testing.T, content []byte, r Result) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(string(content), "\ufeff"), "\n")
	inside := func(what any, p hostpolicy.Position) {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
			t.Errorf("position %s outside the file: %v", p, what)
		}
	}
	for _, p := range r.Problems {
		inside(p, p.Position)
		if _, ok := Codes[p.Code]; !ok {
			t.Errorf("code without an explanation: %s %s", p.Code, p)
		}
		if p.Message == "" {
			t.Errorf("no message: %+v", p)
		}
	}
	if hasError(r.Problems) != (r.Policies == nil && r.Inactive == nil) && len(r.Policies)+len(r.Inactive) > 0 {
		t.Errorf("errors, and yet %d policies", len(r.Policies))
	}
	if len(r.Names) != len(r.Policies) {
		t.Errorf("%d names of %d policies", len(r.Names), len(r.Policies))
	}
	for i, p := range r.Policies {
		inside(p.Name, r.Names[i])
		if !p.Otherwise.Valid() || p.Otherwise == hostpolicy.Allow {
			t.Errorf("policy %s: otherwise %d", p.Name, p.Otherwise)
		}
		seen := make(map[string]bool)
		for _, rule := range p.Rules {
			inside(rule.ID(), rule.Position)
			if seen[rule.ID()] || rule.Policy != p.Name || !rule.Action.Valid() || rule.Class == 0 {
				t.Errorf("rule %s: twice, or not valid: %+v", rule.ID(), rule)
			}
			seen[rule.ID()] = true
			for _, l := range [][2]int{
				{len(rule.Path), len(rule.Places.Path)}, {len(rule.Except), len(rule.Places.Except)}, {len(rule.From), len(rule.Places.From)},
				{len(rule.ExceptFrom), len(rule.Places.ExceptFrom)},
			} {
				if l[0] != l[1] {
					t.Errorf("rule %s: %d patterns and %d places", rule.ID(), l[0], l[1])
				}
			}
		}
	}
}
