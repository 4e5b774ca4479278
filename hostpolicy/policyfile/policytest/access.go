package policytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

// Access is one operation on one object, as explain and tests write it.
type Access struct {
	Operation hostpolicy.Operation
	Object    hostpolicy.Object
}

// AccessError says what is wrong with the text of an access.
type AccessError struct{ Reason, Fix string }

func (e *AccessError) Error() string {
	if e.Fix == "" {
		return e.Reason
	}
	return e.Reason + " (" + e.Fix + ")"
}

func fault(fix, format string, args ...any) *AccessError {
	return &AccessError{fmt.Sprintf(format, args...), fix}
}

// maxPath is PATH_MAX, which no name of a file exceeds.
const maxPath = 4096

// ParseAccess reads an access:
//
//	exec /bin/sh                     map, read and write alike
//	connect tcp:203.0.113.7:443      send alike: the remote address and port
//	connect udp:[2001:db8::1]:53
//	connect tcp:db.internal:5432     a name, which is not looked up
//	connect unix:/run/docker.sock    or unix:@abstract
//	connect icmp:203.0.113.7         what has addresses but no ports
//	bind tcp::8080                   listen alike: the local port, after an address or none
//	accept tcp:203.0.113.7:8080      the peer's address and the local port
//	socket packet                    making one; raw+icmp for one that is both
//	capability CAP_NET_RAW
//	load-module                      and the other operations of class system
//
// Files have the one name given, as it is written; an exec's own arguments are
// that name. Its error is an *AccessError.
func ParseAccess(text string) (Access, error) {
	word, object, _ := strings.Cut(text, " ")
	op, ok := hostpolicy.ParseOperation(word)
	if !ok {
		return Access{}, unknownOperation(word)
	}
	object = strings.TrimLeft(object, " ")
	a := Access{Operation: op}
	switch op.Class() {
	case hostpolicy.Process, hostpolicy.File:
		return a, a.file(object)
	case hostpolicy.Network:
		if object == "" {
			return a, fault("write "+example(op), "%s of what?", op)
		}
		s, err := parseSocket(op, object)
		a.Object.Socket = s
		return a, err
	case hostpolicy.Capability:
		return a, a.capability(object)
	}
	if object != "" {
		return a, fault(fmt.Sprintf("write %q alone", op), "%s takes no object", op)
	}
	return a, nil
}

func unknownOperation(word string) error {
	if word == "" {
		return fault("write exec /bin/sh, for instance", "the access is empty")
	}
	names := OperationNames()
	if near := policyfile.Nearest(word, names); near != "" {
		return fault(fmt.Sprintf("did you mean %s?", near), "unknown operation %s", short(word))
	}
	return fault("write one of "+strings.Join(names, ", "), "unknown operation %s", short(word))
}

// OperationNames are all operations that an access can name.
func OperationNames() []string {
	var names []string
	for c := hostpolicy.Process; c <= hostpolicy.System; c++ {
		for _, op := range hostpolicy.Operations(c) {
			names = append(names, op.String())
		}
	}
	return names
}

func example(op hostpolicy.Operation) string {
	switch op {
	case hostpolicy.OpSocket:
		return "socket packet"
	case hostpolicy.OpBind, hostpolicy.OpListen:
		return op.String() + " tcp::8080"
	case hostpolicy.OpAccept:
		return "accept tcp:203.0.113.7:8080"
	}
	return op.String() + " tcp:203.0.113.7:443"
}

func (a *Access) file(name string) error {
	switch {
	case name == "":
		return fault(fmt.Sprintf("write %s /bin/sh, for instance", a.Operation), "%s of what?", a.Operation)
	case name[0] != '/':
		return fault("write its whole path, from /", "%s is not absolute", short(name))
	case len(name) > maxPath:
		return fault("", "the path has more than %d bytes, which no path can", maxPath)
	case strings.IndexByte(name, 0) >= 0:
		return fault("", "the path holds a NUL byte, which no path can")
	case strings.Contains(name, "*"):
		return fault("name one file", "%s is a pattern, and an access is to one file", short(name))
	}
	a.Object.Names = []string{name}
	if a.Operation == hostpolicy.OpExec {
		a.Object.Args = []string{name}
	}
	return nil
}

func (a *Access) capability(name string) error {
	c, ok := hostpolicy.ParseCap(name)
	if ok {
		a.Object.Capability = c
		return nil
	}
	if name == "" {
		return fault("write capability CAP_NET_RAW, for instance", "which capability?")
	}
	if c, ok := hostpolicy.ParseCapLoosely(name); ok {
		return fault(fmt.Sprintf("write %s", c), "capabilities are written in capitals, with CAP_")
	}
	var names []string
	for c := range hostpolicy.Caps {
		names = append(names, strings.ToLower(hostpolicy.Cap(c).String()))
	}
	if near := policyfile.Nearest(name, names); near != "" {
		return fault(fmt.Sprintf("did you mean %s?", strings.ToUpper(near)), "unknown capability %s", short(name))
	}
	return fault("see capabilities(7)", "unknown capability %s", short(name))
}

func parseSocket(op hostpolicy.Operation, text string) (*hostpolicy.Socket, error) {
	names, end, hasEnd := strings.Cut(text, ":")
	s := &hostpolicy.Socket{}
	for _, name := range strings.Split(names, "+") {
		p, ok := hostpolicy.ParseProtocol(name)
		if !ok {
			return nil, unknownProtocol(name)
		}
		if slices.Contains(s.Protocols, p) {
			return nil, fault("write it once", "%s stands twice", p)
		}
		s.Protocols = append(s.Protocols, p)
	}
	if len(s.Protocols) > 1 && (len(s.Protocols) > 2 || !slices.Contains(s.Protocols, hostpolicy.Raw) ||
		!slices.Contains(s.Protocols, hostpolicy.ICMP) && !slices.Contains(s.Protocols, hostpolicy.ICMPv6)) {
		return nil, fault("write one protocol", "the one kind of socket with two protocols is raw+icmp, or raw+icmpv6")
	}
	slices.Sort(s.Protocols)
	p := s.Protocols[0]
	switch {
	case op == hostpolicy.OpSocket:
		if hasEnd {
			return nil, fault("write socket "+names, "a socket has no address when it is made")
		}
	case p == hostpolicy.Unix:
		return s, unixPath(s, op, end)
	case p.Ported():
		return s, endpoints(s, op, p, end)
	case p.Internet():
		if hasEnd {
			return s, onlyAddress(s, op, p, end)
		}
	case hasEnd:
		return nil, fault(fmt.Sprintf("write %s %s", op, names), "no rule tells apart the addresses of %s", p)
	}
	return s, nil
}

func unknownProtocol(name string) error {
	var names []string
	for _, p := range hostpolicy.Protocols() {
		names = append(names, p.String())
	}
	if near := policyfile.Nearest(name, names); near != "" {
		return fault(fmt.Sprintf("did you mean %s?", near), "unknown protocol %s", short(name))
	}
	return fault("begin with one of "+strings.Join(names, ", "), "unknown protocol %s", short(name))
}

func unixPath(s *hostpolicy.Socket, op hostpolicy.Operation, path string) error {
	switch {
	case path == "" || path[0] != '/' && path[0] != '@':
		return fault(fmt.Sprintf("write %s unix:/run/docker.sock or unix:@name", op), "a Unix socket has a path, or @ and an abstract name")
	case len(path) > maxPath || strings.IndexByte(path, 0) >= 0:
		return fault("", "that cannot be the path of a socket")
	}
	s.Path = path
	return nil
}

// endpoints reads HOST:PORT. The host is of the other side but for bind and
// listen, the port of this side but for connect and send.
func endpoints(s *hostpolicy.Socket, op hostpolicy.Operation, p hostpolicy.Protocol, text string) error {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 || strings.HasSuffix(text, "]") {
		return fault("write "+example(op), "the port of %s is missing", p)
	}
	host, port := text[:colon], text[colon+1:]
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strings.TrimLeft(port, "0123456789") != "" {
		return fault("write a number from 0 to 65535", "%s is not a port", short(port))
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return fault(fmt.Sprintf("write %s:[2001:db8::1]:53", p), "an IPv6 address stands in brackets")
	}
	out := op == hostpolicy.OpConnect || op == hostpolicy.OpSend
	if out {
		s.Remote.Port = uint16(number)
	} else {
		s.Local.Port = uint16(number)
	}
	if host == "" {
		if out {
			return fault("write "+example(op), "the address is missing")
		}
		return nil
	}
	return address(s, op, host)
}

func onlyAddress(s *hostpolicy.Socket, op hostpolicy.Operation, p hostpolicy.Protocol, host string) error {
	if strings.Count(host, ":") == 1 {
		return fault(fmt.Sprintf("write %s %s:203.0.113.7", op, p), "%s has no ports", p)
	}
	return address(s, op, host)
}

func address(s *hostpolicy.Socket, op hostpolicy.Operation, host string) error {
	end := &s.Remote
	if op == hostpolicy.OpBind || op == hostpolicy.OpListen {
		end = &s.Local
	}
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(bare)
	switch {
	case err == nil && addr.Zone() != "":
		return fault("write the address without %"+addr.Zone(), "%s has a zone", short(bare))
	case err == nil:
		end.Addr = addr.Unmap()
		return nil
	case bare != host:
		return fault("", "%s is not an IPv6 address", short(bare))
	}
	a, err := hostpolicy.ParseAddress(host)
	if err != nil {
		return fault("", "%v", err)
	}
	if a.Domain == "" || strings.Contains(a.Domain, "*") {
		return fault("name one", "%s is many addresses, and an access is to one", short(host))
	}
	end.Domains = []string{a.Domain}
	return nil
}

func short(text string) string {
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
