//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A file of a policy directory holds at most 1 MiB, so rules come in files of
// this many.
const rulesPerFile = 10_000

// manyRules writes files policies of rulesPerFile rules each.
func manyRules(t *testing.T, files int) {
	t.Helper()
	for f := range files {
		var b strings.Builder
		b.WriteString(hostPolicy(""))
		for i := range rulesPerFile {
			fmt.Fprintf(&b, "[file.r%d]\npath = \"/srv/many/%d/%d/%d\"\n", i, f, i/100, i)
		}
		path := fmt.Sprintf("%s/many%d.toml", policies, f)
		replace(t, path, b.String())
		t.Cleanup(func() {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		})
	}
}

// testManyRules: the daemon is small when it idles, and 10,000 rules load.
func testManyRules(t *testing.T) {
	survives(t)
	idle := settledRSS(t)
	t.Logf("RSS with one rule: %d KB", idle)
	const bound = 30 << 10 // KB
	if idle > bound {
		t.Errorf("RSS is %d KB, more than %d", idle, bound)
	}
	t.Cleanup(func() { reload(t) })
	t.Run("10000", func(t *testing.T) {
		manyRules(t, 1)
		const first, last = "/srv/many/0/0/0", "/srv/many/0/99/9999"
		write(t, first, "text\n")
		write(t, last, "text\n")
		took := timedReload(t)
		want(t, denied, "read", first)
		want(t, denied, "read", last)
		want(t, denied, "read", secret)
		want(t, 0, "read", ordinary)
		rss := settledRSS(t)
		t.Logf("10,000 rules: in force after %d ms, RSS %d KB", took.Milliseconds(), rss)
		if rss > bound+bound/3 {
			t.Errorf("RSS is %d KB, more than %d", rss, bound+bound/3)
		}
	})
}

func timedReload(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	reload(t)
	return time.Since(start)
}

// settledRSS is the daemon's resident set in KB after it has had time to give
// memory back, which it does every few seconds.
func settledRSS(t *testing.T) int {
	t.Helper()
	time.Sleep(12 * time.Second)
	return rss(t)
}

func rss(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + property(t, "MainPID") + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatalf("no VmRSS in\n%s", b)
	return 0
}
