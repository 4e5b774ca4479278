//go:build kernel

package bpflsm

import (
	"slices"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// A kernel that lacks a hook, and the one that judges the same elsewhere too,
// says of what it cannot judge; a hook that has another in its place is none.
func TestKernelThatLacksHooks(t *testing.T) {
	whole, err := New(Config{}).Probe()
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Missing) != 0 {
		t.Errorf("this kernel lacks nothing, but: %v", whole.Missing)
	}
	for _, op := range append(hostpolicy.Operations(hostpolicy.System), hostpolicy.OpTamper) {
		if reason, lacks := whole.Lacks[lsm.OfSystem(op)]; lacks {
			t.Errorf("this kernel lacks nothing, but for %v: %s", op, reason)
		}
	}
	real := slices.Clone(hooks)
	defer func() { hooks = real }()
	hooks = append(slices.Clone(real),
		hook{name: "no_such_write", kinds: write, judges: "nothing"},
		hook{name: "no_such_exec", kinds: []lsm.Kind{lsm.KindExec}, before: "file_open"},
		hook{name: "no_such_act", acts: []hostpolicy.Operation{hostpolicy.OpKexec, hostpolicy.OpTamper}, judges: "nothing"})
	s, err := New(Config{}).Probe()
	if err != nil {
		t.Fatal(err)
	}
	if reason := s.Missing[lsm.KindWrite]; !strings.Contains(reason, "no hook no_such_write") || len(s.Missing) != 1 {
		t.Errorf("Missing: %v", s.Missing)
	}
	for _, op := range []hostpolicy.Operation{hostpolicy.OpKexec, hostpolicy.OpTamper} {
		if reason := s.Lacks[lsm.OfSystem(op)]; !strings.Contains(reason, "no hook no_such_act") {
			t.Errorf("%v: %q", op, reason)
		}
	}
	if reason, lacks := s.Lacks[lsm.OfSystem(hostpolicy.OpBPF)]; lacks {
		t.Errorf("bpf is not lacking, but: %s", reason)
	}
}
