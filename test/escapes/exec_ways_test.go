//go:build e2e

package escapes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const loader = "/lib64/ld-linux-x86-64.so.2"

func ptr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// dynamic makes programs of the vault that the loader can be asked to run.
func dynamic(c *ctx) error { return vaultOf(c, "/usr/bin/touch") }

// mapped maps the target executable, as the loader does.
func mapped(c *ctx, first, then int) error {
	f, err := os.Open(c.target)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, first, unix.MAP_PRIVATE)
	if err != nil {
		return at("mmap", err)
	}
	if then != 0 {
		return at("mprotect", unix.Mprotect(m, then))
	}
	return nil
}

func init() {
	register(
		attack{name: "loader", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error { return c.start(loader, loader, c.target, c.mark()) }},
		attack{name: "map-executable", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error { return mapped(c, unix.PROT_READ|unix.PROT_EXEC, 0) }},
		attack{name: "map-then-mprotect", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error { return mapped(c, unix.PROT_READ, unix.PROT_READ|unix.PROT_EXEC) }},
		attack{name: "implied-executable", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error { return impliedExec(func() error { return mapped(c, unix.PROT_READ, 0) }) }},
		attack{name: "program-interpreter", policy: deniesExec,
			setup: func(c *ctx) error {
				if err := vaultOf(c, loader); err != nil {
					return err
				}
				b, err := os.ReadFile("/usr/bin/touch")
				if err != nil {
					return err
				}
				for from, to := range map[string]string{"secret": "s", "plain": "p"} {
					// The path has to fit where the usual one stands.
					link := "/srv/escapes/" + to + ".so"
					if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
						return err
					}
					if err := os.Symlink(c.vault+"/"+from, link); err != nil {
						return err
					}
					patched := bytes.Replace(b, []byte(loader+"\x00"), append([]byte(link), make([]byte, len(loader)+1-len(link))...), 1)
					if err := os.WriteFile(c.path("touch-"+from), patched, 0o755); err != nil {
						return err
					}
				}
				return nil
			},
			try: func(c *ctx) error {
				// The program is past the point of no return when its
				// interpreter is refused: it is killed.
				cmd := exec.Command(c.path("touch-"+c.base()), c.mark())
				err := c.finish(cmd)
				if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && err != nil && s.Signaled() {
					return fmt.Errorf("it was killed by %v: %w", s.Signal(), unix.EACCES)
				}
				return err
			},
			cleanup: func(*ctx) error {
				return removeAll("/srv/escapes/s.so", "/srv/escapes/p.so")
			}},

		attack{name: "exec-by-descriptor", setup: programs, policy: deniesExec,
			try: func(c *ctx) error {
				if c.stage == "" {
					return c.becomes("fexecve")
				}
				fd, err := unix.Open(c.target, unix.O_PATH, 0)
				if err != nil {
					return err
				}
				return execveat(fd, "", c.touch(), unix.AT_EMPTY_PATH)
			}},
		attack{name: "exec-by-directory", setup: programs, policy: deniesExec,
			try: func(c *ctx) error {
				if c.stage == "" {
					return c.becomes("execveat")
				}
				fd, err := unix.Open(c.vault, unix.O_PATH|unix.O_DIRECTORY, 0)
				if err != nil {
					return err
				}
				return execveat(fd, c.base(), c.touch(), 0)
			}},
		attack{name: "exec-by-proc", setup: programs, policy: deniesExec,
			try: func(c *ctx) error {
				fd, err := unix.Open(c.target, unix.O_PATH, 0)
				if err != nil {
					return err
				}
				return c.start(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), c.touch()...)
			}},
		attack{name: "exec-from-thread", setup: programs, policy: deniesExec,
			try: func(c *ctx) error {
				if c.stage == "" {
					return c.becomes("thread")
				}
				failed := make(chan error)
				go func() {
					runtime.LockOSThread()
					if unix.Gettid() == unix.Getpid() {
						failed <- fmt.Errorf("this is the first thread")
					}
					failed <- unix.Exec(c.target, c.touch(), nil)
				}()
				return <-failed
			}},
		attack{name: "exec-in-namespace", setup: programs, policy: deniesExec,
			try: func(c *ctx) error {
				if c.stage == "" {
					return c.respawn("in", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS})
				}
				if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
					return err
				}
				if err := os.Mkdir(c.tmp("bin"), 0o755); err != nil {
					return err
				}
				if err := unix.Mount(c.vault, c.tmp("bin"), "", unix.MS_BIND, ""); err != nil {
					return err
				}
				return c.start(c.tmp("bin/"+c.base()), c.touch()...)
			}},

		attack{name: "script-interpreter", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error {
				if err := script(c.tmp("script"), "#!"+c.target+"\n"); err != nil {
					return err
				}
				// touch SCRIPT mark
				return c.start(c.tmp("script"), c.tmp("script"), c.mark())
			}},
		attack{name: "script-nested", setup: dynamic, policy: deniesExec,
			try: func(c *ctx) error {
				if err := script(c.tmp("inner"), "#!"+c.target+"\n"); err != nil {
					return err
				}
				if err := script(c.tmp("outer"), "#!"+c.tmp("inner")+"\n"); err != nil {
					return err
				}
				return c.start(c.tmp("outer"), c.tmp("outer"), c.mark())
			}},
		attack{name: "script-argument", setup: scripts,
			policy: func(c *ctx) string {
				return deniesExec(c) + fmt.Sprintf("[file.secret]\npath = %q\naccess = \"read\"\n", c.secret())
			},
			try: func(c *ctx) error { return c.start("/bin/sh", "sh", c.target) }},
		attack{name: "script-stdin", setup: scripts,
			policy: func(c *ctx) string {
				return deniesExec(c) + fmt.Sprintf("[file.secret]\npath = %q\naccess = \"read\"\n", c.secret())
			},
			try: func(c *ctx) error { return c.start("/bin/sh", "sh", "-c", "exec sh <"+c.target) }},
		attack{name: "script-python",
			setup: func(c *ctx) error {
				python, err := os.Readlink("/usr/bin/python3")
				if err != nil {
					return err
				}
				return vaultOf(c, "/usr/bin/"+python)
			},
			policy: deniesExec,
			try: func(c *ctx) error {
				if err := script(c.tmp("script"), "#!/usr/bin/env -S "+c.target+" -S -E\nopen('"+c.mark()+"','w')\n"); err != nil {
					return err
				}
				return c.start(c.tmp("script"), c.tmp("script"))
			}},

		attack{name: "binfmt", setup: binfmtProgram, policy: deniesExec, cleanup: binfmtRemove,
			try: func(c *ctx) error {
				if err := binfmt(c, c.target, ""); err != nil {
					return err
				}
				defer binfmtRemove(c)
				return c.start(c.path("document"), "document")
			}},
		attack{name: "binfmt-kept-open", policy: deniesExec, cleanup: binfmtRemove,
			setup: func(c *ctx) error {
				if err := binfmtProgram(c); err != nil {
					return err
				}
				return binfmt(c, c.secret(), "F")
			},
			try: func(c *ctx) error { return c.start(c.path("document"), "document") },
			fine: func(c *ctx) error {
				// Whatever else has an interpreter of its own still runs.
				if err := script(c.tmp("script"), "#!/bin/sh\n: >"+c.mark()+"\n"); err != nil {
					return err
				}
				return c.start(c.tmp("script"), "script")
			}},
	)
}

// scripts are shell scripts in place of the texts of the vault.
func scripts(c *ctx) error {
	for _, path := range []string{c.secret(), c.plain()} {
		if err := script(path, "#!/bin/sh\n: >"+c.mark()+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// impliedExec runs do with READ_IMPLIES_EXEC: what is mapped readable is
// executable then, though nobody asked for it.
func impliedExec(do func() error) error {
	const readImpliesExec = 0x400000
	old, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, readImpliesExec, 0, 0)
	if e != 0 {
		return at("personality", e)
	}
	defer unix.RawSyscall(unix.SYS_PERSONALITY, old, 0, 0)
	return do()
}

const binfmtDir = "/proc/sys/fs/binfmt_misc"

// binfmtProgram: the interpreter gets arguments that it did not choose, so it is
// a program that makes the mark whatever it is told.
func binfmtProgram(c *ctx) error {
	if err := os.WriteFile(c.path("document"), []byte("ESC-"+c.name), 0o755); err != nil {
		return err
	}
	if out, err := exec.Command("modprobe", "binfmt_misc").CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe binfmt_misc: %w: %s", err, out)
	}
	return scripts(c)
}

func binfmt(c *ctx, interpreter, flags string) error {
	line := fmt.Sprintf(":escapes-%s:M::ESC-%s::%s:%s", c.name, c.name, interpreter, flags)
	return at("register "+line, os.WriteFile(binfmtDir+"/register", []byte(line), 0))
}

func binfmtRemove(c *ctx) error {
	// Not os.WriteFile: it would make the file.
	f, err := os.OpenFile(binfmtDir+"/escapes-"+c.name, os.O_WRONLY, 0)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("-1")
	return err
}

func removeAll(paths ...string) error {
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			return err
		}
	}
	return nil
}
