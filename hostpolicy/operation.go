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

// Operation is what a subject does to an object: what Decide is asked for, and
// for class System what its rules name. The zero value is invalid.
type Operation uint8

const (
	OpExec Operation = iota + 1
	// OpMap is mapping a file executable, as `ld.so FILE` does. Block and
	// audit rules of class process judge it; allow-lists do not, because a
	// list of programs would refuse every shared library.
	OpMap
	OpRead
	OpWrite
	OpSocket  // making a socket
	OpConnect // also the address of a datagram socket
	OpSend    // to an address that the call names
	OpBind
	OpListen
	OpAccept
	OpCapability
	OpLoadModule
	OpPtrace // of a process outside the subject's workload
	OpMount
	OpBPF
	OpCreateUserNS
	OpKexec
	OpIOUring
	OpFilelessExec  // executing a file that no directory holds
	OpAnonymousExec // making memory executable that no file backs
	OpSignalOutside // signalling a process outside the subject's workload
	OpSetTime
	OpReadProcEnviron
	// OpTamper is touching the daemon's process or what it has in the kernel.
	// Only the policy with Self names it; the language does not know it.
	OpTamper
)

var operations = [...]struct {
	name  string
	class Class
}{
	OpExec:            {"exec", Process},
	OpMap:             {"map", Process},
	OpRead:            {"read", File},
	OpWrite:           {"write", File},
	OpSocket:          {"socket", Network},
	OpConnect:         {"connect", Network},
	OpSend:            {"send", Network},
	OpBind:            {"bind", Network},
	OpListen:          {"listen", Network},
	OpAccept:          {"accept", Network},
	OpCapability:      {"capability", Capability},
	OpLoadModule:      {"load-module", System},
	OpPtrace:          {"ptrace", System},
	OpMount:           {"mount", System},
	OpBPF:             {"bpf", System},
	OpCreateUserNS:    {"create-userns", System},
	OpKexec:           {"kexec", System},
	OpIOUring:         {"io-uring", System},
	OpFilelessExec:    {"fileless-exec", System},
	OpAnonymousExec:   {"anonymous-exec", System},
	OpSignalOutside:   {"signal-outside", System},
	OpSetTime:         {"set-time", System},
	OpReadProcEnviron: {"read-proc-environ", System},
	OpTamper:          {"tamper", System},
}

// Valid reports whether o is one of the constants.
func (o Operation) Valid() bool { return o >= OpExec && int(o) < len(operations) }

func (o Operation) String() string {
	if !o.Valid() {
		return fmt.Sprintf("Operation(%d)", uint8(o))
	}
	return operations[o].name
}

// Class is the class whose rules judge the operation.
func (o Operation) Class() Class {
	if !o.Valid() {
		return 0
	}
	return operations[o].class
}

// ParseOperation finds an operation by its name in explain, tests and, for
// class System, rules.
func ParseOperation(name string) (Operation, bool) {
	for o := OpExec; o < OpTamper; o++ {
		if operations[o].name == name {
			return o, true
		}
	}
	return 0, false
}

// Operations are those of a class, in the order of the constants.
func Operations(c Class) []Operation {
	var list []Operation
	for o := OpExec; o < OpTamper; o++ {
		if operations[o].class == c {
			list = append(list, o)
		}
	}
	return list
}

// access is what a file rule's Access has to hold for the operation.
func (o Operation) access() Access {
	switch o {
	case OpExec, OpMap:
		return Exec
	case OpRead:
		return Read
	case OpWrite:
		return Write
	}
	return 0
}
