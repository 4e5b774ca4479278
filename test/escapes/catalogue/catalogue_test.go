package catalogue

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/lsm/bpflsm"
)

func TestCases(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := make(map[string]bool)
	known := make(map[string]bool)
	for _, h := range bpflsm.Hooks() {
		known[h.Name] = true
	}
	group := 0
	for _, c := range Cases() {
		if !kebab.MatchString(c.Name) {
			t.Errorf("%q is not a name in kebab-case", c.Name)
		}
		if seen[c.Name] {
			t.Errorf("%s stands twice", c.Name)
		}
		seen[c.Name] = true
		at := slices.Index(Groups(), c.Group)
		if at < group {
			t.Errorf("%s: group %q is unknown or out of order", c.Name, c.Group)
		}
		group = max(at, group)
		sentence(t, c.Name, "Way", c.Way)
		if (c.Closed == "") == (c.Open == "") {
			t.Errorf("%s: either Closed or Open, not both", c.Name)
		}
		if c.Open != "" {
			sentence(t, c.Name, "Open", c.Open)
			if len(c.Hooks) > 0 {
				t.Errorf("%s is open, but hooks judge it", c.Name)
			}
			continue
		}
		sentence(t, c.Name, "Closed", c.Closed)
		for _, h := range c.Hooks {
			if !known[h] {
				t.Errorf("%s: there is no hook %s", c.Name, h)
			}
		}
	}
}

func sentence(t *testing.T, name, field, s string) {
	t.Helper()
	if s == "" || strings.ToUpper(s[:1]) != s[:1] || !strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
		t.Errorf("%s: %s is not a sentence: %q", name, field, s)
	}
}
