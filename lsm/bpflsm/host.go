package bpflsm

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

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
	if len(found) > 0 {
		addLoops(found)
	}
	return slices.Sorted(maps.Keys(found))
}

// addLoops adds the loop devices over devices that are in found, and their
// partitions. Of one whose file cannot be told it believes the worst.
func addLoops(found map[uint32]bool) {
	dirs, _ := filepath.Glob("/sys/block/loop*/loop")
	for more := true; more; { // a loop device may lie on another
		more = false
		for _, dir := range dirs {
			own, ok := readDevice(filepath.Join(dir, "../dev"))
			if !ok || found[own] {
				continue
			}
			below, known := backingDevice(filepath.Join("/dev", filepath.Base(filepath.Dir(dir))), own)
			if known && !found[below] {
				continue
			}
			found[own], more = true, true
			partitions, _ := filepath.Glob(filepath.Join(dir, "../loop*/partition"))
			for _, p := range partitions {
				if dev, ok := readDevice(filepath.Join(p, "../dev")); ok {
					found[dev] = true
				}
			}
		}
	}
}

// backingDevice asks a loop device what it lies on: a device's number, or 0 for
// a file. The path that sysfs shows may be that of another file by now.
func backingDevice(node string, own uint32) (below uint32, known bool) {
	fd, err := unix.Open(node, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK || kernelDevice(st.Rdev) != own {
		return 0, false
	}
	info, err := unix.IoctlLoopGetStatus64(fd)
	if errors.Is(err, unix.ENXIO) {
		return 0, true // it was given up
	} else if err != nil {
		return 0, false
	}
	return kernelDevice(info.Rdevice), true
}

// kernelDevice is a device's number as the kernel has it.
func kernelDevice(dev uint64) uint32 { return unix.Major(dev)<<20 | unix.Minor(dev) }

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
	if dev, ok := readDevice(file); ok {
		addCarrier(found, dev)
	}
}

// readDevice reads a device's number from a file of sysfs.
func readDevice(file string) (dev uint32, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	a, b, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	major, err1 := strconv.ParseUint(a, 10, 12)
	minor, err2 := strconv.ParseUint(b, 10, 20)
	return uint32(major<<20 | minor), err1 == nil && err2 == nil
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
