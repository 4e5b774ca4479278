package daemon

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

const (
	protects = "protect.self = true\n"
	locks    = "protect = { self = false, policies = true }\n"
)

// own are the rules of the built-in policy that are in force.
func (m *machine) own() []string {
	rs, _ := m.kernel.InForce()
	var ids []string
	if rs != nil {
		for i := range rs.Rules {
			if name, ok := strings.CutPrefix(rs.Rules[i].ID(), "hostarmor/"); ok {
				ids = append(ids, name)
			}
		}
	}
	return ids
}

func builtIn(s status.Status) *status.Policy {
	for i := range s.Policies {
		if s.Policies[i].Source == "(built in)" {
			return &s.Policies[i]
		}
	}
	return nil
}

func TestSelfProtectionNeedsNoPolicy(t *testing.T) {
	m := newMachine(t)
	m.set(protects)
	d := m.start()
	if len(m.own()) < 5 {
		t.Fatalf("in force: %v", m.own())
	}
	s := d.status()
	p := builtIn(s)
	if p == nil || p.Name != "hostarmor" || p.State != status.Active || p.Rules[0].Source != "(built in)" {
		t.Fatalf("%+v", p)
	}
	if s.Mode != status.Enforcing || !s.Clean() || !strings.Contains(s.Reason, "own protection alone") {
		t.Errorf("%+v", s)
	}
	// A policy of a file comes and goes beside it.
	m.write("a.toml", policy("/opt/a"))
	m.wants(event.PolicyLoaded, "1 policy with 1 rule now")
	if r := d.reloads(); r.Policies != 1 || r.Rules != 1 || r.Changed {
		t.Errorf("%+v", r)
	}
	d.kill()
	m.kernel.Calls()
	d = m.start() // it is the same set for the next daemon
	for _, c := range m.kernel.Calls() {
		if c == lsmtest.Prepare {
			t.Error("the same set is not taken over")
		}
	}
	if !d.status().Adopted {
		t.Error("not adopted")
	}
	must(t, os.Remove(m.path("policies/a.toml")))
	m.wants(event.PolicyLoaded, "own protection alone")
	m.set("")
	m.enforces(0)
}

func TestSelfProtectionOutlivesBrokenFiles(t *testing.T) {
	m := newMachine(t)
	m.set(protects)
	m.write("a.toml", policy("/opt/a"))
	m.start().kill()
	m.write("a.toml", "junk")
	d := m.start()
	var names []string
	for _, p := range d.status().Policies {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "a hostarmor" {
		t.Error(got)
	}
}

func TestWhatTheBackendLacksOfSelfProtection(t *testing.T) {
	m := newMachine(t)
	m.kernel.Miss(lsm.KindWrite, "no path_* hooks")
	m.set(protects)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	d.reloads() // it is no reason to refuse policies
	s := d.status()
	gaps := 0
	for _, r := range builtIn(s).Rules {
		if r.State == status.NotEnforced && strings.Contains(r.Reason, "path_*") {
			gaps++
		}
	}
	if gaps < 4 || s.Clean() {
		t.Errorf("%d rules are NOT ENFORCED: %+v", gaps, builtIn(s))
	}
	m.wants(event.Degraded, "NOT ENFORCED")
}

func TestThePolicysNameIsTaken(t *testing.T) {
	m := newMachine(t)
	d := m.start()
	m.write("hostarmor.toml", policy("/opt/a"))
	r := d.refuses()
	if len(r.Problems) != 1 || r.Problems[0].Code != "HA051" {
		t.Errorf("%+v", r.Problems)
	}
}

func TestTamperEvents(t *testing.T) {
	m := newMachine(t)
	m.set(protects)
	m.start()
	rs, _ := m.kernel.InForce()
	for i := range rs.Rules {
		if rs.Rules[i].Name == "process" {
			m.kernel.Deny(lsm.Denial{
				Rule: lsm.RuleID(i + 1), Action: hostpolicy.Block, Kind: lsm.KindAct, Act: lsm.ActOf(hostpolicy.OpTamper, 0),
				Operation: "task_kill", Target: 812, Resource: "/usr/sbin/hostarmord", Comm: "kill", Exe: "/usr/bin/kill", PID: 99,
			})
		}
	}
	e := m.wants(event.Tamper, "may not signal /usr/sbin/hostarmord, pid 812")
	if e.Class != "system" || e.Operation != "tamper" || e.Policy != "hostarmor" || e.Source != "(built in)" {
		t.Errorf("%+v", e.Decision)
	}
}

func (d *daemon) unlocks(length time.Duration) *time.Time {
	d.m.t.Helper()
	u, err := d.client.Unlock(d.m.t.Context(), length)
	must(d.m.t, err)
	return u.Until
}

// moment moves the deadline, as if time had passed, and has the loop look.
func (d *daemon) moment(until time.Time) {
	d.in(d.m.t.Context(), func(ctx context.Context) { d.Daemon.unlocked = until; d.lockWhenDue(ctx) })
}

func TestUnlock(t *testing.T) {
	m := newMachine(t)
	m.set(locks)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	locked := []string{"a/process.no", "hostarmor/file.policies"}
	m.enforces(lsm.Enforce, locked...)
	until := d.unlocks(time.Hour)
	if until == nil || time.Until(*until) > time.Hour {
		t.Fatal(until)
	}
	m.enforces(lsm.Enforce, "a/process.no")
	m.wants(event.Tamper, "may be changed until")
	if s := d.status(); s.Clean() || len(s.Degraded) != 1 || !strings.Contains(s.Degraded[0], "unlocked until") {
		t.Errorf("%+v", s.Degraded)
	}
	if n := len(m.events.of(event.Degraded)); n != 0 {
		t.Errorf("%d degraded events", n)
	}

	t.Run("a restart neither forgets nor extends it", func(t *testing.T) {
		d.kill()
		d = m.start()
		if !d.Daemon.unlocked.Equal(*until) || !d.status().Adopted {
			t.Errorf("until %v, want %v", d.Daemon.unlocked, until)
		}
		m.enforces(lsm.Enforce, "a/process.no")
	})
	t.Run("its time is over", func(t *testing.T) {
		d.moment(time.Now().Add(-time.Second))
		m.enforces(lsm.Enforce, locked...)
		m.wants(event.Tamper, "locked again")
		if s := d.status(); !s.Clean() {
			t.Errorf("%+v", s)
		}
	})
	t.Run("its time is over while no daemon runs", func(t *testing.T) {
		d.unlocks(20 * time.Millisecond)
		d.kill()
		time.Sleep(30 * time.Millisecond)
		d = m.start()
		m.enforces(lsm.Enforce, locked...)
	})
	t.Run("the timer locks", func(t *testing.T) {
		d.unlocks(10 * time.Millisecond)
		m.enforces(lsm.Enforce, locked...)
	})
	t.Run("a deadline that nobody could ask for locks", func(t *testing.T) {
		d.unlocks(time.Hour)
		d.moment(time.Now().Add(48 * time.Hour))
		m.enforces(lsm.Enforce, locked...)
	})
	t.Run("broken files can be mended", func(t *testing.T) {
		m.write("a.toml", "junk")
		d.refuses()
		if d.unlocks(time.Hour) == nil {
			t.Fatal("not unlocked")
		}
		m.enforces(lsm.Enforce, "a/process.no")
		d.moment(time.Now().Add(-time.Second))
		m.enforces(lsm.Enforce, locked...)
		if s := d.status(); len(s.Drift) != 1 {
			t.Errorf("%+v", s.Drift)
		}
		m.write("a.toml", policy("/opt/a"))
		d.reloads()
		m.enforces(lsm.Enforce, locked...)
	})
	t.Run("a kernel that fails", func(t *testing.T) {
		m.kernel.Fail(lsmtest.Commit, errors.New("out of memory"))
		if _, err := d.client.Unlock(t.Context(), time.Hour); err == nil || !strings.Contains(err.Error(), "out of memory") {
			t.Error(err)
		}
		m.kernel.Fail(lsmtest.Commit, nil)
		d.reloads()
		m.enforces(lsm.Enforce, locked...)
		d.unlocks(time.Hour)
		m.kernel.Fail(lsmtest.Commit, errors.New("out of memory"))
		d.moment(time.Now().Add(-time.Second))
		m.wants(event.Degraded, "still unlocked")
		m.kernel.Fail(lsmtest.Commit, nil)
		d.moment(time.Time{})
		m.enforces(lsm.Enforce, locked...)
		if s := d.status(); !s.Clean() {
			t.Errorf("%+v", s.Degraded)
		}
	})
	if _, err := d.client.Unlock(t.Context(), 25*time.Hour); err == nil {
		t.Error("25 hours")
	}
	m.set("")
	d.reloads()
	if d.unlocks(time.Hour) != nil {
		t.Error("what is not locked is unlocked")
	}
}
