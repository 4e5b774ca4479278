package daemon

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/kernelcmdline"
	"github.com/hostarmor/hostarmor/daemon/links"
	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
	"github.com/hostarmor/hostarmor/lsm"
)

// request is why the loop looks.
type request struct {
	start    bool // the first look: nothing may leave the host bare
	explicit bool // somebody asked and waits for the answer
}

// inForce is the set that the kernel was given last.
type inForce struct {
	set      *reload.Set // forgotten but for what status tells
	mode     lsm.Mode
	digest   [32]byte
	guarded  bool // in audit because a boot failed
	loadedAt time.Time
	adopted  bool
}

// refusal is a set that was not taken.
type refusal struct {
	set      *reload.Set // nil where it could not even be read
	summary  string
	problems []hostpolicy.Problem
}

// reconcile makes the kernel enforce what is on disk. On a refusal or an error
// what was in force stays, whole.
func (d *Daemon) reconcile(ctx context.Context, r request) *refusal {
	// What changes from here on is found by the next look.
	seen := d.fingerprint()
	refused := d.attempt(r)
	d.seen = seen
	d.reject(refused, r)
	d.tellStatus()
	d.bulky = 2 // pools and finalizers let go one collection later
	return refused
}

func (d *Daemon) attempt(r request) *refusal {
	d.retry = false
	if problems := d.readSettings(r.start); len(problems) > 0 {
		return &refusal{summary: "the settings were refused", problems: problems}
	}
	d.alive()
	set, err := reload.Look(d.settings.Dirs, d.machine())
	if err != nil {
		d.retry = true
		return &refusal{summary: err.Error()}
	}
	if set.Refused() {
		refused := &refusal{set: set, summary: "the policies were refused", problems: set.Problems}
		if !r.start {
			return refused
		}
		if set, err = reload.Recover(set, d.store, d.machine()); err != nil {
			return &refusal{summary: err.Error()}
		}
		d.recovered(set, refused)
	} else {
		d.restore("recovered")
	}
	if len(set.Gaps) > len(set.OwnGaps()) && d.enforces() && !r.start && !d.settings.WarnUnsupported {
		return &refusal{set: set, summary: "the policies were refused", problems: set.Unsupported(hostpolicy.Error)}
	}
	d.alive()
	return d.apply(set, r)
}

// machine is what policies are loaded for.
func (d *Daemon) machine() reload.Machine {
	hostname, err := os.Hostname()
	if err != nil {
		d.log.Warn("cannot find the host's name; no nodeSelector matches it", "error", err)
	}
	posture := d.settings.Posture
	return reload.Machine{
		Root: d.conf.Root, Support: d.support, BuiltIn: d.builtIn(),
		Files: policyfile.Options{
			Node:    kubearmor.Node{Hostname: hostname, Labels: d.settings.NodeLabels},
			Posture: kubearmor.Posture{File: posture.File, Network: posture.Network, Capabilities: posture.Capabilities},
		},
	}
}

// recovered says which files are not in force as they are on disk.
func (d *Daemon) recovered(set *reload.Set, refused *refusal) {
	var old, out int
	for i := range set.Files {
		switch f := &set.Files[i]; {
		case f.LastGood:
			old++
		case f.Rejected():
			out++
		}
	}
	d.degradeWith("recovered", fmt.Sprintf(
		"At its start the daemon found broken policies: %d are in force as they last were, %d are NOT ENFORCED. Mend them; they are loaded at once. See: hostarmor status",
		old, out), refused.problems)
}

// apply puts a set into force, if it is not there already.
func (d *Daemon) apply(set *reload.Set, r request) *refusal {
	if !d.enforces() {
		d.keep(set, 0, false)
		return nil
	}
	if err := d.readKernel(); err != nil {
		d.retry = true
		return &refusal{set: set, summary: err.Error()}
	}
	if set.Ruleset == nil {
		return d.applyNothing(set)
	}
	mode, guarded := d.mode(set, r)
	if d.holds(set, mode) && !r.start {
		d.keep(set, mode, guarded)
		return nil
	}
	around, err := d.lookAround(links.Of(set.Enforced))
	if err != nil {
		d.retry = true
		return &refusal{set: set, summary: err.Error()}
	}
	d.alive()
	if d.holds(set, mode) && d.adopt(set, around.host) {
		d.settle(around)
		d.save(set)
		d.keep(set, mode, guarded)
		d.tellAdopted(mode)
		return nil
	}
	if err := d.commit(set, mode, around.host, r); err != nil {
		d.retry = true
		return &refusal{set: set, summary: err.Error()}
	}
	d.settle(around)
	d.lookAgain()
	d.save(set)
	d.keep(set, mode, guarded)
	d.tellLoaded(mode)
	return nil
}

// holds reports whether the kernel itself says that it enforces this set.
func (d *Daemon) holds(set *reload.Set, mode lsm.Mode) bool {
	return d.kernel.Generation != 0 && d.kernel.Digest == set.Ruleset.Digest && d.kernel.Mode == mode
}

func (d *Daemon) adopt(set *reload.Set, host lsm.Host) bool {
	ok, err := d.conf.Enforcer.Adopt(set.Ruleset, host)
	if err != nil {
		// It is replaced by the same set then, which has no gap either.
		d.log.Debug("adopt what is in force", "error", err)
	}
	if ok {
		d.rules.add(d.kernel.Generation, set.Ruleset.Rules)
	}
	return ok && err == nil
}

// commit switches the kernel to the set. All that can fail comes first.
func (d *Daemon) commit(set *reload.Set, mode lsm.Mode, host lsm.Host, r request) error {
	if r.start {
		d.rememberPrevious()
	}
	txn, err := d.conf.Enforcer.Prepare(set.Ruleset, mode, host)
	if err != nil {
		return fmt.Errorf("prepare the policies: %w", err)
	}
	d.alive()
	d.rules.add(d.kernel.Generation+1, set.Ruleset.Rules)
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("put the policies into force: %w", err)
	}
	if err := d.readKernel(); err != nil {
		return nil // it is in force; that its state cannot be read is told
	}
	d.rules.add(d.kernel.Generation, set.Ruleset.Rules)
	return nil
}

// rememberPrevious finds the rules of what an earlier daemon left in force, so
// that its last decisions can be explained.
func (d *Daemon) rememberPrevious() {
	if d.kernel.Generation == 0 {
		return
	}
	rules, err := d.store.Rules(d.kernel.Digest, d.machine())
	if err != nil {
		d.log.Debug("the rules of the previous daemon are not known", "error", err)
		return
	}
	d.rules.add(d.kernel.Generation, rules)
}

// applyNothing is for directories without a policy: nothing is attached, and
// what is in force is lifted.
func (d *Daemon) applyNothing(set *reload.Set) *refusal {
	held := d.kernel.Generation != 0
	if held {
		d.rememberPrevious()
		if err := d.conf.Enforcer.Release(); err != nil {
			d.retry = true
			return &refusal{set: set, summary: fmt.Sprintf("lift enforcement, because there are no policies: %v", err)}
		}
		if err := d.readKernel(); err != nil {
			return nil
		}
	}
	d.settle(surroundings{})
	d.keep(set, 0, false)
	if held {
		d.save(set)
		d.poster.post(event.Event{
			Kind: event.PolicyLoaded, Priority: event.Notice,
			Message: "No policy is left, so enforcement was lifted",
		})
	}
	return nil
}

// mode decides how far a set may go, and notes that before it goes there.
func (d *Daemon) mode(set *reload.Set, r request) (mode lsm.Mode, guarded bool) {
	if d.offSwitch == kernelcmdline.Audit {
		return lsm.AuditOnly, false
	}
	if !d.settings.BootGuard {
		d.restore("guard")
		return lsm.Enforce, false
	}
	record, err := d.guard.Read()
	if err != nil {
		d.log.Debug("the boot guard begins anew", "error", err)
	}
	before := record
	if r.explicit {
		record = record.Trust(set.ID)
	}
	mode, record = record.Load(set.ID, d.now())
	if slices.Equal(record, before) {
		err = nil
	} else {
		err = d.guard.Write(record)
	}
	if err != nil {
		d.degrade("guard", fmt.Sprintf("The boot guard could not note which policies this boot tries, so it will not notice if they stop it: %v", err))
		return mode, mode == lsm.AuditOnly
	}
	if mode == lsm.AuditOnly {
		d.degrade("guard", "Nothing is blocked: an earlier boot with these policies never completed. Look at them, then arm them again with: hostarmor reload (or edit them)")
		return mode, true
	}
	d.restore("guard")
	return mode, false
}

// keep notes what is in force for status, and forgets the rest.
func (d *Daemon) keep(set *reload.Set, mode lsm.Mode, guarded bool) {
	d.tellGaps(set)
	if d.unlocked.IsZero() {
		d.restore("unlock")
	}
	var digest [32]byte
	if set.Ruleset != nil {
		digest = set.Ruleset.Digest
	}
	set.Forget()
	d.force = inForce{set: set, mode: mode, digest: digest, guarded: guarded, loadedAt: d.force.loadedAt, adopted: d.force.adopted && d.kernel.Adopted}
}

// save keeps the set for a start with broken files. That it cannot be kept
// does not undo a reload.
func (d *Daemon) save(set *reload.Set) {
	if err := d.store.Save(set, d.kernel.Digest, d.settingsText); err != nil {
		d.degrade("store", fmt.Sprintf("The policies are in force, but would not survive a broken file at the next start: %v", err))
		return
	}
	d.restore("store")
}
