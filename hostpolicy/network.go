package hostpolicy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Direction is the side from which a network rule looks at traffic. The zero
// value is invalid.
type Direction uint8

const (
	Out Direction = iota + 1 // connect, send: remote address and port
	In                       // bind, listen, accept: local port, peer address
)

func (d Direction) String() string {
	switch d {
	case Out:
		return "out"
	case In:
		return "in"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// Protocol is what network rules call a kind of socket. A socket may be of
// several: a raw ICMP socket is raw and icmp. The zero value is invalid.
type Protocol uint8

// Kinds of Internet sockets, and then families. Numbers are of this package.
const (
	TCP Protocol = iota + 1
	UDP
	UDPLite
	ICMP
	ICMPv6
	SCTP
	DCCP
	Raw // any raw Internet socket
	Unix
	Netlink
	Packet
	VSock
	Bluetooth
	CAN
	TIPC
	Alg
	XDP
	SMC
	RDS
	PFKey
	KCM
	QIPCRTR
	PPPoX
	NFC
	AX25
	X25
	Phonet
	IEEE802154
	MCTP
	OtherProtocol // whatever has no name here
)

// family is the AF_ number of include/linux/socket.h, 0 for Internet sockets.
var protocols = [...]struct {
	name   string
	family uint16
}{
	TCP: {"tcp", 0}, UDP: {"udp", 0}, UDPLite: {"udplite", 0}, ICMP: {"icmp", 0}, ICMPv6: {"icmpv6", 0}, SCTP: {"sctp", 0}, DCCP: {"dccp", 0}, Raw: {"raw", 0},
	Unix: {"unix", 1}, Netlink: {"netlink", 16}, Packet: {"packet", 17}, VSock: {"vsock", 40}, Bluetooth: {"bluetooth", 31}, CAN: {"can", 29}, TIPC: {"tipc", 30},
	Alg: {"alg", 38}, XDP: {"xdp", 44}, SMC: {"smc", 43}, RDS: {"rds", 21}, PFKey: {"key", 15}, KCM: {"kcm", 41}, QIPCRTR: {"qipcrtr", 42}, PPPoX: {"pppox", 24},
	NFC: {"nfc", 39}, AX25: {"ax25", 3}, X25: {"x25", 9}, Phonet: {"phonet", 35}, IEEE802154: {"ieee802154", 36}, MCTP: {"mctp", 45},
	OtherProtocol: {"other", 0},
}

// Valid reports whether p is one of the constants.
func (p Protocol) Valid() bool { return p >= TCP && p <= OtherProtocol }

func (p Protocol) String() string {
	if !p.Valid() {
		return fmt.Sprintf("Protocol(%d)", uint8(p))
	}
	return protocols[p].name
}

// ParseProtocol finds a protocol by its name in the policy language.
func ParseProtocol(name string) (Protocol, bool) {
	for p := TCP; p.Valid(); p++ {
		if protocols[p].name == name {
			return p, true
		}
	}
	return 0, false
}

// Protocols are all of them, in the order of the constants.
func Protocols() []Protocol {
	var list []Protocol
	for p := TCP; p.Valid(); p++ {
		list = append(list, p)
	}
	return list
}

// Internet reports whether such sockets have IP addresses.
func (p Protocol) Internet() bool { return p >= TCP && p <= Raw }

// Ported reports whether such sockets have ports.
func (p Protocol) Ported() bool { return p >= TCP && p <= DCCP && p != ICMP && p != ICMPv6 }

// Addressed reports whether traffic of such sockets is judged where they
// connect, send, bind, listen or accept. Others are judged where they are
// made, because one that exists already sends or hears.
func (p Protocol) Addressed() bool { return p.Ported() || p == Unix || p == VSock }

// Numbers of include/uapi/linux/in.h and include/linux/net.h.
const (
	afInet, afInet6                        = 2, 10
	sockStream, sockDgram, sockRaw         = 1, 2, 3
	ipprotoICMP, ipprotoTCP, ipprotoUDP    = 1, 6, 17
	ipprotoDCCP, ipprotoICMPv6             = 33, 58
	ipprotoSCTP, ipprotoUDPLite, ipprotoMP = 132, 136, 262
)

// SocketProtocols are the protocols that socket(family, typ, number) is of,
// ascending. typ is without SOCK_NONBLOCK and SOCK_CLOEXEC.
func SocketProtocols(family uint16, typ, number int) []Protocol {
	if family != afInet && family != afInet6 {
		for p := Unix; p < OtherProtocol; p++ {
			if protocols[p].family == family {
				return []Protocol{p}
			}
		}
		return []Protocol{OtherProtocol}
	}
	var p Protocol
	switch number {
	case ipprotoTCP, ipprotoMP: // MPTCP is TCP on the wire
		p = TCP
	case ipprotoUDP:
		p = UDP
	case ipprotoICMP:
		p = ICMP
	case ipprotoICMPv6:
		p = ICMPv6
	case ipprotoSCTP:
		p = SCTP
	case ipprotoDCCP:
		p = DCCP
	case ipprotoUDPLite:
		p = UDPLite
	case 0:
		switch typ {
		case sockStream:
			p = TCP
		case sockDgram:
			p = UDP
		}
	}
	switch {
	case typ != sockRaw && p == 0:
		return []Protocol{OtherProtocol}
	case typ != sockRaw:
		return []Protocol{p}
	case p == ICMP || p == ICMPv6:
		return []Protocol{p, Raw}
	}
	return []Protocol{Raw}
}

// Address is one entry of a rule's address list: a CIDR or a domain. Exactly
// one member is set.
type Address struct {
	Prefix netip.Prefix // masked; IPv4-mapped addresses are IPv4
	// Domain is in lower case without a final dot. A leading "*." stands for
	// every name beneath, at any depth, but not the name itself.
	Domain string
}

func (a Address) String() string {
	if a.Domain != "" {
		return a.Domain
	}
	if a.Prefix.IsSingleIP() {
		return a.Prefix.Addr().String()
	}
	return a.Prefix.String()
}

// ParseAddress reads a CIDR, an address or a domain. Its error is a
// *PatternError.
func ParseAddress(text string) (Address, error) {
	fault := func(reason, fix string) (Address, error) { return Address{}, &PatternError{text, 0, reason, fix} }
	if text == "" {
		return fault("is empty", "write a CIDR, an address or a domain")
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return cidr(text, prefix)
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return fault("has a zone", "write the address without %"+addr.Zone())
		}
		addr = addr.Unmap()
		return Address{Prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	if strings.ContainsAny(text, "/:") || strings.Trim(text, "0123456789.") == "" {
		return fault("is neither an address nor a CIDR", "write 192.0.2.0/24, 192.0.2.7, 2001:db8::/32 or a domain; ports have a key of their own")
	}
	return domain(text)
}

func cidr(text string, prefix netip.Prefix) (Address, error) {
	addr, bits := prefix.Addr(), prefix.Bits()
	if addr.Is4In6() {
		if bits < 96 {
			return Address{}, &PatternError{text, 0, "is wider than the IPv4-mapped addresses", "write an IPv4 prefix"}
		}
		addr, bits = addr.Unmap(), bits-96
	}
	prefix = netip.PrefixFrom(addr, bits)
	if prefix != prefix.Masked() {
		return Address{}, &PatternError{text, 0, "has bits behind its prefix", fmt.Sprintf("write %s, or %s for the one address", prefix.Masked(), addr)}
	}
	return Address{Prefix: prefix}, nil
}

func domain(text string) (Address, error) {
	fault := func(at int, reason, fix string) (Address, error) {
		return Address{}, &PatternError{text, at, reason, fix}
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if len(name) > 253 {
		return fault(253, "is longer than a domain can be", "")
	}
	labels := strings.Split(name, ".")
	// No top-level domain is a number, and what looks like one was meant to be
	// an address: as a domain it would never match anything.
	if last := labels[len(labels)-1]; last != "" && strings.Trim(last, "0123456789-") == "" || hexNumber(last) {
		return fault(0, "is neither an address nor a domain", "write each address, or a CIDR such as 192.0.2.0/24")
	}
	if name == "localhost" {
		return fault(0, "is no name of the DNS, and only such names are followed", `write "127.0.0.0/8" and "::1"`)
	}
	at := 0
	for i, label := range labels {
		switch {
		case label == "*" && i == 0 && len(labels) > 1:
		case strings.Contains(label, "*"):
			return fault(at+strings.IndexByte(label, '*'), "has a * that is not its whole first label", "write *.example.com for every name beneath")
		case label == "":
			return fault(at, "has an empty label", "")
		case len(label) > 63:
			return fault(at, "has a label longer than 63 bytes", "")
		}
		for j := range len(label) {
			switch c := label[j]; {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '*':
			case c >= 0x80:
				return fault(at+j, "is not ASCII", "write its xn-- form")
			default:
				return fault(at+j, fmt.Sprintf("holds %q", c), "a domain has letters, digits, hyphens and dots")
			}
		}
		at += len(label) + 1
	}
	return Address{Domain: name}, nil
}

// hexNumber reports whether resolvers take a label for a number, as 0x7f000001.
func hexNumber(label string) bool {
	digits, ok := strings.CutPrefix(label, "0x")
	return ok && strings.Trim(digits, "0123456789abcdef") == ""
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

func (r PortRange) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Endpoint is one end of a connection. The zero Addr is unknown or none.
type Endpoint struct {
	Addr    netip.Addr
	Port    uint16
	Domains []string // by which the address was resolved, as in Address.Domain
}

// Socket is what a network operation acts on.
type Socket struct {
	Protocols     []Protocol // what it is, at least one
	Remote, Local Endpoint
	Path          string // of a Unix socket, "@name" for an abstract one
}

// holds reports whether an address list names the endpoint.
func holds(list []Address, e Endpoint) bool {
	addr := e.Addr.Unmap()
	return slices.ContainsFunc(list, func(a Address) bool {
		if a.Domain == "" {
			return addr.IsValid() && a.Prefix.Contains(addr)
		}
		return slices.ContainsFunc(e.Domains, func(name string) bool { return a.matches(name) })
	})
}

func (a Address) matches(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if beneath, ok := strings.CutPrefix(a.Domain, "*"); ok {
		return len(name) > len(beneath) && strings.HasSuffix(name, beneath)
	}
	return name == a.Domain
}

// Reaches reports whether a network rule is about this operation on this
// socket. A block or audit rule is where all that it names is known and
// matches. An allow rule also permits the steps before that: a socket that
// may be connected may be made, one that may accept may be bound.
func (r *Rule) Reaches(op Operation, s *Socket) bool {
	if len(r.Protocol) > 0 && !slices.ContainsFunc(s.Protocols, func(p Protocol) bool { return slices.Contains(r.Protocol, p) }) {
		return false
	}
	// A rule that names an end of a connection is about sockets that have such
	// an end. Else a list of ports would let packet sockets through, which are
	// judged nowhere but where they are made.
	named := len(r.Address)+len(r.LocalAddress)+len(r.Ports) > 0
	if named && !slices.ContainsFunc(s.Protocols, Protocol.Internet) {
		return false
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(s.Protocols, Protocol.Ported) {
		return false
	}
	if op == OpSocket {
		return r.Action == Allow || !named && !slices.ContainsFunc(s.Protocols, Protocol.Addressed)
	}
	port := s.Remote.Port
	switch op {
	case OpConnect, OpSend:
		if r.Direction != Out {
			return false
		}
	case OpBind, OpListen, OpAccept:
		if r.Direction != In {
			return false
		}
		port = s.Local.Port
	default:
		return false
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.First <= port && port <= p.Last }) {
		return false
	}
	if len(r.LocalAddress) > 0 && !holds(r.LocalAddress, s.Local) {
		return false
	}
	if len(r.Address) == 0 || r.Action == Allow && (op == OpBind || op == OpListen) {
		return true
	}
	return (op != OpBind && op != OpListen) && holds(r.Address, s.Remote)
}
