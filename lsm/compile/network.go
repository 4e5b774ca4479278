package compile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// networkTable is the network rules of a ruleset, by bit.
type networkTable struct {
	lsm.Network
	rules []*hostpolicy.Rule
}

// networkOf gives each network rule a bit and fills the rows that select rules
// by one property each. What they say together is Rule.Reaches.
func networkOf(rules []ruleInfo, rs *lsm.Ruleset, limits limits) (lsm.Network, error) {
	var n networkTable
	for i := range rules {
		if rules[i].Class == hostpolicy.Network {
			n.Rules = append(n.Rules, lsm.RuleID(i+1))
			n.rules = append(n.rules, rules[i].Rule)
		}
	}
	if len(n.Rules) == 0 {
		return lsm.Network{}, nil
	}
	if len(n.Rules) > limits.sockets {
		var beyond []uint32
		for _, id := range n.Rules[limits.sockets:] {
			beyond = append(beyond, uint32(id)-1)
		}
		return lsm.Network{}, &tooLarge{"network rules", limits.sockets, beyond[:min(few, len(beyond))], "join addresses and ports that have one action in one rule, as those in"}
	}
	n.Block = n.where(func(r *hostpolicy.Rule) bool { return r.Action == hostpolicy.Block })
	n.Audit = n.where(func(r *hostpolicy.Rule) bool { return r.Action == hostpolicy.Audit })
	n.Allow = n.where(allows)
	n.Dangerous = n.set()
	for bit, id := range n.Rules {
		if rs.Policies[rs.Facts[id-1].Policy].Dangerous {
			n.Dangerous.Set(bit)
		}
	}
	n.Named = n.where(names)
	n.Ported = n.where(func(r *hostpolicy.Rule) bool { return len(r.Ports) > 0 })
	for op := hostpolicy.OpSocket; op <= hostpolicy.OpAccept; op++ {
		n.Operations = append(n.Operations, n.where(func(r *hostpolicy.Rule) bool { return concerns(r, op) }))
	}
	n.Protocols = append(n.Protocols, n.where(func(r *hostpolicy.Rule) bool { return len(r.Protocol) == 0 }))
	for _, p := range hostpolicy.Protocols() {
		n.Protocols = append(n.Protocols, n.where(func(r *hostpolicy.Rule) bool { return slices.Contains(r.Protocol, p) }))
	}
	n.Ports = n.ports()
	n.Remote = n.addresses(func(r *hostpolicy.Rule) []hostpolicy.Address { return r.Address })
	n.Local = n.addresses(func(r *hostpolicy.Rule) []hostpolicy.Address { return r.LocalAddress })
	if rows := len(n.Remote.Prefixes) + len(n.Remote.Domains) + len(n.Local.Prefixes) + len(n.Local.Domains) + len(n.Ports); rows > limits.rows {
		counts := make(blame, len(rules))
		for bit, id := range n.Rules {
			counts[id-1] = len(n.rules[bit].Address) + len(n.rules[bit].LocalAddress) + len(n.rules[bit].Ports)
		}
		return lsm.Network{}, &tooLarge{"addresses and ports in network rules", limits.rows, counts.worst(), "wider prefixes and ranges in"}
	}
	return n.Network, nil
}

func allows(r *hostpolicy.Rule) bool { return r.Action == hostpolicy.Allow }

func names(r *hostpolicy.Rule) bool { return len(r.Address)+len(r.LocalAddress)+len(r.Ports) > 0 }

// concerns reports whether a rule can decide about an operation. Peers are not
// known when a socket is bound or listens: there an address keeps a block or
// audit rule out, and an allow rule opens the way to where it will be known.
func concerns(r *hostpolicy.Rule, op hostpolicy.Operation) bool {
	switch op {
	case hostpolicy.OpSocket:
		return allows(r) || !names(r)
	case hostpolicy.OpConnect, hostpolicy.OpSend:
		return r.Direction == hostpolicy.Out
	case hostpolicy.OpBind, hostpolicy.OpListen:
		return r.Direction == hostpolicy.In && (allows(r) || len(r.Address) == 0)
	}
	return r.Direction == hostpolicy.In
}

func (n *networkTable) set() lsm.Bits { return make(lsm.Bits, (len(n.rules)+63)/64) }

func (n *networkTable) where(is func(r *hostpolicy.Rule) bool) lsm.Bits {
	set := n.set()
	for bit, r := range n.rules {
		if is(r) {
			set.Set(bit)
		}
	}
	return set
}

// ports cuts the ports where a rule begins or ends.
func (n *networkTable) ports() []lsm.PortRow {
	changes := map[uint32][]int{0: nil} // bits that flip, by port
	now := n.set()
	for bit, r := range n.rules {
		if len(r.Ports) == 0 {
			now.Set(bit)
		}
		for _, p := range mergedPorts(r.Ports) {
			changes[uint32(p.First)] = append(changes[uint32(p.First)], bit)
			changes[uint32(p.Last)+1] = append(changes[uint32(p.Last)+1], bit)
		}
	}
	firsts := make([]uint32, 0, len(changes))
	for first := range changes {
		if first < 1<<16 {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	var rows []lsm.PortRow
	for _, first := range firsts {
		for _, bit := range changes[first] {
			now[bit/64] ^= 1 << (bit % 64)
		}
		rows = append(rows, lsm.PortRow{First: uint16(first), Rules: slices.Clone(now)})
	}
	return rows
}

// mergedPorts is intervals that neither overlap nor touch.
func mergedPorts(list []hostpolicy.PortRange) []hostpolicy.PortRange {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b hostpolicy.PortRange) int { return cmp.Compare(a.First, b.First) })
	var out []hostpolicy.PortRange
	for _, p := range list {
		if last := len(out) - 1; last >= 0 && uint32(p.First) <= uint32(out[last].Last)+1 {
			out[last].Last = max(out[last].Last, p.Last)
		} else if p.First <= p.Last {
			out = append(out, p)
		}
	}
	return out
}

func (n *networkTable) addresses(of func(r *hostpolicy.Rule) []hostpolicy.Address) lsm.Addresses {
	a := lsm.Addresses{Any: n.where(func(r *hostpolicy.Rule) bool { return len(of(r)) == 0 })}
	prefixes, domains := make(map[netip.Prefix]lsm.Bits), make(map[string]lsm.Bits)
	for bit, r := range n.rules {
		for _, address := range of(r) {
			if address.Domain == "" {
				if prefixes[address.Prefix] == nil {
					prefixes[address.Prefix] = n.set()
				}
				prefixes[address.Prefix].Set(bit)
				continue
			}
			name := strings.TrimPrefix(address.Domain, "*") // ".example.com" is all beneath
			if domains[name] == nil {
				domains[name] = n.set()
			}
			domains[name].Set(bit)
		}
	}
	for prefix, rules := range prefixes {
		a.Prefixes = append(a.Prefixes, lsm.PrefixRow{Prefix: prefix, Rules: rules})
	}
	slices.SortFunc(a.Prefixes, func(x, y lsm.PrefixRow) int { return lsm.ComparePrefixes(x.Prefix, y.Prefix) })
	// In this order a prefix follows those that hold it: what is open is a
	// chain of them.
	var open []*lsm.PrefixRow
	for i := range a.Prefixes {
		row := &a.Prefixes[i]
		for len(open) > 0 && !open[len(open)-1].Prefix.Contains(row.Prefix.Addr()) {
			open = open[:len(open)-1]
		}
		around := a.Any
		if len(open) > 0 {
			around = open[len(open)-1].Rules
		}
		for word := range row.Rules {
			row.Rules[word] |= around[word]
		}
		open = append(open, row)
	}
	for _, name := range sortedKeys(domains) {
		a.Domains = append(a.Domains, lsm.DomainRow{Name: name, Rules: domains[name]})
	}
	return a
}
