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

// Source is the "file:line" that events and status carry.
func (p Position) Source() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Policy is one valid policy: everything that a file may leave out has its
// default filled in.
type Policy struct {
	Name      string
	Position  Position // of the file, line 1
	AppliesTo Selector
	Rules     []Rule // ordered by Class, then Name
	// Otherwise is what becomes of an access in a class where the policy
	// holds an allow rule and no rule matches: Block or Audit.
	Otherwise Action
	// Dangerous permits rules that stop PID 1, the daemon or a login.
	Dangerous bool
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

	Path       []Pattern // at least one for Process and File
	Except     []Pattern
	Access     Access    // File: never empty. Process: Exec
	From       []Pattern // empty = every program
	ExceptFrom []Pattern

	// Places says where each pattern is written.
	Places Places
}

// Places are the positions of a rule's patterns, each list as long as that of
// the patterns or, for a rule that no file holds, empty.
type Places struct {
	Path, Except, From, ExceptFrom []Position
}

// ID is the rule's full name, "web-frontend/process.no-shells".
func (r *Rule) ID() string { return r.Policy + "/" + r.Class.String() + "." + r.Name }

// Selector says who is confined. At least one member is set.
type Selector struct {
	Host bool // every process that is not in a container
}

// Subject is who acts, as the reference evaluator sees it.
type Subject struct {
	// Programs are the canonical names of the executable that the process
	// runs: one per name that the file has in the host's mount table.
	Programs []string
}

// Object is what is acted upon: all canonical names of one file.
type Object struct {
	Names []string
}
