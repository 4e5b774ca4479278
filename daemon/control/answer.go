package control

import (
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
