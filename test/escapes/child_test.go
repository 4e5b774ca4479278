//go:build e2e

package escapes

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// roleVariable makes this binary a child: "try NAME STAGE", "fine NAME STAGE",
	// "last NAME STAGE", "wait ROOT", or "hold PATH".
	roleVariable = "ESCAPES_ROLE"
	// self is this binary where every user can run it.
	self = "/usr/local/libexec/escapes"
	// patience bounds every wait. It is far longer than anything takes on an
	// emulated machine with busy neighbours: no test depends on speed.
	patience = 90 * time.Second
)

// actor is who attacks.
type actor struct {
	uid  uint32
	exe  string // this binary by default; a copy of it where a program matters
	unit string // a transient unit to run in, "x.service"
}

// answer is what a child tells on its standard output, as the last line.
type answer struct {
	Errno   syscall.Errno
	Message string // "" where it got through
}

func (a answer) err() error {
	switch {
	case a.Message == "":
		return nil
	case a.Errno != 0:
		return answered{a}
	}
	return fmt.Errorf("%s", a.Message)
}

// answered keeps the errno and the words of another process.
type answered struct{ answer }

func (a answered) Error() string { return a.Message }
func (a answered) Unwrap() error { return a.Errno }

// play is main of a child.
func play(role string) int {
	runtime.LockOSThread() // namespaces and ids belong to a thread
	words := strings.SplitN(role, " ", 3)
	switch words[0] {
	case "wait":
		return wait(words[1])
	case "hold":
		return hold(words[1])
	}
	c := newCtx(words[1])
	c.stage = words[2]
	var told answer
	if err := way(words[0], c)(c); err != nil {
		told.Message = err.Error()
		told.Errno, _ = errno(err)
	}
	b, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	fmt.Printf("\n%s\n", b)
	return 0
}

// way is what a child does.
func way(role string, c *ctx) func(*ctx) error {
	if role == "last" {
		named(c.name)
		return touchState
	}
	a := attacks[c.name]
	switch {
	case role == "fine" && a.fine != nil:
		return a.fine
	case role == "fine":
		c.aim("plain")
	case a.alone != nil:
		named(c.name)
	}
	return a.try
}

// named has events tell which case they are about: they are folded otherwise.
func named(name string) {
	b := []byte(comm(name) + "\x00")
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0); err != nil {
		panic(err)
	}
}

// comm is what the kernel keeps of a name.
func comm(name string) string { return name[:min(len(name), 15)] }

// spawn runs a child, and returns the error that it got; ctx.Err() of a child
// that hangs.
func (a actor) spawn(role string, c *ctx) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	exe := a.exe
	if exe == "" {
		exe = self
	}
	variable := roleVariable + "=" + role + " " + c.name + " " + c.stage
	var cmd *exec.Cmd
	if a.unit != "" {
		cmd = exec.CommandContext(ctx, "systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit="+a.unit,
			fmt.Sprintf("--uid=%d", a.uid), "--setenv="+variable, exe)
	} else {
		cmd = exec.CommandContext(ctx, exe)
		cmd.Env = append(os.Environ(), variable)
		if a.uid != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.uid}}
		}
	}
	cmd.Dir = "/"
	return result(cmd)
}

// respawn goes on in a new process of the same case, at a stage: for
// namespaces and credentials that a process with threads cannot take. files
// become its descriptors from 3.
func (c *ctx) respawn(stage string, attr *syscall.SysProcAttr, files ...*os.File) error {
	return result(c.command("/proc/self/exe", stage, attr, files...))
}

// command is a new process of the same case.
func (c *ctx) command(exe, stage string, attr *syscall.SysProcAttr, files ...*os.File) *exec.Cmd {
	role := "try"
	if c.base() == "plain" {
		role = "fine"
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+c.name+" "+stage)
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	cmd.ExtraFiles = files
	return cmd
}

// result runs a child and reads its answer.
func result(cmd *exec.Cmd) error {
	var errors strings.Builder
	cmd.Stderr = &errors
	// What a child leaves behind may hold its output open.
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var told answer
	if bad := json.Unmarshal([]byte(lines[len(lines)-1]), &told); bad != nil {
		// Keeps the errno of a start that was refused.
		return fmt.Errorf("the child gave no answer (%w): %s%s", orUnknown(err), out, errors.String())
	}
	return told.err()
}

func orUnknown(err error) error {
	if err == nil {
		return fmt.Errorf("exit code 0")
	}
	return err
}
