// Package lsm is what a kernel backend and the daemon share: the compiled
// ruleset, what a kernel supports, and the Enforcer contract.
package lsm

import "github.com/hostarmor/hostarmor/hostpolicy"

type (
	// State is a state of the path automaton: what the rules can still say
	// about a directory or file and everything beneath it. 0 is dead.
	State uint32
	// Label is an interned set of rules (and subject patterns) that match a
	// name. 0 is the empty set.
	Label uint32
	// RuleID numbers Ruleset.Rules from 1; 0 means that no rule decided.
	RuleID uint32
	// Role is a class of subjects to which the same rules apply.
	Role uint32
)

// ByProgram marks a label whose verdict depends on the acting program, user or
// unit, so that (role, label) is looked up before (base role, label).
const ByProgram Label = 1 << 31

// Index is the label without its mark, dense from 0.
func (l Label) Index() uint32 { return uint32(l &^ ByProgram) }

// Kind is a column of a verdict row: one way to use a file.
type Kind uint8

const (
	KindExec Kind = iota
	KindRead
	KindWrite
	// KindMap is mapping a file executable: block and audit rules of class
	// process only, because an allow-list would refuse every library.
	KindMap
	// KindMove is the move of a directory that changes the names beneath
	// it. It is judged on StateRow.Below: whoever may not use a file in
	// every way may not rename it by an ancestor either.
	KindMove
	// KindHoldExec and KindHoldFile are no access. They are of StateRow.Below:
	// what the lists of programs, and of files, refuse of everything beneath
	// that no rule names. See Ruleset.Leaves.
	KindHoldExec
	KindHoldFile
	// KindAct is no column: a decision about a capability or an operation of
	// class system, see Denial.Act.
	KindAct Kind = 64
	// Kinds is the columns in the kernel's rows; the rest is room to grow.
	Kinds = 8 //  // columns in the kernel's rows; the rest is room to grow
)

func (k Kind) String() string {
	switch k {
	case KindExec:
		return "exec"
	case KindRead:
		return "read"
	case KindWrite, KindMove:
		return "write"
	case KindMap:
		return "exec"
	}
	return "unknown"
}

// Cell is a verdict for one kind of access. A zero Action means that nothing
// decides: permitted, not logged.
type Cell struct {
	Action hostpolicy.Action
	// Rule is the rule behind the verdict. For the `otherwise` of an
	// allow-list it is the first allow rule that makes the list.
	Rule RuleID
	// Otherwise is true where no rule matched and an allow-list decided.
	Otherwise bool
	// Dangerous is true where PID 1 and the daemon are not exempt.
	Dangerous bool
}

// Verdict is one row: a cell for each Kind.
type Verdict [Kinds]Cell

// Ruleset is the compiled form of a policy set: pure data, the same bytes for
// the same input. It knows no mount and no workload; those are bound to it.
//
// An object's names are walked from Start, one component at a time:
//
//	Edges[{s, name}] if present, else, if States[s].Glob != 0, the byte
//	automaton from that row over the name, else States[s].Default.
//
// The label of a name is States[s].Label at its end, that of a file the one of
// all its names; where the subject owns the file it is then LabelRow.Owned,
// and of an exec the one that the Applets lead to. The verdict is
// Verdicts[{role, label}] for a ByProgram label, else or if absent
// Verdicts[{base, label}], else the role's Default.
//
// A capability or an operation of class system is looked up in Acts in the
// same way, without marks; network operations are judged by Network.
type Ruleset struct {
	Rules    []Rule
	Facts    []RuleFacts // index is RuleID-1
	Policies []PolicyRow // ordered by their first rule
	Places   []Place     // where policies apply
	Users    Users       // to whom
	Programs [][]uint32  // program lists, by class; [0] is empty
	Scopes   [][]uint32  // allow-lists' scopes, by class; [0] is empty
	Start    State
	States   []StateRow  // index is State; [0] is dead
	Edges    []Edge      // ordered by From, then Name
	Globs    []GlobRow   // index is StateRow.Glob; [0] is unused
	Labels   []LabelRow  // index is Label.Index(); [0] is the empty label
	Applets  []AppletRow // ordered by Label.Index(), then Name
	Roles    []RoleRow   // of the host, ordered by key
	Verdicts []VerdictRow
	Acts     []ActRow   // ordered by Role, then Act
	Traces   []TraceRow // ordered by Role, then Program
	Network  Network
	Digest   [32]byte // SHA-256 over everything above
}

// Rule is what a ruleset keeps of a policy's rule: what events say of it, and
// what later tables are made from. The rest of it is in the tables.
type Rule struct {
	Policy    string
	Name      string
	Class     hostpolicy.Class
	Action    hostpolicy.Action
	Access    hostpolicy.Access
	OwnerOnly bool
	Limited   bool // its allow-list is within some names only
	Severity  int
	Tags      []string
	Message   string
	Position  hostpolicy.Position
	Args      []string
	Acts      []Act // of the classes capability and system
}

// ID is the rule's full name, as hostpolicy.Rule has it.
func (r *Rule) ID() string { return r.Policy + "/" + r.Class.String() + "." + r.Name }

// RuleFacts are what the tables depend on beside the rule itself. Lists and
// scopes are numbered from 1.
type RuleFacts struct {
	Policy     uint32 // index into Ruleset.Policies
	From       uint32 // program list, 0 = every program
	ExceptFrom uint32 // program list, 0 = none
	Within     uint32 // scope of the allow-list, 0 = everywhere
}

// PolicyRow is what rules take from their policy.
type PolicyRow struct {
	Place uint32 // index into Ruleset.Places
	// Users are the bits of a user class that must all be set; 0 = all users.
	Users     uint64
	Otherwise [hostpolicy.System + 1]hostpolicy.Action // by class
	Dangerous bool
	Self      bool // hostpolicy.Policy.Self
}

// StateRow is one state of the path automaton.
type StateRow struct {
	Label   Label  // of a name that ends here
	Below   Label  // of the rules that a move of this directory could shake off
	Default State  // where a component without an edge leads, if Glob is 0
	Glob    uint32 // first row of the byte automaton for such components, or 0
}

// Edge leads from a state over one literal path component. Edges already
// include what the globs of From say about Name.
type Edge struct {
	From State
	Name string // 1..255 bytes, no '/', no NUL
	To   State
}

// GlobRow is a state of a byte automaton: where each byte leads (0 is never a
// row: no pattern can match any more, and the component leads to the owning
// state's Default), and the path state reached if the component ends here.
type GlobRow struct {
	Next [256]uint32
	End  State
}

// LabelRow says what a label means, and what it means for a subject whose
// executable carries it.
type LabelRow struct {
	// Program is the class of programs that `from` and `except_from`
	// patterns tell apart; 0 is every program that none of them names.
	Program uint32
	// Scope is the class of allow-list scopes that hold the name. Of
	// StateRow.Below: Beneath is that of scopes which a move could shake off,
	// Held that of those among them which hold everything beneath.
	Scope, Beneath, Held uint32
	// Owned is the label for a subject that owns the file, 0 where it fares
	// like others. StateRow.Below is never exchanged for it: who owns a
	// directory need not own what it holds.
	Owned  Label
	Owner  bool // this label is such a one
	Marked bool // the label carries ByProgram
	// Rules name the file, ascending. Those with args judge an exec only
	// where Called holds them too.
	Rules, Called []RuleID
}

// AppletRow leads from a program's label to the one for a command of it.
type AppletRow struct {
	Label Label // without its mark
	Name  string
	To    Label // with its mark
}

// RoleKey is what decides a subject's role. Workload 0 is the host.
type RoleKey struct {
	Workload uint32 // number under which a set of places was bound
	User     uint32 // class of Ruleset.Users
	Program  uint32 // class of Ruleset.Programs
}

// RoleRow gives the role for a key. A program class without a row has the
// role of program 0, a user class without one that of user 0.
type RoleRow struct {
	Key     RoleKey
	Role    Role
	Base    Role    // the role that Role's rows differ from, perhaps itself
	Default Verdict // for a label without a row
	// What becomes of the other classes where nothing matches.
	Network, Capability, System Cell
	Sockets                     Bits // network rules that count for the role
}

// VerdictRow is the verdict for one role on one label.
type VerdictRow struct {
	Role    Role
	Label   Label // with its mark
	Verdict Verdict
}

// Kinds is the set of access kinds that some row decides; bit k stands for
// Kind k. Hooks for other kinds need not be attached.
func (r *Ruleset) Kinds() uint32 {
	var set uint32
	add := func(v *Verdict) {
		for k := range v[:KindHoldExec] {
			if v[k].Action.Valid() {
				set |= 1 << k
			}
		}
	}
	for i := range r.Verdicts {
		add(&r.Verdicts[i].Verdict)
	}
	for i := range r.Roles {
		add(&r.Roles[i].Default)
	}
	return set
}

// Step is one component of a walk, as the kernel does it.
func (r *Ruleset) Step(s State, name string) State {
	if to, ok := r.edge(s, name); ok {
		return to
	}
	row := r.States[s].Glob
	if row == 0 {
		return r.States[s].Default
	}
	for i := 0; i < len(name); i++ {
		if row = r.Globs[row].Next[name[i]]; row == 0 {
			return r.States[s].Default
		}
	}
	return r.Globs[row].End
}
