package hostpolicy

import "fmt"

// Action is what a rule does with an access it matches. The zero value is
// invalid, so that a forgotten action cannot read as a permission.
type Action uint8

const (
	Block Action = iota + 1 // denied and logged
	Audit                   // permitted and logged
	Allow                   // permitted; makes its class an allow-list
)

var actionNames = [...]string{Block: "block", Audit: "audit", Allow: "allow"}

// Valid reports whether a is one of Block, Audit and Allow.
func (a Action) Valid() bool { return a >= Block && a <= Allow }

func (a Action) String() string {
	if !a.Valid() {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actionNames[a]
}

// UnmarshalText decodes "block", "audit" or "allow".
func (a *Action) UnmarshalText(text []byte) error {
	for v := Block; v <= Allow; v++ {
		if actionNames[v] == string(text) {
			*a = v
			return nil
		}
	}
	return fmt.Errorf("unknown action %q (write block, audit or allow)", text)
}

// MarshalText encodes a valid action; an invalid one is an error.
func (a Action) MarshalText() ([]byte, error) {
	if !a.Valid() {
		return nil, fmt.Errorf("invalid action %d", uint8(a))
	}
	return []byte(actionNames[a]), nil
}
