package bpflsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

func (e *Engine) outers() []*ebpf.Map {
	m := e.maps
	return []*ebpf.Map{m.Edges, m.States, m.Globs, m.Labels, m.Roles, m.Verdicts, m.Hits, m.Roots}
}

// inner opens a table of the generation in force.
func (e *Engine) inner(outer *ebpf.Map) (*ebpf.Map, error) {
	var m *ebpf.Map
	if err := outer.Lookup(uint32(e.generation%slots), &m); err != nil {
		return nil, fmt.Errorf("open a table in force: %w", err)
	}
	return m, nil
}

func (e *Engine) hits(rules int) ([]uint64, error) {
	m, err := e.inner(e.maps.Hits)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	hits := make([]uint64, rules+1)
	keys := make([]uint32, rules+1)
	var cursor ebpf.MapBatchCursor
	for done := 0; done < len(hits); {
		n, err := m.BatchLookup(&cursor, keys[done:], hits[done:], nil)
		done += n
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the hits: %w", err)
		}
	}
	return hits, nil
}

// Bind renews the mount table. A file system that comes or goes is one row; no
// cached label is lost. Only where directories get several names by bind
// mounts of their parts are the tables built anew.
func (e *Engine) Bind(host lsm.Host) error {
	if e.ruleset == nil {
		return errors.New("bind the mount table: no ruleset of this daemon is in force")
	}
	p, err := compile.Place(e.ruleset, host.Mounts)
	if err != nil {
		return fmt.Errorf("bind the rules to the mount table: %w", err)
	}
	header, err := e.header()
	if err != nil {
		return err
	}
	if header == nil || header.Placement != placementHash(&p) {
		txn, err := e.Prepare(e.ruleset, e.mode, host)
		if err != nil {
			return err
		}
		return txn.Commit()
	}
	return e.bindRoots(&p, host.Mounts)
}

// bindRoots makes the rows of the superblocks in force those of p.
func (e *Engine) bindRoots(p *compile.Placement, mounts []lsm.Mount) error {
	roots, err := e.inner(e.maps.Roots)
	if err != nil {
		return err
	}
	defer roots.Close()
	before := map[engineRoot]uint32{}
	var key engineRoot
	var state uint32
	iterator := roots.Iterate()
	for iterator.Next(&key, &state) {
		before[key] = state
	}
	if err := iterator.Err(); err != nil {
		return fmt.Errorf("read the bound file systems: %w", err)
	}
	changed := false
	for _, s := range p.Starts {
		key := engineRoot{Device: s.Device}
		state, known := before[key]
		delete(before, key)
		if known && state == uint32(s.State) {
			continue
		}
		changed = changed || known
		if err := roots.Put(&key, uint32(s.State)); err != nil {
			return fmt.Errorf("bind file system %s: %w", device(s.Device), err)
		}
	}
	for key := range before {
		if err := roots.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("unbind file system %s: %w", device(key.Device), err)
		}
	}
	e.names.Store(newNames(mounts))
	if changed {
		return e.advance(1) // a label that was cached may be another now
	}
	return nil
}

func device(dev uint32) string { return fmt.Sprintf("%d:%d", dev>>20, dev&(1<<20-1)) }

// placementHash stands for the rows that bind mounts add; 0 is none.
func placementHash(p *compile.Placement) uint64 {
	rows := *p
	rows.Starts, rows.Unnamed = nil, nil
	if reflect.DeepEqual(rows, compile.Placement{}) {
		return 0
	}
	h := sha256.New()
	fmt.Fprintf(h, "%+v", rows)
	return binary.LittleEndian.Uint64(h.Sum(nil)) | 1
}
