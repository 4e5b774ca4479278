package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hostarmor/hostarmor/daemon/atomicfile"
	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// builtIn is the policy by which HostArmor protects itself, nil for none.
func (d *Daemon) builtIn() *hostpolicy.Policy {
	p, err := protect.Policy(d.settings.Protect, protect.Places{
		State: d.conf.State, Socket: d.conf.Socket, Settings: d.conf.Settings, Dirs: d.settings.Dirs,
	}, !d.unlocked.IsZero())
	if err != nil {
		d.degrade("protect", fmt.Sprintf("HostArmor does not protect itself: %v", err))
		return nil
	}
	d.restore("protect")
	return p
}

// unlock answers `hostarmor unlock`.
func (d *Daemon) unlock(ctx context.Context, length time.Duration) (control.Unlock, error) {
	answer := control.Unlock{Schema: status.Schema}
	var refused *refusal
	err := d.in(ctx, func(ctx context.Context) {
		switch {
		case !d.settings.Protect.Policies:
			answer.Reason = "[protect] policies is false: policy files are not locked"
			return
		case !d.enforces():
			answer.Reason = "nothing is enforced on this machine, so policy files are not locked"
			return
		}
		until := time.Now().Add(length).Round(0) // the wall clock's
		if refused = d.setUnlocked(ctx, until); refused == nil {
			answer.Until = &until
		}
	})
	if err != nil {
		return control.Unlock{}, err
	}
	if refused != nil {
		return control.Unlock{}, &control.Refusal{
			Schema: status.Schema, Summary: refused.summary, Problems: event.Problems(refused.problems),
		}
	}
	return answer, nil
}

// setUnlocked lifts the lock until then. On a refusal nothing has changed.
func (d *Daemon) setUnlocked(ctx context.Context, until time.Time) *refusal {
	before := d.unlocked
	d.unlocked = until
	if refused := d.renewBuiltIn(ctx); refused != nil {
		d.unlocked = before
		return refused
	}
	d.lockFailed = false
	d.relock.Reset(time.Until(until))
	d.writeUnlock()
	d.noteUnlocked()
	d.poster.post(event.Event{
		Kind: event.Tamper, Priority: event.Notice, Generation: d.kernel.Generation,
		Message: fmt.Sprintf("Policy files and settings may be changed until %s, because somebody said: hostarmor unlock", until.Format(time.DateTime)),
	})
	return nil
}

func (d *Daemon) noteUnlocked() {
	d.degraded.note("unlock", fmt.Sprintf("Policy files and settings are unlocked until %s. See: hostarmor unlock --help", d.unlocked.Format(time.DateTime)))
}

// lockWhenDue locks policy files again when their time is over.
func (d *Daemon) lockWhenDue(ctx context.Context) {
	if d.unlocked.IsZero() && !d.lockFailed {
		return
	}
	// The wall clock counts, as it does after a restart. One that was set
	// back must not lengthen the time.
	if left := time.Until(d.unlocked); !d.lockFailed && left > 0 && left <= control.UnlockLimit {
		d.relock.Reset(left)
		return
	}
	d.unlocked = time.Time{}
	d.writeUnlock()
	refused := d.renewBuiltIn(ctx)
	d.lockFailed = refused != nil
	if refused != nil {
		d.degrade("unlock", "Policy files are still unlocked though their time is over, because the lock could not be put into force: "+refused.summary)
		return
	}
	if d.settings.Protect.Policies {
		d.poster.post(event.Event{
			Kind: event.Tamper, Priority: event.Notice, Generation: d.kernel.Generation,
			Message: "Policy files and settings are locked again",
		})
	}
}

// renewBuiltIn puts the built-in policy into force as it is now. Where the
// files on disk are refused, it goes with those in force: what is broken can
// be mended only if it can be unlocked.
func (d *Daemon) renewBuiltIn(ctx context.Context) *refusal {
	refused := d.reconcile(ctx, request{})
	if refused == nil {
		return nil
	}
	set, err := d.store.Set(d.kernel.Digest, d.machine())
	if err == nil && (set.Refused() || !set.Complete()) {
		err = errors.New("the last good policies cannot be read back")
	}
	if err != nil {
		d.log.Debug("renew the built-in policy", "error", err)
		return refused
	}
	if failed := d.apply(set, request{}); failed != nil {
		return failed
	}
	d.tellStatus()
	return nil
}

// unlockFile holds the deadline, so that a restart neither forgets nor extends
// it. Its directory is protected.
type unlockFile struct {
	Schema int       `json:"schema"`
	Until  time.Time `json:"until"`
}

func (d *Daemon) unlockPath() string { return filepath.Join(d.conf.State, "unlock.json") }

func (d *Daemon) writeUnlock() {
	var err error
	if d.unlocked.IsZero() {
		err = os.Remove(d.unlockPath())
	} else {
		var b []byte
		if b, err = json.Marshal(unlockFile{1, d.unlocked}); err == nil {
			err = atomicfile.Write(d.unlockPath(), append(b, '\n'), 0o600)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.degrade("unlock-file", fmt.Sprintf("A restart of the daemon would not know until when policy files are unlocked: %v", err))
		return
	}
	d.restore("unlock-file")
}

// readUnlock finds the deadline that an earlier daemon left. What cannot be
// read, or is further away than anybody can ask for, locks.
func (d *Daemon) readUnlock() {
	b, err := os.ReadFile(d.unlockPath())
	if err != nil {
		return
	}
	var f unlockFile
	err = json.Unmarshal(b, &f)
	left := time.Until(f.Until)
	if err != nil || left <= 0 || left > control.UnlockLimit {
		d.writeUnlock()
		return
	}
	d.unlocked = f.Until
	d.relock.Reset(left)
	if d.settings.Protect.Policies {
		d.noteUnlocked()
	}
}
