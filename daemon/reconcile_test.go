package daemon

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

func TestNoPolicies(t *testing.T) {
	m := newMachine(t)
	d := m.start()
	for _, c := range m.kernel.Calls() {
		if c == lsmtest.Prepare || c == lsmtest.Commit || c == lsmtest.Release {
			t.Errorf("%s was called for no policies", c)
		}
	}
	s := d.status()
	if s.Mode != status.None || !s.Clean() || s.Backend != "bpf" {
		t.Errorf("status %+v", s)
	}
	if n := len(m.events.of(event.Degraded)); n != 0 {
		t.Errorf("%d degraded events", n)
	}
}

func TestKernelFollowsFiles(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.write("a.toml", policy("/opt/a"))
	m.enforces(lsm.Enforce, "a/process.no")
	m.write("b.toml", policy("/opt/b"))
	m.enforces(lsm.Enforce, "a/process.no", "b/process.no")
	must(t, os.Remove(m.path("policies/a.toml")))
	m.enforces(lsm.Enforce, "b/process.no")
	must(t, os.WriteFile(m.path("policies/b.toml"), nil, 0o644)) // an empty file masks
	m.enforces(0)
	m.wants(event.PolicyLoaded, "No policy is left")
	m.write("b.toml", policy("/opt/b"))
	m.enforces(lsm.Enforce, "b/process.no")
}

func TestRefusedReloadKeepsThePreviousSet(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	_, before := m.kernel.InForce()

	m.write("b.toml", "nonsense = 1\n[applies_to]\nhost = true\n[process.no]\npath = \"relative\"\n")
	e := m.wants(event.PolicyRejected, "stay in force")
	if len(e.Problems) < 2 {
		t.Errorf("not all problems at once: %v", e.Problems)
	}
	r := d.refuses()
	if len(r.Problems) != len(e.Problems) {
		t.Errorf("the reload says %v", r.Problems)
	}
	s := d.status()
	if s.Clean() || s.Mode != status.Enforcing {
		t.Errorf("status is clean %v, mode %v", s.Clean(), s.Mode)
	}
	var states []string
	for _, p := range s.Policies {
		states = append(states, p.Name+" "+string(p.State))
	}
	if got := strings.Join(states, ", "); got != "a active, b rejected" {
		t.Error(got)
	}
	if len(s.Drift) != 1 || s.Drift[0].Source != m.path("policies/b.toml") || len(s.Problems) != len(e.Problems) {
		t.Errorf("drift %v, problems %v", s.Drift, s.Problems)
	}
	if _, after := m.kernel.InForce(); after.Generation != before.Generation {
		t.Errorf("generation %d became %d", before.Generation, after.Generation)
	}
	// Looking again at the same files is not news.
	told := -1
	for n := 0; n != told; n = len(m.events.of(event.PolicyRejected)) { // events come a little later
		told = n
		time.Sleep(50 * time.Millisecond)
	}
	for range 3 {
		d.in(t.Context(), func(ctx context.Context) { d.reconcile(ctx, request{}) })
	}
	time.Sleep(50 * time.Millisecond)
	if n := len(m.events.of(event.PolicyRejected)); n != told {
		t.Errorf("%d more events about the same problems", n-told)
	}
	m.write("b.toml", policy("/opt/b"))
	m.enforces(lsm.Enforce, "a/process.no", "b/process.no")
	if s := d.status(); !s.Clean() {
		t.Errorf("after the repair: %+v", s)
	}
}

func TestBadFiles(t *testing.T) {
	big := strings.Repeat("# filler\n", 50<<20/9)
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"50 MB":          {func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte(big), 0o644)) }, "bytes"},
		"binary junk":    {func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("\x7fELF\x00\xff\xfe"), 0o644)) }, ""},
		"a directory":    {func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o755)) }, "directory"},
		"a symlink loop": {func(t *testing.T, p string) { must(t, os.Symlink(p, p)) }, "circle"},
		"another owner": {func(t *testing.T, p string) {
			must(t, os.WriteFile(p, []byte(policy("/opt/x")), 0o644))
			must(t, os.Chown(p, 1000, 1000))
		}, "owned"},
		"writable by all": {func(t *testing.T, p string) {
			must(t, os.WriteFile(p, []byte(policy("/opt/x")), 0o644))
			must(t, os.Chmod(p, 0o666))
		}, "writable"},
		"a dangling link": {func(t *testing.T, p string) { must(t, os.Symlink("/nowhere", p)) }, "nothing"},
		"the kernel's YAML": {func(t *testing.T, p string) {
			must(t, os.WriteFile(strings.TrimSuffix(p, ".toml")+".yaml", []byte("kind: x\n"), 0o644))
		}, "KubeArmor"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.write("a.toml", policy("/opt/a"))
			d := m.start()
			m.enforces(lsm.Enforce, "a/process.no")
			c.make(t, m.path("policies/x.toml"))
			e := m.wants(event.PolicyRejected, "")
			if len(e.Problems) == 0 || !strings.Contains(e.Problems[0].Message, c.says) {
				t.Errorf("problems %v", e.Problems)
			}
			d.refuses()
			m.enforces(lsm.Enforce, "a/process.no")
			must(t, os.RemoveAll(m.path("policies/x.toml")))
			os.Remove(m.path("policies/x.yaml"))
			m.write("b.toml", policy("/opt/b"))
			m.enforces(lsm.Enforce, "a/process.no", "b/process.no")
		})
	}
}

func TestFailingKernelKeepsThePreviousSet(t *testing.T) {
	for _, step := range []lsmtest.Step{lsmtest.Status, lsmtest.Prepare, lsmtest.Commit} {
		t.Run(string(step), func(t *testing.T) {
			m := newMachine(t)
			m.write("a.toml", policy("/opt/a"))
			d := m.start()
			m.enforces(lsm.Enforce, "a/process.no")
			m.kernel.Fail(step, errors.New("the kernel is out of memory"))
			m.write("a.toml", strings.ReplaceAll(policy("/opt/a"), "no", "other"))
			if r := d.refuses(); !strings.Contains(r.Summary, "out of memory") {
				t.Errorf("refused with %q", r.Summary)
			}
			m.enforces(lsm.Enforce, "a/process.no")
			m.kernel.Fail(step, nil)
			d.reloads() // unless it has tried again by itself before
			m.enforces(lsm.Enforce, "a/process.other")
			if s := d.status(); !s.Clean() {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestSettingsAreReloaded(t *testing.T) {
	m := newMachine(t)
	d := m.start()
	m.set(`backend = "magic"`)
	m.wants(event.PolicyRejected, "settings were refused")
	if s := d.status(); s.Clean() && len(s.Problems) != 1 {
		t.Errorf("%+v", s.Problems)
	}
	must(t, os.Mkdir(m.path("elsewhere"), 0o755))
	must(t, os.WriteFile(m.path("elsewhere/e.toml"), []byte(policy("/opt/e")), 0o644))
	must(t, os.WriteFile(m.path("settings.toml"), []byte("protect.self = false\npolicies.dirs = [\""+m.path("elsewhere")+"\"]\n"), 0o644))
	m.enforces(lsm.Enforce, "e/process.no")
	must(t, os.WriteFile(m.path("elsewhere/f.toml"), []byte(policy("/opt/f")), 0o644))
	m.enforces(lsm.Enforce, "e/process.no", "f/process.no")
}

func TestUnsupportedRules(t *testing.T) {
	both := "[applies_to]\nhost = true\n[process.no]\npath = \"/opt/a\"\n[file.no]\npath = \"/opt/b\"\naccess = [\"write\"]\n"
	missing := func(m *machine) { m.kernel.Miss(lsm.KindWrite, "no path_* hooks") }

	t.Run("at the start the rest is in force", func(t *testing.T) {
		m := newMachine(t)
		missing(m)
		m.write("a.toml", both)
		d := m.start()
		m.enforces(lsm.Enforce, "a/process.no")
		m.wants(event.Degraded, "NOT ENFORCED")
		s := d.status()
		if s.Clean() || s.Policies[0].Rules[1].State != status.NotEnforced && s.Policies[0].Rules[0].State != status.NotEnforced {
			t.Errorf("%+v", s.Policies)
		}
	})
	t.Run("a reload is refused", func(t *testing.T) {
		m := newMachine(t)
		missing(m)
		m.write("a.toml", policy("/opt/a"))
		d := m.start()
		m.enforces(lsm.Enforce, "a/process.no")
		m.write("a.toml", both)
		r := d.refuses()
		if len(r.Problems) != 1 || r.Problems[0].Code != "HA050" || !strings.Contains(r.Problems[0].Message, "no path_* hooks") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a selector that the backend does not know", func(t *testing.T) {
		m := newMachine(t)
		m.kernel.Lack(lsm.OnContainer, "no containers here")
		m.write("a.toml", policy("/opt/a"))
		m.write("b.toml", "[applies_to]\ncontainer = { name = \"web\" }\n[process.no]\npath = \"/opt/b\"\n")
		d := m.start()
		m.enforces(lsm.Enforce, "a/process.no")
		for _, p := range d.status().Policies {
			if p.Name == "b" && (p.State != status.Inactive || p.Rules[0].State != status.NotEnforced || !strings.Contains(p.Rules[0].Reason, "no containers here")) {
				t.Errorf("%+v", p)
			}
		}
		if w := d.status().Workloads; len(w) != 1 || len(w[0].Policies) != 1 || w[0].Policies[0] != "a" {
			t.Errorf("%+v", w)
		}
	})
	t.Run("or listed", func(t *testing.T) {
		m := newMachine(t)
		missing(m)
		m.set(`unsupported = "warn"`)
		d := m.start()
		m.write("a.toml", both)
		r := d.reloads()
		m.enforces(lsm.Enforce, "a/process.no")
		if len(r.Problems) != 1 || r.Problems[0].Severity != "warning" {
			t.Errorf("%+v", r)
		}
	})
}

func TestDecisionsAreExplained(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	for range 5 {
		m.kernel.Deny(lsm.Denial{
			Time: time.Now(), Rule: 1, Action: hostpolicy.Block, Kind: lsm.KindExec, Operation: "bprm_check",
			Resource: "/opt/a", Exe: "/usr/bin/bash", Comm: "bash", PID: 42, PPID: 1, UID: 1000, LoginUID: 1<<32 - 1,
			Cgroup: "/system.slice/cron.service",
		})
	}
	e := m.wants(event.Access, "Refused: bash (/usr/bin/bash, pid 42, uid 1000, cron.service) may not execute /opt/a: rule a/process.no at "+m.path("policies/a.toml:3"))
	if e.Unit != "cron.service" || e.Rule != "a/process.no" || e.Policy != "a" || e.Count != 1 || e.Priority != event.Warning {
		t.Errorf("%+v %+v", e, e.Decision)
	}
	for range 1500 {
		if len(m.events.of(event.Access)) == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if all := m.events.of(event.Access); len(all) != 2 || all[1].Count != 4 {
		t.Errorf("%d records of five decisions: %+v", len(all), all)
	}
	if s := d.status(); s.Policies[0].Rules[0].Hits != 5 {
		t.Errorf("hits %+v", s.Policies[0].Rules)
	}
}

func TestMountTableIsBound(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	m.kernel.Calls()
	m.kernel.Fail(lsmtest.Bind, errors.New("no memory"))
	poke(d.remap)
	m.wants(event.Degraded, "mount table")
	m.kernel.Fail(lsmtest.Bind, nil)
	poke(d.remap)
	for range 1500 {
		if s := d.status(); s.Clean() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the mount table is not bound")
}

// Half a policy can be a valid one: a file that is open for writing is waited
// for.
func TestAFileBeingWrittenIsWaitedFor(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	f, err := os.OpenFile(m.path("policies/a.toml"), os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	defer f.Close()
	for range 50 { // empty, it would mask and lift the rule
		if rs, _ := m.kernel.InForce(); rs == nil {
			t.Fatal("an emptied file lifted its rule while it was written")
		}
		sleepShortly()
	}
	_, err = f.WriteString(strings.ReplaceAll(policy("/opt/a"), "no", "other"))
	must(t, err)
	must(t, f.Close())
	m.enforces(lsm.Enforce, "a/process.other")
}

func TestAKernelThatForgotIsToldAgain(t *testing.T) {
	m := newMachine(t)
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	must(t, lsmtest.New(m.kernel).Release())
	d.in(t.Context(), func(ctx context.Context) { d.tick(ctx) })
	m.enforces(lsm.Enforce, "a/process.no")
	m.wants(event.Degraded, "as if somebody had removed them")
	if s := d.status(); !s.Clean() {
		t.Errorf("%+v", s)
	}
}

// A hung step must hang the loop, so that the watchdog sees it, and no answer
// may be made up meanwhile.
func TestALoopThatHangsDoesNotFeedTheWatchdog(t *testing.T) {
	m := newMachine(t)
	d := m.start()
	release := m.kernel.Hold(lsmtest.Prepare)
	defer release()
	m.write("a.toml", policy("/opt/a"))
	for range 1500 {
		if slices.Contains(m.kernel.Calls(), lsmtest.Prepare) {
			break
		}
		sleepShortly()
	}
	fed := d.ready.alive.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := d.client.Status(ctx); err == nil {
		t.Error("a daemon that hangs answers")
	}
	if n := d.ready.alive.Load(); n != fed {
		t.Errorf("the watchdog was fed %d times", n-fed)
	}
	release()
	m.enforces(lsm.Enforce, "a/process.no")
	if d.ready.alive.Load() == fed {
		t.Error("the watchdog is not fed any more")
	}
}

func TestFullDisk(t *testing.T) {
	m := newMachine(t)
	must(t, os.Mkdir(m.path("state"), 0o700))
	if err := unix.Mount("tmpfs", m.path("state"), "tmpfs", 0, "size=128k"); err != nil {
		t.Fatalf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(m.path("state"), unix.MNT_DETACH) })
	m.write("a.toml", policy("/opt/a"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	before, err := d.store.Manifest()
	must(t, err)
	os.WriteFile(m.path("state/filler"), make([]byte, 256<<10), 0o600) // as far as it goes

	m.write("b.toml", policy("/opt/b"))
	m.enforces(lsm.Enforce, "a/process.no", "b/process.no")
	m.wants(event.Degraded, "no space left")
	if s := d.status(); s.Clean() || s.Mode != status.Enforcing {
		t.Errorf("%+v", s)
	}
	after, err := d.store.Manifest()
	must(t, err)
	if before.Set != after.Set {
		t.Error("a full disk broke the set that was saved before")
	}
	must(t, os.Remove(m.path("state/filler")))
	m.write("c.toml", policy("/opt/c"))
	m.enforces(lsm.Enforce, "a/process.no", "b/process.no", "c/process.no")
	if s := d.status(); !s.Clean() {
		t.Errorf("%+v", s.Degraded)
	}
}
