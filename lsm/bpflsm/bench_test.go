//go:build kernel && bench

package bpflsm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// TestCost prints what operations cost, for docs/benchmarks.md, and holds the
// bounds. It needs a guest under icount (make bench): there a nanosecond of the
// clock is one instruction.
func TestCost(t *testing.T) {
	small := smallProgram(t)
	dir := tree(t, "a/b/plain", "a/b/named", "a/b/from", "glob/")
	for i := range 2000 {
		if err := os.WriteFile(fmt.Sprintf("%s/a/first%d", dir, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s/glob/first%d", dir, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	type figures map[string]int
	measure := func() figures {
		drop(t)
		f := figures{}
		openClose := func(path string) func() {
			return func() {
				fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(path, err)
				}
				unix.Close(fd)
			}
		}
		f["open+close, no rule names it"] = median(300, openClose(dir+"/a/b/plain"))
		f["open+close, a rule names it"] = median(300, openClose(dir+"/a/b/named"))
		f["open+close, a rule with from"] = median(300, openClose(dir+"/a/b/from"))
		n := 0
		f["first open of a file"] = median(1000, func() {
			openClose(fmt.Sprintf("%s/a/first%d", dir, n))()
			n++
		})
		n = 0
		f["first open, a glob runs"] = median(1000, func() {
			openClose(fmt.Sprintf("%s/glob/first%d", dir, n))()
			n++
		})
		f["create+unlink"] = median(300, func() {
			fd, err := unix.Open(dir+"/a/new", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			unix.Unlink(dir + "/a/new")
		})
		fd, err := unix.Open(dir+"/a/b/plain", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f["pwrite of a byte"] = median(300, func() { unix.Pwrite(fd, []byte{1}, 0) })
		unix.Close(fd)
		f["spawn+wait"] = median(200, func() { spawn(t, small) })
		return f
	}
	rules := func(n int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "[file.named]\npath = %q\naccess = \"write\"\n", dir+"/a/b/named")
		fmt.Fprintf(&b, "[file.from]\npath = %q\nfrom = \"/usr/bin/nobody\"\n", dir+"/a/b/from")
		fmt.Fprintf(&b, "[file.glob]\npath = %q\n", dir+"/glob/*.secret")
		fmt.Fprintf(&b, "[process.x]\npath = \"/usr/bin/nobody\"\n")
		for i := range n - 4 {
			fmt.Fprintf(&b, "[file.r%d]\npath = \"/srv/data/d%d/file%d\"\n", i, i%1000, i)
		}
		return b.String()
	}
	e := shared()
	if err := e.Release(); err != nil {
		t.Fatal(err)
	}
	measure() // what the kernel's caches grow to
	base := measure()
	bounds := figures{"open+close, no rule names it": 350, "open+close, a rule names it": 600, "open+close, a rule with from": 600, "pwrite of a byte": 30}
	names := slices.Sorted(func(yield func(string) bool) {
		for k := range base {
			if !yield(k) {
				return
			}
		}
	})
	sizes := []int{10, 10_000, 100_000}
	if os.Getenv("BPFLSM_TEST_SIZE") != "" {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		began := time.Now()
		rs := ruleset(t, rules(n))
		compiled := time.Since(began)
		commit(t, e, rs, lsm.Enforce)
		t.Logf("%d rules: parsed and compiled in %d ms, in force after %d ms", n, compiled.Milliseconds(), time.Since(began).Milliseconds())
		// Its descriptors would be copied and closed at every spawn. The pins
		// keep the rules in force. What the switch has left to free is freed.
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		got := measure()
		for _, k := range names {
			t.Logf("%d rules: %-30s %8d %+7d", n, k, base[k], got[k]-base[k])
			if bound := bounds[k]; bound != 0 && got[k]-base[k] > bound {
				t.Errorf("%d rules: %s costs %+d, bound %d", n, k, got[k]-base[k], bound)
			}
		}
	}
	lift(t)
}

// TestCostOfSpawn prints what each hook takes of a process's start, in
// instructions: where to look when that grows.
func TestCostOfSpawn(t *testing.T) {
	e := shared()
	rs := ruleset(t, fmt.Sprintf("[file.named]\npath = \"/srv/named\"\naccess = \"write\"\n[file.from]\npath = \"/srv/from\"\nfrom = %q\n[process.x]\npath = \"/usr/bin/nobody\"\n", "/usr/bin/nobody"))
	commit(t, e, rs, lsm.Enforce)
	defer lift(t)
	small := smallProgram(t)
	spawn(t, small)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	type figure struct{ runs, ns uint64 }
	read := func() map[string]figure {
		f := make(map[string]figure)
		for _, h := range hooks {
			if p := e.program(h.name); p != nil {
				s, err := p.Stats()
				if err != nil {
					t.Fatal(err)
				}
				f[h.name] = figure{s.RunCount, uint64(s.Runtime)}
			}
		}
		return f
	}
	const n = 20
	before := read()
	for range n {
		spawn(t, small)
	}
	for name, f := range read() {
		if runs := f.runs - before[name].runs; runs > 0 {
			t.Logf("%-24s %6.1f runs %8d in all", name, float64(runs)/n, (f.ns-before[name].ns)/n)
		}
	}
}

// smallProgram does nothing: of a larger one, what the kernel does besides
// differs from run to run by more than the hooks cost.
func smallProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(path, exitsAtOnce(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func spawn(t *testing.T, path string) {
	t.Helper()
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
}

// drop empties the caches, so that first opens are first.
func drop(t *testing.T) {
	t.Helper()
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
}

func median(n int, do func()) int {
	do()
	var ns []int
	for range n {
		start := time.Now()
		do()
		ns = append(ns, int(time.Since(start)))
	}
	slices.Sort(ns)
	return ns[len(ns)/2]
}
