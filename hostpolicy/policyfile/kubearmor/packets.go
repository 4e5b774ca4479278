package kubearmor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// packets reads ingress and egress of network policies, which KubeArmor hands
// to the packet filter.
func (b *builder) packets(spec object, top traits) {
	if b.kind != kindNetwork {
		return
	}
	spec.refuse("level", "HostArmor has no quotas of traffic", "remove it, or use tc or nftables")
	first, rules := len(b.policy.Rules), false
	for _, way := range []struct {
		key, peers string
		direction  hostpolicy.Direction
	}{{"ingress", "from", hostpolicy.In}, {"egress", "to", hostpolicy.Out}} {
		for i, item := range spec.list(way.key) {
			rules = true
			o, ok := b.object(item, fmt.Sprintf("%s[%d]", spec.field(way.key), i), with(way.peers, "iface", "ports", "limit", "duration")...)
			if !ok {
				continue
			}
			o.refuse("iface", "HostArmor judges what programs do, whatever the interface", "select by address, or use nftables")
			o.refuse("limit", "HostArmor has no quotas of traffic", "remove it, or use tc or nftables")
			o.refuse("duration", "HostArmor has no quotas of traffic", "remove it, or use tc or nftables")
			b.traffic(o, item.at, way.key, way.peers, way.direction, o.traits(top))
		}
	}
	if !rules {
		return
	}
	at := spec.fields["ingress"].at
	if !spec.has("ingress") {
		at = spec.fields["egress"].at
	}
	b.warn(codePackets, at, "spec", "KubeArmor filters packets, and lets those of the loopback interface and of open connections through; understood as rules for the programs that connect, send, bind, listen or accept, on every interface",
		"use nftables for traffic that is only forwarded")
	if allowsFrom(b.policy.Rules[first:]) {
		b.spareLocal(first)
	}
}

// traffic makes the rules of one entry: one for each protocol.
func (b *builder) traffic(o object, at pos, hint, peers string, direction hostpolicy.Direction, t traits) {
	since := len(b.problems)
	addresses, places, ok := b.blocks(o, peers)
	if !ok {
		return
	}
	// Ports by protocol; 0 is any that has ports.
	byProtocol := make(map[hostpolicy.Protocol][]hostpolicy.PortRange)
	portPlaces, named := make(map[hostpolicy.Protocol][]hostpolicy.Position), make(map[hostpolicy.Protocol]hostpolicy.Position)
	var order []hostpolicy.Protocol
	for i, item := range o.list("ports") {
		p, good := b.object(item, fmt.Sprintf("%s[%d]", o.field("ports"), i), "protocol", "port", "endPort")
		ports, good2 := b.ports(p, true)
		if !good || !good2 {
			ok = false
			continue
		}
		var protocol hostpolicy.Protocol
		if p.has("protocol") {
			text, textAt, _ := p.text("protocol")
			list := protocols[strings.ToLower(text)]
			if len(list) != 1 || !slices.Contains([]hostpolicy.Protocol{hostpolicy.TCP, hostpolicy.UDP, hostpolicy.SCTP}, list[0]) {
				b.err(codeNetwork, textAt, p.field("protocol"), fmt.Sprintf("%s is not a protocol with ports", quote(text)), "write TCP, UDP or SCTP")
				ok = false
				continue
			}
			protocol = list[0]
			named[protocol] = b.position(textAt)
		}
		if byProtocol[protocol] == nil {
			order = append(order, protocol)
		}
		byProtocol[protocol] = append(byProtocol[protocol], ports...)
		portPlaces[protocol] = append(portPlaces[protocol], b.position(item.at))
	}
	if !ok || o.has("ports") && len(order) == 0 {
		return
	}
	if len(order) == 0 {
		order = []hostpolicy.Protocol{0}
	}
	for _, protocol := range order {
		r := hostpolicy.Rule{Class: hostpolicy.Network, Direction: direction, Address: addresses, Ports: byProtocol[protocol]}
		name := hint
		switch {
		case protocol != 0:
			r.Protocol = []hostpolicy.Protocol{protocol}
			name += "-" + protocol.String()
		case direction == hostpolicy.In && len(addresses) > 0:
			r.Protocol = []hostpolicy.Protocol{hostpolicy.TCP, hostpolicy.SCTP, hostpolicy.DCCP}
		default:
			r.Protocol = []hostpolicy.Protocol{hostpolicy.TCP, hostpolicy.UDP, hostpolicy.UDPLite, hostpolicy.SCTP, hostpolicy.DCCP}
			if len(r.Ports) == 0 {
				r.Protocol = append(r.Protocol, hostpolicy.ICMP, hostpolicy.ICMPv6, hostpolicy.Raw)
			}
		}
		if direction == hostpolicy.In && len(addresses) > 0 {
			if protocol == hostpolicy.UDP {
				b.err(codeNetwork, o.fields[peers].at, o.field(peers), "who sends UDP to a program is not judged: it is not accepted like a connection", "remove from and refuse the port to everybody, or use nftables")
				continue
			}
			if protocol == 0 {
				b.warn(codePackets, o.fields[peers].at, o.field(peers), "only connections have a sender that can be judged; understood as TCP, SCTP and DCCP", "write ports: with their protocol")
			}
		}
		if len(r.Ports) > 0 {
			name += "-" + r.Ports[0].String()
		}
		r.Places = hostpolicy.Places{Address: places, Ports: portPlaces[protocol]}
		if protocol != 0 {
			r.Places.Protocol = []hostpolicy.Position{named[protocol]}
		}
		b.add(r, name, at, t, since)
	}
}

// blocks reads the CIDRs of from or to, and their places.
func (b *builder) blocks(o object, key string) (out []hostpolicy.Address, places []hostpolicy.Position, ok bool) {
	seen := make(map[hostpolicy.Address]bool)
	ok = true
	for i, item := range o.list(key) {
		peer, good := b.object(item, fmt.Sprintf("%s[%d]", o.field(key), i), "ipBlock")
		block, good2 := b.object(peer.value("ipBlock"), peer.field("ipBlock"), "cidr")
		text, at, good3 := block.text("cidr")
		if !good || !good2 || !good3 {
			if good && good2 && !block.has("cidr") {
				b.err(codeNetwork, item.at, peer.path, "the entry has no ipBlock with a cidr", "write ipBlock: and in it cidr: 192.0.2.0/24")
			}
			ok = false
			continue
		}
		// Packet filters ignore the bits behind the prefix.
		if p, err := netip.ParsePrefix(text); err == nil && p != p.Masked() {
			b.warn(codeUnderstood, at, block.field("cidr"), fmt.Sprintf("%s is understood as %s", quote(text), p.Masked()), "write "+p.Masked().String())
			text = p.Masked().String()
		}
		address, err := hostpolicy.ParseAddress(text)
		if err != nil || address.Domain != "" {
			reason, fix := "is not an address with its prefix length", "write 192.0.2.0/24"
			if pe, ok := errors.AsType[*hostpolicy.PatternError](err); ok && pe.Fix != "" {
				reason, fix = pe.Reason, pe.Fix
			}
			b.err(codeNetwork, at, block.field("cidr"), quote(text)+" "+reason, fix)
			ok = false
			continue
		}
		if !seen[address] {
			seen[address] = true
			out, places = append(out, address), append(places, b.position(at))
		}
	}
	return out, places, ok && (!o.has(key) || len(out) > 0)
}

// spareLocal keeps out of an allow-list what a packet filter for IP never sees
// or always lets through.
func (b *builder) spareLocal(first int) {
	i := first + slices.IndexFunc(b.policy.Rules[first:], func(r hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow })
	place := b.policy.Rules[i].Position
	at, t := pos{place.Line, place.Column}, traits{action: hostpolicy.Allow}
	before := len(b.policy.Rules)
	var others []hostpolicy.Protocol
	for _, p := range hostpolicy.Protocols() {
		if !p.Internet() {
			others = append(others, p)
		}
	}
	b.bothWays(hostpolicy.Rule{Class: hostpolicy.Network, Protocol: others}, "not-ip", at, t, len(b.problems))
	loopback := []hostpolicy.Address{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}
	b.add(hostpolicy.Rule{Class: hostpolicy.Network, Direction: hostpolicy.Out, Address: loopback}, "loopback-out", at, t, len(b.problems))
	// Connections are judged by their sender; other sockets have to be bound to
	// the loopback interface, or anybody could send to them.
	b.add(hostpolicy.Rule{Class: hostpolicy.Network, Direction: hostpolicy.In, Address: loopback,
		Protocol: []hostpolicy.Protocol{hostpolicy.TCP, hostpolicy.SCTP, hostpolicy.DCCP}}, "loopback-in", at, t, len(b.problems))
	b.add(hostpolicy.Rule{Class: hostpolicy.Network, Direction: hostpolicy.In, LocalAddress: loopback}, "loopback-in", at, t, len(b.problems))
	b.notes = append(b.notes, remark{ruleKey(&b.policy.Rules[before]), "KubeArmor's allow-list is about IP packets only, and never about the loopback interface"})
}
