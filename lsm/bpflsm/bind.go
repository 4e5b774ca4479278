package bpflsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

func outers(m *engineMaps) map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		engineMapEdges: m.Edges, engineMapStates: m.States, engineMapGlobs: m.Globs, engineMapLabels: m.Labels, engineMapApplets: m.Applets,
		engineMapRoles: m.Roles, engineMapRows: m.Rows, engineMapVerdicts: m.Verdicts, engineMapUsers: m.Users, engineMapClasses: m.Classes,
		engineMapActs: m.Acts, engineMapTraces: m.Traces, engineMapHits: m.Hits, engineMapRoots: m.Roots, engineMapLinks: m.Links,
	}
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
// cached label is lost, and the rows of units are not looked at. Only where
// directories get several names by bind mounts of their parts are the tables
// built anew.
func (e *Engine) Bind(host lsm.Host) error {
	if e.ruleset == nil {
		return errors.New("bind the mount table: no ruleset of this daemon is in force")
	}
	parts, err := place(e.ruleset, host)
	if err != nil {
		return err
	}
	header, err := e.header()
	if err != nil {
		return err
	}
	if header == nil || header.Placement != placementHash(&parts.placement) {
		txn, err := e.Prepare(e.ruleset, e.mode, host)
		if err != nil {
			return err
		}
		return txn.Commit()
	}
	return e.bind(parts, host)
}

// bind makes the rows of superblocks and links in force those of p.
func (e *Engine) bind(p *parts, host lsm.Host) error {
	if err := e.look(host.Mounts); err != nil {
		return err
	}
	roots, err := e.inner(e.maps.Roots)
	if err != nil {
		return err
	}
	defer roots.Close()
	want := maps.Collect(p.rootRows())
	dead, stale := e.goneSince(host.Moment, want)
	if stale != nil && !errors.Is(stale, lsm.ErrStale) {
		return stale
	}
	for _, row := range dead {
		delete(want, row)
		stale = lsm.ErrStale
	}
	changed, err := renew(roots, want, true)
	if err != nil {
		return fmt.Errorf("bind the file systems: %w", err)
	}
	// One may have gone while the rows were written.
	switch dropped, err := e.bury(roots, host.Moment, want); {
	case err != nil && !errors.Is(err, lsm.ErrStale):
		return err
	case dropped || err != nil:
		changed, stale = true, lsm.ErrStale
	}
	links, err := e.inner(e.maps.Links)
	if err != nil {
		return err
	}
	defer links.Close()
	linked := map[engineLinkKey]uint32{}
	for _, l := range p.links {
		linked[l.key] = l.label
	}
	// What the kernel saw being linked stays.
	more, err := renew(links, linked, false)
	if err != nil {
		return fmt.Errorf("bind the hard links: %w", err)
	}
	e.names.Store(newNames(host.Mounts))
	e.forget(host.Moment)
	if changed || more { // a label that was cached may be another now
		if err := e.advance(1); err != nil {
			return err
		}
	}
	return stale
}

// renew writes the rows that are wanted, and where all is set deletes others. It
// reports whether a verdict could change by that: a row that no decision could
// have found before changes none unless it is a link's.
func renew[K comparable](m *ebpf.Map, want map[K]uint32, all bool) (bool, error) {
	before := map[K]uint32{}
	var key K
	var value uint32
	iterator := m.Iterate()
	for iterator.Next(&key, &value) {
		before[key] = value
	}
	if err := iterator.Err(); err != nil {
		return false, err
	}
	changed := false
	for key, value := range want {
		old, known := before[key]
		delete(before, key)
		if known && old == value {
			continue
		}
		changed = changed || known || !all
		if err := m.Put(&key, value); err != nil {
			return changed, fmt.Errorf("%+v: %w", key, err)
		}
	}
	if !all {
		return changed, nil
	}
	for key := range before {
		if err := m.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return changed, fmt.Errorf("%+v: %w", key, err)
		}
	}
	return changed, nil
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
