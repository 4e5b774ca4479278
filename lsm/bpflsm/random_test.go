//go:build kernel

package bpflsm

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

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
		must(os.Chmod(dir, 0o777))
		for _, name := range randomFiles {
			path := filepath.Join(dir, name)
			content := exitsAtOnce()
			if slices.Contains(randomPrograms, path) {
				content = self
			}
			must(os.WriteFile(path, content, 0o755))
			must(os.Chmod(path, 0o777))
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

// asked is one access, and who makes it.
type asked struct {
	Operation        string
	Path             []byte // any bytes
	Args             []string
	UID, EUID, Login uint32
}

// serveRandom makes the accesses that stdin asks for, from one thread that
// becomes whom it is asked to be. It opens nothing else: a rule may refuse
// everything.
func serveRandom() {
	runtime.LockOSThread()
	login, err := unix.Open("/proc/thread-self/loginuid", unix.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var a asked
		err := json.Unmarshal(lines.Bytes(), &a)
		if err == nil {
			_, err = unix.Write(login, []byte(strconv.FormatUint(uint64(a.Login), 10)))
		}
		if err != nil {
			fmt.Println(255)
			continue
		}
		become(a.UID, a.EUID)
		err = randomAccess(a.Operation, string(a.Path), a.Args)
		become(0, 0)
		fmt.Println(int(errno(err)))
	}
}

// become changes this thread alone, and keeps the way back.
func become(uid, euid uint32) {
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(euid), 0); errno != 0 {
		panic(errno)
	}
}

func randomAccess(op, path string, args []string) error {
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
		pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
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
	in  *json.Encoder
	out *bufio.Scanner
	pid int
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
	return randomServer{json.NewEncoder(in), bufio.NewScanner(out), c.Process.Pid}
}

func (s randomServer) do(t *testing.T, a asked) syscall.Errno {
	t.Helper()
	if err := s.in.Encode(a); err != nil {
		t.Fatal(err)
	}
	if !s.out.Scan() {
		t.Fatalf("%+v: the child ended: %v", a, s.out.Err())
	}
	n, err := strconv.Atoi(s.out.Text())
	if err != nil || n == 255 {
		t.Fatalf("%+v: %q", a, s.out.Text())
	}
	return syscall.Errno(n)
}

// randomCgroups makes the cgroups of the generator's units.
func randomCgroups(t *testing.T) string {
	t.Helper()
	const root = "/cgroup"
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, chain := range random.Units() {
		if err := os.MkdirAll(filepath.Join(root, filepath.Join(chain...)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Random policies: the kernel and the reference evaluator say the same of
// random accesses by random programs, users and units.
func TestRandomPolicies(t *testing.T) {
	files, dirs := randomTree(t)
	cgroups := randomCgroups(t)
	servers, where := make(map[string]randomServer), make(map[string]string)
	for _, path := range randomPrograms {
		servers[path] = newRandomServer(t, path)
		for _, op := range []hostpolicy.Operation{hostpolicy.OpRead, hostpolicy.OpExec, hostpolicy.OpMap} {
			a := asked{Operation: op.String(), Path: []byte("/x/ba"), Args: []string{"ba"}, UID: 1000, EUID: 1000, Login: hostpolicy.NoLogin}
			if got := servers[path].do(t, a); got != 0 {
				t.Fatalf("without a rule, %s cannot %s: %v", path, op, got)
			}
		}
	}
	support, err := shared().Probe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lift(t) })
	first, sets, accesses := randomSize(t)
	var refused, permitted, special int
	var switching, accessing time.Duration
	for seed := first; seed < first+uint64(sets); seed++ {
		source := random.New(seed, support)
		policies := source.Policies()
		for i := range policies {
			policies[i].Dangerous = false // the test's own process has to go on
		}
		rs, problems := compile.Compile(policies)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		began := time.Now()
		commit(t, shared(), rs, lsm.Enforce)
		switching += time.Since(began)
		r := rand.New(rand.NewPCG(seed, 2))
		type trial struct {
			program, group, object string
			access                 random.Access
		}
		var trials []trial
		for range accesses {
			program := randomPrograms[r.IntN(len(randomPrograms))]
			object := files[r.IntN(len(files))]
			if slices.Contains(randomPrograms, object) {
				continue // busy as a text file, and no program that ends
			}
			a := source.Access([]string{program}, []string{object})
			if a.Operation == hostpolicy.OpRead && r.IntN(4) == 0 {
				object = dirs[r.IntN(len(dirs))]
				a.Object.Names[0] = object
			}
			trials = append(trials, trial{program, filepath.Join(cgroups, filepath.Join(a.Subject.Units...)), object, a})
		}
		// To move a process to another cgroup takes an RCU grace period, which is
		// longer than many accesses: those of one program in one unit follow on each other.
		slices.SortStableFunc(trials, func(x, y trial) int {
			return cmp.Or(cmp.Compare(x.program, y.program), cmp.Compare(x.group, y.group))
		})
		began = time.Now()
		for _, one := range trials {
			program, object, a := one.program, one.object, one.access
			if err := os.Chown(object, int(a.Owner), 0); err != nil {
				t.Fatal(err)
			}
			if one.group != where[program] {
				if err := os.WriteFile(one.group+"/cgroup.procs", []byte(strconv.Itoa(servers[program].pid)), 0); err != nil {
					t.Fatal(err)
				}
				where[program] = one.group
			}
			want := judged(policies, a)
			if want == hostpolicy.Block {
				refused++
			} else {
				permitted++
			}
			if len(a.Subject.Units) > 0 || a.Subject.UID != 0 {
				special++
			}
			got := servers[program].do(t, asked{
				Operation: a.Operation.String(), Path: []byte(object), Args: a.Object.Args,
				UID: a.Subject.UID, EUID: a.Subject.EUID, Login: a.Subject.LoginUID,
			})
			if (got != 0) != (want == hostpolicy.Block) || got != 0 && got != syscall.EACCES {
				t.Fatalf("seed %d: %s %q by %+v, owner %d, argv %q: %v, the reference says %v\n%v",
					seed, a.Operation, object, a.Subject, a.Owner, a.Object.Args, got, want, policies)
			}
		}
		accessing += time.Since(began)
	}
	t.Logf("seeds %d to %d: %d accesses, %d refused, %d permitted; %d by users and in units; %d s of policy switches, %d s of accesses",
		first, first+uint64(sets)-1, refused+permitted, refused, permitted, special, int(switching.Seconds()), int(accessing.Seconds()))
	if refused < sets || permitted < sets || special < sets {
		t.Error("the accesses prove nothing")
	}
}

// randomVariable is "FIRST SETS ACCESSES", for more than the default (make random).
const randomVariable = "BPFLSM_RANDOM"

func randomSize(t *testing.T) (first uint64, sets, accesses int) {
	t.Helper()
	first, sets, accesses = 0, 20, 500
	if text := os.Getenv(randomVariable); text != "" {
		if _, err := fmt.Sscan(text, &first, &sets, &accesses); err != nil || sets < 1 || accesses < 1 {
			t.Fatalf("%s=%q: %v, want FIRST SETS ACCESSES", randomVariable, text, err)
		}
	}
	return first, sets, accesses
}

// judged is the reference's verdict on what the server does: to map a file it
// has to open it, and what is executed is mapped by itself.
func judged(policies []hostpolicy.Policy, a random.Access) hostpolicy.Action {
	verdict := hostpolicy.Decide(policies, a.Subject, a.Operation, a.Object).Action
	if a.Operation == hostpolicy.OpMap && hostpolicy.Decide(policies, a.Subject, hostpolicy.OpRead, a.Object).Action == hostpolicy.Block {
		verdict = hostpolicy.Block
	}
	return verdict
}
