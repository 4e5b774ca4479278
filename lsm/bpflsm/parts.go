package bpflsm

import (
	"fmt"
	"iter"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// parts are the rows of one generation: those of the ruleset, and what its
// placement, its units and their bindings add. They are not joined, because
// the ruleset may be large.
type parts struct {
	rs        *lsm.Ruleset
	placement compile.Placement
	units     compile.Units
	starts    []compile.Start
	carriers  []uint32
	links     []linkRow

	states   [][]lsm.StateRow
	edges    [][]lsm.Edge
	globs    [][]lsm.GlobRow
	labels   [][]lsm.LabelRow
	applets  [][]lsm.AppletRow
	roles    [][]lsm.RoleRow
	verdicts [][]lsm.VerdictRow
	acts     [][]lsm.ActRow
	traces   [][]lsm.TraceRow
}

// linkRow is a label that a file has by another of its names.
type linkRow struct {
	key   engineLinkKey
	label uint32
}

// place binds a ruleset to a host's mounts and links. Its units are still to be
// bound: they depend on nothing else of the host.
func place(rs *lsm.Ruleset, host lsm.Host) (*parts, error) {
	p, err := compile.Place(rs, host.Mounts)
	if err != nil {
		return nil, fmt.Errorf("bind the rules to the mount table: %w", err)
	}
	out := &parts{
		rs: rs, placement: p, starts: p.Starts,
		states: [][]lsm.StateRow{rs.States, p.States}, edges: [][]lsm.Edge{rs.Edges, p.Edges}, globs: [][]lsm.GlobRow{rs.Globs, p.Globs},
		labels: [][]lsm.LabelRow{rs.Labels, p.Labels}, applets: [][]lsm.AppletRow{rs.Applets, p.Applets},
		roles: [][]lsm.RoleRow{rs.Roles, p.Roles}, verdicts: [][]lsm.VerdictRow{rs.Verdicts, p.Verdicts},
		acts: [][]lsm.ActRow{rs.Acts, p.Acts}, traces: [][]lsm.TraceRow{rs.Traces, p.Traces},
	}
	out.carriers = carriers(host.Mounts, p.Starts)
	if len(host.Links) > 0 {
		if out.links, err = linkRows(p.Join(rs), &p, host.Links); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxVerdicts bounds the rows of all units together: some 100 bytes of the
// kernel's memory each.
const maxVerdicts = 2 << 20

// bindUnits adds the rows of the units that rules name.
func (p *parts) bindUnits(progress func()) error {
	if !namesUnits(p.rs) {
		return nil
	}
	joined := p.placement.Join(p.rs)
	var err error
	if p.units, err = compile.UnitsOf(joined); err != nil {
		return fmt.Errorf("bind the rules to units: %w", err)
	}
	u := &p.units
	p.states, p.edges, p.globs = append(p.states, u.States), append(p.edges, u.Edges), append(p.globs, u.Globs)
	rows := count(p.verdicts)
	for i, places := range u.Places {
		b, err := compile.Bind(joined, uint32(i+1), places)
		if err != nil {
			return fmt.Errorf("bind the rules to units: %w", err)
		}
		if rows += len(b.Verdicts); rows > maxVerdicts {
			return fmt.Errorf("bind the rules to units: they need more than %d verdicts (there are %d sets of units whose rules differ, and in each of them %d roles by user and program; "+
				"give units fewer different policies, or rules fewer different user, from and except_from)", maxVerdicts, len(u.Places), len(b.Roles))
		}
		p.roles, p.verdicts = append(p.roles, b.Roles), append(p.verdicts, b.Verdicts)
		p.acts, p.traces = append(p.acts, b.Acts), append(p.traces, b.Traces)
		progress()
	}
	return nil
}

func namesUnits(rs *lsm.Ruleset) bool {
	for i := range rs.Places {
		if len(rs.Places[i].Unit) > 0 {
			return true
		}
	}
	return false
}

func count[T any](lists [][]T) int {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	return n
}

func all[T any](lists [][]T) iter.Seq2[int, *T] {
	return func(yield func(int, *T) bool) {
		n := 0
		for _, list := range lists {
			for i := range list {
				if !yield(n, &list[i]) {
					return
				}
				n++
			}
		}
	}
}

// linkRows are the labels of files by those of their names that rules name.
func linkRows(joined *lsm.Ruleset, p *compile.Placement, list []lsm.Link) ([]linkRow, error) {
	var rows []linkRow
	for i := range list {
		l := &list[i]
		seen := map[lsm.Label]bool{}
		for _, name := range l.Names {
			label := joined.States[joined.Walk(name)].Label
			if label == 0 || seen[label] {
				continue
			}
			if len(seen) == maxLinks {
				return nil, fmt.Errorf("the hard links of inode %d on %s have names under more than %d sets of rules: %q; remove some of them",
					l.Inode, device(l.Device), maxLinks, l.Names)
			}
			rows = append(rows, linkRow{engineLinkKey{Inode: l.Inode, Device: l.Device, Index: uint32(len(seen))}, uint32(label)})
			seen[label] = true
		}
	}
	return rows, nil
}

// linkRoom is how many links that rules tell apart may be made under one
// generation; beyond it such links are refused.
const linkRoom = 4096

func fillLinks(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineLinkKey, uint32](spec.Maps[engineMapLinks], len(p.links)+linkRoom)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, l := range p.links {
		if err := t.add(l.key, l.label); err != nil {
			return err
		}
	}
	return keep(g, t)
}

// rootRows are the start states of superblocks, and the devices behind them.
func (p *parts) rootRows() iter.Seq2[engineRoot, uint32] {
	return func(yield func(engineRoot, uint32) bool) {
		for _, s := range p.starts {
			if !yield(engineRoot{Device: s.Device}, uint32(s.State)) {
				return
			}
		}
		for _, d := range p.carriers {
			if !yield(engineRoot{View: viewCarriers, Device: d}, 1) {
				return
			}
		}
	}
}
