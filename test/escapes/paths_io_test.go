//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	// Changes of the content, where only writing is denied.
	change := func(name string, try func(c *ctx) error) attack {
		return attack{name: name, policy: deniesWriting, changes: true, try: try}
	}
	// with opens the target, and goes on with the descriptor.
	with := func(flags int, do func(c *ctx, fd int) error) func(c *ctx) error {
		return func(c *ctx) error {
			fd, err := unix.Open(c.target, flags|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			defer unix.Close(fd)
			return do(c, fd)
		}
	}
	register(
		change("write", with(unix.O_WRONLY, func(c *ctx, fd int) error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err })),
		change("append", func(c *ctx) error { return addTo(c.target) }),
		change("truncate", func(c *ctx) error { return unix.Truncate(c.target, 1) }),
		change("ftruncate", with(unix.O_RDWR, func(c *ctx, fd int) error { return unix.Ftruncate(fd, 1) })),
		change("open-truncate", with(unix.O_WRONLY|unix.O_TRUNC, func(*ctx, int) error { return nil })),
		change("open-truncate-for-reading", with(unix.O_RDONLY|unix.O_TRUNC, func(*ctx, int) error { return nil })),
		change("fallocate", with(unix.O_WRONLY, func(c *ctx, fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1)
		})),
		change("direct-write", with(unix.O_WRONLY|unix.O_DIRECT, func(c *ctx, fd int) error {
			page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				return err
			}
			_, err = unix.Pwrite(fd, page, 0)
			return err
		})),
		change("shared-map", with(unix.O_RDWR, func(c *ctx, fd int) error {
			b, err := unix.Mmap(fd, 0, len(c.text), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				return at("mmap", err)
			}
			b[0] = 'x'
			return at("msync", unix.Msync(b, unix.MS_SYNC))
		})),
		change("shared-map-made-writable", with(unix.O_RDWR, func(c *ctx, fd int) error {
			b, err := unix.Mmap(fd, 0, len(c.text), unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return at("mmap", err)
			}
			if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err != nil {
				return at("mprotect", err)
			}
			b[0] = 'x'
			return at("msync", unix.Msync(b, unix.MS_SYNC))
		})),
		change("copy-file-range-onto", with(unix.O_WRONLY, func(c *ctx, fd int) error {
			from, err := other(c)
			if err != nil {
				return err
			}
			_, err = unix.CopyFileRange(from, nil, fd, nil, 4, 0)
			return at("copy_file_range", err)
		})),
		change("sendfile-onto", with(unix.O_WRONLY, func(c *ctx, fd int) error {
			from, err := other(c)
			if err != nil {
				return err
			}
			_, err = unix.Sendfile(fd, from, nil, 4)
			return at("sendfile", err)
		})),
		change("splice-onto", with(unix.O_WRONLY, func(c *ctx, fd int) error {
			var p [2]int
			if err := unix.Pipe(p[:]); err != nil {
				return err
			}
			if _, err := unix.Write(p[1], []byte("text")); err != nil {
				return err
			}
			_, err := unix.Splice(p[0], nil, fd, nil, 4, 0)
			return at("splice", err)
		})),
		// The kernel opens the file itself, for who asks.
		func() attack {
			a := change("process-accounting", func(c *ctx) error {
				if err := unix.Acct(c.target); err != nil {
					return at("acct", err)
				}
				err := exec.Command("/bin/true").Run()
				return errors.Join(err, call(unix.SYS_ACCT, 0))
			})
			a.cleanup = func(*ctx) error { return call(unix.SYS_ACCT, 0) }
			return a
		}(),
		func() attack {
			a := change("core-dump", tryCoreDump)
			a.setup = func(c *ctx) error {
				b, err := os.ReadFile(corePattern)
				if err != nil {
					return err
				}
				return c.put("pattern", b)
			}
			a.cleanup = func(c *ctx) error {
				b, err := c.get("pattern")
				if errors.Is(err, os.ErrNotExist) {
					return nil
				}
				return errors.Join(err, os.WriteFile(corePattern, b, 0))
			}
			return a
		}(),

		attack{name: "read", try: func(c *ctx) error { return c.read(c.target) }},
		attack{name: "create-flag", try: with(unix.O_RDONLY|unix.O_CREAT, func(c *ctx, fd int) error { return c.readFD(fd) })},
		attack{name: "private-map", try: with(unix.O_RDONLY, func(c *ctx, fd int) error {
			b, err := unix.Mmap(fd, 0, len(c.text), unix.PROT_READ, unix.MAP_PRIVATE)
			if err != nil {
				return at("mmap", err)
			}
			return c.same(b)
		})},
		attack{name: "copy-file-range", try: with(unix.O_RDONLY, func(c *ctx, fd int) error {
			to, err := unix.Open(c.tmp("copy"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return errors.New("make a file: " + err.Error())
			}
			if _, err := unix.CopyFileRange(fd, nil, to, nil, len(c.text), 0); err != nil {
				return at("copy_file_range", err)
			}
			return c.readFD(to)
		})},
		attack{name: "splice", try: with(unix.O_RDONLY, func(c *ctx, fd int) error {
			var p [2]int
			if err := unix.Pipe(p[:]); err != nil {
				return err
			}
			if _, err := unix.Splice(fd, nil, p[1], nil, len(c.text), 0); err != nil {
				return at("splice", err)
			}
			b := make([]byte, len(c.text))
			if _, err := unix.Read(p[0], b); err != nil {
				return err
			}
			return c.same(b)
		})},
		attack{name: "sendfile", try: with(unix.O_RDONLY, func(c *ctx, fd int) error {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			if _, err := unix.Sendfile(pair[0], fd, nil, len(c.text)); err != nil {
				return at("sendfile", err)
			}
			b := make([]byte, len(c.text))
			if _, err := unix.Read(pair[1], b); err != nil {
				return err
			}
			return c.same(b)
		})},

		attack{name: "io-uring-open", try: func(c *ctx) error { return tryRing(c, 0, 0) }},
		attack{name: "io-uring-worker", try: func(c *ctx) error { return tryRing(c, 0, sqeAsync) }},
		attack{name: "io-uring-kernel-thread", try: func(c *ctx) error { return tryRing(c, setupSQPoll, 0) }},
		attack{name: "io-uring-rename", changes: true, try: func(c *ctx) error { return tryRingNames(c, opRenameat) }},
		attack{name: "io-uring-link", changes: true, try: func(c *ctx) error { return tryRingNames(c, opLinkat) }},
	)
}

// other is a file to copy from.
func other(c *ctx) (int, error) {
	if err := os.WriteFile(c.tmp("other"), []byte("text"), 0o644); err != nil {
		return -1, err
	}
	return unix.Open(c.tmp("other"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

const corePattern = "/proc/sys/kernel/core_pattern"

// tryCoreDump has the kernel write a crashed process's memory over a file.
func tryCoreDump(c *ctx) error {
	before, err := os.ReadFile(corePattern)
	if err != nil {
		return errors.New(err.Error())
	}
	if err := os.WriteFile(corePattern, []byte(c.target), 0); err != nil {
		return at("set core_pattern", err)
	}
	defer os.WriteFile(corePattern, before, 0)
	var old unix.Stat_t
	if err := unix.Stat(c.target, &old); err != nil {
		return err
	}
	crash := exec.Command("/bin/sh", "-c", "ulimit -c unlimited; kill -SEGV $$")
	err = crash.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSEGV {
		return fmt.Errorf("the shell did not crash: %v", strings.TrimSpace(fmt.Sprint(err)))
	}
	var now unix.Stat_t
	if err := unix.Stat(c.target, &now); err != nil {
		return err
	}
	if now.Size == old.Size && now.Mtim == old.Mtim {
		return at("nothing is dumped", unix.EACCES)
	}
	return nil
}
