//go:build e2e

package escapes

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// confinedUser is whom the rules of these cases are for.
const confinedUser = 64001

func userSecret(c *ctx) string {
	return fmt.Sprintf("[applies_to]\nuser = %d\n\n[file.secret]\npath = %q\n", confinedUser, c.secret())
}

// one changes the ids of the calling thread alone; -1 leaves one as it is.
func one(real, effective, saved int) error {
	_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(real), uintptr(effective), uintptr(saved))
	if e != 0 {
		return at("setresuid", e)
	}
	return nil
}

// becoming is an attack by a process that becomes the user after its start.
func becoming(name string, change func() error) attack {
	return attack{name: name, policy: userSecret,
		try: func(c *ctx) error {
			if err := c.read(c.target); err != nil {
				return fmt.Errorf("root is not confined, but: %v", err)
			}
			if err := change(); err != nil {
				return err
			}
			return c.read(c.target)
		}}
}

// ownerOnly lets the owner of the secret through.
func ownerOnly(c *ctx) string {
	return onHost("[file.secret]\npath = %q\nowner_only = true\n", c.secret())
}

// owned gives the texts to an ordinary user.
func owned(c *ctx) error {
	for _, path := range []string{c.secret(), c.plain()} {
		if err := os.Chown(path, 1000, 1000); err != nil {
			return err
		}
	}
	return nil
}

// owner reads as the owner, who may.
func owner(c *ctx) error {
	if err := unix.Setresuid(1000, 1000, 1000); err != nil {
		return err
	}
	return c.read(c.target)
}

func init() {
	register(
		attack{name: "user-plain", policy: userSecret, as: actor{uid: confinedUser},
			try: func(c *ctx) error { return c.read(c.target) }},
		becoming("user-setuid", func() error { return unix.Setresuid(confinedUser, confinedUser, confinedUser) }),
		becoming("user-effective", func() error { return one(-1, confinedUser, -1) }),
		becoming("user-real", func() error { return one(confinedUser, -1, -1) }),
		becoming("user-and-back", func() error {
			// Root again by its effective uid only.
			if err := one(confinedUser, confinedUser, 0); err != nil {
				return err
			}
			return one(-1, 0, -1)
		}),
		attack{name: "user-one-thread", policy: userSecret,
			try: func(c *ctx) error {
				got := make(chan error)
				go func() {
					runtime.LockOSThread() // and never again: the thread ends with it
					if err := one(confinedUser, confinedUser, confinedUser); err != nil {
						got <- err
						return
					}
					got <- c.read(c.target)
				}()
				err := <-got
				if mine := c.read(c.target); mine != nil {
					return fmt.Errorf("the other thread is confined, but this one, which is root: %v", mine)
				}
				return err
			}},
		attack{name: "user-setuid-program", policy: userSecret, as: actor{uid: confinedUser},
			setup: func(c *ctx) error {
				if err := trustedProgram(c); err != nil {
					return err
				}
				return os.Chmod(c.path("other"), 0o755|os.ModeSetuid)
			},
			try: func(c *ctx) error {
				if err := exited(exec.Command(c.path("other"), "copy", c.target, c.tmp("copy"))); err != nil {
					return err
				}
				return c.copied(c.tmp("copy"))
			}},
		attack{name: "user-namespace-root", policy: userSecret, as: actor{uid: confinedUser},
			try: func(c *ctx) error {
				if c.stage == "" {
					return c.respawn("root", &syscall.SysProcAttr{
						Cloneflags:  unix.CLONE_NEWUSER,
						UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: confinedUser, Size: 1}},
						GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: confinedUser, Size: 1}},
					})
				}
				if unix.Geteuid() != 0 {
					return fmt.Errorf("it is not root in there")
				}
				return c.read(c.target)
			}},

		attack{name: "owner-not", policy: ownerOnly, setup: owned, fine: owner,
			try: func(c *ctx) error { return c.read(c.target) }},
		attack{name: "owner-by-chown", policy: ownerOnly, setup: owned, fine: owner,
			try: func(c *ctx) error {
				if err := os.Chown(c.target, 0, 0); err != nil {
					return err
				}
				return c.read(c.target)
			}},
		attack{name: "owner-by-fsuid", policy: ownerOnly, setup: owned, fine: owner,
			try: func(c *ctx) error {
				// One thread's, and for files only.
				if _, _, e := unix.RawSyscall(unix.SYS_SETFSUID, 1000, 0, 0); e != 0 {
					return e
				}
				return c.read(c.target)
			}},
		attack{name: "owner-was", policy: ownerOnly,
			try: func(c *ctx) error {
				// A process that was the owner, and is not any more.
				if err := one(-1, 1000, 0); err != nil {
					return err
				}
				return c.read(c.target)
			}},
	)
}
