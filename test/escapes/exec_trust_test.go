//go:build e2e

package escapes

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holder is a running program that has read the target and holds it open: the
// trusted one holds the secret, the other one plain.
type holder struct {
	*exec.Cmd
	pid, fd int
	text    uintptr // where it is in its memory
}

func (c *ctx) hold() (*holder, error) {
	exe := c.path("trusted")
	if c.base() == "plain" {
		exe = c.path("other")
	}
	h := &holder{Cmd: exec.Command(exe, "hold", c.target)}
	out, err := h.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Start(); err != nil {
		return nil, err
	}
	h.pid = h.Process.Pid
	if _, err := fmt.Fscan(out, &h.fd, &h.text); err != nil {
		h.end()
		return nil, fmt.Errorf("%s hold: %w", exe, err)
	}
	return h, nil
}

func (h *holder) end() { h.Process.Kill(); h.Wait() }

// intrusion is a way into a trusted program.
func intrusion(name string, want syscall.Errno, way func(c *ctx, h *holder) error) attack {
	return attack{name: name, setup: trustedProgram, policy: trustsOne, want: want,
		try: func(c *ctx) error {
			h, err := c.hold()
			if err != nil {
				return err
			}
			defer h.end()
			return way(c, h)
		}}
}

// peek reads the text of a traced process.
func (c *ctx) peek(h *holder) error {
	b := make([]byte, len(c.text))
	if _, err := unix.PtracePeekData(h.pid, h.text, b); err != nil {
		return at("peek", err)
	}
	return c.same(b)
}

func vector(b []byte) []unix.Iovec {
	v := []unix.Iovec{{Base: &b[0]}}
	v[0].SetLen(len(b))
	return v
}

// starts is an attack by how a trusted program is started: it copies what it is
// made to use to scratch/copy.
func starts(name string, env func(c *ctx) []string) attack {
	program := func(c *ctx) string { return c.path("user") }
	return attack{name: name, event: "none", // the loader leaves the library out, and nobody is refused

		setup: func(c *ctx) error {
			library, err := tool("libanswer.so", "-shared", "-fPIC")
			if err != nil {
				return err
			}
			thief, err := tool("libthief.so", "-shared", "-fPIC", "-DSTEALS", "-Wl,-soname,libanswer.so")
			if err != nil {
				return err
			}
			dir := filepath.Dir(library)
			user, err := tool("user", "-L"+dir, "-lanswer", "-Wl,--enable-new-dtags,-rpath,"+dir)
			if err != nil {
				return err
			}
			if err := copyFile(user, program(c), 0o755); err != nil {
				return err
			}
			if err := copyFile(user, c.path("other"), 0o755); err != nil {
				return err
			}
			if err := os.Mkdir(c.path("lib"), 0o755); err != nil {
				return err
			}
			return copyFile(thief, c.path("lib/libanswer.so"), 0o755)
		},
		policy: func(c *ctx) string {
			return onHost("[file.secret]\npath = %q\nexcept_from = %q\n", c.secret(), program(c))
		},
		try: func(c *ctx) error {
			exe := program(c)
			if c.base() == "plain" {
				exe = c.path("other")
			}
			cmd := exec.Command(exe)
			cmd.Env = append(env(c), "ESCAPES_FROM="+c.target, "ESCAPES_TO="+c.tmp("copy"))
			if out, err := cmd.CombinedOutput(); err != nil {
				if _, ok := errno(err); ok {
					return err
				}
				return spoken(string(out), err)
			}
			b, err := os.ReadFile(c.tmp("copy"))
			if os.IsNotExist(err) {
				return fmt.Errorf("it ran without the library: %w", unix.EACCES)
			}
			if err != nil {
				return err
			}
			if n, bad := strconv.Atoi(string(b[min(1, len(b)):])); bad == nil && b[0] == '!' {
				return at("the library", syscall.Errno(n))
			}
			return c.same(b)
		}}
}

// forged is a process that says it is the trusted program.
func (c *ctx) forged(more ...string) (*exec.Cmd, error) {
	forge, err := tool("forge")
	if err != nil {
		return nil, err
	}
	return exec.Command(forge, append([]string{c.path("trusted"), c.target, c.tmp("copy")}, more...)...), nil
}

func forger(c *ctx) error {
	if _, err := tool("forge", "-static", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none", "-fno-pie", "-no-pie"); err != nil {
		return err
	}
	return trustedProgram(c)
}

// forges uses the target under a false name.
func forges(c *ctx) error {
	cmd, err := c.forged()
	if err != nil {
		return err
	}
	if err := exited(cmd); err != nil {
		return err
	}
	return c.copied(c.tmp("copy"))
}

// handsOver has the trusted program become another one that copies the target.
func handsOver(how string) func(c *ctx) error {
	return func(c *ctx) error {
		cmd := exec.Command(c.path("trusted"), how, busybox, "busybox", "cp", c.target, c.tmp("copy"))
		out, err := cmd.CombinedOutput()
		if err == nil {
			return c.copied(c.tmp("copy"))
		}
		return spoken(string(out), err)
	}
}

func init() {
	register(
		intrusion("ptrace-attach-trusted", unix.EPERM, func(c *ctx, h *holder) error {
			if err := unix.PtraceAttach(h.pid); err != nil {
				return at("attach", err)
			}
			if _, err := unix.Wait4(h.pid, nil, 0, nil); err != nil {
				return err
			}
			return c.peek(h)
		}),
		intrusion("ptrace-seize-trusted", unix.EPERM, func(c *ctx, h *holder) error {
			if err := unix.PtraceSeize(h.pid); err != nil {
				return at("seize", err)
			}
			if err := unix.PtraceInterrupt(h.pid); err != nil {
				return err
			}
			if _, err := unix.Wait4(h.pid, nil, 0, nil); err != nil {
				return err
			}
			return c.peek(h)
		}),
		attack{name: "ptrace-from-start", setup: trustedProgram, policy: trustsOne, want: unix.EPERM,
			try: func(c *ctx) error {
				exe := c.path("trusted")
				if c.base() == "plain" {
					exe = c.path("other")
				}
				cmd := exec.Command(exe, "copy", c.target, c.tmp("copy"))
				cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
				if err := cmd.Start(); err != nil {
					return at("start", err)
				}
				defer cmd.Process.Kill()
				var s unix.WaitStatus
				if _, err := unix.Wait4(cmd.Process.Pid, &s, 0, nil); err != nil {
					return err
				}
				if !s.Stopped() {
					return fmt.Errorf("the tracee did not stop")
				}
				// It is in the tracer's hands: what it does from here is not its own.
				var regs unix.PtraceRegs
				if err := unix.PtraceGetRegs(cmd.Process.Pid, &regs); err != nil {
					return at("registers", err)
				}
				return at("registers", unix.PtraceSetRegs(cmd.Process.Pid, &regs))
			}},
		intrusion("process-vm-readv", unix.EPERM, func(c *ctx, h *holder) error {
			b := make([]byte, len(c.text))
			if _, err := unix.ProcessVMReadv(h.pid, vector(b), []unix.RemoteIovec{{Base: h.text, Len: len(b)}}, 0); err != nil {
				return err
			}
			return c.same(b)
		}),
		intrusion("process-vm-writev", unix.EPERM, func(c *ctx, h *holder) error {
			b := []byte("x")
			_, err := unix.ProcessVMWritev(h.pid, vector(b), []unix.RemoteIovec{{Base: h.text, Len: len(b)}}, 0)
			return err
		}),
		intrusion("proc-mem", unix.EACCES, func(c *ctx, h *holder) error {
			f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", h.pid), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			b := make([]byte, len(c.text))
			if _, err := f.ReadAt(b, int64(h.text)); err != nil {
				return err
			}
			return c.same(b)
		}),
		intrusion("proc-fd", unix.EACCES, func(c *ctx, h *holder) error {
			return c.read(fmt.Sprintf("/proc/%d/fd/%d", h.pid, h.fd))
		}),
		intrusion("pidfd-getfd", unix.EPERM, func(c *ctx, h *holder) error {
			pidfd, err := unix.PidfdOpen(h.pid, 0)
			if err != nil {
				return err
			}
			fd, err := unix.PidfdGetfd(pidfd, h.fd, 0)
			if err != nil {
				return err
			}
			return c.readFD(fd)
		}),

		starts("ld-preload", func(c *ctx) []string { return []string{"LD_PRELOAD=" + c.path("lib/libanswer.so")} }),
		starts("ld-audit", func(c *ctx) []string { return []string{"LD_AUDIT=" + c.path("lib/libanswer.so")} }),
		starts("ld-library-path", func(c *ctx) []string { return []string{"LD_LIBRARY_PATH=" + c.path("lib")} }),

		attack{name: "forged-exe", setup: forger, alone: func(t *testing.T, c *ctx) {
			// While any rule asks for programs, the kernel refuses to forge;
			// HostArmor's own do.
			guardCanary(t)
			setting(t, "self = true", "self = false")
			err := forges(c)
			setting(t, "self = false", "self = true")
			if err != nil {
				t.Fatalf("it does not even work without the rule: %v", err)
			}
			c.load(t, trustsOne(c))
			if err := c.fresh(); err != nil {
				t.Fatal(err)
			}
			if err := forges(c); err == nil {
				t.Error("GOT THROUGH")
			} else {
				t.Log(err)
			}
		}},
		attack{name: "forged-exe-before", setup: forger, alone: forgedBefore},

		attack{name: "trusted-becomes-another", setup: trustedProgram, policy: trustsOne, try: handsOver("exec")},
		attack{name: "trusted-thread-becomes-another", setup: trustedProgram, policy: trustsOne, try: handsOver("thread")},
		attack{name: "pid-reuse", setup: trustedProgram, policy: trustsOne,
			try: func(c *ctx) error {
				if c.stage == "" {
					return reusePID(c)
				}
				want, err := strconv.Atoi(c.stage)
				if err != nil {
					return err
				}
				if unix.Getpid() != want {
					return errNotReused
				}
				return c.read(c.target)
			}},
	)
}

// forgedBefore: a process forges while no rule asks for programs, and uses the
// file once one does.
func forgedBefore(t *testing.T, c *ctx) {
	guardCanary(t)
	setting(t, "self = true", "self = false")
	cmd, err := c.forged("wait")
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	_, bad := bufio.NewReader(io.LimitReader(out, 1)).ReadByte()
	setting(t, "self = false", "self = true")
	if bad != nil {
		t.Fatalf("it cannot forge: %v, %v", bad, cmd.Wait())
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid)); exe != c.path("trusted") {
		t.Fatalf("its program is still %q: %v", exe, err)
	}
	c.load(t, trustsOne(c))
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("documented as open, but the forger ends with %d", code)
	}
}

// errNotReused: somebody else was quicker.
var errNotReused = fmt.Errorf("another pid")

// reusePID has a process of the trusted program use the target and end, and goes
// on in one that gets its pid.
func reusePID(c *ctx) error {
	for range 50 {
		cmd := exec.Command(c.path("trusted"), "copy", c.target, c.tmp("copy"))
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("the trusted program: %w", err)
		}
		pid := cmd.Process.Pid
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			return err
		}
		err := c.respawn(strconv.Itoa(pid), nil)
		if err == nil || err.Error() != errNotReused.Error() {
			return err
		}
	}
	return fmt.Errorf("no pid was ever used again")
}

// native puts numbers into bytes as the kernel reads them.
func native(values ...any) []byte {
	var b []byte
	for _, v := range values {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b
}

// bpf is the system call: attributes in, the same bytes out.
func bpf(command int, attributes []byte) (int, error) {
	room := make([]byte, 160)
	copy(room, attributes)
	r, _, e := unix.RawSyscall(unix.SYS_BPF, uintptr(command), uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
	copy(attributes, room)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}
