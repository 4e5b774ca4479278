//go:build e2e

package escapes

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// code is a program that only the attack knows: "mov eax, 42; ret".
var code = []byte{0xb8, 42, 0, 0, 0, 0xc3}

// runs calls it.
func runs(m []byte) error {
	begin := &m[0]
	entry := unsafe.Pointer(&begin)
	if got := (*(*func() int32)(unsafe.Pointer(&entry)))(); got != 42 {
		return fmt.Errorf("the code returned %d", got)
	}
	return nil
}

const (
	rw  = unix.PROT_READ | unix.PROT_WRITE
	rx  = unix.PROT_READ | unix.PROT_EXEC
	rwx = rw | unix.PROT_EXEC
)

// mapping is code in memory: written there, then made executable where first
// was not.
func mapping(fd, flags, first, then int) error {
	m, err := unix.Mmap(fd, 0, 4096, first, flags)
	if err != nil {
		return at("mmap", err)
	}
	copy(m, code)
	if then != 0 {
		if err := unix.Mprotect(m, then); err != nil {
			return at("mprotect", err)
		}
	}
	return runs(m)
}

// page is a file of one page.
func page(open func() (int, error)) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	return fd, unix.Ftruncate(fd, 4096)
}

// anonymous is an attack under a rule against executable memory without a file.
func anonymous(name string, do func(c *ctx) error) attack {
	return attack{name: name, want: unix.EPERM,
		policy: func(c *ctx) string { return onUnit(c, "[system.it]\noperation = \"anonymous-exec\"\n") },
		try:    operation(do)}
}

func init() {
	inMemory := func() (int, error) {
		return page(func() (int, error) { return unix.MemfdCreate("x", 0) })
	}
	register(
		anonymous("memory-written-then-executable", func(*ctx) error {
			return mapping(-1, unix.MAP_PRIVATE|unix.MAP_ANON, rw, rx)
		}),
		anonymous("memory-writable-and-executable", func(*ctx) error {
			return mapping(-1, unix.MAP_PRIVATE|unix.MAP_ANON, rwx, 0)
		}),
		anonymous("memory-shared", func(*ctx) error {
			return mapping(-1, unix.MAP_SHARED|unix.MAP_ANON, rw, rx)
		}),
		anonymous("memory-of-a-file-changed", func(c *ctx) error {
			fd, err := page(func() (int, error) { return unix.Open(c.tmp("page"), unix.O_CREAT|unix.O_RDWR, 0o755) })
			if err != nil {
				return err
			}
			return mapping(fd, unix.MAP_PRIVATE, rw, rx)
		}),
		anonymous("memory-of-a-file-executable-and-changed", func(c *ctx) error {
			fd, err := page(func() (int, error) { return unix.Open(c.tmp("page"), unix.O_CREAT|unix.O_RDWR, 0o755) })
			if err != nil {
				return err
			}
			return mapping(fd, unix.MAP_PRIVATE, rwx, 0)
		}),
		anonymous("memory-of-a-memfd", func(*ctx) error {
			fd, err := inMemory()
			if err != nil {
				return err
			}
			if _, err := unix.Pwrite(fd, code, 0); err != nil {
				return err
			}
			m, err := unix.Mmap(fd, 0, 4096, rx, unix.MAP_SHARED)
			if err != nil {
				return at("mmap", err)
			}
			return runs(m)
		}),
		anonymous("memory-of-a-memfd-later", func(*ctx) error {
			fd, err := inMemory()
			if err != nil {
				return err
			}
			return mapping(fd, unix.MAP_SHARED, rw, rx)
		}),
		anonymous("memory-of-sysv", func(*ctx) error {
			id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o700)
			if err != nil {
				return err
			}
			defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
			const shmExec = 0o100000
			m, err := unix.SysvShmAttach(id, 0, shmExec)
			if err != nil {
				return at("shmat", err)
			}
			copy(m, code)
			return runs(m)
		}),
		anonymous("memory-of-the-heap", func(*ctx) error {
			end, _, e := unix.RawSyscall(unix.SYS_BRK, 0, 0, 0)
			if e != 0 {
				return at("brk", e)
			}
			begin := (end + 4095) &^ 4095
			if now, _, _ := unix.RawSyscall(unix.SYS_BRK, begin+4096, 0, 0); now != begin+4096 {
				return fmt.Errorf("brk gives no page")
			}
			// The code itself is the same everywhere: what counts is mprotect.
			_, _, e = unix.RawSyscall(unix.SYS_MPROTECT, begin, 4096, rx)
			if e != 0 {
				return at("mprotect", e)
			}
			return nil
		}),
		anonymous("memory-of-the-stack", func(*ctx) error {
			begin, err := firstOf("[stack]")
			if err != nil {
				return err
			}
			_, _, e := unix.RawSyscall(unix.SYS_MPROTECT, begin, 4096, rwx)
			if e != 0 {
				return at("mprotect", e)
			}
			return nil
		}),
		anonymous("memory-implied-executable", func(*ctx) error {
			return impliedExec(func() error { return mapping(-1, unix.MAP_PRIVATE|unix.MAP_ANON, rw, 0) })
		}),
		until("7.2", anonymous("memory-by-proc-mem", func(c *ctx) error {
			// A page of this program's own, mapped from its file and never
			// writable: the kernel writes where the process cannot.
			f, err := os.Open(self)
			if err != nil {
				return err
			}
			defer f.Close()
			m, err := unix.Mmap(int(f.Fd()), 0, 4096, rx, unix.MAP_PRIVATE)
			if err != nil {
				return at("mmap", err)
			}
			mem, err := unix.Open("/proc/self/mem", unix.O_RDWR, 0)
			if err != nil {
				return at("open /proc/self/mem", err)
			}
			if _, err := unix.Pwrite(mem, code, int64(ptr(&m[0]))); err != nil {
				return at("write /proc/self/mem", err)
			}
			if !bytes.HasPrefix(m, code) {
				return fmt.Errorf("the code has not arrived")
			}
			return runs(m)
		})),
	)
}

// until is an attack that kernels from one on may refuse to everybody.
func until(kernel string, a attack) attack {
	a.refused = kernel
	return a
}

// firstOf is where a mapping of this process begins.
func firstOf(name string) (uintptr, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(strings.TrimSpace(line), name) {
			from, _, _ := strings.Cut(line, "-")
			n, err := strconv.ParseUint(from, 16, 64)
			return uintptr(n), err
		}
	}
	return 0, fmt.Errorf("no %s in\n%s", name, b)
}
