package daemon

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/reload"
)

const (
	// tick feeds the watchdog and looks for lost events.
	tick = 5 * time.Second
	// Every so many ticks the loop looks at the files though nothing told it
	// to, first at what is cheap (sizes, times, where links lead) ...
	glanceEvery = 6
	// ... and seldom at everything.
	lookEvery = 120

	writePause    = 100 * time.Millisecond // before looking again whether a file is still written
	writePatience = 2 * time.Second
)

// loop is the one goroutine that changes anything. After the first look it
// calls begun.
func (d *Daemon) loop(ctx context.Context, begun func()) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	begun()
	d.tellReady()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	booted := d.booted
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.look:
			d.glance(ctx)
		case <-d.lookAll:
			d.reconcile(ctx, request{})
		case f := <-d.ask:
			f(ctx)
		case <-d.remap:
			d.bind()
		case l := <-d.linked:
			d.take(l)
		case <-d.relock.C:
			d.lockWhenDue(ctx)
		case err := <-d.unwatched:
			d.tellUnwatched(err)
		case <-booted:
			booted = nil
			d.bootFinished()
		case <-ticker.C:
			d.tick(ctx)
		}
		d.alive()
	}
}

func (d *Daemon) tick(ctx context.Context) {
	d.ticks++
	if d.bulky > 0 {
		d.bulky--
		debug.FreeOSMemory()
	}
	d.countLost()
	if d.drifted() {
		d.degrade("drift", "The kernel does not hold the policies that it was given, as if somebody had removed them; they are loaded again")
		d.reconcile(ctx, request{})
		if !d.drifted() {
			d.restore("drift")
		}
	}
	if d.unbound {
		d.bind()
	}
	d.huntWhenDue()
	d.lockWhenDue(ctx) // the timer does not count while the machine sleeps
	switch {
	case d.ticks%lookEvery == 0:
		d.reconcile(ctx, request{})
		d.lookAgain()
	case d.ticks%glanceEvery == 0:
		d.rules.only(d.kernel.Generation)
		d.glance(ctx)
	}
}

// glance looks only as far as it takes to see that nothing changed.
func (d *Daemon) glance(ctx context.Context) {
	if d.seen == d.fingerprint() && !d.force.set.Links.Changed() && !d.retry {
		return
	}
	if d.beingWritten() {
		time.AfterFunc(writePause, d.Look)
		return
	}
	d.reconcile(ctx, request{})
}

// beingWritten reports whether a policy file is open for writing, for as long
// as one is willing to wait for that: half a policy, or one that was emptied
// first, can be a valid one that lifts rules.
func (d *Daemon) beingWritten() bool {
	if !reload.BeingWritten(d.settings.Dirs) {
		d.busySince = time.Time{}
		return false
	}
	if d.busySince.IsZero() {
		d.busySince = time.Now()
	}
	return time.Since(d.busySince) < writePatience
}

// drifted reports whether the kernel holds something else than it was given.
func (d *Daemon) drifted() bool {
	return d.enforces() && d.force.mode != 0 &&
		(d.kernel.Digest != d.force.digest || d.kernel.Mode != d.force.mode)
}

// alive feeds the watchdog. It is called between steps that each may take a
// while, and nowhere else: no other goroutine may keep a hung loop alive.
func (d *Daemon) alive() {
	if err := d.conf.Notify.Alive(); err != nil {
		d.log.Debug("feed the watchdog", "error", err)
	}
}

func (d *Daemon) tellReady() {
	if err := d.conf.Notify.Ready(d.headline()); err != nil {
		d.log.Debug("tell systemd that the daemon is ready", "error", err)
	}
}

func (d *Daemon) tellStatus() {
	if err := d.conf.Notify.Status(d.headline()); err != nil {
		d.log.Debug("tell systemd the status", "error", err)
	}
}

func (d *Daemon) tellStopping() {
	if err := d.conf.Notify.Stopping(); err != nil {
		d.log.Debug("tell systemd that the daemon stops", "error", err)
	}
}

// countLost tells of the events that the kernel had no room for.
func (d *Daemon) countLost() {
	if d.probeErr != nil {
		return
	}
	if err := d.readKernel(); err != nil {
		return
	}
	if n := d.kernel.Lost; n > d.lostTold {
		d.poster.post(event.LostEvent(n-d.lostTold, "the kernel's buffer was full, because they came faster than the journal takes them"))
		d.lostTold = n
	}
}

// readKernel renews what is known of the kernel's state.
func (d *Daemon) readKernel() error {
	s, err := d.conf.Enforcer.Status()
	if err != nil {
		d.degrade("kernel", fmt.Sprintf("The state of the kernel cannot be read, so it is not known what is enforced: %v", err))
		return err
	}
	d.restore("kernel")
	d.kernel = s
	return nil
}
