//go:build kernel

package bpflsm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// The test process is the daemon to the kernel, and exempt. So every access is
// made by a child: this binary again, told by an environment variable.
const childVariable = "BPFLSM_TEST_DO"

func TestMain(m *testing.M) {
	if do := os.Getenv(childVariable); do == "random" {
		serveRandom()
		os.Exit(0)
	} else if do == "serve" {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			fmt.Println(int(errno(doAll(lines.Text()))))
		}
		os.Exit(0)
	} else if do != "" {
		os.Exit(int(errno(doAll(do))))
	}
	// 5.10 is what Debian 11 has; there, only this one test can hold.
	if strings.HasPrefix(release(), "5.") {
		flag.Parse()
		if err := flag.Set("test.run", "^TestUnsupportedKernel$"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// A kernel that cannot enforce says so, names what it lacks, and what to do.
func TestUnsupportedKernel(t *testing.T) {
	if strings.HasPrefix(release(), "5.") {
		_, err := New(Config{}).Probe()
		if !errors.Is(err, lsm.ErrUnsupported) || !strings.Contains(err.Error(), "use Linux 6.1 or later") {
			t.Errorf("Probe on %s: %v", release(), err)
		}
	}
	list := filepath.Join(t.TempDir(), "lsm")
	if err := os.WriteFile(list, []byte("lockdown,capability,yama,apparmor"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{LSMList: list}, "boot with lsm=lockdown,capability,yama,apparmor,bpf"},
		{Config{LSMList: list + "none"}, "mount securityfs"},
		{Config{BPFFS: t.TempDir()}, "mount -t bpf bpf"},
	} {
		_, err := New(c.config).Probe()
		if !errors.Is(err, lsm.ErrUnsupported) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.says)
		}
	}
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

// doAll runs accesses separated by ';' in one process and returns the last
// one's error; "-" before one says that it has to succeed.
func doAll(script string) error {
	var err error
	for one := range strings.SplitSeq(script, ";") {
		words := strings.Fields(one)
		must := strings.HasPrefix(words[0], "-")
		err = doOne(strings.TrimPrefix(words[0], "-"), words[1:])
		if must && err != nil {
			return fmt.Errorf("%s: %v", one, err)
		}
	}
	return err
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func doOne(op string, a []string) error {
	switch op {
	case "read":
		return open(a[0], unix.O_RDONLY)
	case "join": // a cgroup
		return os.WriteFile(a[0]+"/cgroup.procs", []byte("0"), 0)
	case "inside": // a cgroup, a script
		return within(a[0], strings.Join(a[1:], " "))
	case "write":
		return open(a[0], unix.O_WRONLY)
	case "append":
		return open(a[0], unix.O_WRONLY|unix.O_APPEND)
	case "create":
		return open(a[0], unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	case "otrunc":
		return open(a[0], unix.O_RDONLY|unix.O_TRUNC)
	case "tmpfile":
		return open(a[0], unix.O_WRONLY|unix.O_TMPFILE)
	case "list":
		return open(a[0], unix.O_RDONLY|unix.O_DIRECTORY)
	case "truncate":
		return unix.Truncate(a[0], 0)
	case "unlink":
		return unix.Unlink(a[0])
	case "rmdir":
		return unix.Rmdir(a[0])
	case "mkdir":
		return unix.Mkdir(a[0], 0o755)
	case "mknod":
		return unix.Mknod(a[0], unix.S_IFIFO|0o600, 0)
	case "symlink":
		return unix.Symlink("target", a[0])
	case "link":
		return unix.Link(a[0], a[1])
	case "rename":
		return unix.Rename(a[0], a[1])
	case "exchange":
		return unix.Renameat2(unix.AT_FDCWD, a[0], unix.AT_FDCWD, a[1], unix.RENAME_EXCHANGE)
	case "chmod":
		return unix.Chmod(a[0], 0o600)
	case "chown":
		return unix.Chown(a[0], 1, 1)
	case "setxattr":
		return unix.Setxattr(a[0], "user.x", []byte("1"), 0)
	case "removexattr":
		return unix.Removexattr(a[0], "user.x")
	case "setacl": // version 2; user::rw-, user 1000:r--, group::r--, mask::r--, other::r--
		acl := []byte{2, 0, 0, 0}
		for _, e := range [][3]uint32{{1, 6, 1<<32 - 1}, {2, 4, 1000}, {4, 4, 1<<32 - 1}, {16, 4, 1<<32 - 1}, {32, 4, 1<<32 - 1}} {
			acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
			acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
			acl = binary.LittleEndian.AppendUint32(acl, e[2])
		}
		return unix.Setxattr(a[0], "system.posix_acl_access", acl, 0)
	case "stat":
		var st unix.Stat_t
		return unix.Stat(a[0], &st)
	case "chroot":
		return errors.Join(unix.Chroot(a[0]), unix.Chdir("/"))
	case "unshare":
		return errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	case "bind":
		return unix.Mount(a[0], a[1], "", unix.MS_BIND, "")
	case "tmpfs":
		return unix.Mount("tmpfs", a[0], "tmpfs", 0, "")
	case "umount":
		return unix.Unmount(a[0], unix.MNT_DETACH)
	case "chdir":
		return unix.Chdir(a[0])
	case "setuid":
		id, err := strconv.Atoi(a[0])
		return errors.Join(err, unix.Setgid(id), unix.Setuid(id))
	case "opath": // reopen an O_PATH descriptor
		fd, err := unix.Open(a[0], unix.O_PATH, 0)
		if err != nil {
			return fmt.Errorf("O_PATH: %v", err)
		}
		return open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY)
	case "clonetree": // read a name relative to a detached mount
		fd, err := unix.OpenTree(unix.AT_FDCWD, a[0], unix.OPEN_TREE_CLONE)
		if err != nil {
			return fmt.Errorf("open_tree: %v", err)
		}
		f, err := unix.Openat(fd, a[1], unix.O_RDONLY, 0)
		if err == nil {
			unix.Close(f)
		}
		return err
	case "handle":
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, a[0], 0)
		if err != nil {
			return fmt.Errorf("name_to_handle_at: %v", err)
		}
		mount, err := unix.Open(a[1], unix.O_RDONLY, 0)
		if err != nil {
			return fmt.Errorf("open the mount: %v", err)
		}
		fd, err := unix.OpenByHandleAt(mount, h, unix.O_RDONLY)
		if err == nil {
			unix.Close(fd)
		}
		return err
	case "code": // memory that no file backs
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err == nil {
			err = unix.Munmap(m)
		}
		return err
	case "exec": // exec a copy of this test that does nothing
		os.Setenv(childVariable, "stat /")
		return unix.Exec(a[0], a, os.Environ())
	case "spawn": // a child that does nothing
		os.Setenv(childVariable, "stat /")
		err := exec.Command(a[0], a[1:]...).Run()
		var status *exec.ExitError
		if errors.As(err, &status) {
			return fmt.Errorf("%s: %v", a[0], err)
		}
		return err
	case "map": // as ld.so does
		fd, err := unix.Open(a[0], unix.O_RDONLY, 0)
		if err != nil {
			return fmt.Errorf("open: %v", err)
		}
		_, err = unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		return err
	}
	return fmt.Errorf("no access %q", op)
}

// server is a child that makes accesses one after another, because to start a
// child takes longer than the access.
var server = sync.OnceValue(func() func(string) (syscall.Errno, error) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childVariable+"=serve")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		panic(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := c.Start(); err != nil {
		panic(err)
	}
	answers := bufio.NewScanner(out)
	return func(script string) (syscall.Errno, error) {
		if _, err := fmt.Fprintln(in, script); err != nil {
			return 0, err
		}
		if !answers.Scan() {
			return 0, fmt.Errorf("the child ended: %v", answers.Err())
		}
		n, err := strconv.Atoi(answers.Text())
		return syscall.Errno(n), err
	}
})

// within runs a script in a child that begins its life in a cgroup; commas end
// its accesses.
func within(cgroup, script string) error {
	dir, err := os.Open(cgroup)
	if err != nil {
		return err
	}
	defer dir.Close()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childVariable+"="+strings.ReplaceAll(script, ",", ";"))
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	var exit *exec.ExitError
	if err := c.Run(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return syscall.Errno(exit.ExitCode())
	} else if err != nil {
		return err
	}
	return nil
}

// ofItsOwn are the accesses that change the process that makes them.
var ofItsOwn = regexp.MustCompile(`(^|[;-])(join|inside|chroot|unshare|setuid|exec|spawn|map|opath)\b`)

// attempt runs the script in a fresh child, `program` instead of this binary
// where it is given, and returns the last access's errno.
func attempt(t testing.TB, script string, program ...string) syscall.Errno {
	t.Helper()
	if len(program) == 0 && !ofItsOwn.MatchString(script) {
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		got, err := server()("-chdir " + here + ";" + script)
		if err != nil || got == 255 {
			t.Fatalf("%s: %v", script, err)
		}
		return got
	}
	path := "/proc/self/exe"
	if len(program) > 0 {
		path = program[0]
	}
	c := exec.Command(path)
	c.Env = append(os.Environ(), childVariable+"="+script)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		if exit.ExitCode() == 255 {
			t.Fatalf("%s: %s", script, out)
		}
		return syscall.Errno(exit.ExitCode())
	}
	return errno(err) // exec itself was refused
}

func want(t testing.TB, script string, expect syscall.Errno, program ...string) {
	t.Helper()
	if got := attempt(t, script, program...); got != expect {
		t.Errorf("%s: %v, want %v", script, got, expect)
	}
}
