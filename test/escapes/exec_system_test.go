//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// system is an attack under a rule against one operation of class system.
func system(op, name string, do func(c *ctx) error) attack {
	return attack{name: name, want: unix.EPERM,
		policy: func(c *ctx) string { return onUnit(c, "[system.it]\noperation = %q\n", op) },
		try:    operation(do)}
}

// mounts is one about mounting, in a namespace of its own.
func mounts(name string, do func(c *ctx) error) attack {
	return system("mount", name, func(c *ctx) error {
		if c.stage == inUnit {
			return c.respawn("mounts", newMounts())
		}
		return do(c)
	})
}

// madeMount is a mount that is there before the rule.
func madeMount(a attack) attack {
	a.setup = func(c *ctx) error {
		for _, name := range []string{"mount", "other"} {
			if err := os.Mkdir(c.path(name), 0o755); err != nil {
				return err
			}
		}
		return unix.Mount("none", c.path("mount"), "tmpfs", 0, "")
	}
	return a
}

// pivot needs a root to be that stands on a mount which is not shared.
func pivot() attack {
	a := mounts("mount-pivot-root", func(c *ctx) error {
		if err := os.Chdir(c.path("mount/root")); err != nil {
			return err
		}
		return unix.PivotRoot(".", "old")
	})
	a.setup = func(c *ctx) error {
		if err := os.Mkdir(c.path("mount"), 0o755); err != nil {
			return err
		}
		if err := unix.Mount("none", c.path("mount"), "tmpfs", 0, ""); err != nil {
			return err
		}
		if err := unix.Mount("", c.path("mount"), "", unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := os.Mkdir(c.path("mount/root"), 0o755); err != nil {
			return err
		}
		if err := unix.Mount("none", c.path("mount/root"), "tmpfs", 0, ""); err != nil {
			return err
		}
		return os.Mkdir(c.path("mount/root/old"), 0o755)
	}
	return a
}

// mountObject is a new tmpfs that stands nowhere yet.
func mountObject() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, at("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, at("fsconfig", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	return fd, at("fsmount", err)
}

// cloned makes a process by clone or clone3, which ends at once.
func cloned(flags uintptr, clone3 bool) error {
	var pid uintptr
	var e syscall.Errno
	if clone3 {
		args := [8]uint64{0: uint64(flags), 4: uint64(unix.SIGCHLD)}
		pid, e = rawClone3(&args)
	} else {
		pid, e = rawClone(flags | uintptr(unix.SIGCHLD))
	}
	if e != 0 {
		return e
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}

// The child does nothing but end: it has one thread of the parent's many.
//
//go:norace
func rawClone(flags uintptr) (uintptr, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if e == 0 && pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return pid, e
}

//go:norace
func rawClone3(args *[8]uint64) (uintptr, syscall.Errno) {
	pid, _, e := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if e == 0 && pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return pid, e
}

// moduleFile is where a module stands that nothing needs.
func moduleFile(name string) (string, error) {
	out, err := exec.Command("modinfo", "-F", "filename", name).Output()
	return strings.TrimSpace(string(out)), at("modinfo "+name, err)
}

// loads is an attack that ends with a module in the kernel.
func loads(name, module string, load func(c *ctx) error) attack {
	a := system("load-module", name, func(c *ctx) error {
		err := load(c)
		if _, gone := os.Stat("/sys/module/" + module); gone == nil {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("the module is not there")
		}
		return err
	})
	a.setup = func(*ctx) error {
		// Not "modprobe -r": it would ask for what the module needs, too.
		if _, err := os.Stat("/sys/module/" + module); err != nil {
			return nil
		}
		out, err := exec.Command("rmmod", module).CombinedOutput()
		return at(string(out), err)
	}
	a.cleanup = a.setup
	return a
}

func init() {
	var now unix.Timespec
	settime := func() error {
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
			return err
		}
		return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
	}
	tick := func(call func(*unix.Timex) (int, error)) error {
		var x unix.Timex
		if _, err := unix.Adjtimex(&x); err != nil {
			return err
		}
		x.Modes = unix.ADJ_TICK
		_, err := call(&x)
		return err
	}
	register(
		madeMount(mounts("mount-new", func(c *ctx) error {
			return unix.Mount("none", c.path("other"), "tmpfs", 0, "")
		})),
		madeMount(mounts("mount-bind", func(c *ctx) error {
			return unix.Mount(c.path("mount"), c.path("other"), "", unix.MS_BIND, "")
		})),
		madeMount(mounts("mount-move", func(c *ctx) error {
			// What is shared cannot be moved.
			if err := privateMounts(); err != nil {
				return err
			}
			return unix.Mount(c.path("mount"), c.path("other"), "", unix.MS_MOVE, "")
		})),
		madeMount(mounts("mount-remount", func(c *ctx) error {
			return unix.Mount("none", c.path("mount"), "", unix.MS_REMOUNT|unix.MS_NOEXEC, "size=1m")
		})),
		madeMount(mounts("mount-propagation", func(*ctx) error { return privateMounts() })),
		madeMount(mounts("mount-change-attributes", func(c *ctx) error {
			return unix.MountSetattr(unix.AT_FDCWD, c.path("mount"), 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV})
		})),
		madeMount(mounts("mount-unmount", func(c *ctx) error {
			return unix.Unmount(c.path("mount"), 0)
		})),
		madeMount(mounts("mount-unmount-lazily", func(c *ctx) error {
			return unix.Unmount(c.path("mount"), unix.MNT_DETACH)
		})),
		madeMount(mounts("mount-object", func(c *ctx) error {
			fd, err := mountObject()
			if err != nil {
				return err
			}
			return at("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, c.path("other"), unix.MOVE_MOUNT_F_EMPTY_PATH))
		})),
		madeMount(mounts("mount-clone", func(c *ctx) error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, c.path("mount"), unix.OPEN_TREE_CLONE)
			if err != nil {
				return at("open_tree", err)
			}
			return at("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, c.path("other"), unix.MOVE_MOUNT_F_EMPTY_PATH))
		})),
		pivot(),

		system("bpf", "bpf-map", func(*ctx) error {
			const mapCreate, array = 0, 2
			fd, err := bpf(mapCreate, native(uint32(array), uint32(4), uint32(8), uint32(1)))
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),
		system("bpf", "bpf-program", func(*ctx) error {
			// r0 = 0; exit
			program := native(uint64(0xb7), uint64(0x95))
			license := []byte("GPL\x00")
			const progLoad, socketFilter = 5, 1
			load := native(uint32(socketFilter), uint32(2), uint64(ptr(&program[0])), uint64(ptr(&license[0])))
			fd, err := bpf(progLoad, load)
			for i := 0; i < 10 && errors.Is(err, unix.EAGAIN); i++ { // a signal came while the verifier ran
				fd, err = bpf(progLoad, load)
			}
			runtime.KeepAlive(program)
			runtime.KeepAlive(license)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),

		system("create-userns", "userns-unshare", func(c *ctx) error {
			// A process with threads cannot; a child can, before it is a program.
			cmd := exec.Command("/usr/bin/unshare", "--user", "/usr/bin/true")
			out, err := cmd.CombinedOutput()
			if err != nil {
				return spoken(string(out), err)
			}
			return nil
		}),
		system("create-userns", "userns-clone", func(*ctx) error { return cloned(unix.CLONE_NEWUSER, false) }),
		system("create-userns", "userns-clone3", func(*ctx) error { return cloned(unix.CLONE_NEWUSER, true) }),

		// Nothing to load: the kernel permits or refuses it before it looks.
		system("kexec", "kexec-load", func(*ctx) error {
			_, _, e := unix.RawSyscall6(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0, 0, 0)
			if e != 0 {
				return e
			}
			return nil
		}),
		system("kexec", "kexec-file-load", func(c *ctx) error {
			f, err := os.Open(c.secret())
			if err != nil {
				return err
			}
			defer f.Close()
			const noInitramfs = 4
			err = unix.KexecFileLoad(int(f.Fd()), -1, "", noInitramfs)
			if err == unix.ENOEXEC || err == unix.EINVAL {
				return nil // read and found to be no kernel
			}
			return err
		}),
		system("io-uring", "io-uring-setup", func(*ctx) error {
			params := make([]byte, 120)
			fd, _, e := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 4, ptr(&params[0]), 0)
			if e != 0 {
				return e
			}
			return unix.Close(int(fd))
		}),

		system("set-time", "time-clock-settime", func(*ctx) error { return settime() }),
		system("set-time", "time-settimeofday", func(*ctx) error {
			var tv unix.Timeval
			if err := unix.Gettimeofday(&tv); err != nil {
				return err
			}
			return unix.Settimeofday(&tv)
		}),
		system("set-time", "time-adjtimex", func(*ctx) error { return tick(unix.Adjtimex) }),
		system("set-time", "time-clock-adjtime", func(*ctx) error {
			return tick(func(x *unix.Timex) (int, error) { return unix.ClockAdjtime(unix.CLOCK_REALTIME, x) })
		}),

		loads("module-finit", "dummy", func(*ctx) error {
			path, err := moduleFile("dummy")
			if err != nil {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.FinitModule(int(f.Fd()), "", 0)
		}),
		loads("module-init", "nlmon", func(*ctx) error {
			path, err := moduleFile("nlmon")
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return unix.InitModule(b, "")
		}),
		autoload("module-autoload", "kcm", 41),
	)
}

// autoload has the kernel look for a protocol that a module brings. The socket
// is not refused by the rule: there is just none.
func autoload(name, module string, family int) attack {
	a := loads(name, module, func(*ctx) error {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
	a.want = unix.EAFNOSUPPORT
	return a
}
