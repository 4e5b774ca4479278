//go:build e2e

package escapes

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The cases of group Exec aim at programs: vault/secret is the denied one,
// vault/plain its like that is not. Both are busybox, and what shows that one
// has run is a file that it makes.

const busybox = "/usr/bin/busybox"

// programs puts busybox in place of the texts of the vault.
func programs(c *ctx) error { return vaultOf(c, busybox) }

// vaultOf puts a program in place of the texts of the vault.
func vaultOf(c *ctx, program string) error {
	for _, to := range []string{c.secret(), c.plain()} {
		if err := os.Remove(to); err != nil {
			return err
		}
		if err := copyFile(program, to, 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(c.scratch, 0o777)
}

// deniesExec is the policy for a denied program.
func deniesExec(c *ctx) string {
	return onHost("[process.secret]\npath = %q\n", c.secret())
}

// mark is what a program of the vault makes.
func (c *ctx) mark() string { return c.tmp("mark") }

// touch are its arguments.
func (c *ctx) touch() []string { return []string{"busybox", "touch", c.mark()} }

// ran tells whether it did.
func (c *ctx) ran() error {
	if _, err := os.Lstat(c.mark()); err != nil {
		return fmt.Errorf("the program has left no trace")
	}
	return nil
}

// start executes a program, waits, and looks whether it ran.
func (c *ctx) start(path string, argv ...string) error {
	cmd := &exec.Cmd{Path: path, Args: argv, Dir: "/"}
	return c.finish(cmd)
}

// finish is start for a command. What the program itself says of a refusal is
// turned back into an errno.
func (c *ctx) finish(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if c.ran() == nil {
		return nil
	}
	if _, ok := errno(err); ok {
		return err
	}
	return spoken(string(out), err)
}

// spoken finds the errno in what a program says.
func spoken(out string, err error) error {
	// The loader names no errno; map-executable has it.
	if strings.Contains(out, "failed to map segment") {
		return fmt.Errorf("%s: %w", strings.TrimSpace(out), unix.EACCES)
	}
	for _, e := range []syscall.Errno{unix.EACCES, unix.EPERM} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(e.Error())) {
			return fmt.Errorf("%s: %w", strings.TrimSpace(out), e)
		}
	}
	return fmt.Errorf("%w: it says %q and has done nothing", orUnknown(err), out)
}

// becomes respawns at a stage that executes a program in its own place, and so
// answers only where that is refused.
func (c *ctx) becomes(stage string, files ...*os.File) error {
	err := c.respawn(stage, nil, files...)
	if c.ran() == nil {
		return nil
	}
	return err
}

// execveat is fexecve for flags = AT_EMPTY_PATH and an empty path.
func execveat(fd int, path string, argv []string, flags int) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	env := []*byte{nil}
	_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), ptr(p), ptr(&args[0]), ptr(&env[0]), uintptr(flags), 0)
	return at("execveat", e)
}

//go:embed testdata
var sources embed.FS

// tool compiles a program of testdata, once for all cases.
func tool(name string, flags ...string) (string, error) {
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	source, _, _ := strings.Cut(name, ".")
	if _, base, ok := strings.Cut(source, "lib"); ok && base != "rary" {
		source = "library"
	}
	text, err := sources.ReadFile("testdata/" + source + ".c")
	if err != nil {
		return "", err
	}
	file := path + "-source.c"
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", err
	}
	out, err := exec.Command("gcc", append([]string{"-O1", "-o", path, file}, flags...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("gcc %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// trustedProgram puts the program that a rule trustsOne at dir/trusted, and one
// that it does not at dir/other.
func trustedProgram(c *ctx) error {
	path, err := tool("trusted", "-static", "-pthread")
	if err != nil {
		return err
	}
	if err := os.Chmod(c.scratch, 0o777); err != nil {
		return err
	}
	for _, to := range []string{"trusted", "other"} {
		if err := copyFile(path, c.path(to), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// trustsOne is the policy for it: only dir/trusted uses the secret.
func trustsOne(c *ctx) string {
	return onHost("[file.secret]\npath = %q\nexcept_from = %q\n", c.secret(), c.path("trusted"))
}

// copied reads what a program under attack has copied.
func (c *ctx) copied(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return c.same(b)
}

// exited turns the exit code of a program of testdata into its errno.
func exited(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 100 {
		return at(filepath.Base(cmd.Path), syscall.Errno(exit.ExitCode()))
	}
	return at(fmt.Sprintf("%s %s", filepath.Base(cmd.Path), out), err)
}

// script is an executable text file.
func script(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o755)
}
