package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// TestOwnFixtures: none of the project's own files has a silent gap.
func TestOwnFixtures(t *testing.T) {
	var out bytes.Buffer
	ok, err := run("../../hostpolicy/policyfile/kubearmor/testdata/load", &out)
	if err != nil || !ok {
		t.Errorf("%v:\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "| loaded, every rule understood | ") {
		t.Errorf("no table:\n%s", out.String())
	}
}

// TestSilent: what the program is for is found.
func TestSilent(t *testing.T) {
	content, err := os.ReadFile("../../hostpolicy/policyfile/kubearmor/testdata/load/good-paths.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := look("good-paths.yaml", content)
	if len(o.silent) > 0 || len(o.policies) != 1 {
		t.Fatalf("%+v", o)
	}
	rules := o.policies[0].Rules
	o.policies[0].Rules = rules[1:]
	if got := unmentioned(content, o.policies, o.problems); len(got) != 1 {
		t.Errorf("a rule is left out, and %q", got)
	}
	// An allow rule that is overruled decides nothing.
	p := hostpolicy.Policy{Name: "x", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Audit}
	for i, a := range []hostpolicy.Action{hostpolicy.Block, hostpolicy.Audit} {
		r := rules[0]
		r.Name, r.Action, r.From, r.Position.Line = string(rune('a'+i)), a, nil, i+1
		p.Rules = append(p.Rules, r)
	}
	if got := idle([]hostpolicy.Policy{p}, nil); len(got) != 1 || !strings.Contains(got[0], "process.b") {
		t.Errorf("an overruled rule: %q", got)
	}
}

func TestNothing(t *testing.T) {
	if _, err := run(t.TempDir(), &bytes.Buffer{}); err == nil {
		t.Error("an empty directory is no error")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("kind: x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if ok, err := run(dir, &out); !ok || err != nil || !strings.Contains(out.String(), "| refused | 1 |") {
		t.Errorf("%v %v:\n%s", ok, err, out.String())
	}
}
