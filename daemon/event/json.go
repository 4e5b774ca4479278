package event

import (
	"bytes"
	"encoding/json"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Problem is a problem in JSON, as `hostarmor check` and status print it.
type Problem struct {
	Source   string `json:"source"` // file:line:column
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Field    string `json:"field,omitempty"`
	Message  string `json:"message"`
	Fix      string `json:"fix"`
}

// Problems is the JSON form of problems, never nil.
func Problems(problems []hostpolicy.Problem) []Problem {
	out := make([]Problem, len(problems))
	for i, p := range problems {
		out[i] = Problem{
			Source: p.Position.String(), Code: p.Code, Severity: p.Severity.String(),
			Field: p.Field, Message: p.Message, Fix: p.Fix,
		}
	}
	return out
}

// line is the JSON form of an event.
type line struct {
	Schema int `json:"schema"`
	Event
	Problems []Problem `json:"problems,omitempty"`
}

// Line is the event as one line of JSON, with its newline.
func Line(e Event) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Every field is a plain value: there is nothing to fail.
	if err := enc.Encode(line{Schema, e, Problems(e.Problems)}); err != nil {
		panic(err)
	}
	return b.Bytes()
}
