//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Descriptors that somebody else has opened: a program that the rule trusts, or
// the attacker before there was a rule.
func init() {
	register(
		attack{name: "passed-descriptor", policy: trusts, try: tryPassed},
		attack{name: "proc-pid-descriptor", policy: trusts, try: func(c *ctx) error {
			return holding(c, func(pid int, _ *os.File) error { return c.read(fmt.Sprintf("/proc/%d/fd/%d", pid, heldFD)) })
		}},
		attack{name: "proc-pid-map-files", policy: trusts, try: tryMapFiles},
		attack{name: "fanotify", policy: trusts, try: tryFanotify},
		attack{name: "cached-for-another", policy: trusts, try: func(c *ctx) error {
			if err := holding(c, func(int, *os.File) error { return nil }); err != nil {
				return err
			}
			return c.read(c.target)
		}},
		attack{name: "inherited-descriptor", policy: trusts, try: func(c *ctx) error {
			switch c.stage {
			case "":
				return result(c.command(trusted, "opener", nil))
			case "opener":
				f, err := os.Open(c.target)
				if err != nil {
					return errors.New("the trusted program: " + err.Error())
				}
				return result(c.command(self, "heir", nil, f))
			}
			return c.readFD(3)
		}},
		attack{name: "opened-before", alone: func(t *testing.T, c *ctx) {
			fd := c.openNow(t, unix.O_RDWR)
			b, err := unix.Mmap(fd, 0, len(c.text), unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			c.load(t, denies(c.secret()))
			if err := c.readFD(fd); err != nil {
				t.Errorf("documented as open: %v", err)
			}
			if err := c.same(b); err != nil {
				t.Errorf("documented as open: %v", err)
			}
		}},
		attack{name: "opened-before-again", alone: func(t *testing.T, c *ctx) {
			fd := c.openNow(t, unix.O_RDONLY)
			again := fmt.Sprintf("/proc/self/fd/%d", fd)
			if err := c.read(again); err != nil {
				t.Fatalf("without the rule: %v", err)
			}
			c.load(t, denies(c.secret()))
			if err := c.read(again); !errors.Is(err, unix.EACCES) {
				t.Errorf("opening the open file again: %v, want EACCES", err)
			}
			if err := addTo(again); !errors.Is(err, unix.EACCES) {
				t.Errorf("opening it for writing: %v, want EACCES", err)
			}
			if err := unix.Fchmod(fd, 0o600); !errors.Is(err, unix.EACCES) {
				t.Errorf("fchmod: %v, want EACCES", err)
			}
		}},
		attack{name: "path-descriptor-before", alone: func(t *testing.T, c *ctx) {
			fd := c.openNow(t, unix.O_PATH)
			dir, err := unix.Open(c.vault, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(dir)
			c.load(t, denies(c.vault+"/"))
			if err := c.read(fmt.Sprintf("/proc/self/fd/%d", fd)); !errors.Is(err, unix.EACCES) {
				t.Errorf("opening an old O_PATH descriptor: %v, want EACCES", err)
			}
			if err := c.readAt(dir, "secret"); !errors.Is(err, unix.EACCES) {
				t.Errorf("opening below an old directory's descriptor: %v, want EACCES", err)
			}
		}},
	)
}

// openNow opens the secret until the end of the test.
func (c *ctx) openNow(t *testing.T, flags int) int {
	t.Helper()
	c.aim("secret")
	fd, err := unix.Open(c.target, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// heldFD is the number of the target's descriptor in the process that holds it.
const heldFD = 10

// holding runs do while the trusted program has the target open. It has sent
// the descriptor over the socket already.
func holding(c *ctx, do func(pid int, socket *os.File) error) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer ours.Close()
	cmd := c.command(trusted, "", nil, theirs)
	cmd.Env = append(os.Environ(), roleVariable+"=hold "+c.target)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return errors.New("start the trusted program: " + err.Error())
	}
	theirs.Close()
	defer func() { ours.Close(); cmd.Wait() }()
	// The first byte comes without the descriptor: it is open.
	if n, err := unix.Read(int(ours.Fd()), make([]byte, 1)); n != 1 {
		return fmt.Errorf("the trusted program does not hold the file: %v", err)
	}
	return do(cmd.Process.Pid, ours)
}

// hold is main of the trusted program: it opens a file, maps it, sends it over
// its descriptor 3, and waits for the other end to be closed.
func hold(path string) int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, "trusted program:", err); return 1 }
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	if err := unix.Dup3(fd, heldFD, unix.O_CLOEXEC); err != nil {
		return fail(err)
	}
	if _, err := unix.MmapPtr(heldFD, 0, mapAddress(), 4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		return fail(err)
	}
	if _, err := unix.Write(3, []byte("o")); err != nil {
		return fail(err)
	}
	if err := unix.Sendmsg(3, []byte("d"), unix.UnixRights(heldFD), nil, 0); err != nil {
		return fail(err)
	}
	b := make([]byte, 1)
	for {
		n, err := unix.Read(3, b)
		if n != 1 || err != nil {
			return 0
		}
		// Asked to open it once more, for who listens.
		if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(fd)
		}
	}
}

// mapAddress is where it is mapped.
func mapAddress() unsafe.Pointer {
	address := uintptr(0x10_0000_0000)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

func tryPassed(c *ctx) error {
	return holding(c, func(_ int, socket *os.File) error {
		space := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), space, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return at("recvmsg", err)
		}
		messages, err := unix.ParseSocketControlMessage(space[:n])
		if err != nil {
			return errors.New("control message: " + err.Error())
		}
		for _, m := range messages {
			if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
				return c.readFD(fds[0])
			}
		}
		// The kernel cuts what it refuses off the message.
		return at("no descriptor has arrived", unix.EACCES)
	})
}

// tryMapFiles opens what another process has mapped.
func tryMapFiles(c *ctx) error {
	return holding(c, func(pid int, _ *os.File) error {
		from := uintptr(mapAddress())
		return c.read(fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, from, from+4096))
	})
}

// tryFanotify listens for opens: the kernel hands the listener a descriptor of
// what another has opened.
func tryFanotify(c *ctx) error {
	return holding(c, func(_ int, socket *os.File) error {
		listener, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
		if err != nil {
			return errors.New("fanotify_init: " + err.Error())
		}
		defer unix.Close(listener)
		if err := unix.FanotifyMark(listener, unix.FAN_MARK_ADD, unix.FAN_OPEN, unix.AT_FDCWD, c.target); err != nil {
			return errors.New("fanotify_mark: " + err.Error())
		}
		if _, err := socket.Write([]byte("again")); err != nil {
			return err
		}
		b := make([]byte, 4096)
		n, err := unix.Read(listener, b)
		if err != nil {
			return at("read the event", err)
		}
		event := (*unix.FanotifyEventMetadata)(unsafe.Pointer(&b[0]))
		if n < int(unsafe.Sizeof(*event)) {
			return fmt.Errorf("an event of %d bytes", n)
		}
		if event.Fd < 0 {
			return at("the event has no descriptor", unix.EACCES)
		}
		return c.readFD(int(event.Fd))
	})
}
