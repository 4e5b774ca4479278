package hostpolicy

import (
	"fmt"
	"strings"
)

// Class is the kind of thing a rule governs.
type Class uint8

const (
	Process Class = iota + 1
	File
	Network
	Capability
	System
)

var classNames = [...]string{Process: "process", File: "file", Network: "network", Capability: "capability", System: "system"}

func (c Class) String() string {
	if c < Process || c > System {
		return fmt.Sprintf("Class(%d)", uint8(c))
	}
	return classNames[c]
}

// ParseClass finds a class by its name in the policy language.
func ParseClass(name string) (Class, bool) {
	for c := Process; c <= System; c++ {
		if classNames[c] == name {
			return c, true
		}
	}
	return 0, false
}

// Access is a set of ways to use a file. The zero value is the empty set.
type Access uint8

const (
	Read  Access = 1 << iota // opening a file or directory for reading
	Write                    // changing it in any way
	Exec                     // executing it
)

func (a Access) String() string {
	var names []string
	for _, n := range []struct {
		bit  Access
		name string
	}{{Read, "read"}, {Write, "write"}, {Exec, "exec"}} {
		if a&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "|")
}
