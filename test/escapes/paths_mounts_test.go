//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	register(
		attack{name: "bind-mount-file", try: func(c *ctx) error {
			if err := os.WriteFile(c.tmp("file"), nil, 0o644); err != nil {
				return err
			}
			if err := bind(c.target, c.tmp("file")); err != nil {
				return err
			}
			return c.read(c.tmp("file"))
		}},
		attack{name: "bind-mount", try: tryBind},
		attack{name: "bind-mount-before",
			setup: func(c *ctx) error {
				if err := os.Mkdir(c.path("bound"), 0o755); err != nil {
					return err
				}
				return bind(c.vault, c.path("bound"))
			},
			try: func(c *ctx) error { return c.read(c.path("bound/" + c.base())) },
		},
		// The rule names the file as the bind mount shows it.
		attack{name: "bind-mount-source",
			setup: func(c *ctx) error {
				if err := os.Mkdir(c.path("bound"), 0o755); err != nil {
					return err
				}
				return bind(c.vault, c.path("bound"))
			},
			policy: func(c *ctx) string { return denies(c.path("bound/secret")) },
			try:    func(c *ctx) error { return c.read(c.target) },
		},
		attack{name: "bind-mount-write", policy: deniesWriting, changes: true, try: func(c *ctx) error {
			if err := os.Mkdir(c.tmp("dir"), 0o755); err != nil {
				return err
			}
			if err := bind(c.vault, c.tmp("dir")); err != nil {
				return err
			}
			return addTo(c.tmp("dir/" + c.base()))
		}},
		attack{name: "lazy-unmount", try: func(c *ctx) error {
			if err := os.Mkdir(c.tmp("dir"), 0o755); err != nil {
				return err
			}
			if err := bind(c.vault, c.tmp("dir")); err != nil {
				return err
			}
			fd, err := unix.Open(c.tmp("dir"), unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			if err := unix.Unmount(c.tmp("dir"), unix.MNT_DETACH); err != nil {
				return at("unmount", err)
			}
			return c.readAt(fd, c.base())
		}},
		attack{name: "detached-mount", try: func(c *ctx) error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, c.vault, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			if err != nil {
				return at("open_tree", err)
			}
			return c.readAt(fd, c.base())
		}},
		attack{name: "detached-mount-attached", try: func(c *ctx) error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, c.dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
			if err != nil {
				return at("open_tree", err)
			}
			if err := os.Mkdir(c.tmp("dir"), 0o755); err != nil {
				return err
			}
			if err := unix.MoveMount(fd, "", unix.AT_FDCWD, c.tmp("dir"), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
				return at("move_mount", err)
			}
			return c.read(c.tmp("dir/vault/" + c.base()))
		}},
		attack{name: "mount-setattr", try: func(c *ctx) error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, c.vault, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			if err != nil {
				return at("open_tree", err)
			}
			if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
				return at("mount_setattr", err)
			}
			return c.readAt(fd, c.base())
		}},
		attack{name: "idmapped-mount", try: tryIDMapped},
		attack{name: "mount-device-again", try: func(c *ctx) error {
			device, err := rootDevice()
			if err != nil {
				return err
			}
			if err := os.Mkdir(c.tmp("dir"), 0o755); err != nil {
				return err
			}
			if err := unix.Mount(device, c.tmp("dir"), "ext4", 0, ""); err != nil {
				return at("mount "+device, err)
			}
			return c.read(c.tmp("dir" + c.target))
		}, fine: tryBindPlain},

		// The name is another file's while something covers it, and again its own
		// afterwards.
		attack{name: "covered-directory", try: func(c *ctx) error {
			fd, err := unix.Open(c.vault, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open", err)
			}
			if err := unix.Mount("tmpfs", c.vault, "tmpfs", 0, ""); err != nil {
				return at("mount", err)
			}
			defer unix.Unmount(c.vault, unix.MNT_DETACH)
			return c.readAt(fd, c.base())
		}},
		attack{name: "uncovered-directory", try: func(c *ctx) error {
			if err := unix.Mount("tmpfs", c.vault, "tmpfs", 0, ""); err != nil {
				return at("mount", err)
			}
			if _, err := os.Stat(c.target); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("the mount does not cover %s: %v", c.target, err)
			}
			if err := unix.Unmount(c.vault, 0); err != nil {
				return at("unmount", err)
			}
			return c.read(c.target)
		}},
		attack{name: "fresh-mount", policy: func(c *ctx) string { return denies(c.path("point/secret")) }, guarded: []string{},
			setup: func(c *ctx) error { return os.Mkdir(c.path("point"), 0o755) },
			try: func(c *ctx) error {
				if err := unix.Mount("tmpfs", c.path("point"), "tmpfs", 0, ""); err != nil {
					return at("mount", err)
				}
				defer unix.Unmount(c.path("point"), unix.MNT_DETACH)
				name := c.path("point/" + c.base())
				fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
				if err != nil {
					return at("open "+name, err)
				}
				return unix.Close(fd)
			},
		},

		// The kernel gives the number of a file system that is gone to the next.
		attack{name: "fresh-mount-of-known-number", guarded: []string{},
			policy: func(c *ctx) string { return denies(c.path("point/secret")) },
			setup:  func(c *ctx) error { return os.Mkdir(c.path("point"), 0o755) },
			try:    tryNumber,
		},

		attack{name: "overlay-lower", try: func(c *ctx) error {
			if err := overlay(c.vault, c.tmp("")); err != nil {
				return err
			}
			return c.read(c.tmp("merged/" + c.base()))
		}},
		attack{name: "overlay-lower-before",
			setup: func(c *ctx) error { return overlay(c.vault, c.dir) },
			try:   func(c *ctx) error { return c.read(c.path("merged/" + c.base())) },
		},
		attack{name: "overlay-lower-copy-up", policy: readingDenied, try: func(c *ctx) error {
			if err := overlay(c.vault, c.tmp("")); err != nil {
				return err
			}
			// Writing copies it up, by which the kernel reads it.
			if err := unix.Chmod(c.tmp("merged/"+c.base()), 0o600); err != nil {
				return at("chmod", err)
			}
			return c.read(c.tmp("upper/" + c.base()))
		}},
		attack{name: "overlay-layers",
			setup:  func(c *ctx) error { return overlay(c.vault, c.dir) },
			policy: func(c *ctx) string { return denies(c.path("merged/secret")) },
			try:    func(c *ctx) error { return c.read(c.target) },
		},
		attack{name: "overlay-merged", // the name that the rule has
			setup:  func(c *ctx) error { return overlay(c.vault, c.dir) },
			policy: func(c *ctx) string { return denies(c.path("merged/secret")) },
			try:    func(c *ctx) error { return c.read(c.path("merged/" + c.base())) },
		},
	)
}

func readingDenied(c *ctx) string { return deniesReading(c.secret()) }

// tryNumber has the daemon learn of a file system, and puts another of the same
// number where files have denied names.
func tryNumber(c *ctx) error {
	if err := os.Mkdir(c.tmp("known"), 0o755); err != nil {
		return err
	}
	refused := errors.New("no file system got the number of the one before")
	for range 10 {
		if err := unix.Mount("tmpfs", c.tmp("known"), "tmpfs", 0, ""); err != nil {
			return at("mount", err)
		}
		var known, next unix.Stat_t
		if err := unix.Stat(c.tmp("known"), &known); err != nil {
			return err
		}
		// Whatever the daemon does meanwhile: the way is tried ten times.
		time.Sleep(300 * time.Millisecond)
		if err := unix.Unmount(c.tmp("known"), 0); err != nil {
			return at("unmount", err)
		}
		if err := unix.Mount("tmpfs", c.path("point"), "tmpfs", 0, ""); err != nil {
			return at("mount", err)
		}
		err := unix.Stat(c.path("point"), &next)
		if err == nil {
			var fd int
			if fd, err = unix.Open(c.path("point/"+c.base()), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644); err == nil {
				unix.Close(fd)
			}
		}
		unix.Unmount(c.path("point"), unix.MNT_DETACH)
		if err == nil {
			return nil
		}
		if known.Dev == next.Dev {
			refused = at("open", err)
		}
	}
	return refused
}

func bind(from, to string) error {
	return at("bind "+to, unix.Mount(from, to, "", unix.MS_BIND, ""))
}

func tryBind(c *ctx) error {
	if err := os.Mkdir(c.tmp("dir"), 0o755); err != nil {
		return err
	}
	if err := bind(c.vault, c.tmp("dir")); err != nil {
		return err
	}
	return c.read(c.tmp("dir/" + c.base()))
}

func tryBindPlain(c *ctx) error {
	c.aim("plain")
	return tryBind(c)
}

// overlay mounts dir/merged over a lower directory.
func overlay(lower, dir string) error {
	for _, name := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(dir+"/"+name, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir)
	return at("mount overlay", unix.Mount("overlay", dir+"/merged", "overlay", 0, options))
}

// tryIDMapped maps owners in a detached mount, which needs a user namespace.
func tryIDMapped(c *ctx) error {
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1000}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1000}},
	}
	if err := cmd.Start(); err != nil {
		return errors.New("start a process in a user namespace: " + err.Error())
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open the namespace", err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, c.vault, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return at("open_tree", err)
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns)}); err != nil {
		return at("mount_setattr", err)
	}
	return c.readAt(fd, c.base())
}
