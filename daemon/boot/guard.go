// Package boot keeps a policy set that stops the machine from booting from
// doing so twice.
//
// A set is known by the digest of its files, not of the compiled ruleset:
// symbolic links resolve differently before and after the file systems are
// mounted, and that must not make one set look like two.
//
// A set is *tried* when it is enforced in a boot that has not completed, and
// *proven* when such a boot completes. A set that is tried in one boot and
// found still tried in the next one has failed: it starts in audit, until an
// explicit `hostarmor reload` trusts it again or its files change. A set that
// was only loaded after a boot had completed is untried, and gets its chance
// at the next boot. Once proven, a set stays proven: a later boot that fails
// has other reasons, and a power cut must not disarm the host.
package boot

import (
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// Stage is how far a set has come.
type Stage string

const (
	Untried Stage = "untried" // never enforced in a boot before its end
	Tried   Stage = "tried"   // enforced in boot Entry.Boot, whose end was not seen
	Proven  Stage = "proven"  // a boot completed with it in force
	Failed  Stage = "failed"  // the boot that tried it never completed
)

// Entry is what is known of one set.
type Entry struct {
	Set   string `json:"set"` // hex digest of its files
	Stage Stage  `json:"stage"`
	Boot  string `json:"boot,omitempty"` // the boot id that tried it
}

// Now is the machine's state when a decision is made.
type Now struct {
	Boot     string // this boot's id
	Finished bool   // whether this boot has completed
}

// remembered bounds the record. The sets of the last few edits are enough:
// only what is on disk at a boot is ever asked for.
const remembered = 8

// Record is every set that is remembered, the latest last. It is a value:
// its methods return a new one.
type Record []Entry

// Stage is how far a set has come; a set without an entry is Untried.
func (r Record) Stage(set string) Stage {
	if e, ok := r.find(set); ok {
		return e.Stage
	}
	return Untried
}

// Load decides how a set goes into force, and gives the record to store
// before it does.
func (r Record) Load(set string, now Now) (lsm.Mode, Record) {
	e, ok := r.find(set)
	if !ok {
		e = Entry{Set: set, Stage: Untried}
	}
	switch e.Stage {
	case Proven:
	case Failed:
		return lsm.AuditOnly, r
	case Tried:
		if e.Boot != now.Boot {
			e.Stage = Failed
			return lsm.AuditOnly, r.with(e)
		}
		if now.Finished {
			// An earlier daemon of this boot put it in force and the
			// kernel kept it there until the boot was done.
			e.Stage = Proven
		}
	default:
		if !now.Finished {
			e.Stage, e.Boot = Tried, now.Boot
		}
	}
	return lsm.Enforce, r.with(e)
}

// Finish notes that this boot completed while set was enforced.
func (r Record) Finish(set string, now Now) Record {
	e, ok := r.find(set)
	if !ok || e.Stage != Tried || e.Boot != now.Boot {
		return r
	}
	e.Stage = Proven
	return r.with(e)
}

// Trust forgets that a set failed: the administrator has looked.
func (r Record) Trust(set string) Record {
	if e, ok := r.find(set); !ok || e.Stage != Failed {
		return r
	}
	return r.with(Entry{Set: set, Stage: Untried})
}

func (r Record) find(set string) (Entry, bool) {
	i := slices.IndexFunc(r, func(e Entry) bool { return e.Set == set })
	if i < 0 {
		return Entry{}, false
	}
	return r[i], true
}

func (r Record) with(e Entry) Record {
	out := slices.DeleteFunc(slices.Clone(r), func(o Entry) bool { return o.Set == e.Set })
	out = append(out, e)
	return out[max(0, len(out)-remembered):]
}
