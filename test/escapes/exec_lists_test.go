//go:build e2e

package escapes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// onlyListed lets the unit execute this test and vault/plain.
func onlyListed(c *ctx) string {
	return "action = \"allow\"\n" + onUnit(c, "[process.list]\npath = %s\n", list(self, c.plain()))
}

// fileless forbids the unit to execute what no directory holds.
func fileless(c *ctx) string { return onUnit(c, "[system.it]\noperation = \"fileless-exec\"\n") }

// nameless puts a program into a file without a name, and returns a descriptor
// that is not open for writing: what is, cannot be executed.
func nameless(open func() (int, error)) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	b, err := os.ReadFile(busybox)
	if err != nil {
		return -1, err
	}
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil {
			return -1, err
		}
		b = b[n:]
	}
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY, 0)
	return again, at("open again", err)
}

func memfd() (int, error) { return nameless(func() (int, error) { return unix.MemfdCreate("x", 0) }) }

func tmpfile(c *ctx) func() (int, error) {
	return func() (int, error) {
		return nameless(func() (int, error) { return unix.Open(c.scratch, unix.O_TMPFILE|unix.O_RDWR, 0o755) })
	}
}

// deleted is a program that has lost its last name.
func deleted(dir string) (int, error) {
	path := dir + "/escapes-deleted"
	if err := copyFile(busybox, path, 0o755); err != nil {
		return -1, err
	}
	defer os.Remove(path)
	return unix.Open(path, unix.O_RDONLY, 0)
}

// executes runs an open file inside the unit.
func executes(file func(c *ctx) (int, error)) func(*ctx) error {
	return func(c *ctx) error {
		if c.stage == inUnit {
			return c.becomes("exec")
		}
		fd, err := file(c)
		if err != nil {
			return err
		}
		return execveat(fd, "", c.touch(), unix.AT_EMPTY_PATH)
	}
}

func init() {
	inMemory := func(*ctx) (int, error) { return memfd() }
	unnamed := func(c *ctx) (int, error) { return tmpfile(c)() }
	nameGone := func(*ctx) (int, error) { return deleted("/dev/shm") }
	register(
		attack{name: "copied-program", setup: programs, policy: onlyListed,
			try: operation(func(c *ctx) error {
				if err := copyFile(c.secret(), c.tmp("copy"), 0o755); err != nil {
					return err
				}
				return c.start(c.tmp("copy"), c.touch()...)
			})},
		attack{name: "copied-to-shm", setup: programs, policy: onlyListed,
			try: operation(func(c *ctx) error {
				const path = "/dev/shm/escapes-copy"
				defer os.Remove(path)
				if err := copyFile(c.secret(), path, 0o755); err != nil {
					return err
				}
				return c.start(path, c.touch()...)
			})},
		attack{name: "copied-program-user", setup: programs,
			policy: func(c *ctx) string {
				return fmt.Sprintf("action = \"allow\"\n[applies_to]\nuser = 64002\n\n[process.list]\npath = %s\n", list(self, c.plain()))
			},
			as: actor{uid: 64002},
			try: func(c *ctx) error {
				if c.base() == "plain" {
					return c.start(c.plain(), c.touch()...)
				}
				if err := copyFile(c.secret(), c.tmp("copy"), 0o755); err != nil {
					return err
				}
				return c.start(c.tmp("copy"), c.touch()...)
			}},
		attack{name: "bound-over-listed", setup: programs, policy: onlyListed,
			try: operation(func(c *ctx) error {
				if c.stage == inUnit {
					return c.respawn("mount", newMounts())
				}
				if err := privateMounts(); err != nil {
					return err
				}
				if err := unix.Mount(c.secret(), c.plain(), "", unix.MS_BIND, ""); err != nil {
					return err
				}
				return c.start(c.plain(), c.touch()...)
			})},
		attack{name: "link-at-listed", setup: programs,
			policy: func(c *ctx) string {
				return "action = \"allow\"\n" + onUnit(c, "[process.list]\npath = %s\n", list(self, c.scratch+"/*"))
			},
			try: operation(func(c *ctx) error {
				if err := unix.Symlink(c.secret(), c.tmp("link")); err != nil {
					return err
				}
				return c.start(c.tmp("link"), c.touch()...)
			})},
		attack{name: "script-not-listed", setup: scripts,
			policy: func(c *ctx) string {
				return "action = \"allow\"\n" + onUnit(c, "[process.list]\npath = %s\n", list(self, "/usr/bin/dash"))
			},
			try: operation(func(c *ctx) error { return c.start(c.secret(), "script") })},

		attack{name: "memfd-not-listed", setup: programs, policy: onlyListed, try: operation(executes(inMemory))},
		attack{name: "tmpfile-not-listed", setup: programs, policy: onlyListed, try: operation(executes(unnamed))},
		attack{name: "deleted-not-listed", setup: programs, policy: onlyListed, try: operation(executes(nameGone))},
		attack{name: "memfd", setup: programs, policy: fileless, want: unix.EPERM, try: operation(executes(inMemory))},
		attack{name: "tmpfile", setup: programs, policy: fileless, want: unix.EPERM, try: operation(executes(unnamed))},
		attack{name: "deleted-program", setup: programs, policy: fileless, want: unix.EPERM, try: operation(executes(nameGone))},
		attack{name: "memfd-by-proc", setup: programs, policy: fileless, want: unix.EPERM,
			try: operation(func(c *ctx) error {
				fd, err := memfd()
				if err != nil {
					return err
				}
				return c.start(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), c.touch()...)
			})},
		attack{name: "memfd-script", setup: programs, policy: fileless, want: unix.EPERM,
			try: operation(func(c *ctx) error {
				fd, err := unix.MemfdCreate("x", 0)
				if err != nil {
					return err
				}
				if _, err := unix.Write(fd, []byte("#!/bin/sh\n: >"+c.mark()+"\n")); err != nil {
					return err
				}
				return c.start(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), "script")
			})},
		attack{name: "memfd-interpreter", setup: programs, policy: fileless, want: unix.EPERM,
			try: operation(func(c *ctx) error {
				fd, err := memfd()
				if err != nil {
					return err
				}
				// busybox goes by its own name: as "busybox-N" it is busybox.
				link := c.tmp("busybox")
				if err := unix.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), link); err != nil {
					return err
				}
				if err := script(c.tmp("touch"), "#!"+link+" touch\n"); err != nil {
					return err
				}
				return c.start(c.tmp("touch"), "touch", c.mark())
			})},
	)
}
