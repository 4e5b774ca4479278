//go:build e2e

package escapes

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A rule names a file that does not exist yet.
func init() {
	creating := func(name string, try func(c *ctx, path string) error) attack {
		return attack{
			name: name, changes: true, guarded: []string{"vault/absent"},
			policy: func(c *ctx) string { return denies(c.path("vault/absent")) },
			try:    func(c *ctx) error { return try(c, newName(c, "vault")) },
		}
	}
	register(
		creating("create", func(c *ctx, path string) error {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}),
		creating("create-fifo", func(c *ctx, path string) error { return unix.Mkfifo(path, 0o644) }),
		creating("create-device", func(c *ctx, path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
		}),
		creating("create-socket", func(c *ctx, path string) error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}),
		creating("create-directory", func(c *ctx, path string) error { return unix.Mkdir(path, 0o755) }),
		creating("create-symlink", func(c *ctx, path string) error { return unix.Symlink(c.plain(), path) }),
		creating("create-hard-link", func(c *ctx, path string) error {
			if err := os.WriteFile(c.tmp("own"), nil, 0o644); err != nil {
				return err
			}
			return unix.Link(c.tmp("own"), path)
		}),
		creating("create-by-rename", func(c *ctx, path string) error {
			if err := os.WriteFile(c.tmp("own"), nil, 0o644); err != nil {
				return err
			}
			return unix.Rename(c.tmp("own"), path)
		}),
		creating("create-by-rename-noreplace", func(c *ctx, path string) error {
			if err := os.WriteFile(c.tmp("own"), nil, 0o644); err != nil {
				return err
			}
			return unix.Renameat2(unix.AT_FDCWD, c.tmp("own"), unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
		}),
		creating("create-from-tmpfile", func(c *ctx, path string) error {
			fd, err := unix.Open(c.scratch, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return at("open", err)
			}
			defer unix.Close(fd)
			return at("linkat", unix.Linkat(fd, "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH))
		}),
		creating("create-through-symlink", func(c *ctx, path string) error {
			if err := unix.Symlink(path, c.tmp("link")); err != nil {
				return at("symlink", err)
			}
			fd, err := unix.Open(c.tmp("link"), unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return at("open", err)
			}
			return unix.Close(fd)
		}),
		// The directory of the name does not exist either, and comes with the file in it.
		attack{name: "create-by-moving-directory", changes: true, guarded: []string{"absent"},
			policy: func(c *ctx) string { return denies(c.path("absent/file")) },
			try: func(c *ctx) error {
				if err := os.Mkdir(c.tmp("own"), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(c.tmp("own/file"), nil, 0o644); err != nil {
					return err
				}
				return at("rename", unix.Rename(c.tmp("own"), newName(c, "")))
			},
		},
		// Writing is free, reading is not: what was known under a free name comes
		// under the denied one.
		attack{name: "read-after-rename-in", guarded: []string{},
			policy: func(c *ctx) string { return deniesReading(c.path("vault/absent")) },
			try: func(c *ctx) error {
				if err := errors.Join(os.WriteFile(c.tmp("own"), []byte(c.text), 0o644), c.read(c.tmp("own"))); err != nil {
					return errors.New("prepare: " + err.Error())
				}
				path := newName(c, "vault")
				if err := unix.Rename(c.tmp("own"), path); err != nil {
					return errors.New("rename: " + err.Error())
				}
				return c.read(path)
			},
		},
		attack{name: "read-after-directory-rename-in", guarded: []string{},
			policy: func(c *ctx) string { return deniesReading(c.path("absent/file")) },
			try: func(c *ctx) error {
				own := c.tmp("own")
				err := errors.Join(os.Mkdir(own, 0o755), os.WriteFile(own+"/file", []byte(c.text), 0o644), c.read(own+"/file"))
				if err != nil {
					return errors.New("prepare: " + err.Error())
				}
				path := newName(c, "")
				if err := unix.Rename(own, path); err != nil {
					return errors.New("rename: " + err.Error())
				}
				return c.read(path + "/file")
			},
		},
	)
}

// newName is the name below dir that is denied, or beside it one that is not.
func newName(c *ctx, dir string) string {
	if c.base() == "plain" {
		return c.path(dir + "/free")
	}
	return c.path(dir + "/absent")
}
