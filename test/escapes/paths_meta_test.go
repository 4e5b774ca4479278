//go:build e2e

package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Changes beside the content. Reading is permitted, so that a descriptor can
// be had.
func init() {
	change := func(name string, try func(c *ctx) error) attack {
		return attack{name: name, policy: deniesWriting, changes: true, try: try,
			cleanup: func(c *ctx) error { return errors.Join(mutable(c.secret()), mutable(c.plain())) }}
	}
	// by aims at a descriptor that is open for reading.
	by := func(name string, do func(fd int) error) attack {
		return change(name, func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return errors.New("open for reading: " + err.Error())
			}
			defer unix.Close(fd)
			return do(fd)
		})
	}
	since := func(version string, a attack) attack { a.exists = version; return a }
	marked := func(a attack) attack { // there is an attribute
		a.setup = func(c *ctx) error {
			return errors.Join(unix.Setxattr(c.secret(), "user.mark", []byte("1"), 0), unix.Setxattr(c.plain(), "user.mark", []byte("1"), 0))
		}
		return a
	}
	register(
		change("chmod", func(c *ctx) error { return unix.Chmod(c.target, 0o666) }),
		by("fchmod", func(fd int) error { return unix.Fchmod(fd, 0o666) }),
		change("chmod-proc-descriptor", func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return errors.New("open: " + err.Error())
			}
			return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o666)
		}),
		since("6.6", change("fchmodat2", func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return errors.New("open: " + err.Error())
			}
			return call(unix.SYS_FCHMODAT2, uintptr(fd), pointer(""), 0o666, unix.AT_EMPTY_PATH)
		})),
		change("chown", func(c *ctx) error { return unix.Chown(c.target, 1000, 1000) }),
		change("lchown", func(c *ctx) error { return unix.Lchown(c.target, 1000, -1) }),
		by("fchown", func(fd int) error { return unix.Fchown(fd, 1000, -1) }),
		change("chown-path-descriptor", func(c *ctx) error {
			fd, err := unix.Open(c.target, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return errors.New("open: " + err.Error())
			}
			return unix.Fchownat(fd, "", 1000, 1000, unix.AT_EMPTY_PATH)
		}),
		change("utimes", func(c *ctx) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, c.target, []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0)
		}),
		change("touch", func(c *ctx) error { return call(unix.SYS_UTIMENSAT, atCWD, pointer(c.target), 0, 0) }),
		by("futimens", func(fd int) error {
			old := [2]unix.Timespec{unix.NsecToTimespec(int64(time.Hour)), unix.NsecToTimespec(int64(time.Hour))}
			return call(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&old)), 0)
		}),

		change("setxattr", func(c *ctx) error { return unix.Setxattr(c.target, "user.mark", []byte("2"), 0) }),
		change("setxattr-trusted", func(c *ctx) error { return unix.Lsetxattr(c.target, "trusted.mark", []byte("2"), 0) }),
		change("setxattr-capability", func(c *ctx) error {
			// cap_net_raw, permitted and effective, version 2.
			b := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			return unix.Setxattr(c.target, "security.capability", b, 0)
		}),
		by("fsetxattr", func(fd int) error { return unix.Fsetxattr(fd, "user.mark", []byte("2"), 0) }),
		marked(change("removexattr", func(c *ctx) error { return unix.Removexattr(c.target, "user.mark") })),
		marked(by("fremovexattr", func(fd int) error { return unix.Fremovexattr(fd, "user.mark") })),
		since("6.13", change("setxattrat", func(c *ctx) error {
			value := []byte("2")
			args := struct {
				value       uint64
				size, flags uint32
			}{uint64(uintptr(unsafe.Pointer(&value[0]))), 1, 0}
			return call(sysSetxattrat, atCWD, pointer(c.target), 0, pointer("user.mark"), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
		})),
		change("acl", func(c *ctx) error { return unix.Setxattr(c.target, "system.posix_acl_access", acl(), 0) }),
		by("acl-descriptor", func(fd int) error { return unix.Fsetxattr(fd, "system.posix_acl_access", acl(), 0) }),
		func() attack {
			a := change("acl-removal", func(c *ctx) error { return unix.Removexattr(c.target, "system.posix_acl_access") })
			a.setup = func(c *ctx) error {
				return errors.Join(unix.Setxattr(c.secret(), "system.posix_acl_access", acl(), 0), unix.Setxattr(c.plain(), "system.posix_acl_access", acl(), 0))
			}
			return a
		}(),

		by("chattr", func(fd int) error { return setFlags(fd, flagNoatime) }),
		by("chattr-immutable", func(fd int) error { return setFlags(fd, flagImmutable) }),
		by("chattr-fsxattr", func(fd int) error {
			x := fsxattr{flags: 0x40} // no access times
			return call(unix.SYS_IOCTL, uintptr(fd), fsIocFssetxattr, uintptr(unsafe.Pointer(&x)))
		}),
		since("6.17", change("file-setattr", func(c *ctx) error {
			x := struct {
				flags                      uint64
				extent, n, project, cowExt uint32
			}{flags: 0x40}
			return call(sysFileSetattr, atCWD, pointer(c.target), uintptr(unsafe.Pointer(&x)), unsafe.Sizeof(x), 0)
		})),
		// Access mode 3 opens for ioctls alone: neither reading nor writing.
		func() attack {
			a := change("chattr-access-mode-3", func(c *ctx) error {
				fd, err := unix.Open(c.target, unix.O_ACCMODE|unix.O_CLOEXEC, 0)
				if err != nil {
					return at("open", err)
				}
				defer unix.Close(fd)
				return setFlags(fd, flagNoatime)
			})
			a.policy = nil
			return a
		}(),
	)
}

const (
	flagImmutable   = 0x10
	flagNoatime     = 0x80
	fsIocFssetxattr = 0x401c5820
	sysSetxattrat   = 463
	sysFileSetattr  = 469
)

// atCWD is AT_FDCWD as a system call takes it.
const atCWD = ^uintptr(99)

type fsxattr struct {
	flags, extent, n, project, cowExtent uint32
	_                                    [8]byte
}

// call is a system call that nobody has wrapped.
func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, e := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return e
	}
	return nil
}

// kept holds strings that a system call is about to read.
var kept [][]byte

// pointer is a C string, which lives as long as the process.
func pointer(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// setFlags adds to what chattr sets.
func setFlags(fd int, add uint32) error {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return errors.New("get flags: " + err.Error())
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|add))
}

// mutable undoes flagImmutable, so that a file can be deleted.
func mutable(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return at("open "+path, err)
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&flagImmutable == 0 {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^flagImmutable))
}

// acl lets user 1000 write, as the kernel stores it.
func acl() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, permissions uint16
		id               uint32
	}{{1, 6, ^uint32(0)}, {2, 6, 1000}, {4, 4, ^uint32(0)}, {0x10, 6, ^uint32(0)}, {0x20, 4, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.permissions)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}
