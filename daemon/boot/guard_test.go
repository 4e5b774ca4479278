package boot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/lsm"
)

// One story per case: boots and what happens in them, and the mode that each
// load ends in.
func TestGuard(t *testing.T) {
	early := func(boot string) Now { return Now{Boot: boot} }
	late := func(boot string) Now { return Now{Boot: boot, Finished: true} }
	type step struct {
		do  string // load, finish, trust
		set string
		now Now
		in  lsm.Mode
	}
	for name, story := range map[string][]step{
		"a set that boots is proven": {
			{"load", "A", early("1"), lsm.Enforce},
			{"finish", "A", early("1"), 0},
			{"load", "A", early("2"), lsm.Enforce},
			{"load", "A", early("3"), lsm.Enforce}, // boot 2 never completed: not the set's fault
		},
		"a set that never boots": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"finish", "A", early("2"), 0},           // in audit: proves nothing
			{"load", "A", early("3"), lsm.AuditOnly}, // stays in audit until someone looks
		},
		"hot reload, then a boot": {
			{"load", "A", late("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.Enforce},
			{"finish", "A", early("2"), 0},
			{"load", "A", early("3"), lsm.Enforce},
		},
		"hot reload, then a crash of the running system, then a failed boot": {
			{"load", "A", late("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.Enforce},
			{"load", "A", early("3"), lsm.AuditOnly},
		},
		"a daemon that restarts in one boot is not a failed boot": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", late("1"), lsm.Enforce}, // proven here
			{"load", "A", early("2"), lsm.Enforce},
			{"load", "A", early("3"), lsm.Enforce},
		},
		"a daemon that restarts after a failed boot stays in audit": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"load", "A", late("2"), lsm.AuditOnly},
		},
		"an edit arms again": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"load", "B", late("2"), lsm.Enforce},
			{"load", "B", early("3"), lsm.Enforce},
			{"load", "A", early("4"), lsm.AuditOnly}, // and back to the bad one
		},
		"an explicit reload arms again": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"trust", "A", late("2"), 0},
			{"load", "A", late("2"), lsm.Enforce},
			{"load", "A", early("3"), lsm.Enforce},
			{"load", "A", early("4"), lsm.AuditOnly}, // boot 3 failed too
		},
		"an explicit reload before the boot is done tries again": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"trust", "A", early("2"), 0},
			{"load", "A", early("2"), lsm.Enforce},
			{"finish", "A", early("2"), 0},
			{"load", "A", early("3"), lsm.Enforce},
		},
		"two sets in one failed boot": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "B", early("1"), lsm.Enforce},
			{"load", "B", early("2"), lsm.AuditOnly},
			{"load", "A", early("2"), lsm.AuditOnly},
		},
		"the end of a boot proves only the set in force": {
			{"load", "A", early("1"), lsm.Enforce},
			{"load", "B", early("1"), lsm.Enforce},
			{"finish", "B", early("1"), 0},
			{"load", "A", early("2"), lsm.AuditOnly},
			{"load", "B", early("2"), lsm.Enforce},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			for i, s := range story {
				switch s.do {
				case "finish":
					r = r.Finish(s.set, s.now)
				case "trust":
					r = r.Trust(s.set)
				case "load":
					var mode lsm.Mode
					if mode, r = r.Load(s.set, s.now); mode != s.in {
						t.Fatalf("step %d: %v of %s is in %v, want %v", i, s.now, s.set, mode, s.in)
					}
				}
			}
		})
	}
}

func TestRecordIsBounded(t *testing.T) {
	var r Record
	for i := range 100 {
		_, r = r.Load(string(rune('a'+i%26))+string(rune('a'+i/26)), Now{Boot: "1"})
	}
	if len(r) != remembered {
		t.Errorf("%d sets remembered, want %d", len(r), remembered)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := NewStore(dir)
	if r, err := s.Read(); r != nil || err != nil {
		t.Fatalf("a record never written reads as %v, %v", r, err)
	}
	want := Record{{Set: "00ff", Stage: Tried, Boot: "1"}}
	if err := s.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Read()
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	if err := os.WriteFile(filepath.Join(dir, "boot.json"), []byte("{junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Read(); r != nil || err == nil {
		t.Errorf("a broken record reads as %v, %v", r, err)
	}
}
