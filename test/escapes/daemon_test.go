//go:build e2e

package escapes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/status"
)

const (
	settingsFile = "/etc/hostarmor/hostarmor.toml"
	bpffs        = "/sys/fs/bpf"
	pins         = bpffs + "/hostarmor"
	serviceGroup = "/sys/fs/cgroup/system.slice/hostarmor.service"
)

// harm is an attack by root on HostArmor itself. It works without the
// protection, and with it is refused, while enforcement goes on.
type harm struct {
	name string
	want syscall.Errno // EPERM by default
	// try does it. The daemon is in daemonPID().
	try func(c *ctx) error
	// mend puts right what it does where nothing is protected, beyond what
	// starting the service again does.
	mend func() error
	// breaks: nothing can be said of the daemon or its pins afterwards.
	breaks bool
}

var harms []harm

func registerHarms(list ...harm) {
	for _, h := range list {
		if h.want == 0 {
			h.want = unix.EPERM
		}
		harms = append(harms, h)
		register(attack{name: h.name, try: h.try, alone: func(t *testing.T, c *ctx) { h.judge(t, c) }})
	}
}

// controls are what came of all harms without the protection, tried once: two
// changes of the settings for all of them.
var controls struct {
	sync.Once
	got map[string]error
}

// judge tries a harm under the protection.
func (h *harm) judge(t *testing.T, c *ctx) {
	controls.Do(func() { tryUnprotected(t) })
	if err, tried := controls.got[h.name]; !tried || err != nil {
		t.Fatalf("it does not even work without the protection: %v", err)
	}
	guardCanary(t)
	before := serviceState(t)
	err := actor{}.spawn("try", c)
	got, isErrno := errno(err)
	switch {
	case err == nil:
		t.Errorf("GOT THROUGH, want %s", unix.ErrnoName(h.want))
	case !isErrno:
		t.Errorf("neither through nor refused: %v", err)
	case got != h.want:
		t.Errorf("%v (%s), want %s", err, unix.ErrnoName(got), unix.ErrnoName(h.want))
	}
	mustBeDenied(t)
	if after := serviceState(t); after != before {
		t.Errorf("the service was %s and is %s", before, after)
		restart(t)
	}
	if h.mend != nil && err == nil {
		if err := h.mend(); err != nil {
			t.Fatal(err)
		}
	}
}

// tryUnprotected fills controls.
func tryUnprotected(t *testing.T) {
	controls.got = make(map[string]error)
	guardCanary(t)
	setting(t, "self = true", "self = false")
	asked := make(map[string]bool)
	for _, x := range chosen(t) {
		asked[x.attack.name] = true
	}
	for i := range harms {
		h := &harms[i]
		if !asked[h.name] {
			continue
		}
		c := newCtx(h.name)
		if err := c.prepare(attacks[h.name]); err != nil {
			t.Fatal(err)
		}
		// Told at once: after some of these a machine may hang.
		fmt.Println("without the protection:", h.name)
		err := actor{}.spawn("try", c)
		if h.mend != nil {
			err = errors.Join(err, h.mend())
		}
		controls.got[h.name] = err
		if h.breaks {
			restart(t)
		}
	}
	setting(t, "self = false", "self = true")
	// Whatever was broken above is made anew.
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
func serviceState(t *testing.T) string {
	t.Helper()
	pid := property("MainPID")
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	running := "running"
	if strings.ContainsAny(rest[:1], "TtZX") {
		running = "stopped"
	}
	return running + " as " + pid + ", " + property("ActiveState")
}

func daemonPID() int {
	pid, err := strconv.Atoi(property("MainPID"))
	if err != nil || pid == 0 {
		panic(fmt.Sprintf("the daemon does not run: %v", err))
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
