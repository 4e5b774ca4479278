package bpflsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

var errShortEvent = errors.New("an event is shorter than its lengths say")

// Events delivers what the programs report until ctx ends.
func (e *Engine) Events(ctx context.Context, deliver func(lsm.Denial)) error {
	m, err := ebpf.LoadPinnedMap(e.mapDir()+"/"+engineMapEvents, nil)
	if err != nil {
		return fmt.Errorf("open the ring of events: %w", err)
	}
	defer m.Close()
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		return fmt.Errorf("read the ring of events: %w", err)
	}
	defer context.AfterFunc(ctx, func() { reader.Close() })()
	defer reader.Close()
	var record ringbuf.Record
	for {
		if err := reader.ReadInto(&record); errors.Is(err, os.ErrClosed) {
			return ctx.Err()
		} else if err != nil {
			return fmt.Errorf("read the ring of events: %w", err)
		}
		d, err := e.decode(record.RawSample)
		if err != nil {
			return err
		}
		deliver(d)
	}
}

// decode turns a record into a Denial. The record comes from our own
// programs, but an older daemon's may be in the ring.
func (e *Engine) decode(raw []byte) (lsm.Denial, error) {
	var h engineEvent
	n, err := binary.Decode(raw, binary.NativeEndian, &h)
	if err != nil {
		return lsm.Denial{}, fmt.Errorf("%w (%d bytes)", errShortEvent, len(raw))
	}
	rest := raw[n:]
	take := func(length uint16) []byte {
		if int(length) > len(rest) {
			err = errShortEvent
			return nil
		}
		name := rest[:length]
		rest = rest[length:]
		return name
	}
	resource, exe := take(h.ResourceLength), take(h.ExeLength)
	parent, cgroup := take(h.ParentLength), take(h.CgroupLength)
	if err != nil {
		return lsm.Denial{}, err
	}
	names := e.names.Load()
	d := lsm.Denial{
		Time:       bootTime(h.Time),
		Generation: h.Generation,
		Rule:       lsm.RuleID(h.Rule),
		Action:     hostpolicy.Action(h.Action),
		Permitted:  h.Flags&eventPermitted != 0,
		Exempt:     h.Flags&eventExempt != 0,
		Unjudged:   h.Flags&eventUnjudged != 0,
		Otherwise:  h.Flags&eventOtherwise != 0,
		Kind:       lsm.Kind(h.Kind),
		Resources:  names.all(h.ResourceDevice, fromLeaf(resource, h.Flags&eventCutResource != 0)),
		ParentExe:  exeName(names, h.ParentDevice, parent, h.Flags&eventCutParent != 0),
		Exe:        exeName(names, h.ExeDevice, exe, h.Flags&eventCutExe != 0),
		Comm:       commString(h.Comm),
		PID:        h.Tgid,
		PPID:       h.ParentTgid,
		UID:        h.Uid,
		LoginUID:   h.Loginuid,
		Cgroup:     fromLeaf(cgroup, false),
		CgroupID:   h.Cgroup,
	}
	if h.Kind >= firstAct {
		d.Kind, d.Act = lsm.KindAct, lsm.Act(h.Kind)
	}
	if d.Kind == lsm.KindAct && h.ResourceLength == 0 && h.ResourceDevice == 0 {
		d.Resources = []string{""} // the decision is about no file
	}
	d.Resource, d.Target = d.Resources[0], h.Target
	if int(h.Hook) < len(hooks) {
		d.Operation = hooks[h.Hook].name
	}
	return d, nil
}

func exeName(n *names, device uint32, raw []byte, cut bool) string {
	if len(raw) == 0 {
		return "" // a kernel thread, or gone
	}
	return n.all(device, fromLeaf(raw, cut))[0]
}

// fromLeaf turns "key\0ssl\0etc\0" into "/etc/ssl/key".
func fromLeaf(raw []byte, cut bool) string {
	parts := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	slices.Reverse(parts)
	path := "/" + strings.Join(parts, "/")
	if cut {
		path = "..." + path
	}
	return path
}

func commString(raw [16]int8) string {
	b := make([]byte, len(raw))
	for i, c := range raw {
		b[i] = byte(c)
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// bootTime turns nanoseconds since boot into wall time.
func bootTime(ns uint64) time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(uint64(now.Nano()) - ns))
}
