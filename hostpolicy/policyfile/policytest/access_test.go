package policytest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func TestParseAccess(t *testing.T) {
	addr := netip.MustParseAddr
	socket := func(remote, local hostpolicy.Endpoint, protocols ...hostpolicy.Protocol) hostpolicy.Object {
		return hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: protocols, Remote: remote, Local: local}}
	}
	end := func(a string, port uint16) hostpolicy.Endpoint {
		return hostpolicy.Endpoint{Addr: addr(a), Port: port}
	}
	none := hostpolicy.Endpoint{}
	for text, want := range map[string]Access{
		"exec /bin/sh":      {hostpolicy.OpExec, hostpolicy.Object{Names: []string{"/bin/sh"}, Args: []string{"/bin/sh"}}},
		"map /lib/x.so":     {hostpolicy.OpMap, hostpolicy.Object{Names: []string{"/lib/x.so"}}},
		"read /":            {hostpolicy.OpRead, hostpolicy.Object{Names: []string{"/"}}},
		"write  /etc/a b?[": {hostpolicy.OpWrite, hostpolicy.Object{Names: []string{"/etc/a b?["}}},

		"connect tcp:203.0.113.7:443":      {hostpolicy.OpConnect, socket(end("203.0.113.7", 443), none, hostpolicy.TCP)},
		"send udp:[2001:db8::1]:53":        {hostpolicy.OpSend, socket(end("2001:db8::1", 53), none, hostpolicy.UDP)},
		"connect tcp:[::ffff:10.0.0.1]:53": {hostpolicy.OpConnect, socket(end("10.0.0.1", 53), none, hostpolicy.TCP)},
		"connect tcp:DB.internal.:5432":    {hostpolicy.OpConnect, socket(hostpolicy.Endpoint{Domains: []string{"db.internal"}, Port: 5432}, none, hostpolicy.TCP)},
		"bind tcp::8080":                   {hostpolicy.OpBind, socket(none, hostpolicy.Endpoint{Port: 8080}, hostpolicy.TCP)},
		"listen sctp:127.0.0.1:80":         {hostpolicy.OpListen, socket(none, end("127.0.0.1", 80), hostpolicy.SCTP)},
		"bind tcp:[::1]:0":                 {hostpolicy.OpBind, socket(none, end("::1", 0), hostpolicy.TCP)},
		"accept tcp:203.0.113.7:8080":      {hostpolicy.OpAccept, socket(hostpolicy.Endpoint{Addr: addr("203.0.113.7")}, hostpolicy.Endpoint{Port: 8080}, hostpolicy.TCP)},
		"accept tcp::8080":                 {hostpolicy.OpAccept, socket(none, hostpolicy.Endpoint{Port: 8080}, hostpolicy.TCP)},
		"socket packet":                    {hostpolicy.OpSocket, socket(none, none, hostpolicy.Packet)},
		"socket raw+icmp":                  {hostpolicy.OpSocket, socket(none, none, hostpolicy.ICMP, hostpolicy.Raw)},
		"send icmp:203.0.113.7":            {hostpolicy.OpSend, socket(end("203.0.113.7", 0), none, hostpolicy.ICMP)},
		"send icmpv6:2001:db8::1":          {hostpolicy.OpSend, socket(end("2001:db8::1", 0), none, hostpolicy.ICMPv6)},
		"send raw":                         {hostpolicy.OpSend, socket(none, none, hostpolicy.Raw)},
		"bind netlink":                     {hostpolicy.OpBind, socket(none, none, hostpolicy.Netlink)},
		"connect unix:/run/docker.sock":    {hostpolicy.OpConnect, hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{hostpolicy.Unix}, Path: "/run/docker.sock"}}},
		"connect unix:@a:b":                {hostpolicy.OpConnect, hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{hostpolicy.Unix}, Path: "@a:b"}}},

		"capability CAP_NET_RAW": {hostpolicy.OpCapability, hostpolicy.Object{Capability: 13}},
		"load-module":            {Operation: hostpolicy.OpLoadModule},
		"read-proc-environ":      {Operation: hostpolicy.OpReadProcEnviron},
	} {
		got, err := ParseAccess(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseAccessRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "the access is empty (write exec /bin/sh, for instance)",
		"exce /bin/sh":                       `unknown operation "exce" (did you mean exec?)`,
		"chmod /x":                           `unknown operation "chmod"`,
		"exec":                               "exec of what?",
		"exec bin/sh":                        `"bin/sh" is not absolute`,
		"read /etc/*":                        "is a pattern",
		"read /" + strings.Repeat("a", 5000): "more than 4096 bytes",
		"read /a\x00b":                       "NUL",
		"mount /x":                           "mount takes no object",
		"capability":                         "which capability?",
		"capability net_raw":                 "capabilities are written in capitals, with CAP_ (write CAP_NET_RAW)",
		"capability CAP_NETRAW":              `unknown capability "CAP_NETRAW" (did you mean CAP_NET_RAW?)`,
		"capability X":                       "see capabilities(7)",
		"connect":                            "connect of what? (write connect tcp:203.0.113.7:443)",
		"connect tpc:1.2.3.4:5":              `unknown protocol "tpc" (did you mean tcp?)`,
		"connect http:1.2.3.4:5":             `unknown protocol "http"`,
		"connect tcp":                        "the port of tcp is missing",
		"connect tcp:1.2.3.4":                `the port of tcp is missing`,
		"connect tcp:[::1]":                  "the port of tcp is missing",
		"connect tcp:1.2.3.4:65536":          `"65536" is not a port`,
		"connect tcp:1.2.3.4:+5":             `"+5" is not a port`,
		"connect tcp:1.2.3.4:":               `"" is not a port`,
		"connect tcp:::1:80":                 "an IPv6 address stands in brackets",
		"connect tcp::80":                    "the address is missing",
		"connect tcp:[fe80::1%eth0]:80":      `has a zone`,
		"connect tcp:[x]:80":                 `"x" is not an IPv6 address`,
		"connect tcp:10.0.0.0/8:80":          "is many addresses",
		"connect tcp:*.example:80":           "is many addresses",
		"connect tcp:exa mple:80":            `holds ' '`,
		"connect icmp:1.2.3.4:80":            "icmp has no ports",
		"connect unix:docker.sock":           "a Unix socket has a path",
		"connect unix:":                      "a Unix socket has a path",
		"connect unix":                       "a Unix socket has a path",
		"connect netlink:1":                  "no rule tells apart the addresses of netlink",
		"socket tcp:1.2.3.4:5":               "a socket has no address when it is made (write socket tcp)",
		"socket tcp+udp":                     "the one kind of socket with two protocols is raw+icmp",
		"socket tcp+tcp":                     "tcp stands twice",
		"socket raw+":                        `unknown protocol ""`,
	} {
		got, err := ParseAccess(text)
		var typed *AccessError
		if !errors.As(err, &typed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s gives %+v, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzParseAccess(f *testing.F) {
	for _, seed := range []string{
		"exec /bin/sh", "connect udp:[2001:db8::1]:53", "connect tcp:db.internal:5432", "bind tcp::8080", "socket raw+icmp",
		"send icmp:203.0.113.7", "connect unix:@x", "capability CAP_BPF", "mount", "connect tcp:[::ffff:1.2.3.4]:1",
	} {
		f.Add(seed)
	}
	policies := []hostpolicy.Policy{{Name: "p", AppliesTo: hostpolicy.Selector{Everything: true}, Otherwise: hostpolicy.Block, Rules: []hostpolicy.Rule{
		{Policy: "p", Class: hostpolicy.Network, Name: "r", Action: hostpolicy.Allow, Direction: hostpolicy.Out, Ports: []hostpolicy.PortRange{{First: 1, Last: 2}}},
	}}}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAccess(text)
		if err != nil {
			var typed *AccessError
			if !errors.As(err, &typed) || typed.Reason == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		op, o := a.Operation, a.Object
		switch op.Class() {
		case hostpolicy.Process, hostpolicy.File:
			if len(o.Names) != 1 || !strings.HasPrefix(o.Names[0], "/") {
				t.Fatalf("%q names %q", text, o.Names)
			}
		case hostpolicy.Network:
			if o.Socket == nil || len(o.Socket.Protocols) == 0 || !slices.IsSorted(o.Socket.Protocols) {
				t.Fatalf("%q is %+v", text, o.Socket)
			}
			for _, p := range o.Socket.Protocols {
				if !p.Valid() {
					t.Fatalf("%q is %+v", text, o.Socket)
				}
			}
		}
		// Whatever was understood can be judged.
		hostpolicy.Explain(policies, hostpolicy.Subject{}, op, o)
	})
}
