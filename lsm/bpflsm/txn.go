package bpflsm

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// change is a prepared generation: complete in its slot, and not yet read.
type change struct {
	e       *Engine
	tables  *generationTables
	ruleset *lsm.Ruleset
	names   *names
	mode    lsm.Mode
	roots   map[engineRoot]uint32
	moment  lsm.Moment
	needed  []int // hooks, of this generation
	inForce []int // and of the one before
}

// Prepare builds the tables of rs in a free slot and attaches the hooks that
// it needs. An attached hook judges by the generation in force, which has no
// rules of its kind, so nothing changes until Commit.
func (e *Engine) Prepare(rs *lsm.Ruleset, mode lsm.Mode, host lsm.Host) (lsm.Txn, error) {
	parts, err := place(rs, host)
	if err != nil {
		return nil, err
	}
	if err := parts.bindUnits(e.config.Progress); err != nil {
		return nil, err
	}
	if err := e.open(); err != nil {
		return nil, err
	}
	if err := e.look(host.Mounts); err != nil {
		return nil, err
	}
	spec, err := tableSpecs()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	tables, err := build(spec, parts, mode, e.config.Progress)
	if err != nil {
		return nil, err
	}
	c := &change{
		e: e, tables: tables, ruleset: rs, names: newNames(host.Mounts), mode: mode,
		roots: maps.Collect(parts.rootRows()), moment: host.Moment,
	}
	tables.header.Id = e.generation + 1
	tables.header.Placement = placementHash(&parts.placement)
	if err := tables.publish(e.maps, c.slot()); err != nil {
		c.Rollback()
		return nil, err
	}
	c.needed = needed(&tables.header)
	if header, err := e.header(); err != nil {
		c.Rollback()
		return nil, err
	} else if header != nil {
		c.inForce = needed(header)
	}
	// An older build is removed here and not after the switch, because that
	// can fail; so this build attaches what the rules in force need too.
	for _, step := range []func() error{
		func() error { return e.loadHooks(append(slices.Clone(c.inForce), c.needed...)) },
		func() error { return e.guard(tables) },
		func() error { return e.attach(c.inForce) }, func() error { return e.attach(c.needed) }, e.own,
	} {
		if err := step(); err != nil {
			c.Rollback()
			return nil, err
		}
	}
	return c, nil
}

func (c *change) slot() uint32 { return uint32(c.tables.header.Id % slots) }

// Commit switches the generation by one atomic addition. What follows only
// gives back what nobody reads any more.
func (c *change) Commit() error {
	e := c.e
	roots := c.tables.inner[engineMapRoots]
	if _, err := e.bury(roots, c.moment, c.roots); err != nil && !errors.Is(err, lsm.ErrStale) {
		return err
	}
	if err := e.advance(1 << treeBits); err != nil {
		return err
	}
	// What went since then was deleted from the table that was in force.
	if dropped, err := e.bury(roots, c.moment, c.roots); dropped || err != nil {
		_ = e.advance(1)
	}
	e.generation, e.ruleset, e.mode = c.tables.header.Id, c.ruleset, c.mode
	e.adopted = false
	e.names.Store(c.names)
	c.tables.close()
	e.keepHooks(c.needed)
	return nil
}

// own makes this build the one that writes events, and removes older ones.
func (e *Engine) own() error {
	var d engineDaemon
	if err := e.maps.Daemons.Lookup(uint32(0), &d); err != nil {
		return fmt.Errorf("read the daemon's row: %w", err)
	}
	d.Owner = e.owner
	if err := e.maps.Daemons.Put(uint32(0), &d); err != nil {
		return fmt.Errorf("write the daemon's row: %w", err)
	}
	return e.retire()
}

func (c *change) Rollback() {
	c.e.keepHooks(c.inForce)
	slot := c.slot()
	for _, m := range outers(c.e.maps) {
		_ = m.Delete(slot)
	}
	c.tables.close()
}

// Adopt takes over what the kernel enforces if that is rs on these mounts.
func (e *Engine) Adopt(rs *lsm.Ruleset, host lsm.Host) (bool, error) {
	if _, err := os.Stat(e.mapDir()); err != nil {
		return false, nil
	}
	parts, err := place(rs, host)
	if err != nil {
		return false, err
	}
	if err := e.open(); err != nil {
		return false, err
	}
	header, err := e.header()
	if err != nil || header == nil || header.Digest != rs.Digest || header.Placement != placementHash(&parts.placement) {
		return false, err
	}
	if err := e.loadHooks(needed(header)); err != nil {
		return false, err
	}
	if err := e.attach(needed(header)); err != nil {
		return false, err
	}
	e.ruleset, e.mode, e.adopted = rs, modeOf(header), true
	if err := e.bind(parts, host); err != nil && !errors.Is(err, lsm.ErrStale) {
		return false, err
	}
	return true, errors.Join(e.guard(nil), e.own())
}

// header reads the generation in force, nil if there is none.
func (e *Engine) header() (*engineGeneration, error) {
	if e.generation == 0 {
		return nil, nil
	}
	var g engineGeneration
	if err := e.maps.Generations.Lookup(uint32(e.generation%slots), &g); err != nil {
		return nil, fmt.Errorf("read the generation: %w", err)
	}
	return &g, nil
}

func modeOf(g *engineGeneration) lsm.Mode {
	if g.Flags&generationAudit != 0 {
		return lsm.AuditOnly
	}
	return lsm.Enforce
}

// Status reads from the kernel what is in force.
func (e *Engine) Status() (lsm.Status, error) {
	var s lsm.Status
	if e.objects == nil {
		if _, err := os.Stat(e.mapDir()); err != nil {
			return s, nil
		}
		if err := e.open(); err != nil {
			return s, err
		}
	}
	header, err := e.header()
	if err != nil || header == nil {
		return s, err
	}
	s.Generation, s.Digest, s.Mode, s.Adopted = header.Id, header.Digest, modeOf(header), e.adopted
	s.Hooks = slices.Sorted(maps.Keys(e.links))
	if s.Hits, err = e.hits(int(header.Rules)); err != nil {
		return s, err
	}
	var perCPU []uint64
	if err := e.maps.Losses.Lookup(uint32(0), &perCPU); err != nil {
		return s, fmt.Errorf("read the count of lost events: %w", err)
	}
	for _, n := range perCPU {
		s.Lost += n
	}
	return s, nil
}

func (e *Engine) String() string {
	return strings.Join([]string{"bpf", e.build}, " ")
}
