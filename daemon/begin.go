package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hostarmor/hostarmor/daemon/boot"
	"github.com/hostarmor/hostarmor/daemon/kernelcmdline"
	"github.com/hostarmor/hostarmor/lsm"
)

// begin is the first look, after which the daemon is ready.
func (d *Daemon) begin(ctx context.Context) error {
	d.readBoot(ctx)
	d.readSwitch()
	d.support, d.probeErr = d.conf.Enforcer.Probe()
	if d.probeErr != nil {
		if d.settings.Required && d.offSwitch != kernelcmdline.Off {
			return fmt.Errorf("%w: %w", ErrRequired, d.probeErr)
		}
		d.degrade("backend", fmt.Sprintf("NOTHING is enforced: %v", d.probeErr))
	}
	if d.offSwitch == kernelcmdline.Off {
		d.switchOff()
	}
	if err := d.readKernel(); err == nil {
		d.lostTold = d.kernel.Lost
	}
	d.readUnlock()
	d.reconcile(ctx, request{start: true})
	if d.watch.err != nil {
		d.tellUnwatched(d.watch.err)
	}
	return nil
}

// tellUnwatched says that the timer has to do where nothing tells of changes.
func (d *Daemon) tellUnwatched(err error) {
	d.degrade("watch", fmt.Sprintf("Changes of policy files may be found only twice a minute: %v", err))
}

// enforces reports whether anything can be put into force.
func (d *Daemon) enforces() bool { return d.probeErr == nil && d.offSwitch != kernelcmdline.Off }

func (d *Daemon) switchOff() {
	d.degrade("switch", "NOTHING is enforced: the kernel was booted with hostarmor=off. To enforce, boot without it")
	if d.probeErr != nil {
		return
	}
	if err := d.conf.Enforcer.Release(); err != nil {
		d.degrade("switch", fmt.Sprintf("The kernel was booted with hostarmor=off, but what was in force could not be lifted: %v", err))
	}
}

func (d *Daemon) readSwitch() {
	s, unknown, err := kernelcmdline.Read(d.conf.Cmdline)
	if err != nil {
		d.degrade("cmdline", fmt.Sprintf("Whether hostarmor=off was given at boot is not known: %v", err))
	}
	if unknown != "" {
		d.degrade("cmdline", fmt.Sprintf("The kernel's command line has %q, which is neither hostarmor=off nor hostarmor=audit; it is taken as not given", unknown))
	}
	if s == kernelcmdline.Audit {
		d.degrade("switch", "Nothing is blocked: the kernel was booted with hostarmor=audit. To enforce, boot without it")
	}
	d.offSwitch = s
}

// readBoot finds out which boot this is. Without systemd there is no end of a
// boot to wait for, and the guard never trips.
func (d *Daemon) readBoot(ctx context.Context) {
	d.bootID = d.conf.BootID
	if d.bootID == "" {
		id, err := boot.ID()
		if err != nil {
			d.log.Debug("the boot guard is blind", "error", err)
		}
		d.bootID = id
	}
	done, err := d.askBoot(ctx)
	switch {
	case err == nil:
		d.finished = done
	case !runsSystemd():
		d.finished = true
	}
}

func runsSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

func (d *Daemon) now() boot.Now {
	return boot.Now{Boot: d.bootID, Finished: d.finished || d.bootID == ""}
}

// bootFinished proves the set in force, if this boot tried it.
func (d *Daemon) bootFinished() {
	if d.finished {
		return
	}
	d.finished = true
	if d.force.mode != lsm.Enforce {
		return
	}
	record, err := d.guard.Read()
	if err == nil {
		err = d.guard.Write(record.Finish(d.force.set.ID, d.now()))
	}
	if err != nil {
		d.degrade("guard", fmt.Sprintf("The boot guard could not note that this boot completed, so the next boot may start in audit: %v", err))
		return
	}
	d.restore("guard")
}

// end leaves enforcement in the kernel, unless systemd is plainly stopping the
// service.
func (d *Daemon) end(cause error) error {
	if d.probeErr != nil {
		return nil
	}
	if d.stopped(cause) {
		return d.release()
	}
	if err := d.conf.Enforcer.Close(); err != nil {
		return fmt.Errorf("leave enforcement to the kernel: %w", err)
	}
	return nil
}

// stopped reports whether `systemctl stop` was said, and the settings have it
// lift enforcement. What cannot be found out counts as not said.
func (d *Daemon) stopped(cause error) bool {
	if !errors.Is(cause, ErrTerminated) || d.settings.KeepOnStop {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	if down, err := d.conf.Init.ShuttingDown(ctx); err != nil || down {
		d.log.Debug("enforcement is kept", "shutting down", down, "error", err)
		return false
	}
	job, err := d.conf.Init.Job(ctx)
	if err != nil || job != "stop" {
		d.log.Debug("enforcement is kept", "job", job, "error", err)
		return false
	}
	return true
}

func (d *Daemon) release() error {
	held := d.kernel.Generation != 0
	if err := d.conf.Enforcer.Release(); err != nil {
		d.degrade("stop", fmt.Sprintf("The service was stopped, but enforcement could not be lifted: %v", err))
		return fmt.Errorf("lift enforcement: %w", err)
	}
	if held {
		d.degrade("stop", `Enforcement was lifted, because the service was stopped. To keep it the next time, set on_stop = "keep"; to enforce again: systemctl start hostarmor`)
	}
	return nil
}
