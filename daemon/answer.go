package daemon

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/kernelcmdline"
	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/lsm"
)

// reload answers `hostarmor reload`.
func (d *Daemon) reload(ctx context.Context) (control.Reload, error) {
	var answer control.Reload
	var refused *refusal
	err := d.in(ctx, func(ctx context.Context) {
		before := d.kernel.Generation
		if refused = d.reconcile(ctx, request{explicit: true}); refused != nil {
			return
		}
		set := d.force.set
		answer = control.Reload{
			Schema: status.Schema, Changed: d.kernel.Generation != before, Generation: d.kernel.Generation,
			Mode: string(d.statusMode()), Policies: len(set.Policies()), Rules: set.RuleCount(),
			Problems: event.Problems(append(set.Problems, set.Unsupported(hostpolicy.Warning)...)),
		}
	})
	if err != nil {
		return control.Reload{}, err
	}
	if refused != nil {
		return control.Reload{}, &control.Refusal{
			Schema: status.Schema, Summary: refused.summary, Problems: event.Problems(refused.problems),
		}
	}
	return answer, nil
}

// status answers `hostarmor status`.
func (d *Daemon) status(ctx context.Context) (status.Status, error) {
	var s status.Status
	err := d.in(ctx, func(context.Context) { s = d.makeStatus() })
	return s, err
}

func (d *Daemon) makeStatus() status.Status {
	s := status.Status{
		Schema: status.Schema, Version: d.conf.Version.Version,
		Kernel: d.support.Kernel, Mode: status.None,
		Policies: []status.Policy{}, Workloads: []status.Workload{}, Drift: []status.Drift{},
		Hooks: []string{},
	}
	s.Backend, s.BackendReason = d.backend()
	var hits hitCounts
	if d.enforces() && d.readKernel() == nil {
		s.Generation, s.Adopted = d.kernel.Generation, d.force.adopted
		s.Hooks = append(s.Hooks, d.kernel.Hooks...)
		s.LostEvents = d.kernel.Lost
		if s.Generation != 0 {
			s.Digest = hex.EncodeToString(d.kernel.Digest[:])
		}
		hits = hitCounts{d.rules.ids(d.kernel.Generation), d.kernel.Hits}
	}
	s.LostEvents += d.pipe.Lost()
	s.Mode, s.Reason = d.statusMode(), d.reason()
	if !d.force.loadedAt.IsZero() {
		s.LoadedAt = &d.force.loadedAt
	}
	s.Policies, s.Drift = d.policies(hits)
	if s.Mode != status.None {
		s.Workloads = append(s.Workloads, d.host(s.Policies))
	}
	s.Degraded = d.degraded.list()
	s.Problems = event.Problems(d.problems())
	return s
}

func (d *Daemon) backend() (name, reason string) {
	switch {
	case d.offSwitch == kernelcmdline.Off:
		return "none", "switched off by hostarmor=off on the kernel's command line"
	case d.probeErr != nil:
		return "none", d.probeErr.Error()
	}
	return d.support.Backend, fmt.Sprintf("%s can enforce with it", d.support.Kernel)
}

func (d *Daemon) statusMode() status.Mode {
	switch {
	case !d.enforces() || d.kernel.Generation == 0:
		return status.None
	case d.kernel.Mode == lsm.AuditOnly:
		return status.AuditOnly
	}
	return status.Enforcing
}

// reason says in one sentence why the mode is what it is.
func (d *Daemon) reason() string {
	switch {
	case d.offSwitch == kernelcmdline.Off:
		return "the kernel was booted with hostarmor=off"
	case d.probeErr != nil:
		return d.probeErr.Error()
	case d.kernel.Generation == 0 && d.refused != nil:
		return d.refused.summary + ", and none were in force before"
	case d.kernel.Generation == 0 && len(d.force.set.Files) == 0:
		return "there are no policies; put one into " + d.settings.Dirs[0]
	case d.kernel.Generation == 0:
		return "no policy can be enforced"
	case d.kernel.Mode == lsm.AuditOnly && d.offSwitch == kernelcmdline.Audit:
		return "the kernel was booted with hostarmor=audit"
	case d.kernel.Mode == lsm.AuditOnly:
		return "an earlier boot with these policies never completed; after a look: hostarmor reload"
	case d.refused != nil && len(d.refused.problems) == 0:
		return "the previous policies; the new ones could not be loaded: " + d.refused.summary
	case d.refused != nil:
		return "the previous policies; those on disk were refused"
	case len(d.force.set.Policies()) == 0:
		return "HostArmor's own protection alone; put policies into " + d.settings.Dirs[0]
	}
	return fmt.Sprintf("%s with %s", plural(len(d.force.set.Policies()), "policy"), plural(d.force.set.RuleCount(), "rule"))
}

// headline is the status in one line, for systemctl.
func (d *Daemon) headline() string {
	return status.Headline(d.statusMode(), d.reason())
}

// problems are the errors of what was refused and the warnings of what is in
// force.
func (d *Daemon) problems() []hostpolicy.Problem {
	var all []hostpolicy.Problem
	if d.refused != nil {
		all = append(all, d.refused.problems...)
	}
	for _, p := range d.settingsProblems {
		if !contains(all, p) {
			all = append(all, p)
		}
	}
	for _, p := range d.force.set.Problems {
		if d.refused == nil || p.Severity == hostpolicy.Warning && !contains(all, p) {
			all = append(all, p)
		}
	}
	return append(all, d.force.set.Unsupported(hostpolicy.Warning)...)
}

func contains(problems []hostpolicy.Problem, p hostpolicy.Problem) bool {
	for i := range problems {
		if problems[i] == p {
			return true
		}
	}
	return false
}

// hitCounts are the kernel's counters by the rule's full id.
type hitCounts struct {
	ids  map[string]lsm.RuleID
	hits []uint64
}

func (h hitCounts) of(rule string) uint64 {
	if id, ok := h.ids[rule]; ok && int(id) < len(h.hits) {
		return h.hits[id]
	}
	return 0
}

// policies lists what is in force and what of the disk is not, and where the
// two differ.
func (d *Daemon) policies(hits hitCounts) ([]status.Policy, []status.Drift) {
	out, drift := []status.Policy{}, []status.Drift{}
	gaps := make(map[string]string)
	for _, g := range d.force.set.Gaps {
		gaps[g.Rule] = g.Reason
	}
	sums := make(map[string]string) // of what is in force, by path
	for i := range d.force.set.Files {
		f := &d.force.set.Files[i]
		if f.State == policyfile.Active {
			sums[f.Path] = f.SHA256
		}
		out = append(out, d.file(f, gaps, hits)...)
		switch {
		case f.LastGood:
			drift = append(drift, status.Drift{Source: f.Path, Reason: "broken on disk; its last good content is in force"})
		case f.Rejected():
			drift = append(drift, status.Drift{Source: f.Path, Reason: "broken on disk, and no earlier content is known; NOT ENFORCED"})
		}
	}
	if own := d.force.set.BuiltIn; own != nil {
		f := &reload.File{Path: protect.Source, State: policyfile.Active}
		out = append(out, d.policy(f, own, gaps, hits))
	}
	if d.refused == nil {
		return out, append(drift, d.kernelDrift()...)
	}
	if d.refused.set == nil {
		return out, append(drift, status.Drift{Source: d.settings.Dirs[0], Reason: "not loaded: " + d.refused.summary})
	}
	return d.mergeRefused(out, drift, sums)
}

// mergeRefused adds what a refused set would have changed.
func (d *Daemon) mergeRefused(out []status.Policy, drift []status.Drift, sums map[string]string) ([]status.Policy, []status.Drift) {
	onDisk := make(map[string]bool)
	for i := range d.refused.set.Files {
		f := &d.refused.set.Files[i]
		if f.State == policyfile.Masked {
			continue
		}
		onDisk[f.Path] = true
		sum, inForce := sums[f.Path]
		if inForce && sum == f.SHA256 && !hasError(f) {
			continue
		}
		state, reason := status.Rejected, "has errors"
		switch {
		case hasError(f):
		case inForce:
			reason = "changed on disk, not loaded: " + d.refused.summary
		default:
			state, reason = status.Inactive, "new on disk, not loaded: "+d.refused.summary
		}
		if !inForce || hasError(f) {
			for _, p := range d.file(f, nil, hitCounts{}) {
				p.State, p.Reason, p.Rules = state, reason, []status.Rule{}
				out = append(out, p)
			}
		}
		drift = append(drift, status.Drift{Source: f.Path, Reason: reason})
	}
	for path := range sums {
		if !onDisk[path] {
			drift = append(drift, status.Drift{Source: path, Reason: "gone from disk, but still in force: " + d.refused.summary})
		}
	}
	return out, drift
}

func (d *Daemon) kernelDrift() []status.Drift {
	if d.enforces() && d.kernel.Generation == 0 && d.force.mode != 0 {
		return []status.Drift{{Source: "kernel", Reason: "enforces nothing, though policies were loaded; load them again with: hostarmor reload"}}
	}
	return nil
}

func hasError(f *reload.File) bool {
	for _, p := range f.Problems {
		if p.Severity == hostpolicy.Error {
			return true
		}
	}
	return f.Rejected()
}

// file describes the policies of a file, or the file where it has none.
func (d *Daemon) file(f *reload.File, gaps map[string]string, hits hitCounts) []status.Policy {
	var list []status.Policy
	for i := range f.Policies {
		list = append(list, d.policy(f, &f.Policies[i], gaps, hits))
	}
	for _, p := range f.Inactive {
		list = append(list, status.Policy{
			Name: p.Name, Source: f.Path, SHA256: f.SHA256, State: status.Inactive, Reason: p.Reason, Rules: []status.Rule{},
		})
	}
	if len(list) == 0 {
		list = append(list, d.policy(f, &reload.Policy{Name: baseName(f.Path)}, gaps, hits))
	}
	return list
}

func (d *Daemon) policy(f *reload.File, kept *reload.Policy, gaps map[string]string, hits hitCounts) status.Policy {
	p := status.Policy{Name: kept.Name, Source: f.Path, SHA256: f.SHA256, State: status.Active, Rules: []status.Rule{}}
	unmet := 0
	for _, r := range kept.Rules {
		if _, gap := gaps[r.ID]; gap {
			unmet++
		}
	}
	switch {
	case f.State == policyfile.Masked && f.MaskedBy == f.Path:
		p.State, p.Reason = status.Inactive, "empty or a link to /dev/null: masks files of its name"
	case f.State == policyfile.Masked:
		p.State, p.Reason = status.Inactive, "masked by "+f.MaskedBy
	case f.Rejected():
		p.State, p.Reason = status.Rejected, "has errors"
	case !d.enforces():
		p.State, p.Reason = status.Inactive, "nothing enforces"
	case unmet > 0 && unmet == len(kept.Rules):
		p.State, p.Reason = status.Inactive, "none of its rules can be enforced on this machine"
	case f.LastGood:
		p.Reason = "the file is broken; its last good content is in force"
	}
	for _, r := range kept.Rules {
		rule := status.Rule{ID: r.ID, Source: hostpolicy.Position{File: f.Path, Line: int(r.Line)}.Source(), Action: r.Action.String(), State: status.Enforced, Hits: hits.of(r.ID)}
		if p.State != status.Active {
			rule.State, rule.Reason = status.NotEnforced, p.Reason
		}
		if reason, gap := gaps[r.ID]; gap {
			rule.State, rule.Reason = status.NotEnforced, reason
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// host is the one workload that this version's policies confine.
func (d *Daemon) host(policies []status.Policy) status.Workload {
	w := status.Workload{Kind: "host", ID: "host", Name: "every process that is not in a container", Policies: []string{}}
	for _, p := range policies {
		if p.State == status.Active {
			w.Policies = append(w.Policies, p.Name)
		}
	}
	return w
}

func baseName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}
