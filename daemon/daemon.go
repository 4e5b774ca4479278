package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hostarmor/hostarmor/daemon/boot"
	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/kernelcmdline"
	"github.com/hostarmor/hostarmor/daemon/links"
	"github.com/hostarmor/hostarmor/daemon/mounts"
	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/daemon/version"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// askPatience is how long systemd may take for an answer.
const askPatience = 2 * time.Second

// Config is the world that the daemon runs in. The zero value of a path is its
// usual place; another one serves tests.
type Config struct {
	Enforcer lsm.Enforcer
	Init     Init
	Notify   Notify
	Version  version.Info
	Log      *slog.Logger // for debugging the daemon; events do not go here

	Settings string // the settings file
	State    string // directory of what survives a reboot
	Socket   string
	Root     string // the tree in which symbolic links are followed
	Mounts   string // the host's mountinfo
	Cmdline  string // the kernel's command line
	// LinkBudget is how many directory entries are looked at for hard links
	// while policies wait for it; 0 is the usual number.
	LinkBudget int
	// BootID is this boot's id, "" to ask the kernel.
	BootID string
	// Journal takes the events, nil for journald.
	Journal event.Sink
}

// Init is what the daemon asks of systemd.
type Init interface {
	Job(context.Context) (string, error)
	ShuttingDown(context.Context) (bool, error)
	BootFinished(context.Context) (bool, error)
}

// Notify is what the daemon tells systemd.
type Notify interface {
	Ready(text string) error
	Status(text string) error
	Stopping() error
	Alive() error
}

// ErrRequired is wrapped where the settings say that something must enforce
// and nothing can.
var ErrRequired = errors.New(`required = true and nothing can enforce`)

// ErrTerminated is the cause of a context that ended by SIGTERM: systemd may be
// stopping the service, which lifts enforcement. Any other cause leaves it.
var ErrTerminated = errors.New("terminated")

// Daemon is the state of the loop's goroutine. Only the channels are
// for others.
type Daemon struct {
	conf    Config
	log     *slog.Logger
	look    chan struct{} // "look again", for a reason that needs no answer
	lookAll chan struct{}
	ask     chan func(context.Context)
	booted  chan struct{} // closed when the boot has finished
	remap   chan struct{} // the mount table changed
	linked  chan linked   // a search in the background ended

	unwatched chan error // a directory cannot be watched

	hub    *event.Hub
	pipe   *event.Pipe
	guard  boot.Store
	store  reload.Store
	rules  *history
	watch  watcher
	poster poster

	settings     settings.Settings
	settingsText []byte
	offSwitch    kernelcmdline.Switch
	support      lsm.Support
	probeErr     error // nothing can enforce
	finished     bool  // the boot
	bootID       string
	kernel       lsm.Status // as last read
	force        inForce
	refused      *refusal
	degraded     degradations
	lostTold     uint64
	unbound      bool // a change of the mount table is not in the kernel yet
	around       surroundings
	hunt         hunt
	retry        bool // the last look failed for a reason outside the files
	seen         [32]byte
	busySince    time.Time // a policy file is being written
	ticks        int
	// unlocked is until when policy files may be changed, zero while they are
	// locked; relock fires then. lockFailed: they should be locked again.
	unlocked   time.Time
	relock     *time.Timer
	lockFailed bool
	// bulky is for how many ticks more to give memory back: a look builds far
	// more than the daemon keeps, and nobody who waits for it waits for that.
	bulky int

	settingsProblems []hostpolicy.Problem
}

// New is a daemon that has done nothing yet.
func New(c Config) *Daemon {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Settings, settings.DefaultFile)
	def(&c.State, "/var/lib/hostarmor")
	def(&c.Socket, control.Path)
	def(&c.Root, "/")
	def(&c.Mounts, mounts.Host)
	def(&c.Cmdline, "/proc/cmdline")
	if c.LinkBudget == 0 {
		c.LinkBudget = links.Foreground
	}
	if c.Journal == nil {
		c.Journal = event.Journal{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	relock := time.NewTimer(time.Hour)
	relock.Stop()
	return &Daemon{
		conf: c, log: c.Log, relock: relock,
		look: make(chan struct{}, 1), lookAll: make(chan struct{}, 1), ask: make(chan func(context.Context)),
		booted: make(chan struct{}), remap: make(chan struct{}, 1), linked: make(chan linked), unwatched: make(chan error, 1),
		hub: event.NewHub(), guard: boot.NewStore(c.State),
		store: reload.NewStore(filepath.Join(c.State, "last-good")),
		rules: newHistory(), force: inForce{set: &reload.Set{}}, degraded: degradations{texts: map[string]string{}},
	}
}

// Look says that something may have changed. It returns at once.
func (d *Daemon) Look() { poke(d.look) }

// LookAtAll is Look, but nothing is taken for unchanged.
func (d *Daemon) LookAtAll() { poke(d.lookAll) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Run runs the daemon until ctx ends; its cause says how.
func (d *Daemon) Run(ctx context.Context) error {
	if err := os.MkdirAll(d.conf.State, 0o700); err != nil {
		// A read-only or full disk must not keep policies from the kernel.
		d.log.Debug("make the state directory", "error", err)
	}
	listener, err := control.Listen(d.conf.Socket)
	if err != nil {
		return err
	}
	defer os.Remove(d.conf.Socket)
	defer listener.Close()

	d.readSettings(true)
	d.pipe = event.NewPipe(d.hub, d.settings.Events.Fold, d.sinks()...)
	d.poster.to(d.pipe)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	tasks := d.start(work, listener)
	d.hunt.run = func(f func(context.Context)) func() {
		ctx, cancel := context.WithCancel(work)
		tasks.run(func() { defer cancel(); f(ctx) })
		return cancel
	}
	// Decisions are read once the first look knows the rules behind them;
	// until then the kernel keeps them.
	err = d.loop(ctx, func() { tasks.run(func() { d.follow(work) }) })
	d.tellStopping()
	// The backend's handles are closed when nobody uses them any more; but
	// nothing that hangs may keep a stop from lifting enforcement.
	stop()
	tasks.wait(askPatience)
	if ctx.Err() != nil {
		err = errors.Join(err, d.end(context.Cause(ctx)))
	}
	last, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return errors.Join(err, d.pipe.Stop(last))
}

// start starts what only feeds the loop.
func (d *Daemon) start(ctx context.Context, l net.Listener) *tasks {
	t := &tasks{}
	t.run(func() {
		err := control.Serve(ctx, l, control.Daemon{Status: d.status, Reload: d.reload, Unlock: d.unlock, Events: d.hub, Version: d.conf.Version, Log: d.log})
		d.log.Debug("the control socket is closed", "reason", err)
	})
	t.run(func() {
		err := mounts.Watch(ctx, d.conf.Mounts, func() { poke(d.remap) })
		if ctx.Err() == nil {
			// The loop's timer looks at the table as well.
			d.log.Debug("the mount table is not watched", "error", err)
		}
	})
	t.run(func() { d.awaitBoot(ctx) })
	d.watch.start(ctx, t, d)
	return t
}

// follow turns denials into events. Its errors end enforcement's witness, not
// enforcement, so it begins again.
func (d *Daemon) follow(ctx context.Context) {
	// It looks for hard links with every set, and is let through each time:
	// once told for a rule, that is no news.
	told := make(map[string]bool)
	for ctx.Err() == nil {
		err := d.conf.Enforcer.Events(ctx, func(den lsm.Denial) {
			rule, known := d.rules.explain(den.Generation, den.Rule)
			if den.Exempt && int(den.PID) == os.Getpid() {
				if told[rule.ID] {
					return
				}
				told[rule.ID] = true
			}
			d.pipe.Deliver(ctx, event.FromDenial(den, rule, known))
		})
		if ctx.Err() != nil {
			return
		}
		d.log.Debug("read decisions from the kernel", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// awaitBoot closes booted when systemd says that the boot is done.
func (d *Daemon) awaitBoot(ctx context.Context) {
	for {
		if done, err := d.askBoot(ctx); err == nil && done {
			close(d.booted)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

func (d *Daemon) askBoot(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return d.conf.Init.BootFinished(ctx)
}

// in runs f in the loop's goroutine and waits for it.
func (d *Daemon) in(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	task := func(ctx context.Context) { defer close(done); f(ctx) }
	select {
	case d.ask <- task:
	case <-ctx.Done():
		return fmt.Errorf("wait for the daemon: %w", context.Cause(ctx))
	}
	// Once it has begun it is waited for: its answer is written there.
	<-done
	return nil
}
