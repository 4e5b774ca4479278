package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/lsm"
)

// maxIdle is what the daemon may take when it idles, in kB.
const maxIdle = 30 << 10

// An idle daemon with ten thousand rules, and one that has reloaded them, is
// small. It is measured in a process of its own.
func TestIdleMemory(t *testing.T) {
	if os.Getenv("IDLE_MEMORY") == "" {
		if raceEnabled || testing.Short() {
			t.Skip("the race detector's memory is not the daemon's")
		}
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestIdleMemory$", "-test.v")
		cmd.Env = append(os.Environ(), "IDLE_MEMORY=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Log(strings.Join(regexp.MustCompile(`(?m)after .*$`).FindAllString(string(out), -1), "; "))
		return
	}
	debug.SetGCPercent(50) // as main does
	m := newMachine(t)
	for f := range 10 {
		var b strings.Builder
		b.WriteString("[applies_to]\nhost = true\n")
		for r := range 1000 {
			fmt.Fprintf(&b, "[file.rule-%d]\npath = \"/srv/data/%d/%d/secret-%d\"\naccess = [\"write\"]\n", r, f, r%37, r)
		}
		m.write(fmt.Sprintf("p%d.toml", f), b.String())
	}
	d := m.start()
	check := func(when string) {
		t.Helper()
		if rs, _ := m.kernel.InForce(); rs == nil || len(rs.Rules) < 10000 {
			t.Fatal("the rules are not in force")
		}
		m.kernel.Shrink() // the fake kernel's memory is not the daemon's
		var rss int
		for range 20 { // until it idles: it still looks for hard links
			debug.FreeOSMemory()
			if rss = residentKB(t); rss <= maxIdle {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		var heap runtime.MemStats
		runtime.ReadMemStats(&heap)
		t.Logf("after %s: %d kB, of which %d kB of objects", when, rss, heap.HeapAlloc>>10)
		if rss > maxIdle {
			t.Errorf("after %s the daemon takes %d kB, more than %d", when, rss, maxIdle)
		}
	}
	check("the start")
	for i := range 3 {
		m.write("x.toml", policy(fmt.Sprintf("/opt/%d", i)))
		d.reloads()
		check("a reload")
	}
	if _, s := m.kernel.InForce(); s.Mode != lsm.Enforce {
		t.Error(s.Mode)
	}
}

func residentKB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
