package policyfile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// What the language has words for: directions, protocols, capabilities,
// operations and the commands of multi-call programs.

func (s *source) direction(n *node, field string) hostpolicy.Direction {
	if n == nil {
		return hostpolicy.Out
	}
	t, ok := s.string(n, field)
	if !ok {
		return hostpolicy.Out
	}
	switch t.value {
	case "out":
		return hostpolicy.Out
	case "in":
		return hostpolicy.In
	}
	fix := `write "out" (connect, send) or "in" (bind, listen, accept)`
	switch word := strings.ToLower(t.value); word {
	case "egress", "outbound", "outgoing", "out", "connect", "send":
		fix = `write "out"`
	case "ingress", "inbound", "incoming", "in", "listen", "accept", "bind":
		fix = `write "in"`
	case "both", "any", "inout", "*", "all":
		fix = `write two rules, one with "out" and one with "in"`
	}
	s.err(codeProtocol, t.at, field, fmt.Sprintf("unknown direction %s", quote(t.value)), fix)
	return hostpolicy.Out
}

var otherProtocols = map[string]string{
	"icmp6": "icmpv6", "ipv6-icmp": "icmpv6", "af_unix": "unix", "local": "unix", "unix-stream": "unix", "uds": "unix", "af_packet": "packet", "af_netlink": "netlink",
	"af_vsock": "vsock", "mptcp": "tcp", "quic": "udp", "dns": "udp", "http": "tcp", "https": "tcp", "ssh": "tcp", "tls": "tcp", "bt": "bluetooth",
}

func (s *source) protocols(n *node, field string) ([]hostpolicy.Protocol, []hostpolicy.Position) {
	return values(s, s.strings(n, field), field, func(t text) (hostpolicy.Protocol, bool) {
		p, ok := hostpolicy.ParseProtocol(t.value)
		if ok {
			return p, true
		}
		var names []string
		for _, p := range hostpolicy.Protocols() {
			names = append(names, p.String())
		}
		fix := "write " + strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
		word := strings.ToLower(t.value)
		if near := nearest(t.value, names); near != "" {
			fix = fmt.Sprintf("write %q", near)
		}
		if meant := otherProtocols[word]; meant != "" {
			fix = fmt.Sprintf("write %q", meant)
		}
		switch word {
		case "any", "all", "*", "ip", "inet":
			fix = "leave protocol out for any"
		}
		s.err(codeProtocol, t.at, field, fmt.Sprintf("unknown protocol %s", quote(t.value)), fix)
		return 0, false
	})
}

func (s *source) capabilities(n *node, field string) ([]hostpolicy.Cap, []hostpolicy.Position) {
	return values(s, s.strings(n, field), field, func(t text) (hostpolicy.Cap, bool) {
		c, ok := hostpolicy.ParseCap(t.value)
		if ok {
			return c, true
		}
		message := fmt.Sprintf("unknown capability %s", quote(t.value))
		fix := "man 7 capabilities lists them"
		if c, ok := hostpolicy.ParseCapLoosely(t.value); ok {
			message = fmt.Sprintf("%s is not how the capability is spelled", quote(t.value))
			fix = fmt.Sprintf("write %q", c)
		} else if word := strings.ToLower(t.value); word == "all" || word == "*" || word == "cap_all" {
			fix = "name each capability: there is no word for all of them"
		} else if near := nearest("cap_"+strings.TrimPrefix(word, "cap_"), capNames()); near != "" {
			fix = fmt.Sprintf("write %q", near)
		}
		s.err(codeCapability, t.at, field, message, fix)
		return 0, false
	})
}

func capNames() []string {
	var names []string
	for c := range hostpolicy.Caps {
		names = append(names, hostpolicy.Cap(c).String())
	}
	return names
}

func (s *source) operations(n *node, field string) ([]hostpolicy.Operation, []hostpolicy.Position) {
	return values(s, s.strings(n, field), field, func(t text) (hostpolicy.Operation, bool) {
		o, ok := hostpolicy.ParseOperation(t.value)
		switch {
		case ok && o.Class() == hostpolicy.System:
			return o, true
		case ok:
			s.err(codeOperation, t.at, field, fmt.Sprintf("%s is not an operation of class system", quote(t.value)),
				fmt.Sprintf("it is judged by a rule of class %s, [%s.RULE-NAME]", o.Class(), o.Class()))
			return 0, false
		}
		fix := "write " + systemOperations()
		var names []string
		for _, o := range hostpolicy.Operations(hostpolicy.System) {
			names = append(names, o.String())
		}
		if near := nearest(t.value, names); near != "" {
			fix = fmt.Sprintf("write %q", near)
		} else if meant := otherOperations[strings.ToLower(t.value)]; meant != 0 {
			fix = fmt.Sprintf("write %q", meant)
		}
		s.err(codeOperation, t.at, field, fmt.Sprintf("unknown operation %s", quote(t.value)), fix)
		return 0, false
	})
}

var otherOperations = map[string]hostpolicy.Operation{
	"module": hostpolicy.OpLoadModule, "modprobe": hostpolicy.OpLoadModule, "insmod": hostpolicy.OpLoadModule, "kmod": hostpolicy.OpLoadModule, "init_module": hostpolicy.OpLoadModule,
	"ebpf": hostpolicy.OpBPF, "userns": hostpolicy.OpCreateUserNS, "unshare": hostpolicy.OpCreateUserNS, "umount": hostpolicy.OpMount, "kexec_load": hostpolicy.OpKexec,
	"memfd": hostpolicy.OpFilelessExec, "signal": hostpolicy.OpSignalOutside, "kill": hostpolicy.OpSignalOutside, "settime": hostpolicy.OpSetTime, "clock": hostpolicy.OpSetTime,
	"debug": hostpolicy.OpPtrace, "mprotect": hostpolicy.OpAnonymousExec,
}

func systemOperations() string {
	var names []string
	for _, o := range hostpolicy.Operations(hostpolicy.System) {
		names = append(names, o.String())
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// args are names of commands. People expect arguments there, which nothing
// could compare.
func (s *source) args(n *node, field string) ([]string, []hostpolicy.Position) {
	return values(s, s.strings(n, field), field, func(t text) (string, bool) {
		base := t.value[strings.LastIndexByte(t.value, '/')+1:]
		fix := ""
		switch {
		case strings.ContainsAny(t.value, " \t"):
			fix = "write the command alone; its arguments are not compared"
		case strings.HasPrefix(t.value, "-"):
			fix = "write the command, as in args = [\"sh\"]; options are not compared"
		case strings.ContainsAny(t.value, "*?"):
			fix = "write each command; these are names, not patterns"
		case base != t.value && base != "":
			fix = fmt.Sprintf("write %q: a command is compared without its directory", base)
		case base == "" || !printable(t.value):
			fix = "write the name of a command"
		default:
			return t.value, true
		}
		s.err(codeArgs, t.at, field, fmt.Sprintf("%s is not the name of a command", quote(t.value)), fix)
		return "", false
	})
}
