package reload

import (
	"path/filepath"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

// Recover makes the best of a refused set for the daemon's start: each file
// with an error is replaced by its last good content, or left out where there
// is none. The result's policies have no error; its files say what became of
// them, with the problems of what is on disk.
func Recover(refused *Set, store Store, m Machine) (*Set, error) {
	r := recovery{set: &Set{Files: slices.Clone(refused.Files)}, store: store, files: m.Files, kept: map[string]string{}}
	// A store that cannot be read is one that holds nothing: the problems of
	// the files on disk are told in any case.
	if manifest, err := store.Manifest(); err == nil {
		for _, k := range manifest.Files {
			r.kept[k.Path] = k.SHA256
		}
	}
	onDisk := errorsOf(refused.Problems)
	r.addUnread(onDisk)
	r.stepBack(onDisk)
	// Each round takes at least one file a step further: from its content to
	// the last good one, from there to nothing. So it ends.
	for {
		r.dropNamesakes()
		if err := r.set.build(m, nil); err != nil {
			return nil, err
		}
		if !r.set.Refused() {
			break
		}
		if !r.stepBack(errorsOf(r.set.Problems)) && !r.stepBackAll() {
			r.dropAll()
		}
	}
	r.set.Problems = order(append(slices.Clone(onDisk), r.set.Problems...))
	r.set.assign()
	return r.set, nil
}

type recovery struct {
	set   *Set
	store Store
	files policyfile.Options
	kept  map[string]string // path to sum
}

// addUnread adds the last good files of directories that were not read.
func (r *recovery) addUnread(problems []hostpolicy.Problem) {
	known := make(map[string]bool)
	for i := range r.set.Files {
		known[filepath.Base(r.set.Files[i].Path)] = true
	}
	for _, p := range problems {
		for path := range r.kept {
			if filepath.Dir(path) == p.Position.File && !known[filepath.Base(path)] {
				f := File{Path: path, State: policyfile.Rejected}
				f.stepBack(r.store, r.files, r.kept[path])
				r.set.Files = append(r.set.Files, f)
			}
		}
	}
	slices.SortStableFunc(r.set.Files, func(a, b File) int {
		if a, b := filepath.Base(a.Path), filepath.Base(b.Path); a != b {
			if a < b {
				return -1
			}
			return 1
		}
		return 0
	})
}

// stepBack takes the files with errors a step further, and reports whether
// there were any.
func (r *recovery) stepBack(problems []hostpolicy.Problem) (moved bool) {
	broken, directories := make(map[string]bool), make(map[string]bool)
	for _, p := range problems {
		broken[p.Position.File] = true
		directories[p.Position.File] = true
	}
	for _, p := range problems {
		if p.Code != canonical.CodeDirectory {
			directories[p.Position.File] = false
		}
	}
	for i := range r.set.Files {
		f := &r.set.Files[i]
		if !broken[f.Path] || f.State == policyfile.Masked || f.State == policyfile.Rejected && f.tried {
			continue
		}
		moved = true
		if directories[f.Path] && r.kept[f.Path] == f.SHA256 && !f.asWritten {
			f.asWritten = true
			continue
		}
		f.stepBack(r.store, r.files, r.kept[f.Path])
	}
	return moved
}

// stepBackAll is for an error of the set as a whole: every file that differs
// from the last good one gives way.
func (r *recovery) stepBackAll() (moved bool) {
	for i := range r.set.Files {
		f := &r.set.Files[i]
		if f.State == policyfile.Active && !f.tried && r.kept[f.Path] != f.SHA256 {
			f.stepBack(r.store, r.files, r.kept[f.Path])
			moved = true
		}
	}
	return moved
}

func (r *recovery) dropAll() {
	for i := range r.set.Files {
		r.set.Files[i].drop()
	}
}

// dropNamesakes leaves out the last good policies of a file where another file
// has one of their names by now.
func (r *recovery) dropNamesakes() {
	taken := make(map[string]bool)
	for _, lastGood := range []bool{false, true} {
		for i := range r.set.Files {
			f := &r.set.Files[i]
			switch {
			case f.State != policyfile.Active || f.LastGood != lastGood:
			case slices.ContainsFunc(f.Policies, func(p Policy) bool { return taken[p.Name] }):
				f.drop()
			default:
				for _, p := range f.Policies {
					taken[p.Name] = true
				}
			}
		}
	}
}

// stepBack replaces a file's content by the last good one, or drops it.
func (f *File) stepBack(store Store, o policyfile.Options, sum string) {
	tried := f.tried
	f.drop()
	if tried || sum == "" || sum == f.SHA256 {
		return
	}
	content, err := store.content(sum)
	if err != nil {
		return // as if there were none: the file's own problems are told
	}
	set := policyfile.LoadFile(f.Path, content, o)
	if set.State != policyfile.Active {
		return
	}
	f.State, f.LastGood = policyfile.Active, true
	f.policies, f.Inactive, f.content, f.SHA256 = set.Policies, set.Inactive, content, sum
	f.describe()
}

func (f *File) drop() {
	if f.State == policyfile.Active || f.State == policyfile.Rejected {
		f.State, f.policies, f.Inactive, f.LastGood, f.tried = policyfile.Rejected, nil, nil, false, true
	}
}

func errorsOf(problems []hostpolicy.Problem) []hostpolicy.Problem {
	var out []hostpolicy.Problem
	for _, p := range problems {
		if isError(p) {
			out = append(out, p)
		}
	}
	return out
}
