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
	p, problems := policyfile.Load("test.toml", []byte(text))
	for _, problem := range problems {
		if problem.Severity == hostpolicy.Error {
			t.Fatalf("policy: %v", problem)
		}
	}
	rs, problems := compile.Compile([]hostpolicy.Policy{*p})
	if len(problems) > 0 {
		t.Fatalf("compile: %v", problems)
	}
	return rs
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
	txn, err := e.Prepare(rs, mode, hostMounts(t))
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
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan lsm.Denial, 1<<16)
	done := make(chan error, 1)
	go func() { done <- e.Events(ctx, func(d lsm.Denial) { got <- d }) }()
	do()
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(got)
	var list []lsm.Denial
	for d := range got {
		list = append(list, d)
	}
	return list
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
		{name: "removexattr", do: "-setxattr out/file;removexattr out/file", elsewhere: "stat out/file"},
		{name: "rename directory", do: "rename in moved", byRead: syscall.EACCES, byWrite: syscall.EACCES, undo: "rename moved in", elsewhere: "rename out moved", undoElsewhere: "rename moved out"},
	}
	if err := os.Chdir(dir); err != nil {
		t.Fatal(err)
	}
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
				if expect == 0 && c.undo != "" {
					want(t, c.undo, 0)
				}
				want(t, c.elsewhere, 0)
				if c.undoElsewhere != "" {
					want(t, c.undoElsewhere, 0)
				}
			})
		}
	}
}

func TestDebug(t *testing.T) {
	dir := tree(t, "in/file", "out/file")
	e := enforce(t, fmt.Sprintf("[file.r]\npath = %q\n", dir+"/in/"))
	t.Log(compile.Dump(e.ruleset))
	for _, d := range denials(t, e, func() { want(t, "read "+dir+"/in/file", syscall.EACCES) }) {
		t.Logf("%+v", d)
	}
	s, err := e.Status()
	t.Logf("%+v %v", s, err)
}
