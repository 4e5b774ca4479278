//go:build vm

package boot

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/test/vm"
)

// machine is one guest with a disk of its own.
type machine struct {
	kernel, disk, deb string
}

// start boots it, does one thing in it, and returns what the guest saw.
func (m machine) start(t *testing.T, do string, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	job := vm.Job{
		Kernel: m.kernel, Guest: vm.Full, Disk: m.disk, Timeout: 10 * time.Minute,
		Program: "testdata/guest.sh", Args: []string{do}, Append: words, Output: &out,
		Files: []vm.File{{Source: m.deb, Guest: "hostarmor.deb"}}, Keep: t.TempDir(),
	}
	res, err := vm.Run(t.Context(), job)
	t.Logf("%s %v: %.0f s\n%s", do, words, res.Duration.Seconds(), &out)
	if err == nil && (res.ExitCode != 0 || res.TimedOut) {
		t.Fatalf("%s: exit code %d, timed out %v\n%s", do, res.ExitCode, res.TimedOut, res.ConsoleTail)
	}
	return out.String(), err
}

// sees boots it and compares what the guest saw, a line for each of wants.
func (m machine) sees(t *testing.T, do string, words []string, wants ...string) {
	t.Helper()
	out, err := m.start(t, do, words...)
	if err != nil {
		t.Fatalf("%s: %v", do, err)
	}
	for _, want := range wants {
		if !strings.Contains("\n"+out, "\n"+want) {
			t.Errorf("%s %v: no line begins with %q", do, words, want)
		}
	}
}

const (
	enforced = "cat: /srv/boot/secret: Permission denied"
	allowed  = "permitted"
)

// TestBoots is the life of one machine, a boot after the other. The kernels are
// those of $KERNELS.
func TestBoots(t *testing.T) {
	found, err := filepath.Glob("../../../dist/hostarmor_*.deb")
	if err != nil || len(found) != 1 {
		t.Fatalf("dist holds %d hostarmor_*.deb, want 1 (run make deb)", len(found))
	}
	kernels := strings.Fields(os.Getenv("KERNELS"))
	if len(kernels) == 0 {
		t.Fatal(`set KERNELS, as in KERNELS="6.1 6.12"`)
	}
	for _, kernel := range kernels {
		t.Run(kernel, func(t *testing.T) {
			life(t, machine{kernel, filepath.Join(t.TempDir(), "disk.qcow2"), found[0]})
		})
	}
}

func life(t *testing.T, m machine) {
	m.sees(t, "install", nil, "now: "+enforced, "ENFORCING: 1 policy with 1 rule")

	// The next boot is the set's trial, and the power goes before its end.
	if out, err := m.start(t, "nothing"); err == nil {
		t.Fatalf("the boot whose power is cut reported:\n%s", out)
	}
	// So the boot after that starts in audit, and says so.
	m.sees(t, "nothing", nil, "early: "+allowed, "now: "+allowed,
		"AUDIT ONLY: nothing is blocked, an earlier boot with these policies never",
		"status: exit code 1", "degraded: Nothing is blocked: an earlier boot with these policies never completed",
		"audit: Let through, because HostArmor is in audit mode:")
	// It stays so until somebody has looked.
	m.sees(t, "reload", nil, "early: "+allowed, "now: "+enforced, "ENFORCING: 1 policy with 1 rule", "status: exit code 0")
	// The second trial: enforced before anything else runs, and passed.
	m.sees(t, "proven", nil, "early: "+enforced, "now: "+enforced, "ENFORCING: 1 policy with 1 rule", "status: exit code 0")

	m.sees(t, "nothing", []string{"hostarmor=off"}, "early: "+allowed, "now: "+allowed,
		"NOT ENFORCED: the kernel was booted with hostarmor=off", "status: exit code 1", "service: active",
		"degraded: NOTHING is enforced: the kernel was booted with hostarmor=off")
	m.sees(t, "nothing", []string{"hostarmor=audit"}, "early: "+allowed, "now: "+allowed,
		"AUDIT ONLY: nothing is blocked, the kernel was booted with hostarmor=audit", "status: exit code 1",
		"audit: Let through, because HostArmor is in audit mode:")

	// A kernel without BPF-LSM: nothing is claimed, and what to do is told.
	const without = "lsm=lockdown,yama,apparmor"
	m.sees(t, "nothing", []string{without}, "early: "+allowed, "now: "+allowed, "NOT ENFORCED: this kernel cannot enforce policies by",
		"status: exit code 1", "service: active", "degraded: NOTHING is enforced:")
	m.sees(t, "required", []string{without}, "now: "+allowed, "restart: exit code 1", "daemon: exit code 1",
		"status: exit code 3", "service: failed")
}
