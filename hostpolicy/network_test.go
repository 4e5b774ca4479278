package hostpolicy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSocketProtocols(t *testing.T) {
	const inet, inet6, unix, netlink, packet, bluetooth, rose = 2, 10, 1, 16, 17, 31, 11
	const stream, dgram, raw, seqpacket = 1, 2, 3, 5
	for _, tt := range []struct {
		name         string
		family       uint16
		typ, number  int
		want         []Protocol
		addressed    bool
		ported, inet bool
	}{
		{"tcp", inet, stream, 0, []Protocol{TCP}, true, true, true},
		{"tcp by number, IPv6", inet6, stream, 6, []Protocol{TCP}, true, true, true},
		{"MPTCP is TCP on the wire", inet, stream, 262, []Protocol{TCP}, true, true, true},
		{"udp", inet6, dgram, 0, []Protocol{UDP}, true, true, true},
		{"udplite", inet, dgram, 136, []Protocol{UDPLite}, true, true, true},
		{"sctp, one to many", inet, seqpacket, 132, []Protocol{SCTP}, true, true, true},
		{"dccp", inet, 6, 33, []Protocol{DCCP}, true, true, true},
		{"unprivileged ping", inet, dgram, 1, []Protocol{ICMP}, false, false, true},
		{"unprivileged ping, IPv6", inet6, dgram, 58, []Protocol{ICMPv6}, false, false, true},
		{"a raw ICMP socket is raw and icmp", inet, raw, 1, []Protocol{ICMP, Raw}, false, false, true},
		{"raw", inet, raw, 255, []Protocol{Raw}, false, false, true},
		{"a raw socket that sends TCP is raw, not tcp", inet, raw, 6, []Protocol{Raw}, false, false, true},
		{"seqpacket without a number", inet, seqpacket, 0, []Protocol{OtherProtocol}, false, false, false},
		{"unix", unix, stream, 0, []Protocol{Unix}, true, false, false},
		{"netlink", netlink, raw, 15, []Protocol{Netlink}, false, false, false},
		{"packet", packet, raw, 768, []Protocol{Packet}, false, false, false},
		{"bluetooth", bluetooth, stream, 3, []Protocol{Bluetooth}, false, false, false},
		{"a family without a name", rose, stream, 0, []Protocol{OtherProtocol}, false, false, false},
		{"family 0", 0, stream, 0, []Protocol{OtherProtocol}, false, false, false},
	} {
		got := SocketProtocols(tt.family, tt.typ, tt.number)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
			continue
		}
		p := got[0]
		if p.Addressed() != tt.addressed || p.Ported() != tt.ported || p.Internet() != tt.inet {
			t.Errorf("%s: addressed %t, ported %t, internet %t", tt.name, p.Addressed(), p.Ported(), p.Internet())
		}
	}
	for _, p := range Protocols() {
		if got, ok := ParseProtocol(p.String()); !ok || got != p {
			t.Errorf("ParseProtocol(%s) = %s", p, got)
		}
	}
	if _, ok := ParseProtocol("TCP"); ok {
		t.Error("names of protocols are in lower case")
	}
}

func TestReaches(t *testing.T) {
	end := func(addr string, port uint16, domains ...string) Endpoint {
		return Endpoint{Addr: netip.MustParseAddr(addr), Port: port, Domains: domains}
	}
	tcp := func(remote, local Endpoint) *Socket {
		return &Socket{Protocols: []Protocol{TCP}, Remote: remote, Local: local}
	}
	web := tcp(end("203.0.113.7", 443, "www.evil.example", "cdn.example."), end("10.0.0.5", 40000))
	mapped := tcp(end("::ffff:10.1.2.3", 22), Endpoint{})
	listener := tcp(Endpoint{}, end("0.0.0.0", 8080))
	accepted := tcp(end("192.0.2.9", 50000), end("10.0.0.5", 8080))
	dns := &Socket{Protocols: []Protocol{UDP}, Remote: end("2001:db8::1", 53)}
	ping := &Socket{Protocols: []Protocol{ICMP, Raw}, Remote: end("10.0.0.1", 0)}
	bus := &Socket{Protocols: []Protocol{Unix}, Path: "/run/dbus/system_bus_socket"}
	netlink := &Socket{Protocols: []Protocol{Netlink}}
	packet := &Socket{Protocols: []Protocol{Packet}}

	address := func(texts ...string) []Address {
		var list []Address
		for _, text := range texts {
			a, err := ParseAddress(text)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		return list
	}
	ports := func(first, last uint16) []PortRange { return []PortRange{{1, 2}, {first, last}} }
	type access struct {
		op Operation
		s  *Socket
	}
	for _, tt := range []struct {
		quote   string
		rule    Rule
		yes, no []access
	}{
		{"direction out: connect, send", Rule{Direction: Out, Action: Block},
			[]access{{OpConnect, web}, {OpSend, dns}, {OpConnect, bus}}, []access{{OpBind, listener}, {OpListen, listener}, {OpAccept, accepted}}},
		{"direction in: bind, listen, accept", Rule{Direction: In, Action: Block},
			[]access{{OpBind, listener}, {OpListen, listener}, {OpAccept, accepted}, {OpBind, bus}}, []access{{OpConnect, web}, {OpSend, dns}}},
		{"out: remote port", Rule{Direction: Out, Action: Block, Ports: ports(440, 443)},
			[]access{{OpConnect, web}}, []access{{OpSend, dns}, {OpConnect, mapped}}},
		{"in: local port", Rule{Direction: In, Action: Block, Ports: ports(8080, 8080)},
			[]access{{OpBind, listener}, {OpListen, listener}, {OpAccept, accepted}}, []access{{OpBind, tcp(Endpoint{}, end("::", 8081))}}},
		{"in: the peer's port does not count", Rule{Direction: In, Action: Block, Ports: ports(50000, 50000)},
			nil, []access{{OpAccept, accepted}}},
		{"out: remote address", Rule{Direction: Out, Action: Block, Address: address("203.0.113.0/24")},
			[]access{{OpConnect, web}}, []access{{OpConnect, mapped}, {OpSend, dns}, {OpConnect, tcp(Endpoint{}, Endpoint{})}}},
		{"IPv4-mapped addresses are IPv4", Rule{Direction: Out, Action: Block, Address: address("10.0.0.0/8")},
			[]access{{OpConnect, mapped}}, []access{{OpConnect, web}}},
		{"in: peer address; a block rule is where all that it names is known", Rule{Direction: In, Action: Block, Address: address("192.0.2.0/24")},
			[]access{{OpAccept, accepted}}, []access{{OpBind, listener}, {OpListen, listener}}},
		{"an allow rule permits the steps before that: one that may accept may be bound", Rule{Direction: In, Action: Allow, Address: address("192.0.2.0/24"), Ports: ports(8080, 8080)},
			[]access{{OpAccept, accepted}, {OpBind, listener}, {OpListen, listener}, {OpSocket, listener}},
			[]access{{OpAccept, tcp(end("198.51.100.1", 1), end("10.0.0.5", 8080))}, {OpBind, tcp(Endpoint{}, end("::", 9))}}},
		{"a socket that may be connected may be made", Rule{Direction: Out, Action: Allow, Protocol: []Protocol{TCP}, Ports: ports(443, 443)},
			[]access{{OpSocket, web}, {OpConnect, web}}, []access{{OpSocket, dns}, {OpConnect, mapped}}},
		{"a list of ports does not let packet sockets through, which are judged nowhere else", Rule{Direction: Out, Action: Allow, Ports: ports(443, 443)},
			[]access{{OpSocket, web}, {OpSocket, dns}}, []access{{OpSocket, packet}, {OpSocket, netlink}, {OpSocket, ping}, {OpSocket, bus}}},
		{"nor does a list of addresses", Rule{Direction: Out, Action: Allow, Address: address("10.0.0.0/8")},
			[]access{{OpSocket, web}, {OpSocket, ping}, {OpSend, ping}}, []access{{OpSocket, packet}, {OpSocket, bus}}},
		{"a block rule does not refuse making a socket that is judged later", Rule{Direction: Out, Action: Block, Protocol: []Protocol{TCP, Unix}},
			[]access{{OpConnect, web}, {OpConnect, bus}}, []access{{OpSocket, web}, {OpSocket, bus}}},
		{"others are judged where they are made, because one that exists already sends or hears", Rule{Direction: Out, Action: Block},
			[]access{{OpSocket, packet}, {OpSocket, netlink}, {OpSocket, ping}}, []access{{OpSocket, web}}},
		{"in either direction", Rule{Direction: In, Action: Audit, Protocol: []Protocol{Packet}},
			[]access{{OpSocket, packet}}, []access{{OpSocket, netlink}}},
		{"ports are of protocols that have them", Rule{Direction: Out, Action: Block, Ports: []PortRange{{1, 65535}}},
			[]access{{OpConnect, web}}, []access{{OpSend, ping}, {OpConnect, bus}, {OpSocket, packet}}},
		{"tcp does not hit unix sockets", Rule{Direction: Out, Action: Block, Protocol: []Protocol{TCP}},
			[]access{{OpConnect, web}}, []access{{OpConnect, bus}, {OpSend, dns}}},
		{"raw is any raw socket", Rule{Direction: Out, Action: Block, Protocol: []Protocol{Raw}}, []access{{OpSocket, ping}}, []access{{OpSocket, packet}}},
		{"icmp, raw or not", Rule{Direction: Out, Action: Block, Protocol: []Protocol{ICMP}}, []access{{OpSocket, ping}, {OpSend, ping}}, nil},
		{"domain name: every name beneath", Rule{Direction: Out, Action: Block, Address: address("*.evil.example")}, []access{{OpConnect, web}}, []access{{OpConnect, mapped}}},
		{"not the name itself", Rule{Direction: Out, Action: Block, Address: address("*.cdn.example")}, nil, []access{{OpConnect, web}}},
		{"a domain alone", Rule{Direction: Out, Action: Block, Address: address("CDN.example")}, []access{{OpConnect, web}}, []access{{OpSend, dns}}},
		{"local_address likewise", Rule{Direction: Out, Action: Block, LocalAddress: address("10.0.0.0/24")}, []access{{OpConnect, web}}, []access{{OpConnect, mapped}}},
		{"local_address of what listens everywhere", Rule{Direction: In, Action: Block, LocalAddress: address("10.0.0.5")}, []access{{OpAccept, accepted}}, []access{{OpBind, listener}}},
	} {
		t.Run(tt.quote, func(t *testing.T) {
			for _, a := range tt.yes {
				if !tt.rule.Reaches(a.op, a.s) {
					t.Errorf("does not reach %s of %+v", a.op, *a.s)
				}
			}
			for _, a := range tt.no {
				if tt.rule.Reaches(a.op, a.s) {
					t.Errorf("reaches %s of %+v", a.op, *a.s)
				}
			}
		})
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "192.0.2.7": "192.0.2.7", "192.0.2.7/32": "192.0.2.7", "0.0.0.0/0": "0.0.0.0/0", "2001:db8::/32": "2001:db8::/32", "2001:DB8::1": "2001:db8::1",
		"::ffff:192.0.2.7": "192.0.2.7", "::ffff:192.0.2.0/120": "192.0.2.0/24", "::/0": "::/0",
		"Example.COM.": "example.com", "*.Example.com": "*.example.com", "a_b.example": "a_b.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "db": "db", "10.example": "10.example", "3com": "3com", "a-1": "a-1",
	} {
		a, err := ParseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("ParseAddress(%q) = %q, %v, want %q", text, a, err, want)
		}
	}
	for _, text := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "10.0.0.256", "010.0.0.1", "2001:db8::/129", "2001:db8::1/32", "fe80::1%eth0", "fe80::/64%eth0", "::ffff:0.0.0.0/90",
		"*", "*.", "a..b", ".a", "a.*", "*a.b", "a b", "bücher.example", "http://a", "a/24", "[::1]", "10.0.0.1:80", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 130) + "b",
		"10.0.0.0-10.0.0.255", "10.0.0.1-20", "*.0.0.10", "1.2.3.4.", "0x7f000001", "a.0x7f", "localhost", "LocalHost."} {
		_, err := ParseAddress(text)
		var typed *PatternError
		if !errors.As(err, &typed) {
			t.Errorf("ParseAddress(%q): %v, want a *PatternError", text, err)
		}
	}
}

// FuzzParseAddress: what is accepted means what it says, and means the same
// when it is written again.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "::ffff:10.0.0.0/104", "2001:db8::1", "*.example.com", "fe80::1%eth0", "1.2.3.4/32", "a.b.", "0/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if _, ok := errors.AsType[*PatternError](err); !ok {
				t.Fatalf("%v is no *PatternError", err)
			}
			return
		}
		if (a.Domain == "") != a.Prefix.IsValid() {
			t.Fatalf("%q is both or neither: %+v", text, a)
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q is %q, which is %q, %v", text, a, again, err)
		}
		if a.Domain != "" {
			if a.matches(strings.TrimPrefix(a.Domain, "*.")) == strings.HasPrefix(a.Domain, "*.") || !a.matches(strings.Replace(a.Domain, "*", "x.y", 1)) {
				t.Fatalf("%q matches the wrong names", a)
			}
			return
		}
		// The reading of the standard library, unless it is a mapped address.
		if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().Is4In6() && prefix != a.Prefix {
			t.Fatalf("%q is %s, not %s", text, prefix, a)
		}
		if a.Prefix != a.Prefix.Masked() || a.Prefix.Addr().Is4In6() {
			t.Fatalf("%q is %s", text, a)
		}
	})
}
