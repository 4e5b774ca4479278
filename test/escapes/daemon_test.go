//go:build e2e

package escapes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/test/escapes/catalogue"
)

const (
	settingsFile = "/etc/hostarmor/hostarmor.toml"
	bpffs        = "/sys/fs/bpf"
	pins         = bpffs + "/hostarmor"
	serviceGroup = "/sys/fs/cgroup/system.slice/hostarmor.service"
)

// harm is an attack by root on HostArmor itself. It works without the
// protection, and with it is refused and told, while enforcement goes on.
type harm struct {
	name string
	want syscall.Errno // EPERM by default
	// try does it. The daemon is in daemonPID().
	try func(c *ctx) error
	// mend puts right what it does where nothing is protected, beyond what
	// starting the service again does.
	mend func() error
	// breaks: the pins or maps are not what they were. Other harms to them go
	// on, but nothing can be loaded.
	breaks bool
	// kills: the daemon is gone.
	kills bool
	// silent: the refusal is no event, because the kernel asks on behalf of
	// whoever is running.
	silent bool
}

var harms []harm

func registerHarms(list ...harm) {
	for _, h := range list {
		if h.want == 0 {
			h.want = unix.EPERM
		}
		harms = append(harms, h)
		register(attack{name: h.name, try: h.try, alone: func(t *testing.T, c *ctx) { h.judge(t) }})
	}
}

// harmed is what came of all harms, tried together: a start of the service
// costs more than all of them.
var harmed struct {
	sync.Once
	free, guarded map[string]error
	aftermath     map[string]string // how the service was after a refusal, "" = as before
	told          []record
}

// judge says what came of a harm.
func (h *harm) judge(t *testing.T) {
	harmed.Do(func() { tryHarms(t) })
	err, tried := harmed.free[h.name]
	if !tried || err != nil {
		t.Fatalf("it does not even work without the protection: %v", err)
	}
	err, tried = harmed.guarded[h.name]
	got, isErrno := errno(err)
	switch {
	case !tried:
		t.Fatal("it was not tried under the protection")
	case err == nil:
		t.Errorf("GOT THROUGH, want %s", unix.ErrnoName(h.want))
	case !isErrno:
		t.Errorf("neither through nor refused: %v", err)
	case got != h.want:
		t.Errorf("%v (%s), want %s", err, unix.ErrnoName(got), unix.ErrnoName(h.want))
	}
	if is := harmed.aftermath[h.name]; is != "" {
		t.Error(is)
	}
	if err != nil && !h.silent {
		mustBeTold(t, harmed.told, h.name)
	}
}

// mustBeTold: the journal says who was refused what, and which hook asked.
func mustBeTold(t *testing.T, told []record, name string) {
	t.Helper()
	var others []string
	for _, r := range told {
		if r.get("HOSTARMOR_COMM") != comm(name) {
			continue
		}
		if r.get("HOSTARMOR_ACTION") == "block" && slices.Contains(caseOf(name).Hooks, r.get("HOSTARMOR_HOOK")) {
			return
		}
		others = append(others, r.get("HOSTARMOR_ACTION")+" by "+r.get("HOSTARMOR_HOOK"))
	}
	t.Errorf("the journal has no record of kind tamper by one of %q; of this command there is %q", caseOf(name).Hooks, others)
}

func caseOf(name string) catalogue.Case {
	for _, c := range catalogue.Cases() {
		if c.Name == name {
			return c
		}
	}
	panic(name)
}

// tamperings are the records of refusals by HostArmor's own protection, once
// one is there that comes after all others.
func tamperings(t *testing.T) []record {
	t.Helper()
	last := newCtx("last-refusal")
	var told []record
	if err := (actor{}).spawn("last", last); !errors.Is(err, unix.EPERM) {
		t.Fatalf("writing into the daemon's state: %v, want EPERM", err)
	}
	eventually(t, "the last refusal is told", func() bool {
		told = journal(t, "HOSTARMOR_EVENT=tamper")
		return slices.ContainsFunc(told, func(r record) bool { return r.get("HOSTARMOR_COMM") == comm(last.name) })
	})
	return told
}

// tryHarms fills harmed.
func tryHarms(t *testing.T) {
	var asked []*harm
	names := make(map[string]bool)
	for _, x := range chosen(t) {
		names[x.attack.name] = true
	}
	for i := range harms {
		if names[harms[i].name] {
			asked = append(asked, &harms[i])
		}
	}
	guardCanary(t)
	setting(t, "self = true", "self = false")
	harmed.free = make(map[string]error)
	var broken bool
	for _, h := range asked {
		c := newCtx(h.name)
		if err := c.prepare(attacks[h.name]); err != nil {
			t.Fatal(err)
		}
		if broken && !h.breaks {
			anew(t)
			broken = false
		}
		// Told at once: after some of these a machine may hang.
		fmt.Println("without the protection:", h.name)
		err := actor{}.spawn("try", c)
		if h.mend != nil {
			err = errors.Join(err, h.mend())
		}
		harmed.free[h.name] = err
		broken = broken || h.breaks
		if h.kills {
			restart(t)
		}
	}
	if broken {
		anew(t)
	}
	setting(t, "self = false", "self = true")

	harmed.guarded = make(map[string]error)
	harmed.aftermath = make(map[string]string)
	guardCanary(t)
	for _, h := range asked {
		before := serviceState()
		err := actor{}.spawn("try", newCtx(h.name))
		harmed.guarded[h.name] = err
		if h.mend != nil && err == nil {
			if err := h.mend(); err != nil {
				t.Fatal(err)
			}
		}
		_, denied := os.ReadFile(canary)
		if after := serviceState(); after != before {
			harmed.aftermath[h.name] = fmt.Sprintf("the service was %s and is %s", before, after)
			restart(t)
		} else if !errors.Is(denied, unix.EACCES) {
			harmed.aftermath[h.name] = fmt.Sprintf("enforcement has ended: reading %s gives %v", canary, denied)
			anew(t)
		}
	}
	harmed.told = tamperings(t)
}

// anew has the service make all that it keeps in the kernel again.
func anew(t *testing.T) {
	t.Helper()
	systemctl(t, "stop")
	systemctl(t, "start")
}

// guardCanary has one rule of a policy in force, until all cases are done.
func guardCanary(t *testing.T) {
	t.Helper()
	if err := writePolicy("canary", denies(canary)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(canary); errors.Is(err, unix.EACCES) {
		return
	}
	if _, err := reload(); err != nil {
		t.Fatal(err)
	}
	mustBeDenied(t)
}

// mustBeDenied: rules are in force.
func mustBeDenied(t *testing.T) {
	t.Helper()
	if _, err := os.ReadFile(canary); !errors.Is(err, unix.EACCES) {
		t.Errorf("enforcement has ended: reading %s gives %v", canary, err)
	}
}

func systemctl(t *testing.T, verb string, args ...string) {
	t.Helper()
	if out, err := exec.Command("systemctl", append([]string{verb, service}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("systemctl %s: %v\n%s%s", verb, err, out, state())
	}
}

// restart has the service as it should be, whatever became of it.
func restart(t *testing.T) {
	t.Helper()
	exec.Command("systemctl", "kill", "-s", "CONT", service).Run()
	systemctl(t, "restart")
}

// property asks systemd about the service.
func property(name string) string {
	out, err := exec.Command("systemctl", "show", "-P", name, service).Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

// serviceState is what no refused attack changes.
func serviceState() string {
	pid, err := servicePID()
	if err != nil {
		return err.Error()
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	running := "running"
	if strings.ContainsAny(rest[:1], "TtZX") {
		running = "stopped"
	}
	return fmt.Sprintf("%s as %d", running, pid)
}

// servicePID is the process of the service; systemd takes far longer to say.
func servicePID() (int, error) {
	b, err := os.ReadFile(serviceGroup + "/cgroup.procs")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("the daemon does not run, or not alone: %q", b)
	}
	return pid, nil
}

// daemonPID is for what comes to nothing without it.
func daemonPID() int {
	pid, err := servicePID()
	if err != nil {
		panic(err)
	}
	return pid
}

// setting replaces a line of the settings.
func setting(t *testing.T, old, new string) {
	t.Helper()
	b, err := os.ReadFile(settingsFile)
	if err != nil {
		t.Fatal(err)
	}
	after := strings.Replace(string(b), "\n"+old+"\n", "\n"+new+"\n", 1)
	if after == string(b) {
		t.Fatalf("%s has no line %s", settingsFile, old)
	}
	if err := os.WriteFile(settingsFile, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := reload(); err != nil {
		t.Fatalf("reload with %s: %v", new, err)
	}
}

// hits are those of a rule.
func hits(s status.Status, id string) uint64 {
	for _, p := range s.Policies {
		for _, r := range p.Rules {
			if r.ID == id {
				return r.Hits
			}
		}
	}
	return 0
}

// gone waits until a process is no more, or for as long as a signal that was
// sent can take.
func gone(pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if unix.Kill(pid, 0) == unix.ESRCH {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
