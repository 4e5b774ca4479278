package bpflsm

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// batch is how many rows one system call carries: enough to make calls cheap,
// few enough to keep the daemon small.
const batch = 4096

// table is one inner map in the making. Rows are published only when the map
// is put into its outer map.
type table[K, V any] struct {
	name   string
	m      *ebpf.Map
	keys   []K
	values []V
}

// newTable makes an inner map like the outer map's template, with room for n
// rows.
func newTable[K, V any](outer *ebpf.MapSpec, n int) (*table[K, V], error) {
	spec := outer.InnerMap.Copy()
	spec.Name = outer.Name
	spec.MaxEntries = uint32(max(n, 1))
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, fmt.Errorf("make the table of %s (%d rows): %w", outer.Name, n, err)
	}
	return &table[K, V]{name: outer.Name, m: m}, nil
}

func (t *table[K, V]) add(key K, value V) error {
	t.keys, t.values = append(t.keys, key), append(t.values, value)
	if len(t.keys) == batch {
		return t.flush()
	}
	return nil
}

func (t *table[K, V]) flush() error {
	if len(t.keys) == 0 {
		return nil
	}
	n, err := t.m.BatchUpdate(t.keys, t.values, nil)
	if err == nil && n != len(t.keys) {
		err = errors.New("the kernel took fewer rows than it was given")
	}
	if err != nil {
		return fmt.Errorf("fill the table of %s: %w", t.name, err)
	}
	t.keys, t.values = t.keys[:0], t.values[:0]
	return nil
}

// generationTables are the inner maps of one generation.
type generationTables struct {
	header engineGeneration
	inner  map[string]*ebpf.Map // by outer map's name
}

func (g *generationTables) close() {
	for _, m := range g.inner {
		m.Close()
	}
}

// build makes the tables of a ruleset placed on mounts.
func build(spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement, mode lsm.Mode) (_ *generationTables, err error) {
	g := &generationTables{inner: map[string]*ebpf.Map{}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	for _, fill := range []func(*generationTables, *ebpf.CollectionSpec, *lsm.Ruleset, *compile.Placement) error{
		fillEdges, fillStates, fillGlobs, fillLabels, fillRoles, fillVerdicts, fillRoots, makeHits,
	} {
		if err := fill(g, spec, rs, p); err != nil {
			return nil, err
		}
	}
	g.header.Start = uint32(rs.Start)
	g.header.Kinds = rs.Kinds()
	g.header.Digest = rs.Digest
	g.header.Rules = uint32(len(rs.Rules))
	if mode == lsm.AuditOnly {
		g.header.Flags |= generationAudit
	}
	return g, nil
}

func keep[K, V any](g *generationTables, t *table[K, V]) error {
	g.inner[t.name] = t.m
	return t.flush()
}

func fillEdges(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	rows, nodes := chunkEdges(rs.Edges, p.Edges)
	if nodes >= edgeNode {
		return errors.New("too many long names")
	}
	t, err := newTable[engineEdge, uint32](spec.Maps[engineMapEdges], len(rows))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, r := range rows {
		if err := t.add(r.key, r.to); err != nil {
			return err
		}
	}
	return keep(g, t)
}

type edgeRow struct {
	key engineEdge
	to  uint32
}

// chunkEdges turns edges on names into edges on chunks of names. It returns
// the number of nodes between chunks that it needed.
func chunkEdges(lists ...[]lsm.Edge) (rows []edgeRow, nodes uint32) {
	between := map[engineEdge]uint32{}
	for _, list := range lists {
		for i := range list {
			from, rest := uint32(list[i].From), list[i].Name
			for len(rest) > chunk {
				key := engineEdge{From: from | edgeMore}
				copy(key.Name[:], rest[:chunk])
				node, ok := between[key]
				if !ok {
					node = edgeNode | nodes
					nodes++
					between[key] = node
					rows = append(rows, edgeRow{key, node})
				}
				from, rest = node, rest[chunk:]
			}
			key := engineEdge{From: from}
			copy(key.Name[:], rest)
			rows = append(rows, edgeRow{key, uint32(list[i].To)})
		}
	}
	return rows, nodes
}

func fillStates(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	t, err := newTable[uint32, engineState](spec.Maps[engineMapStates], len(rs.States)+len(p.States))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	edges := make(map[lsm.State]bool)
	for _, list := range [][]lsm.Edge{rs.Edges, p.Edges} {
		for i := range list {
			edges[list[i].From] = true
		}
	}
	var next uint32
	for _, list := range [][]lsm.StateRow{rs.States, p.States} {
		for _, s := range list {
			row := engineState{Label: uint32(s.Label), Below: uint32(s.Below), Otherwise: uint32(s.Default), Glob: s.Glob}
			if edges[lsm.State(next)] {
				row.Edges = 1
			}
			if err := t.add(next, row); err != nil {
				return err
			}
			next++
		}
	}
	return keep(g, t)
}

func fillGlobs(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	n := len(rs.Globs) + len(p.Globs)
	if n > (1<<32-1)/globRow {
		return fmt.Errorf("%d rows of byte automata are too many", n)
	}
	t, err := newTable[uint32, uint32](spec.Maps[engineMapGlobs], n*globRow)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	var next uint32
	for _, list := range [][]lsm.GlobRow{rs.Globs, p.Globs} {
		for i := range list {
			for b, to := range list[i].Next {
				if to != 0 { // array maps begin zeroed
					if err := t.add(next*globRow+uint32(b), to); err != nil {
						return err
					}
				}
			}
			if err := t.add(next*globRow+256, uint32(list[i].End)); err != nil {
				return err
			}
			next++
		}
	}
	return keep(g, t)
}

func fillLabels(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	t, err := newTable[uint32, engineLabel](spec.Maps[engineMapLabels], len(rs.Labels)+len(p.Labels))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	base := map[lsm.Role]bool{}
	for _, list := range [][]lsm.RoleRow{rs.Roles, p.Roles} {
		for i := range list {
			base[list[i].Base] = true
		}
	}
	rows := make([]engineLabel, len(rs.Labels)+len(p.Labels))
	for i, l := range slices.Concat(rs.Labels, p.Labels) {
		rows[i].Program = l.Program
		if l.Program != 0 {
			g.header.Flags |= generationPrograms
		}
	}
	for _, list := range [][]lsm.VerdictRow{rs.Verdicts, p.Verdicts} {
		for i := range list {
			row := &rows[list[i].Label.Index()]
			for k, cell := range list[i].Verdict {
				if cell.Action == hostpolicy.Block || cell.Action == hostpolicy.Audit {
					row.Kinds |= 1 << k
					if base[list[i].Role] {
						row.BaseKinds |= 1 << k
					}
				}
			}
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

func fillRoles(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	t, err := newTable[engineRoleKey, engineRole](spec.Maps[engineMapRoles], len(rs.Roles)+len(p.Roles))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	found := false
	for _, list := range [][]lsm.RoleRow{rs.Roles, p.Roles} {
		for _, r := range list {
			row := engineRole{Id: uint32(r.Role), Base: uint32(r.Base), Otherwise: verdictRow(&r.Default)}
			for k, cell := range r.Default {
				if cell.Action.Valid() {
					g.header.Flags |= generationDefaults
				}
				if cell.Action == hostpolicy.Block {
					g.header.Blocks |= 1 << k
				}
			}
			if r.Key == (lsm.RoleKey{}) {
				g.header.Base, found = row, true
			}
			key := engineRoleKey{Workload: r.Key.Workload, User: r.Key.User, Program: r.Key.Program}
			if err := t.add(key, row); err != nil {
				return err
			}
		}
	}
	if !found {
		return errors.New("the ruleset has no role for the host")
	}
	return keep(g, t)
}

func fillVerdicts(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, p *compile.Placement) error {
	t, err := newTable[engineVerdictKey, engineVerdict](spec.Maps[engineMapVerdicts], len(rs.Verdicts)+len(p.Verdicts))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, list := range [][]lsm.VerdictRow{rs.Verdicts, p.Verdicts} {
		for i := range list {
			for k, cell := range list[i].Verdict {
				if cell.Action == hostpolicy.Block {
					g.header.Blocks |= 1 << k
				}
			}
			key := engineVerdictKey{Role: uint32(list[i].Role), Label: uint32(list[i].Label)}
			if err := t.add(key, verdictRow(&list[i].Verdict)); err != nil {
				return err
			}
		}
	}
	return keep(g, t)
}

// rootRoom is how many superblocks may be mounted later than the ruleset was
// loaded; beyond it the mount table is bound by a new generation.
const rootRoom = 4096

func fillRoots(g *generationTables, spec *ebpf.CollectionSpec, _ *lsm.Ruleset, p *compile.Placement) error {
	t, err := newTable[engineRoot, uint32](spec.Maps[engineMapRoots], len(p.Starts)+rootRoom)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for _, s := range p.Starts {
		if err := t.add(engineRoot{Device: s.Device}, uint32(s.State)); err != nil {
			return err
		}
	}
	return keep(g, t)
}

func makeHits(g *generationTables, spec *ebpf.CollectionSpec, rs *lsm.Ruleset, _ *compile.Placement) error {
	t, err := newTable[uint32, uint64](spec.Maps[engineMapHits], len(rs.Rules)+1)
	if err != nil {
		return err
	}
	return keep(g, t)
}

func verdictRow(v *lsm.Verdict) engineVerdict {
	var row engineVerdict
	for k, c := range v {
		cell := engineCell{Rule: uint32(c.Rule), Action: uint8(c.Action)}
		if c.Otherwise {
			cell.Flags |= cellOtherwise
		}
		if c.Dangerous {
			cell.Flags |= cellDangerous
		}
		row.Cells[k] = cell
	}
	return row
}

// publish puts the tables into a slot that no decision reads. Each update
// waits for a grace period, so they wait together.
func (g *generationTables) publish(maps *engineMaps, slot uint32) error {
	outer := map[string]*ebpf.Map{
		engineMapEdges: maps.Edges, engineMapStates: maps.States, engineMapGlobs: maps.Globs,
		engineMapLabels: maps.Labels, engineMapRoles: maps.Roles, engineMapVerdicts: maps.Verdicts,
		engineMapHits: maps.Hits, engineMapRoots: maps.Roots,
	}
	errs := make([]error, len(outer))
	var wait sync.WaitGroup
	i := 0
	for name, o := range outer {
		slotErr := &errs[i]
		wait.Go(func() {
			if err := o.Put(slot, g.inner[name]); err != nil {
				*slotErr = fmt.Errorf("publish the table of %s: %w", name, err)
			}
		})
		i++
	}
	wait.Wait()
	if err := maps.Generations.Put(slot, &g.header); err != nil {
		errs = append(errs, fmt.Errorf("publish the generation: %w", err))
	}
	return errors.Join(errs...)
}
