//go:build e2e

package escapes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// atDaemon is a harm to the daemon's process.
func atDaemon(name string, do func(pid int) error) harm {
	return harm{name: name, try: func(*ctx) error { return do(daemonPID()) }}
}

// intoGroup writes into a file of the service's control group.
func intoGroup(file, text string) func(*ctx) error {
	return func(*ctx) error {
		return os.WriteFile(filepath.Join(serviceGroup, file), []byte(text), 0)
	}
}

func touchState(*ctx) error {
	const path = "/var/lib/hostarmor/escapes"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

func init() {
	kill := atDaemon("daemon-kill", func(pid int) error { return unix.Kill(pid, unix.SIGKILL) })
	kill.kills = true
	stop := atDaemon("daemon-stop", func(pid int) error { return unix.Kill(pid, unix.SIGSTOP) })
	stop.mend = func() error { return unix.Kill(daemonPID(), unix.SIGCONT) }
	sigio := atDaemon("daemon-signal-by-pipe", func(pid int) error {
		return ownedPipe(pid, func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, pid)
			return err
		})
	})
	sigio.kills, sigio.silent = true, true
	registerHarms(
		kill, stop, sigio,
		atDaemon("daemon-tkill", func(pid int) error {
			if _, _, e := unix.RawSyscall(unix.SYS_TKILL, uintptr(pid), uintptr(harmless), 0); e != 0 {
				return e
			}
			return nil
		}),
		atDaemon("daemon-signal-thread", func(pid int) error {
			// A thread of it that is not the first.
			threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			if err != nil {
				return err
			}
			var tid int
			if _, err := fmt.Sscan(threads[len(threads)-1].Name(), &tid); err != nil {
				return err
			}
			return unix.Tgkill(pid, tid, harmless)
		}),
		atDaemon("daemon-signal-pidfd", func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			return unix.PidfdSendSignal(fd, harmless, nil, 0)
		}),
		atDaemon("daemon-signal-queue", func(pid int) error {
			info := siginfo()
			if _, _, e := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(harmless), ptr(&info[0])); e != 0 {
				return e
			}
			return nil
		}),
		atDaemon("daemon-limit", func(pid int) error {
			// As hard a limit as it has; a lower one kills.
			var limit unix.Rlimit
			if err := unix.Prlimit(pid, unix.RLIMIT_CPU, nil, &limit); err != nil {
				return fmt.Errorf("it cannot even be read: %v", err)
			}
			return unix.Prlimit(pid, unix.RLIMIT_CPU, &limit, nil)
		}),
		atDaemon("daemon-ptrace-attach", func(pid int) error { return traced(pid, unix.PtraceAttach) }),
		atDaemon("daemon-ptrace-seize", func(pid int) error {
			return traced(pid, func(pid int) error {
				if err := unix.PtraceSeize(pid); err != nil {
					return err
				}
				return unix.PtraceInterrupt(pid)
			})
		}),
		atDaemon("daemon-memory-write", func(pid int) error {
			b := []byte{0}
			_, err := unix.ProcessVMWritev(pid, vector(b), []unix.RemoteIovec{{Base: 4096, Len: 1}}, 0)
			if err == unix.EFAULT {
				return nil // permitted, at an address that is not mapped
			}
			return err
		}),
		atDaemon("daemon-descriptor", func(pid int) error {
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			fd, err := unix.PidfdGetfd(pidfd, 0, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),
		harm{name: "daemon-memory-file", want: unix.EACCES, try: func(*ctx) error {
			f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", daemonPID()), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			return f.Close()
		}},
		harm{name: "daemon-group-kill", try: intoGroup("cgroup.kill", "1"), kills: true},
		harm{name: "daemon-group-freeze", try: intoGroup("cgroup.freeze", "1"), mend: func() error { return intoGroup("cgroup.freeze", "0")(nil) }},
		harm{name: "daemon-group-memory", try: intoGroup("memory.high", "max")},
		harm{name: "daemon-group-pids", try: intoGroup("pids.max", "max")},
		harm{name: "daemon-program", try: func(*ctx) error {
			f, err := os.OpenFile("/usr/sbin/hostarmord.escapes", os.O_CREATE|os.O_WRONLY, 0o755)
			if err != nil {
				return err
			}
			defer os.Remove(f.Name())
			f.Close()
			if err := copyFile("/usr/sbin/hostarmord", f.Name(), 0o755); err != nil {
				return err
			}
			return os.Rename(f.Name(), "/usr/sbin/hostarmord")
		}},
		harm{name: "daemon-state", try: touchState},
		harm{name: "daemon-socket", try: func(*ctx) error {
			const path = "/run/hostarmor/control.sock"
			if err := os.Rename(path, path+".away"); err != nil {
				return err
			}
			return os.Rename(path+".away", path)
		}},
	)
	register(attack{name: "daemon-killed-by-systemd", alone: func(t *testing.T, c *ctx) {
		// An administrator's way, which PID 1 goes: it is permitted, and
		// nothing that is denied comes free.
		c.load(t, denies(canary))
		before := daemonPID()
		hammer := newHammer(canary)
		if out, err := exec.Command("systemctl", "kill", "-s", "KILL", service).CombinedOutput(); err != nil {
			t.Errorf("systemctl kill: %v\n%s", err, out)
		}
		if !gone(before) {
			t.Errorf("systemctl kill has not killed it")
		}
		eventually(t, "systemd starts the daemon again", func() bool {
			return property("ActiveState") == "active" && property("MainPID") != fmt.Sprint(before)
		})
		hammer.neverThrough(t)
		if !getStatus(t).Adopted {
			t.Error("the next daemon did not take over what was in force")
		}
	}})
}
