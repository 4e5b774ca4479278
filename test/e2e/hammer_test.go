//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
)

// tally counts what a hammer got.
type tally struct{ tries, refused, permitted, other uint64 }

// Bursts leave the emulated machine some time for what is tested: every try is
// an event for the daemon.
const burst, pause = 2 * time.Millisecond, 20 * time.Millisecond

// hammer is the program that opens a file again and again, as fast as it can
// in each burst. It answers every line on its standard input with what it got
// so far.
func hammer(path string) int {
	var tries, refused, permitted, other atomic.Uint64
	go func() {
		for began := time.Now(); ; {
			if time.Since(began) > burst {
				time.Sleep(pause)
				began = time.Now()
			}
			switch errno(access("read", path)) {
			case denied:
				refused.Add(1)
			case 0:
				permitted.Add(1)
			default:
				other.Add(1)
			}
			tries.Add(1)
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(tries.Load(), refused.Load(), permitted.Load(), other.Load())
	}
	return 0
}

// hammering is a running hammer.
type hammering struct {
	in   io.Writer
	out  io.Reader
	last tally
}

// startHammer runs one until the test ends, as root.
func startHammer(t *testing.T, path string) *hammering {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=hammer "+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the hammer:", err)
		}
	})
	return &hammering{in: in, out: out}
}

// got asks for the counts since the last time. At least one try must have been
// made meanwhile, or it proves nothing.
func (h *hammering) got(t *testing.T) tally {
	t.Helper()
	var now tally
	ask := func() {
		if _, err := fmt.Fprintln(h.in); err != nil {
			t.Fatal("ask the hammer:", err)
		}
		if _, err := fmt.Fscan(h.out, &now.tries, &now.refused, &now.permitted, &now.other); err != nil {
			t.Fatal("ask the hammer:", err)
		}
	}
	eventually(t, "the hammer tries", func() bool { ask(); return now.tries > h.last.tries })
	since := tally{
		now.tries - h.last.tries, now.refused - h.last.refused,
		now.permitted - h.last.permitted, now.other - h.last.other,
	}
	h.last = now
	return since
}

// neverThrough fails the test if a single try since the last time was not
// refused.
func (h *hammering) neverThrough(t *testing.T, during string) {
	t.Helper()
	got := h.got(t)
	t.Logf("%s: %d tries, %d permitted", during, got.tries, got.permitted)
	if got.permitted != 0 || got.other != 0 {
		t.Errorf("%s: of %d tries %d were permitted and %d failed otherwise", during, got.tries, got.permitted, got.other)
	}
}
