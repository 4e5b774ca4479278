package hostpolicy

import "fmt"

// Severity of a Problem.
type Severity uint8

const (
	Error   Severity = iota + 1 // the set is refused
	Warning                     // loaded, but look at it
)

func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText encodes the severity as in check's JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one thing wrong with a policy file, with its place and its fix.
type Problem struct {
	Position Position
	Code     string // "HA014", stable
	Severity Severity
	Field    string // "file.certs.path", or ""
	Message  string // what is wrong
	Fix      string // what to write instead, or ""
}

// Code explains one kind of problem, for whoever meets it for the first time.
type Code struct {
	Title string // one phrase
	Why   string // why it is a problem, in one to three sentences
	Fix   string // what to write instead, with an example where there can be one
}

// String is the problem as one line: place, field, message and fix.
func (p Problem) String() string {
	s := p.Position.String() + ": "
	if p.Field != "" {
		s += p.Field + ": "
	}
	s += p.Message
	if p.Fix != "" {
		s += " (" + p.Fix + ")"
	}
	return s
}
