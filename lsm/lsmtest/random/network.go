package random

import (
	"net/netip"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

var (
	protocols = []hostpolicy.Protocol{
		hostpolicy.TCP, hostpolicy.TCP, hostpolicy.UDP, hostpolicy.ICMP, hostpolicy.Raw, hostpolicy.Unix, hostpolicy.Netlink, hostpolicy.SCTP, hostpolicy.OtherProtocol,
	}
	addresses = []string{
		"0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.1.2.3", "127.0.0.1", "192.0.2.128/25", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7",
		"evil.example", "*.evil.example", "*.example", "a.evil.example",
	}
	ports = []hostpolicy.PortRange{
		{First: 22, Last: 22}, {First: 80, Last: 80}, {First: 80, Last: 90}, {First: 0, Last: 79}, {First: 85, Last: 65535}, {First: 65535, Last: 65535}, {First: 0, Last: 65535},
	}
)

func (r Source) network(rule *hostpolicy.Rule) {
	rule.Direction = Pick(r, hostpolicy.Out, hostpolicy.Out, hostpolicy.In)
	rule.Protocol = some(r, 60, 2, protocols...)
	rule.Address = r.addresses(50)
	rule.LocalAddress = r.addresses(15)
	rule.Ports = some(r, 40, 3, ports...)
}

func (r Source) addresses(percent int) []hostpolicy.Address {
	var list []hostpolicy.Address
	for _, text := range some(r, percent, 3, addresses...) {
		a, err := hostpolicy.ParseAddress(text)
		if err != nil {
			panic(err)
		}
		list = append(list, a)
	}
	return list
}

// Socket is one that rules may tell from others.
func (r Source) Socket() *hostpolicy.Socket {
	s := &hostpolicy.Socket{Remote: r.endpoint(), Local: r.endpoint()}
	s.Protocols = Pick(r,
		[]hostpolicy.Protocol{hostpolicy.TCP}, []hostpolicy.Protocol{hostpolicy.TCP}, []hostpolicy.Protocol{hostpolicy.UDP},
		[]hostpolicy.Protocol{hostpolicy.ICMP, hostpolicy.Raw}, []hostpolicy.Protocol{hostpolicy.Raw}, []hostpolicy.Protocol{hostpolicy.ICMP},
		[]hostpolicy.Protocol{hostpolicy.Unix}, []hostpolicy.Protocol{hostpolicy.Netlink}, []hostpolicy.Protocol{hostpolicy.SCTP}, []hostpolicy.Protocol{hostpolicy.OtherProtocol})
	if s.Protocols[0] == hostpolicy.Unix {
		s.Path = "@x"
	}
	return s
}

func (r Source) endpoint() hostpolicy.Endpoint {
	e := hostpolicy.Endpoint{Port: Pick(r, uint16(0), 21, 22, 23, 79, 80, 84, 85, 90, 91, 443, 65534, 65535)}
	if r.Chance(85) {
		e.Addr = netip.MustParseAddr(Pick(r,
			"10.1.2.3", "10.1.2.4", "10.1.3.3", "10.2.0.1", "11.0.0.1", "127.0.0.1", "192.0.2.127", "192.0.2.128", "::ffff:10.1.2.3", "::1", "2001:db8::1", "2001:db8:1::7", "2001:db9::"))
	}
	if r.Chance(30) {
		e.Domains = some(r, 100, 2, "evil.example", "EVIL.example.", "a.evil.example", "b.a.evil.example", "notevil.example", "example", "evil.example.org")
	}
	return e
}
