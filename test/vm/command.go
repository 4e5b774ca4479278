package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// tool is a program that the harness runs, with the Debian package that brings it.
type tool struct{ name, pkg string }

var (
	aptGet     = tool{"apt-get", "apt"}
	aptCache   = tool{"apt-cache", "apt"}
	dpkgTool   = tool{"dpkg", "dpkg"}
	depmod     = tool{"depmod", "kmod"}
	xz         = tool{"xz", "xz-utils"}
	mke2fs     = tool{"mke2fs", "e2fsprogs"}
	mmdebstrap = tool{"mmdebstrap", "mmdebstrap"}
	qemu       = tool{"qemu-system-x86_64", "qemu-system-x86"}
	qemuImg    = tool{"qemu-img", "qemu-utils"}
	busybox    = tool{"busybox", "busybox-static"}
)

// path finds the program also in the sbin directories, which an ordinary user's PATH leaves out.
func (t tool) path() (string, error) {
	if p, err := exec.LookPath(t.name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		p := dir + "/" + t.name
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (run test/vm/deps.sh, or install the package %s)", t.name, t.pkg)
}

func (t tool) run(ctx context.Context, args ...string) (stdout string, err error) {
	p, err := t.path()
	if err != nil {
		return "", err
	}
	return runCommand(ctx, p, args...)
}

// runRoot runs the program as root, through sudo where the caller is not root.
func (t tool) runRoot(ctx context.Context, args ...string) (stdout string, err error) {
	p, err := t.path()
	if err != nil {
		return "", err
	}
	if os.Geteuid() == 0 {
		return runCommand(ctx, p, args...)
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return "", fmt.Errorf("%s must run as root and there is no sudo (run this once as root; the result is cached)", t.name)
	}
	return runCommand(ctx, sudo, append([]string{"-n", p}, args...)...)
}

func runCommand(ctx context.Context, path string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	// A child of the command (apt's methods, mmdebstrap's chroot) must not outlive a cancelled run.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "", fmt.Errorf("run %s: %w", path, err)
	}
	return "", fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), err,
		indent(lastLines(stderr.String()+stdout.String(), 15)))
}

// removeAll deletes a tree; one that root built needs root to go away.
func removeAll(path string) error {
	if err := os.RemoveAll(path); err == nil || os.Geteuid() == 0 {
		return err
	}
	_, err := tool{"rm", "coreutils"}.runRoot(context.Background(), "-rf", "--one-file-system", path)
	return err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}
