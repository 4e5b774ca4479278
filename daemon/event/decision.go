package event

import (
	"strings"

	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/daemon/systemd"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Rule is what events tell of a rule: all that the daemon keeps of it once it
// is compiled. There may be a hundred thousand of them.
type Rule struct {
	ID       string
	File     string
	Line     uint32
	Class    hostpolicy.Class
	Severity uint8
	Tags     []string
	Message  string
}

// Policy is the name of the rule's policy, which has no slash.
func (r *Rule) Policy() string {
	policy, _, _ := strings.Cut(r.ID, "/")
	return policy
}

// own reports whether it is a rule by which HostArmor protects itself.
func (r *Rule) own() bool { return r.Policy() == protect.Name }

// Source is the rule's "file:line".
func (r *Rule) Source() string {
	return hostpolicy.Position{File: r.File, Line: int(r.Line)}.Source()
}

// Describe keeps of a ruleset's rules what events tell. The index is RuleID-1.
func Describe(rules []lsm.Rule) []Rule {
	// All ids are parts of one text: ten thousand small strings, made among
	// the garbage of a reload, would keep its pages from the system.
	var ids strings.Builder
	ends := make([]int, len(rules))
	for i := range rules {
		ids.WriteString(rules[i].ID())
		ends[i] = ids.Len()
	}
	out := make([]Rule, len(rules))
	start := 0
	for i := range rules {
		r := &rules[i]
		id := ids.String()[start:ends[i]]
		start = ends[i]
		out[i] = Rule{
			ID: id, File: r.Position.File, Line: uint32(r.Position.Line), Class: r.Class,
			Severity: uint8(r.Severity), Tags: r.Tags, Message: r.Message,
		}
	}
	return out
}

// unsetUID is the login uid of a process that no login started.
const unsetUID = 1<<32 - 1

// FromDenial makes the event of a decision. known tells whether r is the rule:
// the generation that decided may be gone.
func FromDenial(d lsm.Denial, r Rule, known bool) Event {
	unit := systemd.Unit(d.Cgroup)
	e := Event{
		Time: d.Time, Kind: Access, Priority: Notice, Count: 1, Generation: d.Generation,
		Message: sentence(&d, r, known, unit),
		Decision: &Decision{
			Action: action(&d), Hook: d.Operation,
			Resource: d.Resource, Names: d.Resources, Target: d.Target, Exe: d.Exe, Comm: d.Comm,
			PID: d.PID, PPID: d.PPID, ParentExe: d.ParentExe, UID: d.UID,
			Unit: unit, UserUnit: systemd.UserUnit(d.Cgroup),
		},
	}
	e.Class, e.Operation = what(&d)
	if e.Operation == hostpolicy.OpCapability.String() && e.Resource == "" {
		e.Resource = d.Act.String()
	}
	if d.LoginUID != unsetUID {
		e.LoginUID = &d.LoginUID
	}
	if known && !d.Unjudged {
		e.Policy, e.Rule, e.Source = r.Policy(), r.ID, r.Source()
		e.Severity, e.Tags = int(r.Severity), r.Tags
		if r.own() {
			e.Kind = Tamper
		}
	}
	if d.Unjudged {
		e.Kind = Unjudged
	}
	if d.Unjudged || e.Action == hostpolicy.Block.String() {
		e.Priority = Warning
	}
	return e
}

// action is what really happened: a block that was let through is an audit.
func action(d *lsm.Denial) string {
	a := d.Action
	switch {
	case d.Permitted && (a == hostpolicy.Block || !a.Valid()):
		a = hostpolicy.Audit
	case !a.Valid():
		a = hostpolicy.Block
	}
	return a.String()
}

// what is the class and the operation that was judged. A rule of another class
// may have decided: one that trusts a program also keeps others out of it.
func what(d *lsm.Denial) (class, operation string) {
	switch d.Kind {
	case lsm.KindAct:
		op := operationOf(d.Act)
		return op.Class().String(), op.String()
	case lsm.KindExec, lsm.KindMap:
		return hostpolicy.Process.String(), d.Kind.String()
	}
	return hostpolicy.File.String(), d.Kind.String()
}

// operationOf is the operation of class system, else OpCapability.
func operationOf(a lsm.Act) hostpolicy.Operation {
	for op := hostpolicy.OpLoadModule; op.Valid(); op++ {
		if lsm.ActOf(op, 0) == a {
			return op
		}
	}
	return hostpolicy.OpCapability
}
