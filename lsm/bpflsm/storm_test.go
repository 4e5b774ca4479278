//go:build kernel && bench

package bpflsm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// TestRenameStorm: 10,000 renames of directories a second that no rule is about
// leave a warm open of another file at no more than twice its usual overhead.
//
// It needs a guest under icount (make bench), where a nanosecond is one
// instruction and there is one CPU. So a second process that renames cannot run
// beside the one that opens, only between its opens, and that is what this does in
// one process: every 100,000 instructions one rename, and after it as many opens
// as an opener could make in what is left. What a rename made void is paid by
// the first open after it, the rest is warm again; median and mean are over all
// of them, and the first ones are told apart. What is left out is contention on
// cache lines, which icount cannot see, and opens in the middle of a rename.
func TestRenameStorm(t *testing.T) {
	dir := tree(t, "a/b/plain", "from/moved/x/y/file", "to/", "in/")
	const (
		rounds  = 1000
		period  = 100 * time.Microsecond
		opening = 60 * time.Microsecond // of each period; the renames fit in the rest
	)
	path := dir + "/a/b/plain"
	type figures struct{ median, mean, first int }
	measure := func(rename func(round int)) figures {
		var all, first []int
		busy := time.Duration(0)
		for round := range rounds {
			start := time.Now()
			rename(round)
			busy = max(busy, time.Since(start))
			for n := 0; time.Since(start) < period-period/10 && n < int(opening/(10*time.Microsecond)); n++ {
				before := time.Now()
				fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(fd)
				took := int(time.Since(before))
				if n == 0 {
					first = append(first, took)
				}
				all = append(all, took)
			}
			for time.Since(start) < period {
			}
		}
		sum := 0
		for _, n := range all {
			sum += n
		}
		slices.Sort(all)
		slices.Sort(first)
		if len(all) < 3*rounds {
			t.Errorf("only %d opens in %d rounds; the longest rename took %d instructions", len(all), rounds, busy)
		}
		return figures{all[len(all)/2], sum / len(all), first[len(first)/2]}
	}
	back := func(a, b string) func(int) {
		return func(round int) {
			from, to := a, b
			if round%2 == 1 {
				from, to = b, a
			}
			if err := unix.Rename(dir+"/"+from, dir+"/"+to); err != nil {
				t.Fatal(err)
			}
		}
	}
	kinds := []struct {
		name   string
		bound  bool
		rename func(int)
	}{
		{"no renames", false, func(int) {}},
		{"renames that no rule is about", true, back("from/moved", "to/moved")},
		// These change what rules say of everything beneath, so all that was known
		// of the file system is void after each, and found again.
		{"renames into and out of a rule", false, back("from/moved", "in/moved")},
	}
	e := shared()
	if err := e.Release(); err != nil {
		t.Fatal(err)
	}
	base := make([]figures, len(kinds))
	for i, kind := range kinds {
		base[i] = measure(kind.rename)
	}
	commit(t, e, ruleset(t, fmt.Sprintf("[file.in]\npath = %q\naccess = \"read\"\n[file.other]\npath = \"/srv/data/other\"\n[process.x]\npath = \"/usr/bin/nobody\"\n",
		dir+"/in/")), lsm.Enforce)
	defer lift(t)
	var usual figures
	for i, kind := range kinds {
		got := measure(kind.rename)
		over := figures{got.median - base[i].median, got.mean - base[i].mean, got.first - base[i].first}
		t.Logf("%-32s open+close %5d (mean %5d): median %+5d, mean %+5d, the first after a rename %+5d",
			kind.name, base[i].median, base[i].mean, over.median, over.mean, over.first)
		if i == 0 {
			usual = over
			if usual.median <= 0 || usual.mean <= 0 {
				t.Fatal("an open costs nothing: nothing is in force")
			}
		}
		if kind.bound && (over.median > 2*usual.median || over.mean > 2*usual.mean) {
			t.Errorf("%s: an open costs %+d (mean %+d), usually %+d (mean %+d): more than twice", kind.name, over.median, over.mean, usual.median, usual.mean)
		}
	}
}
