package compile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// subjects writes whom policies are for, unless that is the host alone.
func (d *dumper) subjects() {
	plain := len(d.rs.Users.Classes) <= 1
	for i := range d.rs.Places {
		plain = plain && d.rs.Places[i].Host
	}
	if plain {
		return
	}
	for i := range d.rs.Policies {
		p := &d.rs.Policies[i]
		d.printf("policy %d at place %d users %b\n", i, p.Place, p.Users)
	}
	for i := range d.rs.Places {
		p := &d.rs.Places[i]
		selector := hostpolicy.Selector{Host: p.Host, Everything: p.Everything, Container: p.Container, Unit: p.Unit}
		d.printf("place %d %s\n", i, placeText(&selector))
	}
	for _, table := range []struct {
		name string
		rows []lsm.UserRow
	}{{"uid", d.rs.Users.IDs}, {"login uid", d.rs.Users.Logins}} {
		for _, row := range table.rows {
			d.printf("%s from %d: %b\n", table.name, row.First, row.Bits)
		}
	}
	for class, bits := range d.rs.Users.Classes {
		d.printf("user %d: %b\n", class, bits)
	}
}

func (d *dumper) label(i int) {
	l := &d.rs.Labels[i]
	if l.Program != 0 {
		d.printf("L%d is program %d\n", i, l.Program)
	}
	if l.Scope != 0 {
		d.printf("L%d is in scope %v\n", i, d.rs.Scopes[l.Scope])
	}
	if l.Beneath != 0 {
		d.printf("L%d holds scope %v\n", i, d.rs.Scopes[l.Beneath])
	}
	if l.Held != 0 {
		d.printf("L%d is all in scope %v\n", i, d.rs.Scopes[l.Held])
	}
	if l.Owned != 0 {
		d.printf("L%d for the owner is %s\n", i, dumpLabel(l.Owned))
	}
}

func (d *dumper) network() {
	n := &d.rs.Network
	if len(n.Rules) == 0 {
		return
	}
	for i, set := range n.Operations {
		d.printf("%s%s\n", hostpolicy.OpSocket+hostpolicy.Operation(i), d.bits(set))
	}
	d.printf("any protocol%s\n", d.bits(n.Protocols[0]))
	for p, set := range n.Protocols {
		if _, ok := set.First(); ok && p > 0 {
			d.printf("%s%s\n", hostpolicy.Protocol(p), d.bits(set))
		}
	}
	for _, row := range n.Ports {
		d.printf("port from %d%s\n", row.First, d.bits(row.Rules))
	}
	for _, side := range []struct {
		name string
		a    *lsm.Addresses
	}{{"remote", &n.Remote}, {"local", &n.Local}} {
		d.printf("%s any%s\n", side.name, d.bits(side.a.Any))
		for _, row := range side.a.Prefixes {
			d.printf("%s %s%s\n", side.name, row.Prefix, d.bits(row.Rules))
		}
		for _, row := range side.a.Domains {
			d.printf("%s %s%s\n", side.name, row.Name, d.bits(row.Rules))
		}
	}
}

// bits is a set of network rules by their RuleIDs.
func (d *dumper) bits(set lsm.Bits) string {
	var b strings.Builder
	for i, id := range d.rs.Network.Rules {
		if set.Has(i) {
			fmt.Fprintf(&b, " %d", id)
		}
	}
	return b.String()
}
