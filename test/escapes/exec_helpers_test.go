//go:build e2e

package escapes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	register(
		kernelHelper("core-pattern", "/proc/sys/kernel/core_pattern", func(c *ctx) string { return "|" + c.target }, crash),
		kernelHelper("modprobe-path", "/proc/sys/kernel/modprobe", func(c *ctx) string { return c.target }, askForModule),
		attack{name: "release-agent", policy: deniesExec,
			setup: func(c *ctx) error {
				if err := os.Mkdir(c.path("v1"), 0o755); err != nil {
					return err
				}
				if err := unix.Mount("none", c.path("v1"), "cgroup", 0, "none,name=escapes"); err != nil {
					return at("mount a cgroup v1 hierarchy", err)
				}
				return scripts(c)
			},
			try: func(c *ctx) error {
				if err := os.WriteFile(c.path("v1/release_agent"), []byte(c.target), 0); err != nil {
					return err
				}
				group := c.path("v1/" + c.base())
				if err := os.Mkdir(group, 0o755); err != nil {
					return err
				}
				defer os.Remove(group)
				if err := os.WriteFile(filepath.Join(group, "notify_on_release"), []byte("1"), 0); err != nil {
					return err
				}
				cmd := exec.Command("/usr/bin/sleep", "1000")
				if err := cmd.Start(); err != nil {
					return err
				}
				pid := strconv.Itoa(cmd.Process.Pid)
				err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0)
				cmd.Process.Kill()
				cmd.Wait()
				if err != nil {
					return err
				}
				return c.appears()
			}},
	)
}

// appears waits for the mark of a program that the kernel starts, in its own
// time. Under the rule nobody says that it will not come; that it was refused
// is what the journal has to show.
func (c *ctx) appears() error {
	limit := patience / 2
	if _, err := os.Lstat(policyFile(c.name)); err == nil && c.base() == "secret" {
		limit = 2 * time.Second
	}
	for end := time.Now().Add(limit); c.ran() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the kernel's helper has left no trace: %w", unix.EACCES)
		}
	}
	return nil
}

// askForModule has the kernel look for a protocol that it does not know.
func askForModule(*ctx) error {
	const ash = 18 // nobody ever wrote it
	if fd, err := unix.Socket(ash, unix.SOCK_STREAM, 0); err == nil {
		unix.Close(fd)
		return fmt.Errorf("the kernel knows protocol family %d", ash)
	}
	return nil
}

// kernelHelper is a program that the kernel starts by itself: setting says which,
// where makes it do so.
func kernelHelper(name, setting string, line func(c *ctx) string, where func(c *ctx) error) attack {
	saved := func(c *ctx) string { return "/run/" + c.name }
	return attack{name: name, policy: deniesExec,
		setup: func(c *ctx) error {
			b, err := os.ReadFile(setting)
			if err != nil {
				return err
			}
			if err := os.WriteFile(saved(c), b, 0o600); err != nil {
				return err
			}
			return scripts(c)
		},
		try: func(c *ctx) error {
			before, err := os.ReadFile(setting)
			if err != nil {
				return err
			}
			if err := os.WriteFile(setting, []byte(line(c)), 0); err != nil {
				return err
			}
			defer os.WriteFile(setting, before, 0)
			if err := where(c); err != nil {
				return err
			}
			return c.appears()
		},
		cleanup: func(c *ctx) error {
			b, err := os.ReadFile(saved(c))
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			return os.WriteFile(setting, b, 0)
		}}
}

// crash kills a process with a signal that dumps core.
func crash(*ctx) error {
	cmd := exec.Command("/bin/sh", "-c", "ulimit -c unlimited; kill -SEGV $$")
	err := cmd.Run()
	if cmd.ProcessState == nil || !strings.Contains(cmd.ProcessState.String(), "segmentation") {
		return fmt.Errorf("the process did not crash: %v", err)
	}
	return nil
}
