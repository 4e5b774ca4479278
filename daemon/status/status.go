// Package status is the daemon's answer to "what is enforced, and why not the
// rest": the JSON contract and the text that people read.
package status

import (
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
)

// Schema versions the JSON form.
const Schema = 1

// Status is what `hostarmor status -o json` prints.
type Status struct {
	Schema        int        `json:"schema"`
	Version       string     `json:"version"`
	Backend       string     `json:"backend"` // bpf, or none
	BackendReason string     `json:"backend_reason"`
	Kernel        string     `json:"kernel,omitempty"`
	Mode          Mode       `json:"mode"`
	Reason        string     `json:"reason"` // of the mode
	Generation    uint64     `json:"generation"`
	Digest        string     `json:"digest,omitempty"` // of the compiled ruleset in force
	Adopted       bool       `json:"adopted"`          // an earlier daemon put it in force
	LoadedAt      *time.Time `json:"loaded_at,omitempty"`
	Policies      []Policy   `json:"policies"`
	Workloads     []Workload `json:"workloads"`
	Drift         []Drift    `json:"drift"`
	LostEvents    uint64     `json:"lost_events"`
	Degraded      []string   `json:"degraded"`
	// Problems are those of the policies that were refused, and the
	// warnings of those in force.
	Problems []event.Problem `json:"problems"`
	Hooks    []string        `json:"hooks"`
}

// Mode is how far enforcement reaches.
type Mode string

// The modes.
const (
	Enforcing Mode = "enforce"
	AuditOnly Mode = "audit" // nothing is denied, everything that would be is logged
	None      Mode = "none"  // nothing is judged
)

// Policy is one policy file.
type Policy struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	SHA256 string `json:"sha256"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	Rules  []Rule `json:"rules"`
}

// State of a policy.
type State string

// The states of a policy.
const (
	Active   State = "active"
	Inactive State = "inactive" // masked, or nothing enforces
	Rejected State = "rejected" // its file has errors
)

// Rule is one rule of a policy that is known.
type Rule struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Action string    `json:"action"`
	State  RuleState `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Hits   uint64    `json:"hits"`
}

// RuleState tells whether a rule works.
type RuleState string

// The states of a rule.
const (
	Enforced    RuleState = "enforced"
	NotEnforced RuleState = "not-enforced"
)

// Workload is who is confined.
type Workload struct {
	Kind     string   `json:"kind"` // host
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Image    string   `json:"image,omitempty"`
	Policies []string `json:"policies"`
}

// Drift is a difference between what is on disk and what the kernel enforces.
type Drift struct {
	Source string `json:"source"` // the file, or "kernel"
	Reason string `json:"reason"`
}

// Clean reports whether everything that was asked for is enforced.
func (s *Status) Clean() bool {
	if len(s.Drift) > 0 || len(s.Degraded) > 0 {
		return false
	}
	for i := range s.Policies {
		if s.Policies[i].State == Rejected {
			return false
		}
		for _, r := range s.Policies[i].Rules {
			if r.State == NotEnforced {
				return false
			}
		}
	}
	return true
}
