package event

import (
	"time"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Schema versions the JSON form.
const Schema = 1

// Kind is what happened: the value of HOSTARMOR_EVENT.
type Kind string

// The kinds that this version writes.
const (
	Access         Kind = "access"          // a rule decided
	Unjudged       Kind = "unjudged"        // an access that could not be judged
	PolicyLoaded   Kind = "policy-loaded"   // a set went into force, or out of it
	PolicyRejected Kind = "policy-rejected" // a set was refused, the previous one kept
	Degraded       Kind = "degraded"        // less is enforced than was asked for
	Lost           Kind = "lost"            // events that nobody will see
	Tamper         Kind = "tamper"          // HostArmor's own protection decided, or was lifted
)

// Priority is the syslog priority.
type Priority int

// The priorities in use.
const (
	Err     Priority = 3
	Warning Priority = 4
	Notice  Priority = 5
	Info    Priority = 6
)

// Event is one record. Exactly the fields of its Kind are set.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"event"`
	Priority Priority  `json:"priority"`
	Message  string    `json:"message"`

	// Decision is set for Access and Unjudged, and for a Tamper that is one.
	*Decision

	// Count is the number of identical decisions behind this record, or of
	// lost events.
	Count uint64 `json:"count,omitempty"`
	// Generation is the ruleset that decided, or that went into force.
	Generation uint64 `json:"generation,omitempty"`
	// Policies are the names in a set that went into force.
	Policies []string `json:"policies,omitempty"`
	// Problems are all problems of a set, errors first.
	Problems []hostpolicy.Problem `json:"-"`
}

// Decision is who did what to which object, and what became of it.
type Decision struct {
	Action    string   `json:"action"` // block: denied. audit, allow: permitted
	Policy    string   `json:"policy,omitempty"`
	Rule      string   `json:"rule,omitempty"` // full id
	Source    string   `json:"source,omitempty"`
	Class     string   `json:"class"`
	Operation string   `json:"operation"` // exec, read, write, capability, or one of class system
	Hook      string   `json:"hook,omitempty"`
	Resource  string   `json:"resource"`
	Names     []string `json:"names,omitempty"`      // all names of the resource, where it has several
	Target    uint32   `json:"target_pid,omitempty"` // of the process that is acted upon
	Exe       string   `json:"exe"`
	Comm      string   `json:"comm"`
	PID       uint32   `json:"pid"`
	PPID      uint32   `json:"ppid"`
	ParentExe string   `json:"parent_exe,omitempty"`
	UID       uint32   `json:"uid"`
	LoginUID  *uint32  `json:"login_uid,omitempty"`
	Unit      string   `json:"unit,omitempty"`
	UserUnit  string   `json:"user_unit,omitempty"`
	Severity  int      `json:"severity,omitempty"`
	Tags      []string `json:"tags,omitempty"`
}
