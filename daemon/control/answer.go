package control

import (
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
)

// Path is where the socket is.
const Path = "/run/hostarmor/control.sock"

// Reload is the answer to a reload that was done.
type Reload struct {
	Schema     int    `json:"schema"`
	Changed    bool   `json:"changed"` // false: it was in force already
	Generation uint64 `json:"generation"`
	Mode       string `json:"mode"`
	Policies   int    `json:"policies"`
	Rules      int    `json:"rules"`
	// Problems are warnings, and with `unsupported = "warn"` the rules that
	// are not enforced.
	Problems []event.Problem `json:"problems"`
}

// Unlock is the answer to the wish to change policy files.
type Unlock struct {
	Schema int `json:"schema"`
	// Until is when they are locked again; nil where nothing was locked, for
	// the Reason.
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// UnlockLimit is the longest time that policy files can be unlocked for.
const UnlockLimit = 24 * time.Hour

// Refusal is the answer to anything that was not done, as JSON and as an
// error.
type Refusal struct {
	Schema   int             `json:"schema"`
	Summary  string          `json:"error"`
	Problems []event.Problem `json:"problems"`
}

func (r *Refusal) Error() string { return r.Summary }

// Gap is the line of an event stream that says how many events the client was
// too slow for.
type Gap struct {
	Schema int    `json:"schema"`
	Event  string `json:"event"` // "lost"
	Count  uint64 `json:"count"`
	Reason string `json:"message"`
}
