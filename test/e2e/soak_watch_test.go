//go:build e2e && soak

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bad are the lines of a kernel in trouble. None is excepted: the same load
// without HostArmor (-soak.without) logs none of them either.
var bad = regexp.MustCompile(`(?i)BUG:|WARNING:|Oops|\bpanic|general protection|page fault for|Call Trace|` +
	`stall|soft lockup|hard lockup|blocked for more than|refcount_t|use-after-free|out-of-bounds|KASAN|UBSAN|` +
	`page allocation failure|Out of memory|oom-kill|invoked oom|slab error|bad page|scheduling while atomic|circular locking|list_(add|del) corruption`)

// kernelLog collects such lines from all that the kernel says.
type kernelLog struct {
	mu     sync.Mutex
	found  []string
	lines  int
	failed error
}

func watchKernel(t *testing.T) *kernelLog {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "/dev/kmsg")
	log, done := new(kernelLog), make(chan struct{})
	t.Cleanup(func() { f.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, 8192) // a read returns one record
		for {
			n, err := f.Read(buffer)
			log.mu.Lock()
			_, text, _ := strings.Cut(string(buffer[:max(n, 0)]), ";")
			switch {
			case errors.Is(err, os.ErrClosed):
				log.mu.Unlock()
				return
			case err != nil: // EPIPE: records were lost, and who knows which
				log.failed = err
				log.mu.Unlock()
				return
			case bad.MatchString(text):
				log.found = append(log.found, strings.TrimSpace(text))
			}
			log.lines++
			log.mu.Unlock()
		}
	}()
	// What this says comes back, or the log is not heard at all.
	const heard = "hostarmor soak test: BUG: is the log heard?"
	if err := os.WriteFile("/dev/kmsg", []byte(heard), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel's log is heard", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		for i, line := range log.found {
			if strings.Contains(line, heard) {
				log.found = append(log.found[:i:i], log.found[i+1:]...)
				return true
			}
		}
		return false
	})
	return log
}

func (l *kernelLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		t.Errorf("/dev/kmsg: %v", l.failed)
	}
	for _, line := range l.found {
		t.Errorf("the kernel says: %s", line)
	}
	l.found = nil
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
