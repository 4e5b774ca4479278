package policyfile

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// TestDocs loads every example of the manual, so that it cannot rot.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 5 {
		t.Fatalf("found %d examples", len(examples))
	}
	for _, e := range examples {
		_, problems := Load("example.toml", []byte(e[1]))
		for _, p := range problems {
			if p.Severity == hostpolicy.Error || !strings.Contains(e[1], "# Warned of") {
				t.Errorf("%s\nin\n%s", p, e[1])
			}
		}
	}
	for _, keys := range []tableKeys{policyKeys, selectorKeys, ruleKeys[hostpolicy.Process], ruleKeys[hostpolicy.File]} {
		for _, key := range slices.Concat(keys.known, keys.later) {
			if !strings.Contains(string(text), "`"+key) && !strings.Contains(string(text), "**"+key+"**") {
				t.Errorf("the manual does not explain %q", key)
			}
		}
	}
	for code := range Codes {
		if !strings.Contains(string(text), code) {
			t.Errorf("the manual does not list %s", code)
		}
	}
}
