//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roleVariable makes this binary a program under policy: "do OPERATION PATH..."
// tries one access and prints its errno, "hammer PATH" is in hammer_test.go.
const roleVariable = "E2E_ROLE"

// play is main of such a program.
func play(role string) int {
	words := strings.Fields(role)
	switch words[0] {
	case "do":
		fmt.Println(int(errno(access(words[1], words[2:]...))))
		return 0
	case "hammer":
		return hammer(words[1])
	}
	fmt.Fprintln(os.Stderr, "unknown role", role)
	return 2
}

// access uses paths in one way.
func access(operation string, paths ...string) error {
	open := func(flags int) error {
		fd, err := unix.Open(paths[0], flags|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	switch operation {
	case "exec":
		p, err := os.StartProcess(paths[0], paths, &os.ProcAttr{})
		if err == nil {
			_, err = p.Wait()
		}
		return err
	case "read":
		return open(unix.O_RDONLY)
	case "list":
		return open(unix.O_RDONLY | unix.O_DIRECTORY)
	case "write":
		return open(unix.O_WRONLY)
	case "append":
		return open(unix.O_WRONLY | unix.O_APPEND)
	case "open-truncate":
		return open(unix.O_WRONLY | unix.O_TRUNC)
	case "truncate":
		return unix.Truncate(paths[0], 0)
	case "create":
		return open(unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL)
	case "mkdir":
		return unix.Mkdir(paths[0], 0o755)
	case "delete":
		return unix.Unlink(paths[0])
	case "rename":
		return unix.Rename(paths[0], paths[1])
	case "link":
		return unix.Link(paths[0], paths[1])
	case "symlink":
		return unix.Symlink(paths[0], paths[1])
	}
	return fmt.Errorf("unknown operation %q", operation)
}

func errno(err error) syscall.Errno {
	var e syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	}
	fmt.Fprintln(os.Stderr, err)
	return 255
}

// nobody is an unprivileged user's id.
const nobody = 65534

// actor is who tries an access.
type actor struct {
	uid  uint32
	exe  string // this binary where empty
	unit string // a transient unit to run in, where not empty
}

var (
	root = actor{}
	user = actor{uid: 1000}
)

func (a actor) String() string {
	s := fmt.Sprintf("uid %d", a.uid)
	if a.exe != "" {
		s += " with " + a.exe
	}
	return s
}

// tries returns the errno that a gets.
func (a actor) tries(t *testing.T, operation string, paths ...string) syscall.Errno {
	t.Helper()
	exe := a.exe
	if exe == "" {
		exe = self
	}
	role := roleVariable + "=do " + operation + " " + strings.Join(paths, " ")
	var cmd *exec.Cmd
	if a.unit != "" {
		cmd = exec.Command("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit="+a.unit,
			"--uid="+strconv.Itoa(int(a.uid)), "--setenv="+role, exe)
	} else {
		cmd = exec.Command(exe)
		cmd.Env = append(os.Environ(), role)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.uid}}
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s %v: %v", a, operation, paths, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatalf("%v: %s %v: printed %q", a, operation, paths, out)
	}
	return syscall.Errno(n)
}

// want tries an access and compares its errno; 0 is success.
func (a actor) want(t *testing.T, want syscall.Errno, operation string, paths ...string) {
	t.Helper()
	if got := a.tries(t, operation, paths...); got != want {
		t.Errorf("%v: %s %v: %v, want %v", a, operation, paths, describe(got), describe(want))
	}
}

func describe(e syscall.Errno) string {
	if e == 0 {
		return "success"
	}
	return unix.ErrnoName(e)
}

// want has this very process try an access, which is quicker.
func want(t *testing.T, want syscall.Errno, operation string, paths ...string) {
	t.Helper()
	if got := errno(access(operation, paths...)); got != want {
		t.Errorf("%s %v: %v, want %v", operation, paths, describe(got), describe(want))
	}
}
