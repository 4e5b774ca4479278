//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// testFollow: whatever happens to the files, the kernel follows by itself.
// Nothing here asks for a reload.
func testFollow(t *testing.T) {
	const a, b = "/srv/follow/a", "/srv/follow/b"
	write(t, a, "text\n")
	write(t, b, "text\n")
	blocks := func(path string) string { return hostPolicy("[file.it]\npath = %q\n", path) }
	becomes := func(what string, onA, onB syscall.Errno) {
		t.Helper()
		eventually(t, what, func() bool {
			return errno(access("read", a)) == onA && errno(access("read", b)) == onB
		})
		want(t, denied, "read", secret)
		want(t, 0, "read", ordinary)
	}
	remove := func(path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	const path = policies + "/follow.toml"
	becomes("nothing yet", 0, 0)
	write(t, path, blocks(a))
	becomes("a new file", denied, 0)
	write(t, path, blocks(b))
	becomes("an edit in place", 0, denied)
	replace(t, path, blocks(a))
	becomes("an atomic replacement", denied, 0)
	remove(path)
	becomes("a deleted file", 0, 0)

	// As configuration management does it: a link is pointed elsewhere.
	const releases = "/etc/hostarmor/releases"
	write(t, releases+"/1.toml", blocks(a))
	write(t, releases+"/2.toml", blocks(b))
	swap := func(target string) {
		t.Helper()
		if err := os.Symlink(target, policies+"/.next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(policies+"/.next", path); err != nil {
			t.Fatal(err)
		}
	}
	swap(releases + "/1.toml")
	becomes("a link", denied, 0)
	swap(releases + "/2.toml")
	becomes("a swapped link", 0, denied)
	write(t, releases+"/2.toml", blocks(a))
	becomes("an edit behind the link", denied, 0)
	remove(path)
	becomes("a deleted link", 0, 0)

	// A directory that is gone and comes back.
	const volatile = "/run/hostarmor/policies"
	if err := os.RemoveAll(volatile); err != nil {
		t.Fatal(err)
	}
	reload(t)
	write(t, volatile+"/follow.toml", blocks(b))
	becomes("a directory that appears later", 0, denied)
	write(t, path, blocks(a))
	becomes("a file in /etc that wins over /run", denied, 0)
	swap("/dev/null")
	becomes("a link to /dev/null that masks", 0, 0)
	remove(path)
	becomes("the mask is gone", 0, denied)
	remove(volatile + "/follow.toml")
	becomes("all is gone", 0, 0)
}

// testLatency prints how long it takes from writing a policy to the first
// refusal; the emulated machine's figures mean little, so nothing is asserted.
func testLatency(t *testing.T) {
	const path, file = policies + "/latency.toml", "/srv/latency/file"
	write(t, file, "text\n")
	var enforced, lifted []time.Duration
	for i := range 5 {
		start := time.Now()
		replace(t, path, hostPolicy("[file.it%d]\npath = %q\n", i, file))
		enforced = append(enforced, until(t, start, file, denied))
		start = time.Now()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		lifted = append(lifted, until(t, start, file, 0))
	}
	t.Logf("from the file's replacement to enforcement: %s", spread(enforced))
	t.Logf("from the file's removal to release: %s", spread(lifted))
}

func until(t *testing.T, start time.Time, file string, want syscall.Errno) time.Duration {
	t.Helper()
	for errno(access("read", file)) != want {
		if time.Since(start) > patience {
			t.Fatalf("waited in vain for %v\n%s", describe(want), state())
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

func spread(of []time.Duration) string {
	slices.Sort(of)
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return fmt.Sprintf("median %d ms, %d to %d ms, of %d", ms(of[len(of)/2]), ms(of[0]), ms(of[len(of)-1]), len(of))
}
