package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

// machine is everything that outlives a daemon.
type machine struct {
	t      *testing.T
	dir    string
	kernel *lsmtest.Kernel
	init   *fakeInit
	boot   string
	events *recorder

	linkBudget int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("policy files must be owned by root, so this test runs as root only")
	}
	m := &machine{
		t: t, dir: t.TempDir(), kernel: lsmtest.NewKernel(), boot: "boot-1",
		init: &fakeInit{finished: true}, events: &recorder{},
	}
	must(t, os.MkdirAll(m.path("policies"), 0o755))
	must(t, os.WriteFile(m.path("cmdline"), []byte("quiet\n"), 0o644))
	m.set("")
	return m
}

func (m *machine) path(name ...string) string {
	return filepath.Join(append([]string{m.dir}, name...)...)
}

// set writes the settings.
func (m *machine) set(text string) {
	m.t.Helper()
	if !strings.Contains(text, "protect") {
		text = "protect.self = false\n" + text
	}
	text = fmt.Sprintf("policies.dirs = [%q]\n%s", m.path("policies"), text)
	must(m.t, os.WriteFile(m.path("settings.toml"), []byte(text), 0o644))
}

// policy is a policy that blocks one program.
func policy(path string) string {
	return fmt.Sprintf("[applies_to]\nhost = true\n[process.no]\npath = %q\n", path)
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	tmp := m.path("new")
	must(m.t, os.WriteFile(tmp, []byte(text), 0o644))
	must(m.t, os.Rename(tmp, m.path("policies", name)))
}

// daemon is one that runs.
type daemon struct {
	*Daemon
	m      *machine
	client *control.Client
	cancel context.CancelCauseFunc
	done   chan struct{} // closed at the end
	err    error
	ready  *fakeNotify
}

func (m *machine) start() *daemon {
	m.t.Helper()
	d := m.launch()
	select {
	case <-d.ready.ready:
	case <-d.done:
		m.t.Fatalf("the daemon ended: %v", d.err)
	case <-time.After(30 * time.Second):
		m.t.Fatal("the daemon is not ready")
	}
	return d
}

func (m *machine) launch() *daemon {
	n := &fakeNotify{ready: make(chan struct{})}
	d := &daemon{m: m, ready: n, done: make(chan struct{})}
	d.Daemon = New(Config{
		Enforcer: lsmtest.New(m.kernel), Init: m.init, Notify: n, Journal: m.events,
		Settings: m.path("settings.toml"), State: m.path("state"), Socket: m.path("control.sock"),
		Mounts: "/proc/self/mountinfo", Cmdline: m.path("cmdline"), BootID: m.boot, LinkBudget: m.linkBudget,
	})
	d.client = control.NewClient(m.path("control.sock"))
	ctx, cancel := context.WithCancelCause(context.Background())
	d.cancel = cancel
	go func() { defer close(d.done); d.err = d.Run(ctx) }()
	m.t.Cleanup(func() { cancel(errors.New("the test is over")); <-d.done })
	return d
}

// stop ends the daemon with a cause and waits for it.
func (d *daemon) stop(cause error) error {
	d.m.t.Helper()
	d.cancel(cause)
	select {
	case <-d.done:
		return d.err
	case <-time.After(30 * time.Second):
		d.m.t.Fatal("the daemon does not end")
		return nil
	}
}

func (d *daemon) kill() { d.m.t.Helper(); d.stop(errors.New("killed")) }

func (d *daemon) status() status.Status {
	d.m.t.Helper()
	s, err := d.client.Status(d.m.t.Context())
	must(d.m.t, err)
	return s
}

func (d *daemon) reloads() control.Reload {
	d.m.t.Helper()
	r, err := d.client.Reload(d.m.t.Context())
	must(d.m.t, err)
	return r
}

func (d *daemon) refuses() *control.Refusal {
	d.m.t.Helper()
	_, err := d.client.Reload(d.m.t.Context())
	var r *control.Refusal
	if !errors.As(err, &r) {
		d.m.t.Fatalf("the reload was not refused: %v", err)
	}
	return r
}

// enforces waits until the kernel enforces exactly these rules.
func (m *machine) enforces(mode lsm.Mode, rules ...string) {
	m.t.Helper()
	var got []string
	var st lsm.Status
	for range 1500 {
		var rs *lsm.Ruleset
		rs, st = m.kernel.InForce()
		got = nil
		if rs != nil {
			for i := range rs.Rules {
				got = append(got, rs.Rules[i].ID())
			}
		}
		if slices.Equal(got, rules) && (len(rules) == 0 || st.Mode == mode) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.t.Fatalf("the kernel enforces %v in %v, want %v in %v", got, st.Mode, rules, mode)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type fakeInit struct {
	mu       sync.Mutex
	job      string
	down     bool
	finished bool
	err      error
}

func (f *fakeInit) Job(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.job, f.err
}

func (f *fakeInit) ShuttingDown(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down, f.err
}

func (f *fakeInit) BootFinished(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.finished, f.err
}

type fakeNotify struct {
	once  sync.Once
	ready chan struct{}
	alive atomic.Int64
}

func (f *fakeNotify) Ready(string) error  { f.once.Do(func() { close(f.ready) }); return nil }
func (f *fakeNotify) Status(string) error { return nil }
func (f *fakeNotify) Stopping() error     { return nil }
func (f *fakeNotify) Alive() error        { f.alive.Add(1); return nil }

// recorder is the journal.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Write(e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

func (r *recorder) of(kind event.Kind) []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []event.Event
	for _, e := range r.events {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// wants waits for an event of the kind whose message has text.
func (m *machine) wants(kind event.Kind, text string) event.Event {
	m.t.Helper()
	for range 1500 {
		for _, e := range m.events.of(kind) {
			if strings.Contains(e.Message, text) {
				return e
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	b, _ := json.MarshalIndent(m.events.of(kind), "", " ")
	m.t.Fatalf("no %s event has %q: %s", kind, text, b)
	return event.Event{}
}

func sleepShortly() { time.Sleep(10 * time.Millisecond) }
