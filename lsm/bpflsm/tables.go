package bpflsm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
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

// filler writes one table of a generation.
type filler func(*generationTables, *ebpf.CollectionSpec, *parts) error

// tableSpecs describes the maps alone. To read the whole object takes 30 ms and
// 15 MB, each time; what it says of maps is little enough to be kept.
var tableSpecs = sync.OnceValues(func() (*ebpf.CollectionSpec, error) {
	spec, err := loadEngine()
	if err != nil {
		return nil, err
	}
	return &ebpf.CollectionSpec{Maps: spec.Maps}, nil
})

// build makes the tables of a ruleset with all that was added to it.
func build(spec *ebpf.CollectionSpec, p *parts, mode lsm.Mode, progress func()) (_ *generationTables, err error) {
	g := &generationTables{inner: map[string]*ebpf.Map{}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	for _, fill := range []filler{
		fillEdges, fillStates, fillGlobs, fillLabels, fillApplets, fillRoles, fillRows, fillVerdicts, fillUsers, fillClasses,
		fillActs, fillTraces, fillRoots, fillLinks, makeHits,
	} {
		if err := fill(g, spec, p); err != nil {
			return nil, err
		}
		progress()
	}
	g.header.Start = uint32(p.rs.Start)
	if g.header.Units = uint32(p.units.Start); g.header.Units != 0 {
		g.header.Flags |= generationUnits
	}
	g.header.Digest = p.rs.Digest
	g.header.Rules = uint32(len(p.rs.Rules))
	if mode == lsm.AuditOnly {
		g.header.Flags |= generationAudit
	}
	return g, nil
}

func keep[K, V any](g *generationTables, t *table[K, V]) error {
	g.inner[t.name] = t.m
	return t.flush()
}

func fillEdges(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	rows, nodes := chunkEdges(p.edges...)
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

func fillStates(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[uint32, engineState](spec.Maps[engineMapStates], count(p.states))
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	edges := make(map[lsm.State]bool)
	for _, list := range p.edges {
		for i := range list {
			edges[list[i].From] = true
		}
	}
	var next uint32
	for _, list := range p.states {
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

func fillGlobs(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	n := count(p.globs)
	if n > (1<<32-1)/globRow {
		return fmt.Errorf("%d rows of byte automata are too many", n)
	}
	t, err := newTable[uint32, uint32](spec.Maps[engineMapGlobs], n*globRow)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	var next uint32
	for _, list := range p.globs {
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

// rootRoom is how many superblocks may be mounted later than the ruleset was
// loaded; beyond it the mount table is bound by a new generation.
const rootRoom = 4096

func fillRoots(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[engineRoot, uint32](spec.Maps[engineMapRoots], len(p.starts)+len(p.carriers)+rootRoom)
	if err != nil {
		return err
	}
	g.inner[t.name] = t.m
	for key, state := range p.rootRows() {
		if err := t.add(key, state); err != nil {
			return err
		}
	}
	return keep(g, t)
}

func makeHits(g *generationTables, spec *ebpf.CollectionSpec, p *parts) error {
	t, err := newTable[uint32, uint64](spec.Maps[engineMapHits], len(p.rs.Rules)+1)
	if err != nil {
		return err
	}
	return keep(g, t)
}

// publish puts the tables into a slot that no decision reads. Each update
// waits for a grace period, so they wait together.
func (g *generationTables) publish(maps *engineMaps, slot uint32) error {
	outer := outers(maps)
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
