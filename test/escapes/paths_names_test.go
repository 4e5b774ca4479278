//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func init() {
	// A file of an odd name, with the pattern that a rule has for it.
	odd := func(name, file, pattern string) attack {
		return attack{name: name, guarded: []string{"odd/" + file},
			setup: func(c *ctx) error {
				if err := os.Mkdir(c.path("odd"), 0o755); err != nil {
					return err
				}
				c.aim("secret")
				return os.WriteFile(c.path("odd/"+file), []byte(c.text), 0o644)
			},
			policy: func(c *ctx) string { return denies(c.path("odd/" + pattern)) },
			try: func(c *ctx) error {
				if c.base() == "plain" {
					return c.read(c.target)
				}
				return c.read(c.path("odd/" + file))
			},
		}
	}
	// A deep tree below what a rule denies, and one that no rule knows.
	deep := func(name string, components []string) attack {
		return attack{name: name,
			policy: func(c *ctx) string { return denies(c.vault + "/") },
			setup: func(c *ctx) error {
				if err := os.Mkdir(c.path("open"), 0o755); err != nil {
					return err
				}
				for _, root := range []string{"vault", "open"} {
					c.aim(map[string]string{"vault": "secret", "open": "plain"}[root])
					if err := plant(c, c.path(root), components); err != nil {
						return err
					}
				}
				return nil
			},
			try: func(c *ctx) error {
				root := c.vault
				if c.base() == "plain" {
					root = c.path("open")
				}
				fd, err := descend(root, components)
				if err != nil {
					return errors.New("descend: " + err.Error())
				}
				defer unix.Close(fd)
				return c.readAt(fd, "file")
			},
		}
	}
	repeat := func(name string, n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = name
		}
		return names
	}
	long := strings.Repeat("n", 255)
	register(
		attack{name: "path-spelling", try: func(c *ctx) error {
			var refused error
			for _, path := range []string{
				"/" + c.target, "///" + c.target[1:], strings.ReplaceAll(c.target, "/", "//"), strings.ReplaceAll(c.target, "/", "/./"),
				c.vault + "/../vault/" + c.base(), "/../.." + c.target, c.dir + "/scratch/../vault/./" + c.base(),
			} {
				err := c.read(path)
				if err == nil && c.base() == "secret" {
					return nil
				}
				if err != nil && !errors.Is(err, unix.EACCES) {
					return err
				}
				refused = err
			}
			return refused
		}},
		attack{name: "relative-path", try: func(c *ctx) error {
			if err := unix.Chdir(c.vault); err != nil {
				return at("chdir", err)
			}
			return c.read(c.base())
		}},
		attack{name: "directory-descriptor", try: func(c *ctx) error {
			fd, err := unix.Open(c.vault, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			return c.readAt(fd, c.base())
		}},
		attack{name: "openat2-in-root", try: func(c *ctx) error {
			dir, err := unix.Open(c.vault, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			fd, err := unix.Openat2(dir, "/"+c.base(), &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
			if err != nil {
				return at("openat2", err)
			}
			return c.readFD(fd)
		}},
		attack{name: "path-descriptor", try: func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			return c.read(fmt.Sprintf("/proc/self/fd/%d", fd))
		}},
		attack{name: "path-descriptor-dev-fd", try: func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			return c.read(fmt.Sprintf("/dev/fd/%d", fd))
		}},
		attack{name: "list-directory", policy: func(c *ctx) string { return denies(c.vault + "/") },
			try: func(c *ctx) error {
				names, err := os.ReadDir(c.vault)
				if err == nil && len(names) != 2 {
					err = fmt.Errorf("%d names, want 2", len(names))
				}
				return err
			},
			fine: func(c *ctx) error { _, err := os.ReadDir(c.scratch); return err },
		},
		attack{name: "file-handle", try: func(c *ctx) error {
			handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, c.target, 0)
			if err != nil {
				return errors.New("name_to_handle_at: " + err.Error())
			}
			return c.readHandle(handle)
		}},
		attack{name: "file-handle-disconnected", event: unjudgedEvent, unnamed: "/",
			setup: func(c *ctx) error {
				handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, c.secret(), 0)
				if err != nil {
					return err
				}
				// In its own file: looking it up must not connect the secret's name.
				return c.put("handle", append([]byte{byte(handle.Type())}, handle.Bytes()...))
			},
			try: func(c *ctx) error {
				b, err := c.get("handle")
				if err != nil {
					return errors.New("the handle: " + err.Error())
				}
				unix.Sync()
				if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
					return errors.New("drop caches: " + err.Error())
				}
				return c.readHandle(unix.NewFileHandle(int32(b[0]), b[1:]))
			},
			// The plain file too cannot be named by its bare handle. By its name it can.
			fine: func(c *ctx) error { c.aim("plain"); return c.read(c.target) },
		},

		odd("name-of-255-bytes", long, long),
		odd("name-long-like-another", long[1:]+"x", "n*x"),
		odd("name-deleted", "secret (deleted)", "secret (deleted)"),
		odd("name-newline", "sec\nret", "sec\nret"),
		odd("name-not-utf8", "sec\xff\xferet", "sec??ret"),
		odd("name-of-glob-characters", "[a]*{b}?", `\[a\]\*\{b\}\?`),
		odd("name-of-dots", "...", "..."),
		odd("name-blanks", " secret ", " secret "),
		odd("name-hidden", ".secret", "*"),
		deep("deep-tree", repeat("d", 300)),
		deep("long-path", repeat(strings.Repeat("p", 250), 20)),
		func() attack {
			a := deep("deeper-than-the-walk", repeat("d", 4200))
			a.cleanup = func(c *ctx) error {
				return errors.Join(halve(c.vault, repeat("d", most)), halve(c.path("open"), repeat("d", most)))
			}
			a.event, a.unnamed = unjudgedEvent, "/d/d/d"
			// No file so deep can be named. Others can.
			a.fine = func(c *ctx) error {
				c.aim("plain")
				return errors.Join(os.WriteFile(c.tmp("file"), []byte(c.text), 0o644), c.read(c.tmp("file")))
			}
			return a
		}(),
	)
}

// readHandle opens a file by its handle and reads it.
func (c *ctx) readHandle(handle unix.FileHandle) error {
	mount, err := unix.Open(ground, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.New("open the mount: " + err.Error())
	}
	defer unix.Close(mount)
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return at("open_by_handle_at", err)
	}
	defer unix.Close(fd)
	return c.readFD(fd)
}

// plant writes the target's text into a file far below a directory. A name that
// the engine cannot find is refused to whom any rule refuses to write, and
// HostArmor's own refuse everybody: so what is deeper is made in two pieces.
func plant(c *ctx, root string, components []string) error {
	if len(components) <= most {
		dir, err := dig(root, components)
		if err != nil {
			return err
		}
		fd, err := unix.Openat(dir, "file", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		_, err = unix.Write(fd, []byte(c.text))
		return errors.Join(err, unix.Close(fd), unix.Close(dir))
	}
	upper, lower := components[:most], components[most:]
	piece := root + "-piece"
	if err := os.Mkdir(piece, 0o755); err != nil {
		return err
	}
	if err := plant(c, piece, lower); err != nil {
		return err
	}
	dir, err := dig(root, upper)
	if err != nil {
		return err
	}
	err = unix.Renameat(unix.AT_FDCWD, filepath.Join(piece, lower[0]), dir, lower[0])
	return errors.Join(at("put the pieces together", err), unix.Close(dir), os.Remove(piece))
}

// most is how long a piece is.
const most = 2100

// halve takes the pieces apart again, for the same reason.
func halve(root string, upper []string) error {
	dir, err := descend(root, upper)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = unix.Renameat(dir, upper[0], unix.AT_FDCWD, root+"-piece")
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return at("take the pieces apart", err)
}

// dig makes nested directories and opens the last.
func dig(root string, components []string) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for i, name := range components {
		if err := unix.Mkdirat(dir, name, 0o755); err != nil {
			return -1, at(fmt.Sprintf("make directory %d", i), err)
		}
		if dir, err = step(dir, name); err != nil {
			return -1, err
		}
	}
	return dir, nil
}

// descend opens the last of nested directories, one by one: a path may be
// longer than the kernel takes in one call.
func descend(root string, components []string) (int, error) {
	dir, err := unix.Open(filepath.Clean(root), unix.O_PATH|unix.O_CLOEXEC, 0)
	for _, name := range components {
		if err != nil {
			return -1, err
		}
		dir, err = step(dir, name)
	}
	return dir, err
}

func step(dir int, name string) (int, error) {
	defer unix.Close(dir)
	return unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0)
}
