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
			policies, problems := Load(base, content, fixedUsers)
			policy := only(policies)
			checkPositions(t, content, problems)
			kind, _, _ := strings.Cut(strings.ReplaceAll(base, " ", "-"), "-")
			switch {
			case kind == "bad" && policy != nil:
				t.Error("a bad file gave a policy")
			case kind != "bad" && policy == nil:
				t.Error("a good file gave no policy")
			case kind == "good" && len(problems) > 0:
				t.Errorf("a good file has problems: %v", problems)
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

// fixedUsers are those of every machine that runs the tests.
var fixedUsers = Options{LookupUser: func(name string) (uint32, bool) {
	uid, ok := map[string]uint32{"root": 0, "daemon": 1, "www-data": 33, "postgres": 115, "admin": 1000}[name]
	return uid, ok
}}

// only is the policy of a TOML file, nil where it has none.
func only(policies []hostpolicy.Policy) *hostpolicy.Policy {
	if len(policies) == 0 {
		return nil
	}
	return &policies[0]
}

func dump(p *hostpolicy.Policy, problems []hostpolicy.Problem) string {
	var b strings.Builder
	for _, problem := range problems {
		fmt.Fprintf(&b, "%s %s %s\n", problem.Severity, problem.Code, problem)
	}
	if p == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "policy %s %s otherwise=%s dangerous=%t\n", p.Name, dumpSelector(&p.AppliesTo), p.Otherwise, p.Dangerous)
	for _, r := range p.Rules {
		fmt.Fprintf(&b, "%s %s: %s", r.Position, r.ID(), r.Action)
		for _, v := range []struct {
			name  string
			value any
			given bool
		}{
			{"access", r.Access, r.Access != 0}, {"direction", r.Direction, r.Direction != 0}, {"owner_only", r.OwnerOnly, r.OwnerOnly},
			{"severity", r.Severity, r.Severity != 0}, {"tags", fmt.Sprintf("%q", r.Tags), len(r.Tags) > 0}, {"message", fmt.Sprintf("%q", r.Message), r.Message != ""},
		} {
			if v.given {
				fmt.Fprintf(&b, " %s=%v", v.name, v.value)
			}
		}
		b.WriteByte('\n')
		dumpItems(&b, "path", r.Path, r.Places.Path)
		dumpItems(&b, "except", r.Except, r.Places.Except)
		dumpItems(&b, "args", r.Args, r.Places.Args)
		dumpItems(&b, "within", r.Within, r.Places.Within)
		dumpItems(&b, "protocol", r.Protocol, r.Places.Protocol)
		dumpItems(&b, "address", r.Address, r.Places.Address)
		dumpItems(&b, "local_address", r.LocalAddress, r.Places.LocalAddress)
		dumpItems(&b, "ports", r.Ports, r.Places.Ports)
		dumpItems(&b, "name", r.Capabilities, r.Places.Capabilities)
		dumpItems(&b, "operation", r.Operations, r.Places.Operations)
		dumpItems(&b, "from", r.From, r.Places.From)
		dumpItems(&b, "except_from", r.ExceptFrom, r.Places.ExceptFrom)
	}
	return b.String()
}

func dumpItems[T any](b *strings.Builder, key string, items []T, places []hostpolicy.Position) {
	if len(items) != len(places) {
		fmt.Fprintf(b, "  %s: %d items at %d places\n", key, len(items), len(places))
		return
	}
	for i, item := range items {
		fmt.Fprintf(b, "  %d:%d %s %v\n", places[i].Line, places[i].Column, key, item)
	}
}

func dumpSelector(s *hostpolicy.Selector) string {
	out := fmt.Sprintf("host=%t", s.Host)
	if s.Everything {
		out += " everything=true"
	}
	if c := s.Container; c != nil {
		out += fmt.Sprintf(" container{name=%q image=%q namespace=%q labels=%q except_labels=%q}", c.Name, c.Image, c.Namespace, c.Labels, c.ExceptLabels)
	}
	for _, l := range []struct {
		key   string
		value any
		n     int
	}{{"unit", s.Unit, len(s.Unit)}, {"user", spans(s.User), len(s.User)}, {"login_user", spans(s.LoginUser), len(s.LoginUser)}} {
		if l.n > 0 {
			out += fmt.Sprintf(" %s=%q", l.key, l.value)
		}
	}
	return out
}

// spans shows the uids behind names.
func spans(users []hostpolicy.IDs) []string {
	var out []string
	for _, u := range users {
		text := u.String()
		if u.Name != "" {
			text += fmt.Sprintf("=%d-%d", u.First, u.Last)
		}
		out = append(out, text)
	}
	return out
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
		if Codes[p.Code] == (hostpolicy.Code{}) {
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
	}, Options{})
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
		policies, problems := Load("fuzz.toml", content, fixedUsers)
		policy := only(policies)
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
