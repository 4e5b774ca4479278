package bpflsm

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Tables of who may do what.

func fillLabels(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	n := count(p.labels)
	t, err := newTable[uint32, engineLabel](spec.Maps[engineMapLabels], n)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	base := map[lsm.Role]bool{}
	for _, r := range all(p.roles) {
		base[r.Base] = true
	}
	rows := make([]engineLabel, n)
	for i, l := range all(p.labels) {
		rows[i].Program = l.Program
		if l.Program != 0 {
			g.header.Flags |= generationPrograms
		}
		if l.Owned != 0 {
			rows[i].Owned = uint32(l.Owned)
			rows[i].Flags |= labelOwned
		}
	}
	for _, a := range all(p.applets) {
		rows[a.Label.Index()].Flags |= labelApplets
	}
	for _, v := range all(p.verdicts) {
		row := &rows[v.Label.Index()]
		for k, cell := range v.Verdict[:lsm.KindHoldExec] {
			if cell.Action == hostpolicy.Block || cell.Action == hostpolicy.Audit {
				row.Kinds |= 1 << k
				if base[v.Role] {
					row.BaseKinds |= 1 << k
				}
			}
		}
	}
	// A label decides about all that those decide about which it leads to.
	for _, a := range all(p.applets) {
		rows[a.Label.Index()].join(&rows[a.To.Index()])
	}
	for i := range rows {
		if rows[i].Owned != 0 {
			rows[i].join(&rows[lsm.Label(rows[i].Owned).Index()])
		}
	}
	for i, row := range rows {
		if row != (engineLabel{}) {
			if err := t.add(uint32(i), row); err != nil {
				return err
			}
		}
	}
	return keep(g, t)
}

func (l *engineLabel) join(o *engineLabel) {
	l.Kinds |= o.Kinds
	l.BaseKinds |= o.BaseKinds
}

func fillApplets(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineApplet, uint32](spec.Maps[engineMapApplets], count(p.applets))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, a := range all(p.applets) {
		g.header.Flags |= generationApplets
		if len(a.Name) >= appletName {
			return fmt.Errorf("the command %q in args is longer than the %d bytes that can be compared", a.Name, appletName-1)
		}
		key := engineApplet{Label: a.Label.Index()}
		for i := range len(a.Name) {
			key.Name[i] = int8(a.Name[i])
		}
		if err := t.add(key, uint32(a.To)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

func fillRoles(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineRoleKey, uint32](spec.Maps[engineMapRoles], count(p.roles))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, r := range all(p.roles) {
		key := engineRoleKey{Workload: r.Key.Workload, User: r.Key.User, Program: r.Key.Program}
		if err := t.add(key, uint32(r.Role)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

// fillRows writes what holds for a role whatever the label.
func fillRows(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	rows := map[lsm.Role]*engineRole{}
	found := false
	for _, r := range all(p.roles) {
		rows[r.Role] = &engineRole{Id: uint32(r.Role), Base: uint32(r.Base), Otherwise: p.verdict(&r.Default), System: p.cell(r.System)}
		for k, cell := range r.Default {
			if cell.Action.Valid() {
				g.header.Flags |= generationDefaults
				g.header.Kinds |= 1 << k
			}
		}
		if r.System.Action.Valid() {
			g.header.Acts |= systemActs
		}
		found = found || r.Key == lsm.RoleKey{}
	}
	if !found {
		return errors.New("the ruleset has no role for the host")
	}
	for _, v := range all(p.verdicts) {
		for k, cell := range v.Verdict[:lsm.KindHoldExec] {
			if cell.Action.Valid() {
				g.header.Kinds |= 1 << k
			}
		}
	}
	p.findBlocks(rows)
	t, err := newTable[uint32, engineRole](spec.Maps[engineMapRows], len(rows))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, r := range all(p.roles) {
		if r.Key == (lsm.RoleKey{}) {
			g.header.Base = *rows[r.Role]
		}
	}
	for id, row := range rows {
		if err := t.add(uint32(id), *row); err != nil {
			return err
		}
	}
	return keep(g, t)
}

// refusals are the kinds that a row blocks: all in the low byte, and in the
// high one those by other rules than what protects HostArmor.
type refusals uint16

func (p *parts) refusals(v *lsm.Verdict) (r refusals) {
	for k, c := range v[:lsm.KindHoldExec] {
		if c.Action != hostpolicy.Block {
			continue
		}
		r |= 1 << k
		if c.Rule == 0 || !self(p.rs, c.Rule) {
			r |= 0x100 << k
		}
	}
	return r
}

// findBlocks notes for each role the kinds that are refused to it on some
// label: by its own rows, and by its base's where it has none.
func (p *parts) findBlocks(rows map[lsm.Role]*engineRole) {
	type key struct {
		role  lsm.Role
		label lsm.Label
	}
	byLabel := map[key]refusals{}
	counts := map[lsm.Role]*[16]int{} // labels, by kind
	for _, v := range all(p.verdicts) {
		r := p.refusals(&v.Verdict)
		if counts[v.Role] == nil {
			counts[v.Role] = new([16]int)
		}
		for bit := range 16 {
			counts[v.Role][bit] += int(r >> bit & 1)
		}
		if row := rows[v.Role]; r != 0 && row != nil && row.Base == row.Id {
			byLabel[key{v.Role, v.Label}] = r
		}
	}
	own := map[lsm.Role]*[16]int{} // labels of the base that a role has rows for
	for _, v := range all(p.verdicts) {
		row := rows[v.Role]
		if row == nil || row.Base == row.Id {
			continue
		}
		r := byLabel[key{lsm.Role(row.Base), v.Label}]
		if r == 0 {
			continue
		}
		if own[v.Role] == nil {
			own[v.Role] = new([16]int)
		}
		for bit := range 16 {
			own[v.Role][bit] += int(r >> bit & 1)
		}
	}
	for _, r := range all(p.roles) {
		row := rows[r.Role]
		set := p.refusals(&r.Default)
		for bit := range 16 {
			n := 0
			if c := counts[r.Role]; c != nil {
				n += c[bit]
			}
			if c := counts[r.Base]; c != nil && r.Base != r.Role {
				n += c[bit]
				if o := own[r.Role]; o != nil {
					n -= o[bit]
				}
			}
			if n > 0 {
				set |= 1 << bit
			}
		}
		row.Blocks, row.RawBlocks = uint8(set), uint8(set>>8)
	}
}

func self(rs *lsm.Ruleset, id lsm.RuleID) bool { return rs.Policies[rs.Facts[id-1].Policy].Self }

func fillVerdicts(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineVerdictKey, engineVerdict](spec.Maps[engineMapVerdicts], count(p.verdicts))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, v := range all(p.verdicts) {
		key := engineVerdictKey{Role: uint32(v.Role), Label: uint32(v.Label)}
		if err := t.add(key, p.verdict(&v.Verdict)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

// fillUsers writes the rows of uids, then those of login uids.
func fillUsers(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	u := &p.rs.Users
	t, err := newTable[uint32, engineUserRow](spec.Maps[engineMapUsers], len(u.IDs)+len(u.Logins))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	g.header.UserRows, g.header.LoginRows = uint32(len(u.IDs)), uint32(len(u.Logins))
	var next uint32
	for _, list := range [][]lsm.UserRow{u.IDs, u.Logins} {
		for _, row := range list {
			g.header.Flags |= generationUsers
			if err := t.add(next, engineUserRow{First: row.First, Bits: row.Bits}); err != nil {
				return err
			}
			next++
		}
	}
	return keep(g, t)
}

func fillClasses(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[uint64, uint32](spec.Maps[engineMapClasses], len(p.rs.Users.Classes))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for i, bits := range p.rs.Users.Classes {
		if err := t.add(bits, uint32(i)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

// systemActs are all operations of class system that the language knows.
var systemActs = func() (set uint64) {
	for _, op := range hostpolicy.Operations(hostpolicy.System) {
		set |= actBit(op)
	}
	return set
}()

func actBit(op hostpolicy.Operation) uint64 { return 1 << (lsm.ActOf(op, 0) - firstAct) }

func fillActs(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineActKey, engineCell](spec.Maps[engineMapActs], count(p.acts))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, a := range all(p.acts) {
		if a.Act < firstAct {
			continue // capabilities are not offered
		}
		if a.Cell.Action == hostpolicy.Block || a.Cell.Action == hostpolicy.Audit {
			g.header.Acts |= 1 << (a.Act - firstAct)
		}
		if err := t.add(engineActKey{Role: uint32(a.Role), Act: uint32(a.Act)}, p.cell(a.Cell)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

func fillTraces(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineTraceKey, engineCell](spec.Maps[engineMapTraces], count(p.traces))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, r := range all(p.traces) {
		if r.Cell.Action.Valid() {
			g.header.Flags |= generationTraces
		}
		if err := t.add(engineTraceKey{Role: uint32(r.Role), Program: r.Program}, p.cell(r.Cell)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

func (p *parts) verdict(v *lsm.Verdict) engineVerdict {
	var row engineVerdict
	for k, c := range v {
		row.Cells[k] = p.cell(c)
	}
	return row
}

func (p *parts) cell(c lsm.Cell) engineCell {
	cell := engineCell{Rule: uint32(c.Rule), Action: uint8(c.Action)}
	if c.Otherwise {
		cell.Flags |= cellOtherwise
	}
	if c.Dangerous {
		cell.Flags |= cellDangerous
	}
	if c.Rule != 0 && self(p.rs, c.Rule) {
		cell.Flags |= cellSelf
	}
	return cell
}
