package policyfile

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
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// TestLoad compares what each file loads as, and its problems, with the .golden
// file beside it. A new case is a new file.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/load/*.toml")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d cases, %v", len(files), err)
	}
	for _, file := range files {
		base := filepath.Base(file)
		t.Run(strings.TrimSuffix(base, ".toml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			policy, problems := Load(base, content)
			checkPositions(t, content, problems)
			kind, _, _ := strings.Cut(strings.ReplaceAll(base, " ", "-"), "-")
			switch {
			case kind == "bad" && policy != nil:
				t.Error("a bad file gave a policy")
			case kind != "bad" && policy == nil:
				t.Error("a good file gave no policy")
			case kind == "warn" && len(problems) == 0:
				t.Error("no warning")
			}
			got := dump(policy, problems)
			golden := strings.TrimSuffix(file, ".toml") + ".golden"
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
}

func dump(p *hostpolicy.Policy, problems []hostpolicy.Problem) string {
	var b strings.Builder
	for _, problem := range problems {
		fmt.Fprintf(&b, "%s %s %s\n", problem.Severity, problem.Code, problem)
	}
	if p == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "policy %s host=%t otherwise=%s dangerous=%t\n", p.Name, p.AppliesTo.Host, p.Otherwise, p.Dangerous)
	for _, r := range p.Rules {
		fmt.Fprintf(&b, "%s %s: %s %s", r.Position, r.ID(), r.Action, r.Access)
		if r.Severity != 0 {
			fmt.Fprintf(&b, " severity=%d", r.Severity)
		}
		if len(r.Tags) > 0 {
			fmt.Fprintf(&b, " tags=%q", r.Tags)
		}
		if r.Message != "" {
			fmt.Fprintf(&b, " message=%q", r.Message)
		}
		b.WriteByte('\n')
		for _, l := range []struct {
			key      string
			patterns []hostpolicy.Pattern
			places   []hostpolicy.Position
		}{
			{"path", r.Path, r.Places.Path}, {"except", r.Except, r.Places.Except},
			{"from", r.From, r.Places.From}, {"except_from", r.ExceptFrom, r.Places.ExceptFrom},
		} {
			for i, pattern := range l.patterns {
				fmt.Fprintf(&b, "  %d:%d %s %s\n", l.places[i].Line, l.places[i].Column, l.key, pattern)
			}
		}
	}
	return b.String()
}

// checkPositions holds every position inside the file.
func checkPositions(t *testing.T, content []byte, problems []hostpolicy.Problem) {
	t.Helper()
	lines := strings.Split(string(content), "\n")
	for _, p := range problems {
		if p.Position.Line < 1 || p.Position.Line > len(lines) ||
			p.Position.Column < 1 || p.Position.Column > len(lines[p.Position.Line-1])+1 {
			t.Errorf("position outside the file: %s", p)
		}
		if Codes[p.Code] == "" {
			t.Errorf("code without an explanation: %s %s", p.Code, p)
		}
		if p.Message == "" {
			t.Errorf("no message: %+v", p)
		}
	}
}

func TestLoadSet(t *testing.T) {
	rule := "applies_to = { host = true }\n[file.a]\npath = \"/a\"\n"
	policies, problems := LoadSet([]File{
		{"a.toml", []byte("name = \"x\"\n" + rule)},
		{"b.toml", []byte("applies_to = \n")},
		{"c.toml", []byte("severity = 3\nname = \"x\"\n" + rule)},
		{"d.toml", []byte("tags = 3\nname = \"x\"\n" + rule)},
		{"e.toml", []byte(rule)},
	})
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		"b.toml:1:14: expected value but found '\\n' instead",
		`c.toml:2:8: name: a policy named "x" is already defined at a.toml:1:8 (give one of them another name)`,
		"d.toml:1:8: tags: a string or a list of strings is expected here, not an integer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, p := range policies {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"x", "e"}) {
		t.Errorf("policies %q", names)
	}
}

// FuzzLoad: whatever the bytes, no panic, positions inside the file, and places
// for all that the decoder accepts.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/load/*.toml")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		policy, problems := Load("fuzz.toml", content)
		checkPositions(t, content, problems)
		if (policy == nil) != hasError(problems) {
			t.Errorf("policy %v with problems %v", policy, problems)
		}
		s := newSource("fuzz.toml", content)
		if root := s.parse(content); root != nil {
			text := strings.Replace(string(content), "\ufeff", "   ", 1)
			before, complete, _ := scan(text)
			if !complete {
				t.Errorf("not scanned to the end:\n%q", content)
			}
			sameKeys(t, before, root)
		}
	})
}

// sameKeys holds the scanner to what the decoder saw.
func sameKeys(t *testing.T, scanned, decoded *node) {
	if scanned.table != decoded.table || scanned.array != decoded.array || len(scanned.items) != len(decoded.items) {
		t.Errorf("scanned %+v, decoded %+v", scanned, decoded)
		return
	}
	if !slices.Equal(scanned.keys, decoded.keys) {
		t.Errorf("keys scanned %q, decoded %q", scanned.keys, decoded.keys)
		return
	}
	for _, k := range scanned.keys {
		sameKeys(t, scanned.children[k], decoded.children[k])
	}
	for i := range scanned.items {
		sameKeys(t, scanned.items[i], decoded.items[i])
	}
}
