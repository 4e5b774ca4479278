//go:build kernel

package bpflsm

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that a unit's policy confines stays confined where it moves itself
// or starts its children, and whoever is outside is free to enter and to leave.
func TestUnitsHoldTheirProcesses(t *testing.T) {
	const root = "/units"
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	confined, beneath, free := root+"/confined.service", root+"/confined.service/child", root+"/free.service"
	for _, dir := range []string{confined, beneath, free} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range []string{beneath, confined, free} {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := tree(t, "secret", "plain")
	secret := "read " + filepath.Join(dir, "secret")
	cases := []struct {
		script string
		denied bool
	}{
		{secret, false},
		{"-join " + free + ";" + secret, false},
		{"inside " + free + " " + secret, false},
		{"-join " + confined + ";" + secret, true},
		{"-join " + confined + ";-join " + free + ";" + secret, true},
		{"-join " + confined + ";-join " + root + ";" + secret, true},
		{"-join " + confined + ";inside " + free + " " + secret, true},
		{"inside " + confined + " " + secret, true},
		{"inside " + confined + " -join " + free + "," + secret, true},
		{"inside " + beneath + " " + secret, true},
		{"inside " + beneath + " inside " + free + " " + secret, true},
		{"inside " + confined + " inside " + free + " inside " + root + " " + secret, true},
	}
	try := func(rule bool) {
		for _, c := range cases {
			expect := syscall.Errno(0)
			if rule && c.denied {
				expect = unix.EACCES
			}
			want(t, c.script, expect)
			want(t, "inside "+confined+" read "+filepath.Join(dir, "plain"), 0)
		}
	}
	lift(t)
	try(false)
	enforce(t, fmt.Sprintf("[applies_to]\nunit = \"confined.service\"\n\n[file.secret]\npath = %q\n", filepath.Join(dir, "secret")))
	try(true)
}
