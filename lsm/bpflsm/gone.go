package bpflsm

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/hostarmor/hostarmor/lsm"
)

// Moment counts the file systems that went while rules were in force.
func (e *Engine) Moment() lsm.Moment {
	m := (*ebpf.Map)(nil)
	if e.maps != nil {
		m = e.maps.Controls
	} else if pinned, err := ebpf.LoadPinnedMap(filepath.Join(e.mapDir(), engineMapControls), nil); err == nil {
		defer pinned.Close()
		m = pinned
	} else {
		return 0 // nothing is in force, so none is counted
	}
	var c engineControl
	if err := m.Lookup(uint32(0), &c); err != nil {
		return 0 // then all that went counts as gone since: looked at again
	}
	return lsm.Moment(c.Deaths)
}

// goneSince picks those of the rows whose file system is gone since the moment.
// If there was no room to keep which went, that is ErrStale.
func (e *Engine) goneSince(moment lsm.Moment, rows map[engineRoot]uint32) ([]engineRoot, error) {
	var c engineControl
	if err := e.maps.Controls.Lookup(uint32(0), &c); err != nil {
		return nil, fmt.Errorf("read which file systems are gone: %w", err)
	}
	if lsm.Moment(c.Deaths) <= moment {
		return nil, nil
	}
	if lsm.Moment(c.Lost) > moment {
		return nil, lsm.ErrStale
	}
	var list []engineRoot
	for row := range rows {
		var when uint64
		if row.View != 0 {
			continue
		}
		switch err := e.maps.Gone.Lookup(row.Device, &when); {
		case errors.Is(err, ebpf.ErrKeyNotExist):
		case err != nil:
			return nil, fmt.Errorf("read which file systems are gone: %w", err)
		case lsm.Moment(when) > moment:
			list = append(list, row)
		}
	}
	return list, nil
}

// bury deletes rows of file systems that are gone since the moment, from a table
// that was filled meanwhile.
func (e *Engine) bury(table *ebpf.Map, moment lsm.Moment, rows map[engineRoot]uint32) (dropped bool, err error) {
	list, err := e.goneSince(moment, rows)
	for _, row := range list {
		if err := table.Delete(&row); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return dropped, fmt.Errorf("forget the file system %s: %w", device(row.Device), err)
		}
		delete(rows, row)
		dropped = true
	}
	return dropped, err
}

// forget makes room: what went before the moment is in nobody's table.
func (e *Engine) forget(moment lsm.Moment) {
	var old []uint32
	var device uint32
	var when uint64
	for i := e.maps.Gone.Iterate(); i.Next(&device, &when); {
		if lsm.Moment(when) <= moment {
			old = append(old, device)
		}
	}
	for _, d := range old {
		_ = e.maps.Gone.Delete(d) // a later one of that number is only looked at again
	}
}
