package lsm

import (
	"math/bits"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Bits is a set of network rules, bit i of word i/64. All sets of a ruleset
// are of one length.
type Bits []uint64

// Set adds a bit.
func (b Bits) Set(i int) { b[i/64] |= 1 << (i % 64) }

// Has reports whether the bit is set.
func (b Bits) Has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// First is the lowest bit.
func (b Bits) First() (int, bool) {
	for i, word := range b {
		if word != 0 {
			return 64*i + bits.TrailingZeros64(word), true
		}
	}
	return 0, false
}

func (b Bits) and(o Bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b Bits) andNot(o Bits) {
	for i := range b {
		b[i] &^= o[i]
	}
}

func (b Bits) or(o Bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

// Network judges sockets: each property of an access selects a set of rules,
// and those in all of the sets match. A kernel can hold the rows as arrays and
// longest-prefix tries.
type Network struct {
	Rules []RuleID // by bit, ascending
	// The rules by action, and those whose policy is dangerous.
	Block, Audit, Allow, Dangerous Bits
	Named                          Bits   // rules that are about Internet sockets only
	Ported                         Bits   // rules that are about sockets with ports only
	Operations                     []Bits // by Operation - OpSocket
	Protocols                      []Bits // by Protocol; [0] is the rules for every protocol
	Ports                          []PortRow
	Remote                         Addresses
	Local                          Addresses
}

// PortRow holds for the ports from First up to the next row.
type PortRow struct {
	First uint16
	Rules Bits // also those for every port
}

// Addresses selects rules by one end of a connection. Rules for every address
// are in each row.
type Addresses struct {
	Any      Bits // where no row holds
	Prefixes []PrefixRow
	Domains  []DomainRow // ordered by Name
}

// PrefixRow holds for its addresses, unless a longer prefix has a row.
// Prefixes are ordered by family, address and length.
type PrefixRow struct {
	Prefix netip.Prefix
	Rules  Bits // also those of shorter prefixes around it
}

// DomainRow holds for addresses that a name was resolved to. A name that
// begins with a dot holds for all names beneath.
type DomainRow struct {
	Name  string
	Rules Bits
}

// Verdict is what becomes of a network operation.
func (n *Network) Verdict(role RoleRow, op hostpolicy.Operation, s *hostpolicy.Socket) Cell {
	if len(n.Rules) == 0 || len(role.Sockets) == 0 || op < hostpolicy.OpSocket || op > hostpolicy.OpAccept {
		return role.Network
	}
	set := n.matching(role, op, s)
	for _, tier := range []struct {
		action hostpolicy.Action
		rules  Bits
	}{{hostpolicy.Block, n.Block}, {hostpolicy.Audit, n.Audit}, {hostpolicy.Allow, n.Allow}} {
		hit := slices.Clone(set)
		hit.and(tier.rules)
		if i, ok := hit.First(); ok {
			hit.and(n.Dangerous)
			_, dangerous := hit.First()
			return Cell{Action: tier.action, Rule: n.Rules[i], Dangerous: dangerous}
		}
	}
	return role.Network
}

func (n *Network) matching(role RoleRow, op hostpolicy.Operation, s *hostpolicy.Socket) Bits {
	set := slices.Clone(role.Sockets)
	set.and(n.Operations[op-hostpolicy.OpSocket])
	protocols := slices.Clone(n.Protocols[0])
	var addressed, internet, ported bool
	for _, p := range s.Protocols {
		if !p.Valid() {
			continue
		}
		protocols.or(n.Protocols[p])
		addressed = addressed || p.Addressed()
		internet = internet || p.Internet()
		ported = ported || p.Ported()
	}
	set.and(protocols)
	if !internet {
		set.andNot(n.Named)
	}
	if !ported {
		set.andNot(n.Ported)
	}
	if op == hostpolicy.OpSocket {
		if addressed {
			set.and(n.Allow) // block and audit rules wait for what it does
		}
		return set
	}
	port := s.Local.Port
	if op == hostpolicy.OpConnect || op == hostpolicy.OpSend {
		port = s.Remote.Port
	}
	i := sort.Search(len(n.Ports), func(i int) bool { return n.Ports[i].First > port })
	set.and(n.Ports[i-1].Rules)
	set.and(n.Local.of(s.Local))
	if op != hostpolicy.OpBind && op != hostpolicy.OpListen {
		set.and(n.Remote.of(s.Remote))
	}
	return set
}

func (a *Addresses) of(e hostpolicy.Endpoint) Bits {
	set := a.longest(e.Addr.Unmap())
	if len(e.Domains) == 0 || len(a.Domains) == 0 {
		return set
	}
	set = slices.Clone(set)
	for _, name := range e.Domains {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if !strings.HasPrefix(name, ".") {
			a.domain(name, set)
		}
		for i := 1; i < len(name); i++ {
			if name[i] == '.' {
				a.domain(name[i:], set)
			}
		}
	}
	return set
}

func (a *Addresses) domain(name string, set Bits) {
	if i, ok := slices.BinarySearchFunc(a.Domains, name, func(d DomainRow, name string) int { return strings.Compare(d.Name, name) }); ok {
		set.or(a.Domains[i].Rules)
	}
}

// longest is the row of the longest prefix that holds the address.
func (a *Addresses) longest(addr netip.Addr) Bits {
	if !addr.IsValid() || addr.Zone() != "" {
		return a.Any
	}
	for length := addr.BitLen(); length >= 0; length-- {
		prefix, err := addr.Prefix(length)
		if err != nil {
			break
		}
		if i, ok := slices.BinarySearchFunc(a.Prefixes, prefix, func(r PrefixRow, p netip.Prefix) int { return ComparePrefixes(r.Prefix, p) }); ok {
			return a.Prefixes[i].Rules
		}
	}
	return a.Any
}

// ComparePrefixes orders prefixes by family, address and length.
func ComparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 { // the shorter family first
		return c
	}
	return a.Bits() - b.Bits()
}
