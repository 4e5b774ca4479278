// Package hostpolicy holds the policy language as values, and Decide, the
// reference evaluator that every backend is tested against. It does no I/O
// and imports the standard library only.
package hostpolicy

import "fmt"

// Position is a place in a policy file. Line and Column count from 1, Column
// in bytes.
type Position struct {
	File   string
	Line   int
	Column int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Source is the "file:line" that events and status carry; where there is no
// line, as in what is built in, the file alone.
func (p Position) Source() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Policy is one valid policy: everything that a file may leave out has its
// default filled in.
type Policy struct {
	Name      string
	Position  Position // of the file, line 1
	AppliesTo Selector
	Rules     []Rule // ordered by Class, then Name
	// Otherwise is what becomes of an access in a class where the policy
	// holds an allow rule and no rule matches: Block or Audit. Postures are
	// the classes where it is something else, as KubeArmor has it.
	Otherwise Action
	Postures  map[Class]Action
	// Dangerous permits rules that stop PID 1, the daemon or a login.
	Dangerous bool
	// Self marks the policy by which HostArmor protects itself. No file holds
	// it; a refusal by it is EPERM, and PID 1 passes it without an event.
	Self bool
}

// Rule is one [class.name] table.
type Rule struct {
	Policy   string // name of the policy it belongs to
	Class    Class
	Name     string
	Position Position // of the table header
	Action   Action
	Severity int // 1..10, 0 = not given
	Tags     []string
	Message  string

	From       []Pattern // programs; empty = every program
	ExceptFrom []Pattern

	// Process and File.
	Path   []Pattern // at least one
	Except []Pattern
	Access Access // File: never empty. Process: Exec
	// OwnerOnly: a block or audit rule does not match for the file's owner,
	// an allow rule for nobody else.
	OwnerOnly bool
	// Within limits the allow-list that an allow rule makes to these names;
	// empty = everywhere.
	Within []Pattern
	// Args, of class Process, narrow the rule to these commands (see Applets);
	// empty = all.
	Args []string

	// Network. An empty list is any.
	Direction    Direction
	Protocol     []Protocol
	Address      []Address // Out: the remote one, In: the peer's
	LocalAddress []Address
	Ports        []PortRange // Out: remote, In: local

	Capabilities []Cap       // Capability: at least one
	Operations   []Operation // System: at least one, of that class

	// Places says where each item of the lists is written.
	Places Places
}

// Places are the positions of what a rule lists, each list as long as the one
// of that name in Rule or, for a rule that no file holds, empty.
type Places struct {
	Path, Except, From, ExceptFrom, Within, Args []Position
	Protocol, Address, LocalAddress, Ports       []Position
	Capabilities, Operations                     []Position
}

// ID is the rule's full name, "web-frontend/process.no-shells".
func (r *Rule) ID() string { return r.Policy + "/" + r.Class.String() + "." + r.Name }

// OtherwiseIn is Otherwise for one class.
func (p *Policy) OtherwiseIn(c Class) Action {
	if a, ok := p.Postures[c]; ok {
		return a
	}
	return p.Otherwise
}

// Object is what is acted upon. What an operation does not need is left out.
type Object struct {
	// Names are all canonical names of one file.
	Names []string
	// Owned: the subject's effective uid is the file's owner.
	Owned bool
	// Args are the arguments of an exec, the program's own name first.
	Args []string

	Socket     *Socket // of network operations
	Capability Cap     // of OpCapability
}
