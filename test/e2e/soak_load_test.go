//go:build e2e && soak

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// soakDir holds what the load works on: no read below in/, and forbidden may
// not be executed.
const (
	soakDir   = "/srv/soak"
	forbidden = soakDir + "/bin/forbidden"
)

// soakLoad is everything at once. A worker's turn ends before memory is
// measured, so that no container or mount is counted.
type soakLoad struct {
	workers sync.WaitGroup
	turn    sync.RWMutex
	counts  map[string]*atomic.Uint64
	failed  atomic.Uint64
}

func (l *soakLoad) String() string {
	var parts []string
	for name, n := range l.counts {
		parts = append(parts, fmt.Sprintf("%s %d", name, n.Load()))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// enough fails the test where some part of the load did not happen.
func (l *soakLoad) enough(t *testing.T) {
	for name, n := range l.counts {
		if n.Load() < 3 {
			t.Errorf("%s: only %d times", name, n.Load())
		}
	}
}

func (l *soakLoad) paused(do func() map[string]int) map[string]int {
	l.turn.Lock()
	defer l.turn.Unlock()
	return do()
}

// start runs each part again and again, with a pause between.
func (l *soakLoad) start(ctx context.Context, t *testing.T, kills func() bool) {
	parts := map[string]struct {
		pause time.Duration
		do    func(n int) error
	}{
		"files made and deleted": {100 * time.Millisecond, soakFiles},
		"programs":               {200 * time.Millisecond, soakPrograms},
		"directories moved":      {100 * time.Millisecond, soakRenames},
		"mounts":                 {500 * time.Millisecond, soakMounts},
		"new roots":              {5 * time.Second, soakRoots},
		"containers":             {15 * time.Second, soakContainers},
	}
	if !*without {
		parts["reloads"] = struct {
			pause time.Duration
			do    func(n int) error
		}{2 * time.Second, func(n int) error { return soakReload(t, n) }}
		parts["kills"] = struct {
			pause time.Duration
			do    func(n int) error
		}{30 * time.Second, func(int) error {
			if !kills() {
				return errNotNow
			}
			return soakKill(t)
		}}
	}
	for name := range parts {
		l.counts[name] = new(atomic.Uint64)
	}
	for name, part := range parts {
		l.workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := l.inTurn(part.do, n)
				switch {
				case err == nil:
					l.counts[name].Add(1)
				case !errors.Is(err, errNotNow) && l.failed.Add(1) <= 20:
					t.Errorf("%s, %d: %v", name, n, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(part.pause):
				}
			}
		})
	}
}

// inTurn lets the turn go whatever becomes of the part.
func (l *soakLoad) inTurn(do func(n int) error, n int) error {
	l.turn.RLock()
	defer l.turn.RUnlock()
	return do(n)
}

var errNotNow = errors.New("not now")

// prepareSoak makes the files, the container's image and the policy.
func prepareSoak(t *testing.T) {
	for _, dir := range []string{"in/point", "out/dir", "mnt", "bind", "root/bin", "root/old", "files", "bin"} {
		if err := os.MkdirAll(soakDir+"/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, soakDir+"/out/dir/file", "text\n")
	write(t, soakDir+"/in/file", "text\n")
	copyProgram(t, "/usr/bin/true", forbidden)
	copyProgram(t, "/usr/bin/true", soakDir+"/bin/true")
	copyProgram(t, "/bin/busybox", soakDir+"/root/bin/busybox")
	if err := os.Symlink("busybox", soakDir+"/root/bin/sh"); err != nil {
		t.Fatal(err)
	}
	// The journal is in memory, and would be what grows.
	write(t, "/etc/systemd/journald.conf.d/small.conf", "[Journal]\nRuntimeMaxUse=16M\n")
	run(t, "systemctl", "restart", "systemd-journald")
	run(t, "systemctl", "start", "docker")
	run(t, "sh", "-c", "tar -C "+soakDir+"/root -c . | docker import - soak:test")
	if !*without {
		load(t, "soak", soakPolicy(0))
	}
	for name, do := range map[string]func(int) error{"mounts": soakMounts, "renames": soakRenames, "programs": soakPrograms, "roots": soakRoots, "containers": soakContainers} {
		if err := do(0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// soakPolicy is another set for each n; the hooks change with every tenth.
func soakPolicy(n int) string {
	text := hostPolicy("[file.in]\npath = %q\naccess = \"read\"\n\n[process.forbidden]\npath = %q\n\n", soakDir+"/in/", forbidden)
	for i := range n % 50 {
		text += fmt.Sprintf("[file.r%d]\npath = \"/srv/soak/%d/%d\"\n\n", i, n, i)
	}
	if n%10 == 5 {
		text += "[system.m]\noperation = \"kexec\"\nfrom = \"/nonexistent\"\n"
	}
	return text
}

// judged compares what an access gave. Without HostArmor nothing is refused.
func judged(refused bool, operation string, paths ...string) error {
	want := syscall.Errno(0)
	if refused && !*without {
		want = denied
	}
	if got := errno(access(operation, paths...)); got != want {
		return fmt.Errorf("%s %v: %v, want %v", operation, paths, describe(got), describe(want))
	}
	return nil
}

// daemonChanges keeps reloads and kills apart.
var daemonChanges sync.Mutex

func soakReload(t *testing.T, n int) error {
	daemonChanges.Lock()
	defer daemonChanges.Unlock()
	replace(t, policies+"/soak.toml", soakPolicy(n))
	_, err := tryReload()
	return err
}

// soakKill waits longer than other tests, because everything else goes on. A
// daemon that does not answer prints what it is doing into the journal.
func soakKill(t *testing.T) error {
	daemonChanges.Lock()
	defer daemonChanges.Unlock()
	before := daemonPID(t)
	if out, err := exec.Command("systemctl", "kill", "-s", "KILL", service).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for end := time.Now().Add(4 * patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if pid := daemonPID(t); pid == "" || pid == before {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := client().Status(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	out, err := exec.Command("systemctl", "kill", "-s", "QUIT", service).CombinedOutput()
	return fmt.Errorf("no daemon answers (SIGQUIT: %v %s)", err, out)
}

func soakFiles(n int) error {
	dir := fmt.Sprintf("%s/files/%d", soakDir, n)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var all []error
	for i := range 30 {
		path := fmt.Sprintf("%s/%d", dir, i)
		all = append(all, os.WriteFile(path, []byte("text"), 0o644), judged(false, "read", path), os.Remove(path))
	}
	return errors.Join(append(all, os.Remove(dir))...)
}

func soakPrograms(int) error {
	return errors.Join(judged(false, "exec", soakDir+"/bin/true"), judged(true, "exec", forbidden),
		judged(false, "read", forbidden), judged(true, "read", soakDir+"/in/file"))
}

// soakRenames moves a directory where no rule looks, and one to where its file
// may not be read.
func soakRenames(n int) error {
	var all []error
	try := func(refused bool, operation string, paths ...string) {
		for i := range paths {
			paths[i] = soakDir + "/" + paths[i]
		}
		all = append(all, judged(refused, operation, paths...))
	}
	for range 10 {
		try(false, "rename", "out/dir", "out/other")
		try(false, "read", "out/other/file")
		try(false, "rename", "out/other/file", "out/other/file2")
		try(false, "rename", "out/other/file2", "out/other/file")
		try(false, "rename", "out/other", "out/dir")
	}
	moved := fmt.Sprintf("in/moved%d", n)
	try(false, "mkdir", "out/new")
	try(false, "create", "out/new/file")
	try(false, "read", "out/new/file")
	try(false, "rename", "out/new", moved)
	try(true, "read", moved+"/file")
	all = append(all, os.RemoveAll(soakDir+"/"+moved+"/file"))
	all = append(all, syscall.Rmdir(soakDir+"/"+moved))
	return errors.Join(all...)
}

// soakMounts mounts a file system where no rule looks and one where a rule
// does, and gives a file that a rule names a second name.
func soakMounts(int) error {
	var all []error
	mounted := func(source, at, kind string, flags uintptr, do func()) {
		if err := unix.Mount(source, at, kind, flags, ""); err != nil {
			all = append(all, fmt.Errorf("mount %s: %w", at, err))
			return
		}
		do()
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			all = append(all, fmt.Errorf("umount %s: %w", at, err))
		}
	}
	try := func(refused bool, operation string, paths ...string) {
		all = append(all, judged(refused, operation, paths...))
	}
	mounted("tmpfs", soakDir+"/mnt", "tmpfs", 0, func() {
		try(false, "create", soakDir+"/mnt/file")
		try(false, "read", soakDir+"/mnt/file")
	})
	mounted("tmpfs", soakDir+"/in/point", "tmpfs", 0, func() {
		try(false, "create", soakDir+"/in/point/file")
		try(true, "read", soakDir+"/in/point/file")
	})
	mounted("/srv/base", soakDir+"/bind", "", unix.MS_BIND, func() {
		try(true, "read", soakDir+"/bind/secret")
		try(false, "read", soakDir+"/bind/ordinary")
	})
	return errors.Join(all...)
}

// inBox is what a shell in a box says of the two files.
func inBox(name string, args ...string) error {
	script := "cat /data/secret && echo secret read; cat /data/ordinary && echo done"
	out, err := exec.Command(name, append(args, "/bin/sh", "-c", strings.ReplaceAll(script, "cat ", "busybox cat "))...).CombinedOutput()
	want := "cat: can't open '/data/secret': Permission denied\nordinary\ndone\n"
	if *without {
		want = "secret\nsecret read\nordinary\ndone\n"
	}
	if err != nil || string(out) != want {
		return fmt.Errorf("%s: %v, %q, want %q", name, err, out, want)
	}
	return nil
}

// soakRoots: by chroot and by pivot_root, in namespaces of their own.
func soakRoots(int) error {
	const root = soakDir + "/root"
	if err := os.MkdirAll(root+"/data", 0o755); err != nil {
		return err
	}
	bound := "mount --bind " + root + " " + root + " && mount --bind /srv/base " + root + "/data && "
	return errors.Join(
		inBox("unshare", "--mount", "--pid", "--fork", "sh", "-c", bound+"exec chroot "+root+` "$@"`, "sh"),
		inBox("unshare", "--mount", "--pid", "--fork", "sh", "-c", bound+"cd "+root+` && pivot_root . old && exec "$@"`, "sh"),
	)
}

func soakContainers(int) error {
	return inBox("docker", "run", "--rm", "--network=none", "-v", "/srv/base:/data:ro", "soak:test")
}
