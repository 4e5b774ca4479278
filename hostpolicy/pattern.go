package hostpolicy

// Pattern is a validated absolute path pattern. It is immutable and comparable.
type Pattern struct{ text string }

// String is the pattern as written.
func (p Pattern) String() string { return p.text }
