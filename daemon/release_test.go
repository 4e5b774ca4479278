package daemon

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

func TestRelease(t *testing.T) {
	m := newMachine(t)
	m.set(protects + "on_stop = \"keep\"\n")
	d := m.start()
	socket := m.path("control.sock")
	if err := Release(lsmtest.New(m.kernel), socket); err == nil {
		t.Error("released under a daemon that runs")
	}
	must(t, d.stop(ErrTerminated))
	if len(m.own()) == 0 {
		t.Fatal("nothing was kept")
	}
	m.kernel.Fail(lsmtest.Release, errors.New("busy"))
	if err := Release(lsmtest.New(m.kernel), socket); err == nil {
		t.Error("a failure is not told")
	}
	m.kernel.Fail(lsmtest.Release, nil)
	must(t, Release(lsmtest.New(m.kernel), socket))
	m.enforces(0)
	m.start() // the socket is free again

	m = newMachine(t)
	m.kernel.Fail(lsmtest.Probe, fmt.Errorf("no bpf: %w", lsm.ErrUnsupported))
	must(t, Release(lsmtest.New(m.kernel), m.path("control.sock")))
	if slices.Contains(m.kernel.Calls(), lsmtest.Release) {
		t.Error("what cannot be in force is lifted")
	}
}
