//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testNeverBlinks: whatever becomes of the daemon, the kernel refuses, without
// a single exception.
func testNeverBlinks(t *testing.T) {
	const file, path = "/srv/blink/file", policies + "/blink.toml"
	write(t, file, "text\n")
	h := startHammer(t, file)
	if got := h.got(t); got.permitted == 0 {
		t.Fatalf("no try succeeds without a rule: %+v", got)
	}
	// The rule's name changes with each set, and the second rule comes and
	// goes, so that every reload switches to another generation.
	set := func(i int) string {
		rules := "[file.it" + string(rune('a'+i%20)) + "]\npath = %q\n"
		if i%2 == 1 {
			rules += "\n[file.other]\npath = \"/srv/blink/other\"\n"
		}
		return hostPolicy(rules, file)
	}
	load(t, "blink", set(0))
	h.got(t) // up to here some were permitted

	t.Run("reload", func(t *testing.T) {
		before := getStatus(t).Generation
		const reloads = 40 // 200 of the engine alone, in lsm/bpflsm; a service takes seconds for one in an emulated guest
		for i := range reloads {
			replace(t, path, set(i+1))
			reload(t)
		}
		if n := getStatus(t).Generation - before; n < reloads {
			t.Errorf("%d reloads switched %d times", reloads, n)
		}
		h.neverThrough(t, "40 reloads")
	})
	t.Run("kill", func(t *testing.T) {
		var took []time.Duration
		for range 20 {
			took = append(took, changesDaemon(t, "systemctl", "kill", "-s", "KILL", service))
		}
		t.Logf("from kill -9 to the next daemon's first answer: %s", spread(took))
		h.neverThrough(t, "20 times kill -9")
	})
	t.Run("restart", func(t *testing.T) {
		for range 5 {
			changesDaemon(t, "systemctl", "restart", service)
		}
		h.neverThrough(t, "5 restarts")
	})
	t.Run("upgrade", func(t *testing.T) {
		changesDaemon(t, "dpkg", "-i", deb)
		h.neverThrough(t, "an upgrade")
	})
	if s := getStatus(t); !s.Clean() || !s.Adopted {
		t.Errorf("status afterwards: adopted %v, drift %v, degraded %v", s.Adopted, s.Drift, s.Degraded)
	}
	want(t, 0, "read", ordinary)
}

// changesDaemon runs a command and returns how long it took
// until another daemon answers. It asks
// the kernel and the daemon, because a
// systemctl takes long in emulation.
func changesDaemon(t *testing.T, name string, args ...string) time.Duration {
	t.Helper()
	start := time.Now()
	before := daemonPID(t)
	run(t, name, args...)
	eventually(t, "another daemon answers", func() bool {
		if pid := daemonPID(t); pid == "" || pid == before {
			return false
		}
		_, err := client().Status(t.Context())
		return err == nil
	})
	return time.Since(start)
}

// daemonPID is that of the service's process, "" where there is none.
func daemonPID(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/sys/fs/cgroup/system.slice/" + service + "/cgroup.procs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return first
}
