//go:build e2e && soak

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bad are the lines of a kernel in trouble. None is excepted: the same load
// without HostArmor (-soak.without) logs none of them either.
var bad = regexp.MustCompile(`(?i)\bBUG:|WARNING:|\bOops:|Kernel panic|general protection|page fault for|Call Trace|` +
	`\bstalls?\b|\bstalled\b|soft lockup|hard lockup|blocked for more than|refcount_t|use-after-free|out-of-bounds|KASAN|UBSAN|` +
	`page allocation failure|Out of memory|oom-kill|invoked oom|slab error|bad page|scheduling while atomic|circular locking|list_(add|del) corruption`)

// kernelLog collects such lines from all that the kernel says.
type kernelLog struct{ last string }

func watchKernel(t *testing.T) *kernelLog {
	t.Helper()
	log := new(kernelLog)
	log.check(t) // of the boot, too
	// Its help names oom-kill: so a line is heard, and known as a bad one.
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("h"), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel's log is heard", func() bool {
		return slices.ContainsFunc(log.next(t), func(line string) bool { return strings.Contains(line, "sysrq: HELP") && bad.MatchString(line) })
	})
	return log
}

// next returns the lines since the last time.
func (l *kernelLog) next(t *testing.T) []string {
	t.Helper()
	buffer := make([]byte, 4<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buffer)
	if err != nil {
		t.Fatal("read the kernel's log: ", err)
	}
	text := strings.TrimRight(string(buffer[:n]), "\n")
	fresh := text
	if l.last != "" {
		at := strings.LastIndex(text, l.last)
		if at < 0 {
			t.Fatal("the kernel's log overflowed between two looks: nobody knows what it said")
		}
		fresh = strings.Trim(text[at+len(l.last):], "\n")
	}
	l.last = text[strings.LastIndexByte(text, '\n')+1:]
	if fresh == "" {
		return nil
	}
	return strings.Split(fresh, "\n")
}

func (l *kernelLog) check(t *testing.T) {
	t.Helper()
	for _, line := range l.next(t) {
		if bad.MatchString(line) {
			t.Errorf("the kernel says: %s", line)
		}
	}
}

// kernelUsage is what the kernel holds, in KB where it is memory, with all
// given back that it can give back.
func kernelUsage(t *testing.T) map[string]int {
	t.Helper()
	unix.Sync()
	for range 2 { // storage of inodes and tasks is freed after grace periods
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	now := make(map[string]int)
	for _, field := range []string{"SUnreclaim:", "SReclaimable:", "Percpu:", "VmallocUsed:", "KernelStack:"} {
		kb, ok := statusField(string(b), field)
		if !ok {
			t.Fatalf("/proc/meminfo has no %s", field)
		}
		now["kernel memory KB"] += kb
		if field == "SUnreclaim:" {
			now["unreclaimable slab KB"] = kb
		}
	}
	maps, bytes := bpfMaps(t)
	now["BPF maps"], now["BPF maps KB"] = maps, bytes>>10
	now["BPF programs"] = len(bpfIDs(t, unix.BPF_PROG_GET_NEXT_ID))
	return now
}

func statusField(text, name string) (kb int, ok bool) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name); found {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			return kb, err == nil
		}
	}
	return 0, false
}

// bpfIDs lists the maps or programs of the whole machine.
func bpfIDs(t *testing.T, command int) []uint32 {
	t.Helper()
	var list []uint32
	for attr := [3]uint32{}; ; attr[0] = attr[1] {
		_, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno == unix.ENOENT {
			return list
		}
		if errno != 0 {
			t.Fatal("list BPF objects: ", errno)
		}
		list = append(list, attr[1])
	}
}

// bpfMaps counts the maps of the whole machine and what the kernel says that
// they take. Read-only, because nobody but the daemon may open its maps for more.
func bpfMaps(t *testing.T) (count, size int) {
	t.Helper()
	for _, id := range bpfIDs(t, unix.BPF_MAP_GET_NEXT_ID) {
		attr := [3]uint32{id, 0, unix.BPF_F_RDONLY}
		fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_GET_FD_BY_ID, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno == syscall.ENOENT {
			continue // gone meanwhile
		}
		if errno != 0 {
			t.Fatalf("open BPF map %d: %v", id, errno)
		}
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		unix.Close(int(fd))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := bytes.Cut(info, []byte("memlock:"))
		words := strings.Fields(string(rest))
		if !ok || len(words) == 0 {
			t.Fatalf("no memlock of BPF map %d in\n%s", id, info)
		}
		n, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatal(err)
		}
		count, size = count+1, size+n
	}
	return count, size
}
