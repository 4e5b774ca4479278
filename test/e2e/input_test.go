//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/status"
)

// testBadInput: whatever stands in the directory, it is reported by name, the
// previous set stays, and the daemon lives on.
func testBadInput(t *testing.T) {
	survives(t)
	const path = policies + "/bad.toml"
	sound := []byte(hostPolicy("[file.it]\npath = \"/srv/bad\"\n"))
	file := func(content []byte, mode os.FileMode) func() error {
		return func() error {
			if err := os.WriteFile(path, content, mode); err != nil {
				return err
			}
			return os.Chmod(path, mode)
		}
	}
	link := func(target string) func() error {
		return func() error { return os.Symlink(target, path) }
	}
	for _, bad := range []struct {
		name string
		make func() error
		says string
	}{
		{"50 MB", func() error {
			if err := file(nil, 0o644)(); err != nil {
				return err
			}
			return os.Truncate(path, 50<<20)
		}, "HA003"},
		{"binary junk", file(bytes.Repeat([]byte{0xff, 0, 0x1b, 0x80, '[', '"'}, 1000), 0o644), "HA004"},
		{"unfinished", file(sound[:len(sound)-3], 0o644), "HA001"},
		{"deep nesting", file([]byte("a = "+strings.Repeat("[", 100_000)), 0o644), "HA0"},
		{"a directory", func() error { return os.Mkdir(path, 0o755) }, "HA002"},
		{"a pipe", func() error { return unix.Mkfifo(path, 0o644) }, "HA002"},
		{"a device", link("/dev/zero"), "HA002"},
		{"a link to itself", link("bad.toml"), "HA002"},
		{"a link that leads nowhere", link("/nonexistent/bad.toml"), "HA002"},
		{"a file that gives EIO", link("/proc/1/mem"), "HA002"},
		{"somebody else's file", func() error {
			if err := file(sound, 0o644)(); err != nil {
				return err
			}
			return os.Chown(path, 1000, 1000)
		}, "HA005"},
		{"a file that all may write", file(sound, 0o666), "HA005"},
	} {
		t.Run(strings.ReplaceAll(bad.name, " ", "-"), func(t *testing.T) {
			if err := bad.make(); err != nil {
				t.Fatal(err)
			}
			out, code := try(t, "hostarmor", "reload")
			if code != 1 || !strings.Contains(out, bad.says) || !strings.Contains(out, path) {
				t.Errorf("hostarmor reload: exit code %d\n%.2000s", code, out)
			}
			if s := getStatus(t); s.Mode != status.Enforcing || s.Clean() {
				t.Errorf("status: mode %s, clean %v", s.Mode, s.Clean())
			}
			want(t, denied, "read", secret)
			want(t, 0, "read", ordinary)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		})
	}
	reload(t)
	if s := getStatus(t); !s.Clean() {
		t.Errorf("status afterwards: drift %v, degraded %v", s.Drift, s.Degraded)
	}
}

// testFullDisk: what cannot be saved is in force all the same, and told.
func testFullDisk(t *testing.T) {
	const state, file = "/var/lib/hostarmor", "/srv/full/file"
	write(t, file, "text\n")
	run(t, "sed", "-i", "s/^self = .*/self = false/", settingsFile) // or nobody else could fill it
	reload(t)
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		run(t, "sed", "-i", "s/^self = .*/self = true/", settingsFile)
		run(t, "systemctl", "restart", service)
		want(t, denied, "read", secret)
		if s := getStatus(t); !s.Clean() {
			t.Errorf("status afterwards: drift %v, degraded %v", s.Drift, s.Degraded)
		}
	})
	run(t, "systemctl", "restart", service)
	survives(t)
	want(t, denied, "read", secret)
	if err := os.WriteFile(state+"/full", make([]byte, 1<<20), 0o600); errno(err) != syscall.ENOSPC {
		t.Fatalf("fill the disk: %v", err)
	}
	load(t, "full", hostPolicy("[file.it]\npath = %q\n", file))
	want(t, denied, "read", file)
	want(t, denied, "read", secret)
	s := getStatus(t)
	if s.Mode != status.Enforcing || !strings.Contains(strings.Join(s.Degraded, "\n"), "no space left on device") {
		t.Errorf("status: mode %s, degraded %v", s.Mode, s.Degraded)
	}
	if told := journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=degraded"); len(told) == 0 ||
		!strings.Contains(told[len(told)-1].get("MESSAGE"), "no space left on device") {
		t.Errorf("the events do not tell of the full disk: %v", told)
	}
}
