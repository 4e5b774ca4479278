//go:build kernel

package bpflsm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// Directories and files that the generator's patterns are about, at the root
// of the guest's file system.
var (
	randomDirs  = []string{"a", "b", "c", "ab", "x"}
	randomFiles = []string{"ba", "a.so", ".so", "k*y", "\xff"}
	// randomPrograms are among them, and run what makes the accesses.
	randomPrograms = []string{"/a/a.so", "/b/.so", "/c/ab/ba", "/ba"}
)

// exitsAtOnce is a static program for x86-64 that does nothing.
func exitsAtOnce() []byte {
	const base, headers = 0x400000, 64 + 56
	code := []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05} // exit(0)
	b := []byte("\x7fELF\x02\x01\x01")
	b = append(b, make([]byte, 16-len(b))...)
	le := binary.LittleEndian
	b = le.AppendUint16(le.AppendUint16(b, 2), 62)                                // ET_EXEC, x86-64
	b = le.AppendUint32(b, 1)                                                     // version
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, base+headers), 64), 0) // entry, program headers, no sections
	b = le.AppendUint32(b, 0)                                                     // flags
	for _, n := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, n)
	}
	b = le.AppendUint32(le.AppendUint32(b, 1), 5) // PT_LOAD, readable and executable
	size := uint64(headers + len(code))
	for _, n := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, n)
	}
	return append(b, code...)
}

// randomTree makes the files and lists them and the directories.
func randomTree(t *testing.T) (files, dirs []string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	dirs = []string{"/"}
	for _, one := range randomDirs {
		dirs = append(dirs, "/"+one)
		for _, two := range randomDirs {
			dirs = append(dirs, "/"+one+"/"+two)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	must(err)
	for _, dir := range dirs {
		must(os.MkdirAll(dir, 0o755))
		for _, name := range randomFiles {
			path := filepath.Join(dir, name)
			content := exitsAtOnce()
			if slices.Contains(randomPrograms, path) {
				content = self
			}
			must(os.WriteFile(path, content, 0o755))
			must(os.Chmod(path, 0o755))
			files = append(files, path)
		}
	}
	t.Cleanup(func() {
		for _, name := range randomDirs {
			os.RemoveAll("/" + name)
		}
		for _, name := range randomFiles {
			os.Remove("/" + name)
		}
	})
	return files, dirs
}

// serveRandom makes the accesses that stdin asks for, each "operation quoted
// path". It opens nothing else: a rule may refuse everything.
func serveRandom() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		op, quoted, _ := strings.Cut(lines.Text(), " ")
		path, err := strconv.Unquote(quoted)
		if err == nil {
			err = randomAccess(op, path)
		}
		fmt.Println(int(errno(err)))
	}
}

func randomAccess(op, path string) error {
	switch op {
	case "read":
		return open(path, unix.O_RDONLY)
	case "write":
		return open(path, unix.O_WRONLY)
	case "map":
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		text, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		return unix.Munmap(text)
	case "exec":
		pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		if err != nil {
			return err
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			return err
		}
		if !status.Exited() || status.ExitStatus() != 0 {
			return fmt.Errorf("%s ended with %v", path, status)
		}
		return nil
	}
	return fmt.Errorf("no access %q", op)
}

// randomServer is a child that runs as one of the programs.
type randomServer struct {
	in  io.Writer
	out *bufio.Scanner
}

func newRandomServer(t *testing.T, path string) randomServer {
	t.Helper()
	c := exec.Command(path)
	c.Env = append(os.Environ(), childVariable+"=random")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	return randomServer{in, bufio.NewScanner(out)}
}

func (s randomServer) do(t *testing.T, op hostpolicy.Operation, path string) syscall.Errno {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s %s\n", op, strconv.Quote(path)); err != nil {
		t.Fatal(err)
	}
	if !s.out.Scan() {
		t.Fatalf("%s %q: the child ended: %v", op, path, s.out.Err())
	}
	n, err := strconv.Atoi(s.out.Text())
	if err != nil || n == 255 {
		t.Fatalf("%s %q: %q", op, path, s.out.Text())
	}
	return syscall.Errno(n)
}

// Random policies: the kernel, the compiled tables and the reference evaluator
// say the same of random accesses.
func TestRandomPolicies(t *testing.T) {
	files, dirs := randomTree(t)
	servers := make(map[string]randomServer)
	for _, path := range randomPrograms {
		servers[path] = newRandomServer(t, path)
		for _, op := range []hostpolicy.Operation{hostpolicy.OpRead, hostpolicy.OpExec, hostpolicy.OpMap} {
			if got := servers[path].do(t, op, "/x/ba"); got != 0 {
				t.Fatalf("without a rule, %s cannot %s: %v", path, op, got)
			}
		}
	}
	support, err := shared().Probe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lift(t) })
	const sets, accesses = 60, 250
	var refused, permitted int
	for seed := range uint64(sets) {
		policies := random.New(seed, support).Policies()
		for i := range policies {
			policies[i].Dangerous = false // the test's own process has to go on
		}
		rs, problems := compile.Compile(policies)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		commit(t, shared(), rs, lsm.Enforce)
		r := rand.New(rand.NewPCG(seed, 2))
		for range accesses {
			program := randomPrograms[r.IntN(len(randomPrograms))]
			op := []hostpolicy.Operation{hostpolicy.OpRead, hostpolicy.OpWrite, hostpolicy.OpExec, hostpolicy.OpMap}[r.IntN(4)]
			object := files[r.IntN(len(files))]
			switch {
			case op == hostpolicy.OpRead && r.IntN(4) == 0:
				object = dirs[r.IntN(len(dirs))]
			case slices.Contains(randomPrograms, object):
				continue // busy as a text file, and no program that ends
			}
			want := judged(policies, program, op, object)
			if table := tabled(rs, program, op, object); table != want {
				t.Fatalf("seed %d: %s %q by %s: the tables say %v, the reference %v", seed, op, object, program, table, want)
			}
			if want == hostpolicy.Block {
				refused++
			} else {
				permitted++
			}
			if got := servers[program].do(t, op, object); (got != 0) != (want == hostpolicy.Block) || got != 0 && got != syscall.EACCES {
				t.Fatalf("seed %d: %s %q by %s: %v, the reference says %v\n%v", seed, op, object, program, got, want, policies)
			}
		}
	}
	t.Logf("%d refused, %d permitted", refused, permitted)
	if refused < sets || permitted < sets {
		t.Error("the accesses prove nothing")
	}
}

// judged is the reference's verdict on what the server does: to map a file it
// has to open it, and what is executed is mapped by itself.
func judged(policies []hostpolicy.Policy, program string, op hostpolicy.Operation, object string) hostpolicy.Action {
	ask := func(program string, op hostpolicy.Operation) hostpolicy.Action {
		s := hostpolicy.Subject{Programs: []string{program}, LoginUID: hostpolicy.NoLogin}
		return hostpolicy.Decide(policies, s, op, hostpolicy.Object{Names: []string{object}, Owned: true}).Action
	}
	verdict := ask(program, op)
	if op == hostpolicy.OpMap && ask(program, hostpolicy.OpRead) == hostpolicy.Block {
		verdict = hostpolicy.Block
	}
	return verdict
}

func tabled(rs *lsm.Ruleset, program string, op hostpolicy.Operation, object string) hostpolicy.Action {
	label := func(path string) lsm.Label { return rs.States[rs.Walk(path)].Label }
	verdict := rs.Lookup(lsm.RoleKey{Program: rs.Labels[label(program).Index()].Program}, label(object))
	action := func(k lsm.Kind) hostpolicy.Action {
		if verdict[k].Action == 0 {
			return hostpolicy.Allow
		}
		return verdict[k].Action
	}
	switch op {
	case hostpolicy.OpRead:
		return action(lsm.KindRead)
	case hostpolicy.OpWrite:
		return action(lsm.KindWrite)
	case hostpolicy.OpExec:
		return action(lsm.KindExec)
	}
	if action(lsm.KindRead) == hostpolicy.Block {
		return hostpolicy.Block
	}
	return action(lsm.KindMap)
}
