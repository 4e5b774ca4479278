package kubearmor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Protocols as KubeArmor writes them, in lower case. None is named where all
// are meant. KubeArmor's tcp also hits Unix sockets; that is not what anybody
// means by it.
var protocols = map[string][]hostpolicy.Protocol{
	"tcp": {hostpolicy.TCP}, "udp": {hostpolicy.UDP}, "sctp": {hostpolicy.SCTP}, "dccp": {hostpolicy.DCCP},
	"icmp": {hostpolicy.ICMP, hostpolicy.ICMPv6}, "icmpv6": {hostpolicy.ICMPv6},
	"raw": {hostpolicy.Raw, hostpolicy.Packet}, "packet": {hostpolicy.Packet},
	"all": nil,
}

// socketTypes are what KubeArmor takes for protocols besides.
var socketTypes = []string{"stream", "dgram", "rdm", "seqpacket"}

func (b *builder) network(spec object, top traits) {
	if !spec.has("network") {
		return
	}
	known, entry := with("matchProtocols", "matchDNSQueries"), with("protocol", "fromSource", "pts")
	if b.kind == kindNetwork {
		known, entry = with("matchProtocols"), append(entry, "port", "endPort")
	}
	s, ok := b.object(spec.value("network"), "spec.network", known...)
	if !ok {
		return
	}
	t := s.traits(top)
	s.expect(spec.fields["network"].at, known[:len(known)-len(traitNames)]...)
	s.refuse("matchDNSQueries", "HostArmor judges connections, not DNS queries", "write a network rule with address = [\"DOMAIN\"] in TOML, which stops connections to what the name resolves to")
	first := len(b.policy.Rules)
	for i, item := range s.list("matchProtocols") {
		since := len(b.problems)
		o, ok := b.object(item, fmt.Sprintf("%s[%d]", s.field("matchProtocols"), i), entry...)
		if item.kind == null {
			b.wrongType(item, o.path, "a mapping")
		}
		if !ok || item.kind == null {
			continue
		}
		own := o.traits(t)
		from, places := b.sources(o)
		o.refusePTS()
		text, at, ok := o.text("protocol")
		if !ok {
			if !o.has("protocol") {
				b.err(codeNetwork, o.at, o.field("protocol"), "the entry has no protocol", "write protocol: tcp, or all")
			}
			continue
		}
		ports, portsOK := b.ports(o, false)
		seen := make(map[string]bool)
		for name := range strings.SplitSeq(text, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if seen[name] {
				continue
			}
			seen[name] = true
			list, known := protocols[name]
			switch {
			case slices.Contains(socketTypes, name):
				b.err(codeNetwork, at, o.field("protocol"), fmt.Sprintf("%s is a type of socket, which HostArmor does not judge", quote(name)), "write tcp, udp, sctp, raw or all")
				continue
			case !known:
				b.err(codeNetwork, at, o.field("protocol"), fmt.Sprintf("unknown protocol %s", quote(name)), protocolFix(name))
				continue
			case len(ports) > 0 && (len(list) != 1 || !list[0].Ported()):
				b.err(codeNetwork, at, o.field("protocol"), fmt.Sprintf("%s has no ports", name), "write tcp, udp or sctp, or remove the port")
				continue
			case !portsOK:
				continue
			}
			r := hostpolicy.Rule{Class: hostpolicy.Network, Protocol: list, Ports: ports, From: from}
			r.Places = hostpolicy.Places{From: places, Protocol: repeat(b.position(at), len(list)), Ports: repeat(b.position(at), len(ports))}
			hint := name
			if len(ports) > 0 {
				hint += "-" + ports[0].String()
			}
			b.bothWays(r, hint, item.at, own, since)
		}
	}
	b.overrideProtocols(first)
	if allowsFrom(b.policy.Rules[first:]) {
		b.spareUnix(first)
	}
}

func protocolFix(name string) string {
	var names []string
	for n := range protocols {
		names = append(names, n)
	}
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		return "write " + near
	}
	return "write one of " + strings.Join(names, ", ")
}

// bothWays makes the rules for the two directions: using a protocol is both.
// Sockets that are judged where they are made need one of them only, unless it
// is a list that has to permit all that is done with them.
func (b *builder) bothWays(r hostpolicy.Rule, hint string, at pos, t traits, since int) {
	r.Direction = hostpolicy.Out
	if t.action != hostpolicy.Allow && len(r.Protocol) > 0 && !slices.ContainsFunc(r.Protocol, hostpolicy.Protocol.Addressed) {
		b.add(r, hint, at, t, since)
		return
	}
	b.add(r, hint+"-out", at, t, since)
	r.Direction = hostpolicy.In
	b.add(r, hint+"-in", at, t, len(b.problems))
}

func allowsFrom(rules []hostpolicy.Rule) bool {
	return slices.ContainsFunc(rules, func(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow })
}

// spareUnix keeps Unix sockets out of an allow-list of protocols: KubeArmor
// takes them for tcp and udp, or leaves them to a profile that permits them.
// The rules are for every program, so the list is too.
func (b *builder) spareUnix(first int) {
	i := first + slices.IndexFunc(b.policy.Rules[first:], func(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow })
	at := b.policy.Rules[i].Position
	before := len(b.policy.Rules)
	b.bothWays(hostpolicy.Rule{Class: hostpolicy.Network, Protocol: []hostpolicy.Protocol{hostpolicy.Unix}}, "unix", pos{at.Line, at.Column}, traits{action: hostpolicy.Allow}, len(b.problems))
	b.notes = append(b.notes, remark{ruleKey(&b.policy.Rules[before]),
		"Unix sockets stay permitted, as KubeArmor has it; being for every program, these rules also make the class an allow-list for every program"})
}

// The names that KubeArmor's network policies have for ports.
var portNames = map[string]uint16{"http": 80, "https": 443, "ssh": 22, "dns": 53}

// ports reads port and endPort of one entry.
func (b *builder) ports(o object, required bool) ([]hostpolicy.PortRange, bool) {
	text, at, ok := o.text("port")
	if !ok {
		if o.has("endPort") && !o.has("port") {
			b.err(codeNetwork, o.fields["endPort"].at, o.field("endPort"), "there is an endPort and no port", "write the first port of the range as port")
			return nil, false
		}
		if required && !o.has("port") {
			b.err(codeNetwork, o.at, o.field("port"), "the entry has no port", "write a number, http, https, ssh or dns")
		}
		return nil, !o.has("port") && !required
	}
	first, ok := portNames[strings.ToLower(text)]
	if !ok {
		if first, ok = b.port(text, at, o.field("port")); !ok {
			return nil, false
		}
	}
	r := hostpolicy.PortRange{First: first, Last: first}
	if end, at, ok := o.text("endPort"); ok {
		if r.Last, ok = b.port(end, at, o.field("endPort")); !ok {
			return nil, false
		}
		if r.Last < r.First {
			b.err(codeNetwork, at, o.field("endPort"), fmt.Sprintf("the range %d to %d runs backwards", r.First, r.Last), "exchange both")
			return nil, false
		}
	} else if o.has("endPort") {
		return nil, false
	}
	return []hostpolicy.PortRange{r}, true
}

func (b *builder) port(text string, at pos, field string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		b.err(codeNetwork, at, field, fmt.Sprintf("%s is not a port from 1 to 65535", quote(text)), "write a number")
		return 0, false
	}
	return uint16(n), true
}
