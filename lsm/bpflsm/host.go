package bpflsm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// look tells the programs where the host's root and the pins are.
func (e *Engine) look(mounts []lsm.Mount) error {
	var d engineDaemon
	if err := e.maps.Daemons.Lookup(uint32(0), &d); err != nil {
		return fmt.Errorf("read the daemon's row: %w", err)
	}
	before := d
	for _, m := range mounts { // of mounts on one another the last is seen
		switch m.Point {
		case "/":
			d.HostRoot = m.Device
		case e.config.BPFFS:
			d.Pins = m.Device
		}
	}
	if d == before {
		return nil
	}
	if err := e.maps.Daemons.Put(uint32(0), &d); err != nil {
		return fmt.Errorf("write the daemon's row: %w", err)
	}
	return nil
}

// carriers are the block devices through which files of mounted file systems
// could be read that some rule can still name: their own, the disk that a
// partition is of, and what a mapped device lies on.
func carriers(mounts []lsm.Mount, starts []compile.Start) []uint32 {
	live := map[uint32]bool{}
	for _, s := range starts {
		live[s.Device] = s.State != 0
	}
	found := map[uint32]bool{}
	for _, m := range mounts {
		if live[m.Device] && m.Device>>20 != 0 {
			addCarrier(found, m.Device)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

const sysBlock = "/sys/dev/block"

func addCarrier(found map[uint32]bool, dev uint32) {
	if found[dev] {
		return
	}
	found[dev] = true
	dir := filepath.Join(sysBlock, device(dev))
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			addCarrierFile(found, filepath.Join(filepath.Dir(real), "dev"))
		}
	}
	slaves, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil {
		return
	}
	for _, s := range slaves {
		addCarrierFile(found, filepath.Join(dir, "slaves", s.Name(), "dev"))
	}
}

func addCarrierFile(found map[uint32]bool, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	a, b, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	major, err1 := strconv.ParseUint(a, 10, 12)
	minor, err2 := strconv.ParseUint(b, 10, 20)
	if err1 == nil && err2 == nil {
		addCarrier(found, uint32(major<<20|minor))
	}
}

// guard lists for the programs what others may not change: this build's maps
// and programs, and the tables of all slots.
func (e *Engine) guard(next *generationTables) error {
	ids, programs := map[uint32]bool{}, map[uint32]bool{}
	for _, m := range e.allMaps() {
		id, err := mapID(m)
		if err != nil {
			return err
		}
		ids[id] = true
	}
	if next != nil {
		for _, m := range next.inner {
			id, err := mapID(m)
			if err != nil {
				return err
			}
			ids[id] = true
		}
	}
	for _, p := range e.allPrograms() {
		id, err := programID(p)
		if err != nil {
			return err
		}
		programs[id] = true
	}
	advance, err := programID(e.objects.Advance)
	if err != nil {
		return err
	}
	for _, outer := range outers(e.maps) {
		for slot := range uint32(slots) {
			var id uint32
			if err := outer.Lookup(slot, &id); err == nil {
				ids[id] = true
			}
		}
	}
	for _, g := range []struct {
		m    *ebpf.Map
		want map[uint32]bool
	}{{e.maps.GuardedMaps, ids}, {e.maps.GuardedPrograms, programs}} {
		rows := make(map[uint32]uint32, len(g.want))
		for id := range g.want {
			rows[id] = 1
			if g.m == e.maps.GuardedPrograms && id == advance {
				rows[id] = guardedSwitch
			}
		}
		if _, err := renew(g.m, rows, true); err != nil {
			return fmt.Errorf("list what others may not change: %w", err)
		}
	}
	return nil
}

func mapID(m *ebpf.Map) (uint32, error) {
	info, err := m.Info()
	if err != nil {
		return 0, fmt.Errorf("look at a map: %w", err)
	}
	id, _ := info.ID()
	return uint32(id), nil
}

func programID(p *ebpf.Program) (uint32, error) {
	info, err := p.Info()
	if err != nil {
		return 0, fmt.Errorf("look at a program: %w", err)
	}
	id, _ := info.ID()
	return uint32(id), nil
}
