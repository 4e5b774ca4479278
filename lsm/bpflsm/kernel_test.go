//go:build kernel

package bpflsm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// ruleset compiles one policy in the policy language.
func ruleset(t testing.TB, text string) *lsm.Ruleset {
	t.Helper()
	if !strings.Contains(text, "[applies_to]") {
		text = "[applies_to]\nhost = true\n" + text
	}
	policies, problems := policyfile.Load("test.toml", []byte(text), policyfile.Options{})
	for _, problem := range problems {
		if problem.Severity == hostpolicy.Error {
			t.Fatalf("policy: %v", problem)
		}
	}
	rs, problems := compile.Compile(policies)
	if len(problems) > 0 {
		t.Fatalf("compile: %v", problems)
	}
	return rs
}

// hostNow is what the host looks like.
func hostNow(t testing.TB) lsm.Host {
	t.Helper()
	moment := shared().Moment()
	return lsm.Host{Moment: moment, Mounts: hostMounts(t)}
}

func hostMounts(t testing.TB) []lsm.Mount {
	t.Helper()
	f, err := os.Open("/proc/1/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []lsm.Mount
	for s := bufio.NewScanner(f); s.Scan(); {
		var id, parent, major, minor uint32
		var root, point string
		if _, err := fmt.Sscanf(s.Text(), "%d %d %d:%d %s %s", &id, &parent, &major, &minor, &root, &point); err != nil {
			t.Fatal(err)
		}
		list = append(list, lsm.Mount{Device: major<<20 | minor, Root: root, Point: point})
	}
	return list
}

// One engine for the whole run: to load the programs takes seconds.
var shared = sync.OnceValue(func() *Engine { return New(Config{}) })

func commit(t testing.TB, e *Engine, rs *lsm.Ruleset, mode lsm.Mode) {
	t.Helper()
	txn, err := e.Prepare(rs, mode, hostNow(t))
	if err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			t.Log(strings.Join(v.Log[max(0, len(v.Log)-80):], "\n"))
		}
		t.Fatal(err)
	}
	if err := txn.Commit(); err != nil {
		t.Fatal(err)
	}
}

// enforce puts one policy in force until the test ends.
func enforce(t testing.TB, text string) *Engine {
	t.Helper()
	e := shared()
	commit(t, e, ruleset(t, text), lsm.Enforce)
	t.Cleanup(func() { lift(t) })
	return e
}

// lift puts a policy in force that stops nothing that a test does.
func lift(t testing.TB) {
	commit(t, shared(), ruleset(t, "[file.nothing]\npath = \"/nonexistent\"\n"), lsm.Enforce)
}

// tree makes an empty directory on ext4 with these files; a trailing slash
// makes a directory.
func tree(t testing.TB, files ...string) string {
	t.Helper()
	dir := filepath.Join("/scratch", strings.ReplaceAll(t.Name(), "/", "_"))
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f)
		var err error
		if strings.HasSuffix(f, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("content"), 0o666))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// program copies this test to path, so that it has a name of its own.
func program(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// denials collects what is reported while do runs.
func denials(t testing.TB, e *Engine, do func()) []lsm.Denial {
	t.Helper()
	reported(t, e, func() {}) // of what came before
	return reported(t, e, do)
}

// reported collects what is in the ring and what comes while do runs, until
// nothing comes any more.
func reported(t testing.TB, e *Engine, do func()) []lsm.Denial {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan lsm.Denial)
	done := make(chan error, 1)
	go func() { done <- e.Events(ctx, func(d lsm.Denial) { got <- d }) }()
	finished := make(chan struct{})
	go func() { defer close(finished); do() }()
	var list []lsm.Denial
	for quiet := (<-chan time.Time)(nil); ; {
		select {
		case d := <-got:
			list = append(list, d)
			if quiet != nil {
				quiet = time.After(time.Second)
			}
		case <-finished:
			finished, quiet = nil, time.After(time.Second)
		case <-quiet:
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return list
		}
	}
}

func TestAccessKinds(t *testing.T) {
	dir := tree(t, "in/file", "in/empty/", "out/file", "out/other", "out/empty/")
	if err := os.Symlink("nowhere", dir+"/in/sym"); err != nil {
		t.Fatal(err)
	}
	read := fmt.Sprintf("[file.r]\npath = %q\naccess = \"read\"\n", dir+"/in/")
	write := fmt.Sprintf("[file.w]\npath = %q\naccess = \"write\"\n", dir+"/in/")
	cases := []struct {
		name, do        string
		byRead, byWrite syscall.Errno
		undo            string
		elsewhere       string
		undoElsewhere   string
	}{
		{name: "read", do: "read in/file", byRead: syscall.EACCES, elsewhere: "read out/file"},
		{name: "list", do: "list in", byRead: syscall.EACCES, elsewhere: "list out"},
		{name: "stat", do: "stat in/file", elsewhere: "stat out/file"},
		{name: "write", do: "write in/file", byWrite: syscall.EACCES, elsewhere: "write out/file"},
		{name: "append", do: "append in/file", byWrite: syscall.EACCES, elsewhere: "append out/file"},
		{name: "truncate", do: "truncate in/file", byWrite: syscall.EACCES, elsewhere: "truncate out/file"},
		{name: "O_TRUNC", do: "otrunc in/file", byRead: syscall.EACCES, byWrite: syscall.EACCES, elsewhere: "otrunc out/file"},
		{name: "O_TMPFILE", do: "tmpfile in", byWrite: syscall.EACCES, elsewhere: "tmpfile out"},
		{name: "create", do: "create in/new", byWrite: syscall.EACCES, undo: "unlink in/new", elsewhere: "create out/new", undoElsewhere: "unlink out/new"},
		{name: "mkdir", do: "mkdir in/new", byWrite: syscall.EACCES, undo: "rmdir in/new", elsewhere: "mkdir out/new", undoElsewhere: "rmdir out/new"},
		{name: "mknod", do: "mknod in/new", byWrite: syscall.EACCES, undo: "unlink in/new", elsewhere: "mknod out/new", undoElsewhere: "unlink out/new"},
		{name: "symlink", do: "symlink in/new", byWrite: syscall.EACCES, undo: "unlink in/new", elsewhere: "symlink out/new", undoElsewhere: "unlink out/new"},
		{name: "unlink", do: "unlink in/file", byWrite: syscall.EACCES, undo: "create in/file", elsewhere: "unlink out/file", undoElsewhere: "create out/file"},
		{name: "rmdir", do: "rmdir in/empty", byWrite: syscall.EACCES, undo: "mkdir in/empty", elsewhere: "rmdir out/empty", undoElsewhere: "mkdir out/empty"},
		{name: "link into", do: "link out/file in/new", byWrite: syscall.EACCES, undo: "unlink in/new", elsewhere: "link out/file out/new", undoElsewhere: "unlink out/new"},
		{name: "link out of", do: "link in/file out/new", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "unlink out/new", elsewhere: "link out/file out/new", undoElsewhere: "unlink out/new"},
		{name: "rename within", do: "rename in/file in/new", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "rename in/new in/file", elsewhere: "rename out/file out/new", undoElsewhere: "rename out/new out/file"},
		{name: "rename out of", do: "rename in/file out/new", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "rename out/new in/file", elsewhere: "rename out/file out/new", undoElsewhere: "rename out/new out/file"},
		{name: "rename into", do: "rename out/file in/new", byWrite: syscall.EACCES, undo: "rename in/new out/file", elsewhere: "rename out/file out/new", undoElsewhere: "rename out/new out/file"},
		{name: "rename onto", do: "rename out/other in/file", byWrite: syscall.EACCES, undo: "create out/other", elsewhere: "rename out/other out/file", undoElsewhere: "create out/other"},
		{name: "exchange", do: "exchange in/file out/file", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "exchange in/file out/file", elsewhere: "exchange out/file out/other", undoElsewhere: "exchange out/file out/other"},
		{name: "chmod", do: "chmod in/file", byWrite: syscall.EACCES, elsewhere: "chmod out/file"},
		{name: "chown", do: "chown in/file", byWrite: syscall.EACCES, elsewhere: "chown out/file"},
		{name: "setxattr", do: "setxattr in/file", byWrite: syscall.EACCES, elsewhere: "setxattr out/file"},
		{name: "set ACL", do: "setacl in/file", byWrite: syscall.EACCES, elsewhere: "setacl out/file"},
		{name: "removexattr", do: "-setxattr out/file;removexattr out/file", elsewhere: "stat out/file"},
		{name: "rename directory", do: "rename in moved", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "rename moved in", elsewhere: "rename out moved", undoElsewhere: "rename moved out"},
	}
	t.Chdir(dir)
	for _, phase := range []struct{ name, policy string }{{"control", ""}, {"read rule", read}, {"write rule", write}} {
		if phase.policy == "" {
			lift(t)
		} else {
			enforce(t, phase.policy)
		}
		for _, c := range cases {
			expect := map[string]syscall.Errno{"read rule": c.byRead, "write rule": c.byWrite}[phase.name]
			t.Run(phase.name+"/"+c.name, func(t *testing.T) {
				want(t, c.do, expect)
				if expect == 0 {
					undo(t, c.undo)
				}
				want(t, c.elsewhere, 0)
				undo(t, c.undoElsewhere)
			})
		}
	}
}

// undo runs in this process, which is exempt.
func undo(t *testing.T, script string) {
	t.Helper()
	if script == "" {
		return
	}
	if err := doAll(script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

func TestExec(t *testing.T) {
	dir := tree(t, "x")
	for _, p := range []string{"/bin/blocked", "/bin/audited", "/bin/free", "/sub/one", "/sub/two"} {
		program(t, dir+p)
	}
	script := dir + "/bin/script"
	if err := os.WriteFile(script, []byte("#!"+dir+"/bin/free\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	viaBlocked := dir + "/bin/via"
	if err := os.WriteFile(viaBlocked, []byte("#!"+dir+"/bin/blocked\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`
[process.no]
path = [%q, %q, %q]
except = %q
[process.seen]
path = %q
action = "audit"
`, dir+"/bin/blocked", dir+"/bin/script", dir+"/sub/", dir+"/sub/two", dir+"/bin/audited")
	cases := []struct {
		do     string
		expect syscall.Errno
	}{
		{"exec " + dir + "/bin/blocked", syscall.EACCES},
		{"-setuid 1000;exec " + dir + "/bin/blocked", syscall.EACCES},
		{"exec " + script, syscall.EACCES},
		{"exec " + viaBlocked, syscall.EACCES},
		{"exec " + dir + "/sub/one", syscall.EACCES},
		{"exec " + dir + "/sub/two", 0},
		{"exec " + dir + "/bin/audited", 0},
		{"exec " + dir + "/bin/free", 0},
		{"map " + dir + "/bin/blocked", syscall.EACCES},
		{"map " + dir + "/bin/free", 0},
		{"read " + dir + "/bin/blocked", 0}, // another class
		{"link " + dir + "/bin/blocked " + dir + "/bin/copy", syscall.EACCES},
		{"rename " + dir + "/bin/blocked " + dir + "/bin/copy", syscall.EACCES},
	}
	lift(t)
	for _, c := range cases {
		if strings.HasPrefix(c.do, "link") || strings.HasPrefix(c.do, "rename") {
			continue // would change the tree
		}
		want(t, c.do, 0)
	}
	e := enforce(t, policy)
	for _, c := range cases {
		want(t, c.do, c.expect)
	}
	seen := denials(t, e, func() {
		want(t, "exec "+dir+"/bin/audited", 0)
		want(t, "-setuid 1000;exec "+dir+"/bin/blocked", syscall.EACCES)
	})
	if len(seen) < 2 {
		t.Fatalf("events: %+v", seen)
	}
	first, last := seen[0], seen[len(seen)-1]
	if first.Action != hostpolicy.Audit || first.Resource != dir+"/bin/audited" || first.Operation != "bprm_check_security" {
		t.Errorf("audit event: %+v", first)
	}
	if last.Action != hostpolicy.Block || last.Permitted || last.Resource != dir+"/bin/blocked" || last.UID != 1000 ||
		last.PPID != uint32(os.Getpid()) || last.Cgroup != "/" || e.ruleset.Rules[last.Rule-1].Name != "no" {
		t.Errorf("block event: %+v", last)
	}
}

func TestFrom(t *testing.T) {
	dir := tree(t, "data/key", "data/host", "data/free")
	a, b := dir+"/bin/a", dir+"/bin/b"
	program(t, a)
	program(t, b)
	policy := fmt.Sprintf(`
[file.key]
path = %q
from = %q
[file.host]
path = %q
except_from = %q
`, dir+"/data/key", dir+"/bin/a*", dir+"/data/host", b)
	lift(t)
	for _, p := range []string{a, b} {
		for _, f := range []string{"key", "host", "free"} {
			want(t, "read "+dir+"/data/"+f, 0, p)
		}
	}
	enforce(t, policy)
	check := func(stage string) {
		t.Helper()
		for _, c := range []struct {
			program, file string
			expect        syscall.Errno
		}{
			{a, "key", syscall.EACCES}, {a, "host", syscall.EACCES}, {a, "free", 0},
			{b, "key", 0}, {b, "host", 0}, {b, "free", 0},
		} {
			if got := attempt(t, "read "+dir+"/data/"+c.file, c.program); got != c.expect {
				t.Errorf("%s: %s reads %s: %v, want %v", stage, c.program, c.file, got, c.expect)
			}
		}
	}
	check("first")
	enforce(t, policy+"\n[file.more]\npath = \"/nonexistent/x\"\n")
	check("after a reload")
	// What a child does before it executes anything, and after.
	want(t, "spawn "+b, 0, a)
	want(t, "exec "+b, 0, a)
}

func TestAllowList(t *testing.T) {
	dir := tree(t, "app/data", "app/secret")
	program(t, dir+"/bin/app")
	policy := fmt.Sprintf(`
dangerous = true
otherwise = "block"
[applies_to]
host = true
[file.only]
action = "allow"
path = [%q, "/proc/", "/sys/", "/dev/", "/job/"]
from = %q
`, dir+"/app/data", dir+"/bin/app")
	lift(t)
	want(t, "read "+dir+"/app/secret", 0, dir+"/bin/app")
	e := enforce(t, policy)
	want(t, "read "+dir+"/app/data", 0, dir+"/bin/app")
	want(t, "read "+dir+"/app/secret", syscall.EACCES, dir+"/bin/app")
	want(t, "create "+dir+"/app/new", syscall.EACCES, dir+"/bin/app")
	want(t, "read "+dir+"/app/secret", 0)
	seen := denials(t, e, func() { want(t, "read "+dir+"/app/secret", syscall.EACCES, dir+"/bin/app") })
	if len(seen) == 0 || !seen[len(seen)-1].Otherwise {
		t.Errorf("events: %+v", seen)
	}
}

func TestNamesByWhichAFileIsReached(t *testing.T) {
	deep := "deep" + strings.Repeat("/directory", 60)
	long := strings.Repeat("n", 255)
	long2 := strings.Repeat("n", 254) + "m"
	dir := tree(t, "in/key", "in/sub/key", "out/free", "point/", "root/", "glob/a.key", "glob/a.txt", "glob/x/b.key",
		deep+"/key", deep+"/free", long+"/key", long2+"/key", "bytes/a\xffb", "watched/point/")
	if err := os.Symlink(dir+"/in/key", dir+"/out/sym"); err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`
[file.key]
path = [%q, %q, %q, %q, %q, %q]
`, dir+"/in/", dir+"/glob/**.key", dir+"/"+deep+"/key", dir+"/"+long+"/", dir+"/bytes/*", dir+"/watched/")
	cases := []struct {
		do     string
		expect syscall.Errno
	}{
		{"read out/sym", syscall.EACCES},
		{"read in/../in/./key", syscall.EACCES},
		{"read /proc/self/root" + dir + "/in/key", syscall.EACCES},
		{"read /proc/self/cwd/in/sub/key", syscall.EACCES},
		{"opath in/key", syscall.EACCES},
		{"-chroot in;read /key", syscall.EACCES},
		{"-unshare;-bind in point;read point/key", syscall.EACCES},
		{"-unshare;-bind in/key out/free;read out/free", syscall.EACCES},
		{"-unshare;clonetree in key", syscall.EACCES},
		{"-unshare;-chdir in;-tmpfs " + dir + "/in;read key", syscall.EACCES},
		{"handle in/key out", syscall.EACCES},
		{"read glob/a.key", syscall.EACCES},
		{"read glob/x/b.key", syscall.EACCES},
		{"read glob/a.txt", 0},
		{"read " + deep + "/key", syscall.EACCES},
		{"read " + deep + "/free", 0},
		{"read " + long + "/key", syscall.EACCES},
		{"read " + long2 + "/key", 0},
		{"read bytes/a\xffb", syscall.EACCES},
		{"read out/free", 0},
	}
	t.Chdir(dir)
	lift(t)
	for _, c := range cases {
		want(t, c.do, 0)
	}
	e := enforce(t, policy)
	for range 2 { // walked, then cached
		for _, c := range cases {
			want(t, c.do, c.expect)
		}
	}
	t.Run("a file system mounted where a rule looks, before anybody binds it", func(t *testing.T) {
		undo(t, "tmpfs watched/point")
		defer undo(t, "umount watched/point")
		want(t, "create watched/point/new", syscall.EACCES)
		if err := e.Bind(hostNow(t)); err != nil {
			t.Fatal(err)
		}
		want(t, "create watched/point/new", syscall.EACCES)
	})
	if err := e.Bind(hostNow(t)); err != nil {
		t.Fatal(err)
	}
	t.Run("a bind mount gives a second name", func(t *testing.T) {
		undo(t, "bind out watched/point")
		defer undo(t, "umount watched/point")
		if err := e.Bind(hostNow(t)); err != nil {
			t.Fatal(err)
		}
		want(t, "read out/free", syscall.EACCES)
		want(t, "read watched/point/free", syscall.EACCES)
	})
	if err := e.Bind(hostNow(t)); err != nil {
		t.Fatal(err)
	}
	want(t, "read out/free", 0)
}

func TestRenamesAreFollowed(t *testing.T) {
	dir := tree(t, "in/", "out/file", "out/dir/file", "out/a/b/c/file", "cold/x/file")
	policy := fmt.Sprintf("[file.in]\npath = %q\n[file.deep]\npath = %q\n", dir+"/in/", dir+"/moved/b/c/file")
	t.Chdir(dir)
	enforce(t, policy)
	for _, f := range []string{"out/file", "out/dir/file", "out/a/b/c/file"} {
		want(t, "read "+f, 0) // cached by its old name
	}
	undo(t, "rename out/file in/file")
	want(t, "read in/file", syscall.EACCES)
	undo(t, "rename in/file out/file")
	want(t, "read out/file", 0)
	undo(t, "rename out/dir in/dir")
	want(t, "read in/dir/file", syscall.EACCES)
	undo(t, "rename in/dir out/dir")
	want(t, "read out/dir/file", 0)
	undo(t, "rename out/a moved")
	want(t, "read moved/b/c/file", syscall.EACCES)
	want(t, "rename moved elsewhere", syscall.EACCES) // an ancestor
	want(t, "rename cold cold2", 0)
	undo(t, "exchange out in")
	want(t, "read in/file", syscall.EACCES)
	undo(t, "exchange out in")
	want(t, "read out/file", 0)
	if moving := movingNow(t); moving != 0 {
		t.Errorf("%d renames never ended", moving)
	}
}

func TestAuditOnly(t *testing.T) {
	dir := tree(t, "key")
	e := shared()
	commit(t, e, ruleset(t, fmt.Sprintf("[file.key]\npath = %q\n", dir+"/key")), lsm.AuditOnly)
	defer lift(t)
	seen := denials(t, e, func() { want(t, "read "+dir+"/key", 0) })
	if len(seen) != 1 || !seen[0].Permitted || seen[0].Action != hostpolicy.Block {
		t.Errorf("events: %+v", seen)
	}
}
