//go:build e2e

package escapes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// outside is an attack on a process of another workload, by one in the case's
// unit. The same on a process of its own comes first, and has to work.
func outside(op, name string, do func(pid int) error) attack {
	a := system(op, name, func(c *ctx) error {
		b, err := c.get("pid")
		if err != nil {
			return err
		}
		var other int
		if _, err := fmt.Sscan(string(b), &other); err != nil {
			return err
		}
		mine := unix.Getpid()
		if op != "read-proc-environ" {
			// A child is of the same workload, though it is another process.
			own, err := sleeper("OWN=1")
			if err != nil {
				return err
			}
			defer end(own)
			mine = own.Process.Pid
		}
		if err := do(mine); err != nil {
			return fmt.Errorf("it cannot even do this to its own: %v", err)
		}
		return do(other)
	})
	var target *exec.Cmd
	a.setup = func(c *ctx) error {
		var err error
		if target, err = sleeper("SECRET=" + c.name); err != nil {
			return err
		}
		return c.put("pid", fmt.Append(nil, target.Process.Pid))
	}
	a.cleanup = func(*ctx) error {
		if target != nil {
			end(target)
			target = nil
		}
		return nil
	}
	return a
}

func sleeper(env string) (*exec.Cmd, error) {
	cmd := exec.Command("/usr/bin/sleep", "1000")
	cmd.Env = []string{env}
	return cmd, cmd.Start()
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// harmless is a signal that a process which does not expect it never sees.
const harmless = unix.SIGURG

// traced waits until a process has stopped, then lets it go.
func traced(pid int, attach func(int) error) error {
	if err := attach(pid); err != nil {
		return err
	}
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return err
	}
	return unix.PtraceDetach(pid)
}

// ownedPipe has the kernel signal a process for a pipe that becomes readable.
func ownedPipe(pid int, owner func(fd int) error) error {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if err := owner(p[0]); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETSIG, int(unix.SIGKILL)); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETFL, unix.O_ASYNC); err != nil {
		return err
	}
	if _, err := unix.Write(p[1], []byte("x")); err != nil {
		return err
	}
	// Nobody is told of a signal that was refused. A killed process is a zombie
	// or gone.
	for range 50 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || bytes.Contains(b, []byte(") Z ")) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the process lives: %w", unix.EPERM)
}

// siginfo is what rt_sigqueueinfo sends: a signal by its number, from a queue.
func siginfo() []byte {
	const queued = -1
	return append(native(int32(harmless), int32(0), int32(queued)), make([]byte, 116)...)
}

func init() {
	read := func(format string) func(pid int) error {
		return func(pid int) error {
			b, err := os.ReadFile(fmt.Sprintf(format, pid))
			if err == nil && !bytes.Contains(b, []byte("=")) {
				err = fmt.Errorf("the environment is empty")
			}
			return err
		}
	}
	register(
		outside("ptrace", "ptrace-attach-outside", func(pid int) error { return traced(pid, unix.PtraceAttach) }),
		outside("ptrace", "ptrace-seize-outside", func(pid int) error {
			return traced(pid, func(pid int) error {
				if err := unix.PtraceSeize(pid); err != nil {
					return err
				}
				return unix.PtraceInterrupt(pid)
			})
		}),
		outside("ptrace", "process-vm-readv-outside", func(pid int) error {
			// What is read does not matter: the address need not be mapped.
			b := make([]byte, 8)
			_, err := unix.ProcessVMReadv(pid, vector(b), []unix.RemoteIovec{{Base: 4096, Len: 8}}, 0)
			if err == unix.EFAULT {
				return nil
			}
			return err
		}),
		outside("ptrace", "pidfd-getfd-outside", func(pid int) error {
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			defer unix.Close(pidfd)
			fd, err := unix.PidfdGetfd(pidfd, 0, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),
		outside("signal-outside", "signal-kill", func(pid int) error { return unix.Kill(pid, harmless) }),
		outside("signal-outside", "signal-stop", func(pid int) error { return unix.Kill(pid, unix.SIGSTOP) }),
		outside("signal-outside", "signal-tgkill", func(pid int) error { return unix.Tgkill(pid, pid, harmless) }),
		outside("signal-outside", "signal-tkill", func(pid int) error {
			if _, _, e := unix.RawSyscall(unix.SYS_TKILL, uintptr(pid), uintptr(harmless), 0); e != 0 {
				return e
			}
			return nil
		}),
		outside("signal-outside", "signal-queue", func(pid int) error {
			info := siginfo()
			if _, _, e := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(harmless), ptr(&info[0])); e != 0 {
				return e
			}
			return nil
		}),
		outside("signal-outside", "signal-pidfd", func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.PidfdSendSignal(fd, harmless, nil, 0)
		}),
		outside("signal-outside", "signal-by-pipe", func(pid int) error {
			return ownedPipe(pid, func(fd int) error {
				_, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, pid)
				return err
			})
		}),
		outside("read-proc-environ", "environ", read("/proc/%[1]d/environ")),
		outside("read-proc-environ", "environ-of-thread", read("/proc/%[1]d/task/%[1]d/environ")),
		outside("read-proc-environ", "environ-relative", func(pid int) error {
			dir, err := unix.Open(fmt.Sprintf("/proc/%d", pid), unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			defer unix.Close(dir)
			fd, err := unix.Openat(dir, "environ", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}),
		outside("read-proc-environ", "environ-other-proc", func(pid int) error {
			at := fmt.Sprintf("/run/escapes-proc-%d", pid)
			if err := os.Mkdir(at, 0o755); err != nil {
				return err
			}
			defer os.Remove(at)
			if err := unix.Mount("proc", at, "proc", 0, ""); err != nil {
				return err
			}
			defer unix.Unmount(at, unix.MNT_DETACH)
			return read(at + "/%[1]d/environ")(pid)
		}),
	)
}
