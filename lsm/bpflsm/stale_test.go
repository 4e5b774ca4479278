//go:build kernel

package bpflsm

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// A mount table that was read before a file system went and another one came with
// its device's number must not name the other one.
func TestStaleMountTable(t *testing.T) {
	dir := tree(t, "watched/point/", "other/")
	policy := fmt.Sprintf("[file.in]\npath = %q\naccess = \"read\"\n", dir+"/watched/")
	t.Chdir(dir)
	e := enforce(t, policy)
	device := func(path string) uint64 {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st.Dev
	}
	for _, c := range []struct {
		first, second string
		expect        syscall.Errno
	}{{"watched/point", "other", 0}, {"other", "watched/point", syscall.EACCES}} {
		undo(t, "tmpfs "+c.first)
		old := device(c.first)
		stale := hostNow(t)
		undo(t, "umount "+c.first)
		same := false
		for range 50 {
			undo(t, "tmpfs "+c.second)
			if same = device(c.second) == old; same {
				break
			}
			undo(t, "umount "+c.second)
		}
		if !same {
			t.Fatal("the number was not used again")
		}
		if err := e.Bind(stale); !errors.Is(err, lsm.ErrStale) {
			t.Fatal(err)
		}
		undo(t, "create "+c.second+"/file")
		want(t, "read "+c.second+"/file", c.expect)
		if err := e.Bind(hostNow(t)); err != nil {
			t.Fatal(err)
		}
		want(t, "read "+c.second+"/file", c.expect)
		undo(t, "umount "+c.second)
	}
}
