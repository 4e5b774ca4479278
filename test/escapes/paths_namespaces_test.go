//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	register(
		attack{name: "mount-namespace", try: func(c *ctx) error {
			if err := ownMounts(); err != nil {
				return err
			}
			return c.read(c.target)
		}},
		attack{name: "mount-namespace-bind", try: func(c *ctx) error {
			if err := ownMounts(); err != nil {
				return err
			}
			return tryBind(c)
		}},
		attack{name: "mount-namespace-move", try: func(c *ctx) error {
			if err := ownMounts(); err != nil {
				return err
			}
			for _, dir := range []string{"a", "b"} {
				if err := os.Mkdir(c.tmp(dir), 0o755); err != nil {
					return err
				}
			}
			if err := bind(c.vault, c.tmp("a")); err != nil {
				return err
			}
			if err := unix.Mount(c.tmp("a"), c.tmp("b"), "", unix.MS_MOVE, ""); err != nil {
				return at("move the mount", err)
			}
			return c.read(c.tmp("b/" + c.base()))
		}},
		attack{name: "user-namespace", as: actor{uid: 1000}, try: func(c *ctx) error {
			if c.stage == "inside" {
				return c.read(c.target)
			}
			return c.respawn("inside", userNamespace(1000))
		}},
		attack{name: "user-namespace-bind", as: actor{uid: 1000}, try: func(c *ctx) error {
			if c.stage == "inside" {
				return tryBind(c)
			}
			return c.respawn("inside", userNamespace(1000))
		}},
		attack{name: "user-namespace-overlay", as: actor{uid: 1000}, try: func(c *ctx) error {
			if c.stage != "inside" {
				return c.respawn("inside", userNamespace(1000))
			}
			if err := overlay(c.vault, c.tmp("")); err != nil {
				return err
			}
			return c.read(c.tmp("merged/" + c.base()))
		}},
		attack{name: "pid-namespace", try: func(c *ctx) error {
			if c.stage == "inside" {
				return c.read(c.target)
			}
			return c.respawn("inside", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP})
		}},

		attack{name: "chroot", try: func(c *ctx) error {
			if err := unix.Chroot(c.vault); err != nil {
				return at("chroot", err)
			}
			return c.read("/" + c.base())
		}},
		attack{name: "chroot-to-parent", try: func(c *ctx) error {
			if err := errors.Join(unix.Chroot(c.dir), unix.Chdir("/")); err != nil {
				return at("chroot", err)
			}
			return c.read("vault/" + c.base())
		}},
		attack{name: "pivot-root", try: func(c *ctx) error {
			if err := ownMounts(); err != nil {
				return err
			}
			if err := os.Mkdir(c.tmp("root"), 0o755); err != nil {
				return err
			}
			if err := bind(c.vault, c.tmp("root")); err != nil {
				return err
			}
			if err := unix.Chdir(c.tmp("root")); err != nil {
				return err
			}
			if err := unix.PivotRoot(".", "."); err != nil {
				return at("pivot_root", err)
			}
			if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
				return at("unmount", err)
			}
			return c.read("/" + c.base())
		}},

		attack{name: "proc-self-root", try: func(c *ctx) error { return c.read("/proc/self/root" + c.target) }},
		attack{name: "proc-pid-root", try: func(c *ctx) error {
			return beside(&exec.Cmd{}, c.vault, func(pid int) error {
				return c.read(fmt.Sprintf("/proc/%d/root/%s", pid, c.base()))
			})
		}},
		attack{name: "proc-pid-root-of-namespace", try: func(c *ctx) error {
			return beside(&exec.Cmd{SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}}, "", func(pid int) error {
				return c.read(fmt.Sprintf("/proc/%d/root%s", pid, c.target))
			})
		}},
		attack{name: "proc-pid-cwd", try: func(c *ctx) error {
			return beside(&exec.Cmd{Dir: c.vault}, "", func(pid int) error {
				return c.read(fmt.Sprintf("/proc/%d/cwd/%s", pid, c.base()))
			})
		}},
	)
}

// ownMounts gives this thread mounts of its own.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return at("unshare", err)
	}
	return at("make private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// userNamespace makes a user root in namespaces of their own.
func userNamespace(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
	}
}

// beside runs do while another process lives: a child that waits, started as
// cmd says, and in a root directory of its own where root is not "".
func beside(cmd *exec.Cmd, root string, do func(pid int) error) error {
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	ready, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd.Path = self
	cmd.Env = []string{roleVariable + "=wait " + root}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, told, os.Stderr
	if err := cmd.Start(); err != nil {
		return errors.New("start a process: " + err.Error())
	}
	told.Close()
	defer func() { out.Close(); cmd.Wait() }()
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the process beside does not run: %v", err)
	}
	return do(cmd.Process.Pid)
}

// wait is main of that child.
func wait(root string) int {
	if root != "" {
		if err := unix.Chroot(root); err != nil {
			fmt.Fprintln(os.Stderr, "chroot:", err)
			return 1
		}
	}
	fmt.Print("!")
	os.Stdin.Read(make([]byte, 1)) // until the other end is closed
	return 0
}
