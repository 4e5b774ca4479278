package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// accepts reports whether such sockets accept connections, so that a peer is
// known.
func accepts(p hostpolicy.Protocol) bool {
	switch p {
	case hostpolicy.TCP, hostpolicy.SCTP, hostpolicy.DCCP, hostpolicy.Unix, hostpolicy.VSock:
		return true
	}
	return false
}

// network warns of what a network rule asks of sockets that do not have it.
func (l *linter) network(r *hostpolicy.Rule) {
	if r.Class != hostpolicy.Network {
		return
	}
	key, has := "", func(hostpolicy.Protocol) bool { return true }
	switch {
	case len(r.Ports) > 0:
		key, has = "ports", hostpolicy.Protocol.Ported
	case len(r.Address) > 0:
		key, has = "address", hostpolicy.Protocol.Internet
	case len(r.LocalAddress) > 0:
		key, has = "local_address", hostpolicy.Protocol.Internet
	}
	for i, p := range r.Protocol {
		if !has(p) {
			what := map[string]string{"ports": "ports", "address": "IP addresses", "local_address": "IP addresses"}[key]
			l.warn(codeNeverMatter, r, "protocol", r.Places.Protocol, i, fmt.Sprintf("%s has no %s, so the rule never matches it", p, what), fmt.Sprintf("write a rule of its own for %s, without %s", p, key))
		}
	}
	l.peers(r)
	l.sides(r)
}

// peers warns of incoming traffic by peer where no peer is ever judged.
func (l *linter) peers(r *hostpolicy.Rule) {
	if r.Direction != hostpolicy.In || len(r.Address) == 0 {
		return
	}
	deaf := func(p hostpolicy.Protocol) bool { return p.Internet() && !accepts(p) }
	if len(r.Protocol) > 0 && !slices.ContainsFunc(r.Protocol, deaf) {
		return
	}
	names := "udp, icmp and raw"
	if len(r.Protocol) > 0 {
		var list []string
		for _, p := range r.Protocol {
			if deaf(p) {
				list = append(list, p.String())
			}
		}
		names = strings.Join(list, " and ")
	}
	message := fmt.Sprintf("address names peers, and %s accepts none: the rule does not hold for it", names)
	if len(r.Protocol) == 0 || strings.Contains(names, " and ") {
		message = fmt.Sprintf("address names peers, and %s accept none: the rule does not hold for them", names)
	}
	if r.Action == hostpolicy.Allow {
		message = strings.Replace(message, "the rule does not hold for", "the rule permits everybody to send to", 1)
	}
	l.warn(codePeers, r, "address", r.Places.Address, 0, message, `write protocol = "tcp" here, and for the others a rule by ports and local_address`)
}

// sides warns of sockets that are judged where they are made, for both
// directions at once.
func (l *linter) sides(r *hostpolicy.Rule) {
	if r.Direction != hostpolicy.In || r.Action == hostpolicy.Allow || len(r.Address)+len(r.LocalAddress)+len(r.Ports) > 0 {
		return
	}
	for i, p := range r.Protocol {
		if !p.Addressed() {
			l.warn(codePeers, r, "protocol", r.Places.Protocol, i, fmt.Sprintf("a socket of protocol %s is judged where it is made, so this holds for sending too", p),
				`write direction = "out" to say so, or remove it`)
		}
	}
}

// closed warns of what a network allow-list closes though its author may have
// thought of the other direction only.
func (l *linter) closed() {
	p := l.policy
	var lists []*hostpolicy.Rule
	open := func(op hostpolicy.Operation, s hostpolicy.Socket) bool {
		return slices.ContainsFunc(p.Rules, func(r hostpolicy.Rule) bool {
			return r.Class == hostpolicy.Network && r.Action != hostpolicy.Block && r.Reaches(op, &s)
		})
	}
	directions := make(map[hostpolicy.Direction]bool)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Class != hostpolicy.Network || r.Action == hostpolicy.Block {
			continue
		}
		directions[r.Direction] = true
		if r.Action == hostpolicy.Allow {
			lists = append(lists, r)
		}
	}
	if len(lists) == 0 {
		return
	}
	var shut []string
	if !directions[hostpolicy.In] {
		shut = append(shut, "every bind, listen and accept")
	}
	if !directions[hostpolicy.Out] {
		shut = append(shut, "every connect and send")
	} else if !open(hostpolicy.OpConnect, hostpolicy.Socket{Protocols: []hostpolicy.Protocol{hostpolicy.Unix}, Path: "/run/systemd/journal/socket"}) {
		shut = append(shut, "connecting to Unix sockets (syslog, D-Bus, databases)")
	}
	if !open(hostpolicy.OpSocket, hostpolicy.Socket{Protocols: []hostpolicy.Protocol{hostpolicy.Netlink}}) {
		shut = append(shut, "netlink (which looking up a host name uses)")
	}
	if len(shut) == 0 {
		return
	}
	verb := "refuses"
	if p.OtherwiseIn(hostpolicy.Network) == hostpolicy.Audit {
		verb = "logs"
	}
	l.warn(codeClosed, lists[0], "", nil, -1, fmt.Sprintf("an allow rule makes a list of the whole class network, and this one %s %s", verb, enumerate(shut)),
		"add allow rules for what is needed of these, or write block rules instead")
}

func enumerate(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
