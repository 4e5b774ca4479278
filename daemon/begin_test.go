package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

// What the daemon itself is let through is told once for a rule.
func TestOwnExemptions(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.start()
	deny := func(comm string, pid int) {
		m.kernel.Deny(lsm.Denial{Rule: 1, Action: hostpolicy.Block, Permitted: true, Exempt: true, Kind: lsm.KindExec, Resource: "/opt/a", Comm: comm, PID: uint32(pid)})
	}
	deny("first", os.Getpid())
	deny("again", os.Getpid())
	deny("init", 1)
	deny("init-again", 1)
	m.wants(event.Access, "init-again")
	m.wants(event.Access, "first")
	for _, e := range m.events.of(event.Access) {
		if strings.Contains(e.Message, ": again") {
			t.Errorf("told twice: %s", e.Message)
		}
	}
}

func TestAdoption(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.start().kill()
	m.enforces(lsm.Enforce, "a/process.no")
	m.kernel.Calls()
	// What is decided while no daemon runs waits in the kernel, and the next
	// daemon knows its rule.
	m.kernel.Deny(lsm.Denial{Rule: 1, Action: hostpolicy.Block, Kind: lsm.KindExec, Resource: "/opt/a", Comm: "early"})
	d := m.start()
	m.wants(event.Access, "rule a/process.no at")
	for _, c := range m.kernel.Calls() {
		if c == lsmtest.Prepare || c == lsmtest.Release {
			t.Errorf("%s was called to take over the same set", c)
		}
	}
	s := d.status()
	if !s.Adopted || s.Mode != status.Enforcing || !s.Clean() {
		t.Errorf("%+v", s)
	}
	m.wants(event.PolicyLoaded, "taken over")
	d.kill()

	m.write("a.toml", strings.ReplaceAll(policy("/opt/a"), "no", "other"))
	d = m.start()
	m.enforces(lsm.Enforce, "a/process.other")
	if d.status().Adopted {
		t.Error("a new set counts as adopted")
	}
	// The last decisions of the previous generation still have their rule.
	if r, ok := d.rules.find(1, 1); !ok || r.ID != "a/process.no" {
		t.Errorf("rule 1 of generation 1 is %+v, %v", r, ok)
	}
}

func TestBrokenFilesAtTheStart(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.write("b.toml", policy("/opt/b"))
	m.start().kill()
	m.write("a.toml", "junk")
	m.write("c.toml", "junk too")
	m.write("d.toml", policy("/opt/d"))

	for _, reboot := range []bool{false, true} {
		t.Run(fmt.Sprintf("reboot %v", reboot), func(t *testing.T) {
			if reboot {
				m.kernel, m.boot = lsmtest.NewKernel(), "boot-2"
			}
			d := m.start()
			defer d.kill()
			m.enforces(lsm.Enforce, "a/process.no", "b/process.no", "d/process.no")
			s := d.status()
			if s.Clean() || len(s.Drift) != 2 {
				t.Errorf("drift %+v", s.Drift)
			}
			m.wants(event.Degraded, "1 are in force as they last were, 1 are NOT ENFORCED")
			for _, p := range s.Policies {
				want := status.Active
				if p.Name == "c" {
					want = status.Rejected
				}
				if p.State != want {
					t.Errorf("%s is %s", p.Name, p.State)
				}
			}
			d.refuses()
			m.enforces(lsm.Enforce, "a/process.no", "b/process.no", "d/process.no")
		})
	}
}

func TestLastGoodIsNotNeeded(t *testing.T) {
	m := newMachine(t)
	must(t, os.WriteFile(m.path("state"), []byte("a file where the directory should be"), 0o644))
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	m.wants(event.Degraded, "would not survive a broken file")
	m.wants(event.Degraded, "boot guard")
	if s := d.status(); s.Clean() || s.Mode != status.Enforcing {
		t.Errorf("%+v", s)
	}
	m.write("b.toml", policy("/opt/b"))
	m.enforces(lsm.Enforce, "a/process.no", "b/process.no")
}

func TestBrokenSettingsAtTheStart(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.start().kill()
	must(t, os.WriteFile(m.path("settings.toml"), []byte("][junk"), 0o644))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	m.wants(event.Degraded, "last in force")
	if s := d.status(); s.Clean() || len(s.Problems) == 0 {
		t.Errorf("%+v", s)
	}
}

func TestNothingCanEnforce(t *testing.T) {
	reason := fmt.Errorf("bpf is not among the active LSMs; boot with lsm=...,bpf: %w", lsm.ErrUnsupported)
	t.Run("and nothing must", func(t *testing.T) {
		m := newMachine(t)
		m.kernel.Fail(lsmtest.Probe, reason)
		m.write("a.toml", policy("/opt/a"))
		d := m.start()
		s := d.status()
		if s.Backend != "none" || s.Mode != status.None || s.Clean() || !strings.Contains(s.BackendReason, "lsm=") {
			t.Errorf("%+v", s)
		}
		if s.Policies[0].State != status.Inactive || s.Policies[0].Rules[0].State != status.NotEnforced {
			t.Errorf("%+v", s.Policies)
		}
		m.wants(event.Degraded, "NOTHING is enforced")
		if r := d.reloads(); r.Mode != "none" || r.Changed {
			t.Errorf("%+v", r)
		}
		if n := len(m.events.of(event.PolicyLoaded)); n != 0 {
			t.Error("something claims to be loaded")
		}
		must(t, d.stop(ErrTerminated))
	})
	t.Run("but something must", func(t *testing.T) {
		m := newMachine(t)
		m.kernel.Fail(lsmtest.Probe, reason)
		m.set("required = true")
		d := m.launch()
		<-d.done
		if err := d.err; !errors.Is(err, ErrRequired) || !errors.Is(err, lsm.ErrUnsupported) {
			t.Errorf("the daemon ended with %v", err)
		}
	})
}

func TestOffSwitch(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.start().kill()
	must(t, os.WriteFile(m.path("cmdline"), []byte("quiet hostarmor=off"), 0o644))
	d := m.start()
	m.enforces(0)
	m.wants(event.Degraded, "hostarmor=off")
	if s := d.status(); s.Backend != "none" || !strings.Contains(s.Reason, "hostarmor=off") || s.Clean() {
		t.Errorf("%+v", s)
	}
	d.reloads()
	m.enforces(0)
	d.kill()

	must(t, os.WriteFile(m.path("cmdline"), []byte("hostarmor=off hostarmor=audit"), 0o644))
	d = m.start()
	m.enforces(lsm.AuditOnly, "a/process.no")
	if s := d.status(); s.Mode != status.AuditOnly || s.Clean() {
		t.Errorf("%+v", s)
	}
	d.reloads()
	m.enforces(lsm.AuditOnly, "a/process.no")
}

func TestBootGuard(t *testing.T) {
	m := newMachine(t)
	m.init.finished = false
	m.write("a.toml", policy("/opt/a"))
	reboot := func(id string) *daemon {
		m.boot, m.kernel = id, lsmtest.NewKernel()
		return m.start()
	}
	d := reboot("boot-1")
	m.enforces(lsm.Enforce, "a/process.no")
	d.kill() // and the machine with it, before the boot was done

	d = reboot("boot-2")
	m.enforces(lsm.AuditOnly, "a/process.no")
	m.wants(event.Degraded, "never completed")
	if s := d.status(); s.Mode != status.AuditOnly || s.Clean() || !strings.Contains(s.Reason, "hostarmor reload") {
		t.Errorf("%+v", s)
	}
	// A daemon that is replaced does not block either.
	d.kill()
	d = m.start()
	m.enforces(lsm.AuditOnly, "a/process.no")
	if r := d.reloads(); !r.Changed || r.Mode != "enforce" {
		t.Errorf("%+v", r)
	}
	m.enforces(lsm.Enforce, "a/process.no")
	if s := d.status(); !s.Clean() {
		t.Errorf("%+v", s.Degraded)
	}
	m.init.mu.Lock()
	m.init.finished = true
	m.init.mu.Unlock()
	for range 500 {
		if r, err := d.guard.Read(); err == nil && len(r) == 1 && r[0].Stage == "proven" {
			break
		}
		sleepShortly()
	}
	d.kill()
	m.init.finished = false
	reboot("boot-3").kill()
	reboot("boot-4")
	m.enforces(lsm.Enforce, "a/process.no")
}

// said is what systemd says at the stop.
type said struct {
	job  string
	down bool
	err  error
}

func TestStop(t *testing.T) {
	for name, c := range map[string]struct {
		init     said
		settings string
		cause    error
		kept     bool
	}{
		"systemctl stop":             {init: said{job: "stop"}, cause: ErrTerminated},
		"systemctl stop, keep":       {init: said{job: "stop"}, cause: ErrTerminated, settings: `on_stop = "keep"`, kept: true},
		"systemctl restart":          {init: said{job: "restart"}, cause: ErrTerminated, kept: true},
		"try-restart":                {init: said{job: "try-restart"}, cause: ErrTerminated, kept: true},
		"a kill without a job":       {init: said{}, cause: ErrTerminated, kept: true},
		"systemd does not answer":    {init: said{job: "stop", err: errors.New("timeout")}, cause: ErrTerminated, kept: true},
		"the machine goes down":      {init: said{job: "stop", down: true}, cause: ErrTerminated, kept: true},
		"Ctrl-C in a foreground run": {init: said{job: "stop"}, cause: errors.New("interrupt"), kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set(c.settings)
			m.write("a.toml", policy("/opt/a"))
			m.init = &fakeInit{job: c.init.job, down: c.init.down, err: c.init.err, finished: true}
			d := m.start()
			m.enforces(lsm.Enforce, "a/process.no")
			must(t, d.stop(c.cause))
			if c.kept {
				m.enforces(lsm.Enforce, "a/process.no")
				return
			}
			m.enforces(0)
			m.wants(event.Degraded, "lifted")
		})
	}
}
