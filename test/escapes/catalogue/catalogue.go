// Package catalogue lists the ways around a rule, and by what each is closed.
// The tests of package escapes try them all; docs/threat-model.md is made from
// the same list.
package catalogue

import "slices"

//go:generate go run ./threats

// Case is one way around a rule.
type Case struct {
	Name   string   // unique and stable, in kebab-case: "hard-link-before"
	Group  string   // one of the Groups
	Way    string   // what somebody tries: one sentence for administrators
	Closed string   // by what it is closed: one sentence, "" where Open
	Hooks  []string // names from the table of hooks of lsm/bpflsm that judge it
	Since  string   // first kernel on which it is closed, "" = every supported one
	Open   string   // "" = closed; else why it is not
}

// Groups of cases, in the order of the threat model.
const (
	Paths  = "Paths"
	Exec   = "Exec"
	Daemon = "The daemon"
)

// Groups lists them.
func Groups() []string { return []string{Paths, Exec, Daemon} }

// Cases lists all cases, by group.
func Cases() []Case {
	return slices.Concat(paths, openPaths, execs, openExecs, daemons, openDaemons)
}
