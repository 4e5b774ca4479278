//go:build e2e && large

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestLarge: 100,000 rules load, or are refused by name. It takes minutes in an
// emulated guest, so it has a target of its own: make test-large.
func TestLarge(t *testing.T) {
	base(t)
	survives(t)
	manyRules(t, 10)
	const first, last = "/srv/many/1/0/0", "/srv/many/9/99/9999"
	write(t, first, "text\n")
	write(t, last, "text\n")
	start := time.Now()
	r, err := tryReload()
	took := time.Since(start)
	want(t, denied, "read", secret)
	want(t, 0, "read", ordinary)
	if err != nil {
		t.Logf("100,000 rules: refused after %d ms: %.300s", took.Milliseconds(), err)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("not refused by name: %v", err)
		}
		return
	}
	t.Logf("100,000 rules: in force after %d ms, RSS %d KB", took.Milliseconds(), settledRSS(t))
	if r.Rules != 10*rulesPerFile+1 {
		t.Errorf("%d rules are in force", r.Rules)
	}
	want(t, denied, "read", first)
	want(t, denied, "read", last)
}
