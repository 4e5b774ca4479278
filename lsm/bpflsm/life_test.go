//go:build kernel

package bpflsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// movingNow reads the count of renames under way: of the variables that the
// programs share, the other is always 0.
func movingNow(t testing.TB) (count uint64) {
	t.Helper()
	value, err := shared().live.LookupBytes(uint32(0))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+8 <= len(value); at += 8 {
		count += binary.NativeEndian.Uint64(value[at:])
	}
	return count
}

// assault opens path as fast as a child can, until stop; it returns how often
// it tried and how often it succeeded.
func assault(t testing.TB, path string) (stop func() (tried, succeeded uint64)) {
	t.Helper()
	var tried, succeeded atomic.Uint64
	quit, done := make(chan struct{}), make(chan struct{})
	// This process is exempt; a loop in a child tells by its exit code.
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
			}
			out, err := childLoop(path)
			if err != nil {
				t.Errorf("loop: %v %s", err, out)
				return
			}
			var n, ok uint64
			fmt.Sscan(out, &n, &ok)
			tried.Add(n)
			succeeded.Add(ok)
		}
	}()
	return func() (uint64, uint64) {
		close(quit)
		<-done
		return tried.Load(), succeeded.Load()
	}
}

const loopVariable = "BPFLSM_TEST_LOOP"

// A child that opens a file for a second and prints tries and successes.
func init() {
	path := os.Getenv(loopVariable)
	if path == "" {
		return
	}
	var tried, succeeded uint64
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for range 1000 {
			tried++
			if fd, err := unix.Open(path, unix.O_RDONLY, 0); err == nil {
				unix.Close(fd)
				succeeded++
			}
		}
	}
	fmt.Println(tried, succeeded)
	os.Exit(0)
}

func childLoop(path string) (string, error) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), loopVariable+"="+path)
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestReloadsNeverBlink(t *testing.T) {
	dir := tree(t, "key", "dir/x")
	path := dir + "/key"
	want(t, "read "+path, 0)
	e := enforce(t, fmt.Sprintf("[file.key]\npath = %q\n", path))
	want(t, "read "+path, syscall.EACCES)
	stop := assault(t, path)
	for i := range 200 {
		text := fmt.Sprintf("[file.key]\npath = %q\n[file.other]\npath = \"/nonexistent/%d\"\n", path, i)
		if i%20 == 7 || i%20 == 8 { // other hooks come and go; each waits for grace periods, the rest do not
			text += fmt.Sprintf("[process.p]\npath = \"/nonexistent/%d\"\nfrom = \"/x\"\n", i)
		}
		commit(t, e, ruleset(t, text), lsm.Enforce)
		undo(t, fmt.Sprintf("rename %s/dir %s/dir2;rename %s/dir2 %s/dir", dir, dir, dir, dir))
	}
	tried, succeeded := stop()
	t.Logf("%d opens tried during 200 reloads", tried)
	if tried == 0 || succeeded != 0 {
		t.Errorf("%d of %d opens succeeded", succeeded, tried)
	}
}

// The next daemon finds the rules in force, and an upgrade replaces the
// programs, without a gap.
func TestAdoptAndUpgrade(t *testing.T) {
	dir := tree(t, "key")
	path := dir + "/key"
	rs := ruleset(t, fmt.Sprintf("[file.key]\npath = %q\n", path))
	want(t, "read "+path, 0)
	first := shared()
	commit(t, first, rs, lsm.Enforce)
	defer lift(t)
	stop := assault(t, path)

	for i, build := range []string{first.build, "build2", first.build} {
		next := New(Config{})
		next.build, next.owner = build, uint32(i+100)
		adopted, err := next.Adopt(rs, hostNow(t))
		if err != nil || !adopted {
			t.Fatalf("build %s: adopted %v, %v", build, adopted, err)
		}
		s, err := next.Status()
		if err != nil || !s.Adopted || s.Digest != rs.Digest || s.Mode != lsm.Enforce || s.Generation == 0 {
			t.Fatalf("build %s: %+v, %v", build, s, err)
		}
		entries, err := os.ReadDir(next.abi())
		if err != nil || len(entries) != 2 {
			t.Errorf("build %s: pins of other builds: %v %v", build, entries, err)
		}
		other := ruleset(t, "[file.x]\npath = \"/nonexistent/y\"\n")
		if adopted, err := next.Adopt(other, hostNow(t)); adopted || err != nil {
			t.Errorf("adopted what is not in force: %v", err)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	}
	tried, succeeded := stop()
	if tried == 0 || succeeded != 0 {
		t.Errorf("%d of %d opens succeeded", succeeded, tried)
	}
	// The shared engine's handles are those of pins that are gone.
	first.Close()
	if adopted, err := first.Adopt(rs, hostNow(t)); !adopted || err != nil {
		t.Fatal(adopted, err)
	}
	want(t, "read "+path, syscall.EACCES)
}

func TestCloseKeepsReleaseLifts(t *testing.T) {
	dir := tree(t, "key")
	path := dir + "/key"
	e := shared()
	commit(t, e, ruleset(t, fmt.Sprintf("[file.key]\npath = %q\n", path)), lsm.Enforce)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "read "+path, syscall.EACCES)
	if err := e.Release(); err != nil {
		t.Fatal(err)
	}
	want(t, "read "+path, 0) // at once
	if _, err := os.Stat(e.root()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pins left: %v", err)
	}
	if s, err := e.Status(); err != nil || s.Generation != 0 {
		t.Errorf("%+v %v", s, err)
	}
	lift(t) // and it can begin again
}

// A change that is rolled back leaves what was in force, whole.
func TestRollback(t *testing.T) {
	dir := tree(t, "key")
	e := enforce(t, fmt.Sprintf("[file.key]\npath = %q\n", dir+"/key"))
	before, err := e.Status()
	if err != nil {
		t.Fatal(err)
	}
	txn, err := e.Prepare(ruleset(t, "[process.x]\npath = \"/nonexistent\"\nfrom = \"/x\"\n"), lsm.Enforce, hostNow(t))
	if err != nil {
		t.Fatal(err)
	}
	txn.Rollback()
	after, err := e.Status()
	if err != nil || after.Generation != before.Generation || strings.Join(after.Hooks, " ") != strings.Join(before.Hooks, " ") {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	want(t, "read "+dir+"/key", syscall.EACCES)
}

// A reader that is too slow loses events, and the losses are counted.
func TestLostEventsAreCounted(t *testing.T) {
	dir := tree(t, "key")
	e := enforce(t, fmt.Sprintf("[file.key]\npath = %q\n", dir+"/key"))
	reported(t, e, func() {})
	before, err := e.Status()
	if err != nil {
		t.Fatal(err)
	}
	var tried, succeeded uint64
	for e2 := before; e2.Lost == before.Lost; e2, err = e.Status() {
		if err != nil {
			t.Fatal(err)
		}
		out, err := childLoop(dir + "/key")
		if err != nil {
			t.Fatal(out, err)
		}
		var n, ok uint64
		fmt.Sscan(out, &n, &ok)
		tried, succeeded = tried+n, succeeded+ok
	}
	after, err := e.Status()
	if err != nil {
		t.Fatal(err)
	}
	read := uint64(len(reported(t, e, func() {})))
	if got := after.Hits[1] - before.Hits[1]; got != tried || succeeded != 0 {
		t.Errorf("%d hits for %d tries, %d succeeded", got, tried, succeeded)
	}
	if lost := after.Lost - before.Lost; lost+read != tried {
		t.Errorf("%d lost and %d read are not the %d tried", lost, read, tried)
	}
}
