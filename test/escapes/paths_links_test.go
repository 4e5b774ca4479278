//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

func init() {
	register(
		attack{name: "symlink", try: func(c *ctx) error {
			if err := unix.Symlink(c.target, c.tmp("link")); err != nil {
				return at("symlink", err)
			}
			return c.read(c.tmp("link"))
		}},
		attack{name: "symlink-to-directory", try: func(c *ctx) error {
			if err := unix.Symlink(c.vault, c.tmp("link")); err != nil {
				return at("symlink", err)
			}
			return c.read(c.tmp("link/" + c.base()))
		}},
		attack{name: "symlink-swap", try: trySymlinkSwap, fine: func(c *ctx) error { c.aim("plain"); return c.read(c.target) }},

		attack{name: "hard-link", changes: true, try: func(c *ctx) error {
			if err := unix.Link(c.target, c.tmp("link")); err != nil {
				return at("link", err)
			}
			return c.read(c.tmp("link"))
		}},
		attack{name: "hard-link-before",
			setup: func(c *ctx) error {
				return errors.Join(unix.Link(c.secret(), c.path("of-secret")), unix.Link(c.plain(), c.path("of-plain")))
			},
			try: func(c *ctx) error { return c.read(c.path("of-" + c.base())) },
		},
		attack{name: "hard-link-before-write", policy: deniesWriting, changes: true,
			setup: func(c *ctx) error {
				return errors.Join(unix.Link(c.secret(), c.path("of-secret")), unix.Link(c.plain(), c.path("of-plain")))
			},
			try: func(c *ctx) error { return addTo(c.path("of-" + c.base())) },
		},
		attack{name: "hard-link-of-descriptor", changes: true, try: func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			if err := unix.Linkat(fd, "", unix.AT_FDCWD, c.tmp("link"), unix.AT_EMPTY_PATH); err != nil {
				return at("linkat", err)
			}
			return c.read(c.tmp("link"))
		}},
		attack{name: "hard-link-of-proc-descriptor", changes: true, try: func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, c.tmp("link"), unix.AT_SYMLINK_FOLLOW); err != nil {
				return at("linkat", err)
			}
			return c.read(c.tmp("link"))
		}},

		attack{name: "rename", changes: true, try: func(c *ctx) error {
			if err := unix.Rename(c.target, c.tmp("moved")); err != nil {
				return at("rename", err)
			}
			return c.read(c.tmp("moved"))
		}},
		attack{name: "rename-exchange", changes: true, try: func(c *ctx) error {
			if err := os.WriteFile(c.tmp("own"), nil, 0o644); err != nil {
				return err
			}
			if err := unix.Renameat2(unix.AT_FDCWD, c.tmp("own"), unix.AT_FDCWD, c.target, unix.RENAME_EXCHANGE); err != nil {
				return at("exchange", err)
			}
			return c.read(c.tmp("own"))
		}},
		attack{name: "rename-whiteout", changes: true, try: func(c *ctx) error {
			if err := unix.Renameat2(unix.AT_FDCWD, c.target, unix.AT_FDCWD, c.tmp("moved"), unix.RENAME_WHITEOUT); err != nil {
				return at("rename", err)
			}
			return c.read(c.tmp("moved"))
		}},
		attack{name: "rename-over", policy: deniesWriting, changes: true, try: func(c *ctx) error {
			if err := os.WriteFile(c.tmp("own"), nil, 0o644); err != nil {
				return err
			}
			return at("rename", unix.Rename(c.tmp("own"), c.target))
		}},
		attack{name: "rename-parent", changes: true, fine: fineMove, try: func(c *ctx) error {
			if err := unix.Rename(c.vault, c.tmp("moved")); err != nil {
				return at("rename", err)
			}
			return c.read(c.tmp("moved/secret"))
		}},
		attack{name: "rename-ancestor", changes: true, guarded: []string{"outer/inner/secret"}, fine: fineMove,
			setup:  func(c *ctx) error { return nest(c, "outer/inner") },
			policy: func(c *ctx) string { return denies(c.path("outer/inner/secret")) },
			try: func(c *ctx) error {
				c.aim("secret")
				if err := unix.Rename(c.path("outer"), c.tmp("moved")); err != nil {
					return at("rename", err)
				}
				return c.read(c.tmp("moved/inner/secret"))
			},
		},
		attack{name: "exchange-parent", changes: true, fine: fineMove, try: func(c *ctx) error {
			if err := os.Mkdir(c.tmp("own"), 0o755); err != nil {
				return err
			}
			if err := unix.Renameat2(unix.AT_FDCWD, c.tmp("own"), unix.AT_FDCWD, c.vault, unix.RENAME_EXCHANGE); err != nil {
				return at("exchange", err)
			}
			return c.read(c.tmp("own/secret"))
		}},
		attack{name: "rename-tree", changes: true, fine: fineMove, // a rule for a tree, not for a name
			policy: func(c *ctx) string { return denies(c.vault + "/") },
			try: func(c *ctx) error {
				if err := unix.Rename(c.vault, c.tmp("moved")); err != nil {
					return at("rename", err)
				}
				return c.read(c.tmp("moved/secret"))
			},
		},
		attack{name: "rename-glob-parent", changes: true, fine: fineMove,
			policy: func(c *ctx) string { return denies(c.dir + "/v*/sec*") },
			try: func(c *ctx) error {
				if err := unix.Rename(c.vault, c.path("other")); err != nil {
					return at("rename", err)
				}
				return c.read(c.path("other/secret"))
			},
		},
		attack{name: "delete", policy: deniesWriting, changes: true, try: func(c *ctx) error { return unix.Unlink(c.target) }},
		attack{name: "delete-directory", changes: true, guarded: []string{"empty"},
			setup: func(c *ctx) error {
				return errors.Join(os.Mkdir(c.path("empty"), 0o755), os.Mkdir(c.path("free"), 0o755))
			},
			policy: func(c *ctx) string { return denies(c.path("empty") + "/") },
			try:    func(c *ctx) error { return unix.Rmdir(c.path("empty")) },
			fine:   func(c *ctx) error { return unix.Rmdir(c.path("free")) },
		},
	)
}

// addTo writes one byte to a file's end.
func addTo(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open "+path, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("x"))
	return at("write", err)
}

// nest makes a directory with a copy of the secret.
func nest(c *ctx, dir string) error {
	if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
		return err
	}
	return copyFile(c.secret(), c.path(filepath.Join(dir, "secret")), 0o644)
}

// fineMove: directories that no rule knows still move.
func fineMove(c *ctx) error {
	c.aim("plain")
	if err := os.Mkdir(c.tmp("a"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(c.tmp("a/plain"), []byte(c.text), 0o644); err != nil {
		return err
	}
	if err := unix.Rename(c.tmp("a"), c.tmp("b")); err != nil {
		return at("rename", err)
	}
	return c.read(c.tmp("b/plain"))
}

// trySymlinkSwap has a link flip between the plain file and the secret while
// another thread opens it.
func trySymlinkSwap(c *ctx) error {
	var swaps atomic.Int64
	var done atomic.Bool
	swapped := make(chan error, 1)
	go func() {
		for ; !done.Load(); swaps.Add(1) {
			to := c.secret()
			if swaps.Load()%2 == 0 {
				to = c.plain()
			}
			if err := unix.Symlink(to, c.tmp("next")); err != nil {
				swapped <- err
				return
			}
			if err := unix.Rename(c.tmp("next"), c.tmp("link")); err != nil {
				swapped <- err
				return
			}
		}
		swapped <- nil
	}()
	err := errors.New("the link never led to the secret")
	for through := false; !through && swaps.Load() < 400 && len(swapped) == 0; {
		got := c.read(c.tmp("link"))
		if through = got == nil; through || errors.Is(got, unix.EACCES) {
			err = got
		}
	}
	done.Store(true)
	if failed := <-swapped; failed != nil {
		return failed
	}
	return err
}
