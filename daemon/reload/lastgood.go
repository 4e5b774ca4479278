package reload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hostarmor/hostarmor/daemon/atomicfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/lsm"
)

// Store keeps the files that were last in force, below one directory: each
// content under its SHA-256, and a manifest that names them. The manifest is
// replaced last and whole, so that a crash leaves the old set or the new.
type Store struct{ dir string }

// NewStore keeps the set in dir.
func NewStore(dir string) Store { return Store{dir} }

const manifestName = "manifest.json"

// Manifest is what the store holds.
type Manifest struct {
	Schema int    `json:"schema"`
	Set    string `json:"set"`    // Set.ID
	Digest string `json:"digest"` // of the compiled ruleset
	Files  []Kept `json:"files"`
	// Settings is the SHA-256 of the settings file, "" where there was none.
	Settings string `json:"settings,omitempty"`
}

// Kept is one file of the set.
type Kept struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Save stores the files of a set that went into force, and the settings that
// were read with it. It must be called before the set is forgotten.
func (st Store) Save(s *Set, digest [32]byte, settings []byte) error {
	if err := st.save(s, digest, settings); err != nil {
		return fmt.Errorf("save the last good policies: %w", err)
	}
	return nil
}

func (st Store) save(s *Set, digest [32]byte, settings []byte) error {
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	m := Manifest{Schema: 1, Set: s.ID, Digest: hex.EncodeToString(digest[:]), Files: []Kept{}}
	used := map[string]bool{manifestName: true}
	keep := func(sum string, content []byte) error {
		used[sum] = true
		path := filepath.Join(st.dir, sum)
		if _, err := st.content(sum); err == nil {
			return nil
		}
		return atomicfile.Write(path, content, 0o600)
	}
	for i := range s.Files {
		f := &s.Files[i]
		if f.State != policyfile.Active {
			continue
		}
		if err := keep(f.SHA256, f.content); err != nil {
			return err
		}
		m.Files = append(m.Files, Kept{f.Path, f.SHA256})
	}
	if settings != nil {
		sum := sha256.Sum256(settings)
		m.Settings = hex.EncodeToString(sum[:])
		if err := keep(m.Settings, settings); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(st.dir, manifestName), append(b, '\n'), 0o600); err != nil {
		return err
	}
	return st.sweep(used)
}

// sweep removes what the manifest does not name any more.
func (st Store) sweep(used map[string]bool) error {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !used[e.Name()] {
			if err := os.Remove(filepath.Join(st.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Manifest reads what is stored; nothing stored is an empty manifest.
func (st Store) Manifest() (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(filepath.Join(st.dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read the last good policies: %w", err)
	}
	return m, nil
}

// content is what was stored under a sum; a content that does not have it any
// more is an error.
func (st Store) content(sum string) ([]byte, error) {
	if len(sum) != hex.EncodedLen(sha256.Size) || filepath.Base(sum) != sum {
		return nil, fmt.Errorf("%q is not a SHA-256", sum)
	}
	b, err := os.ReadFile(filepath.Join(st.dir, sum))
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s is damaged", filepath.Join(st.dir, sum))
	}
	return b, nil
}

// Settings is the settings file that was last in force, nil if none is stored.
func (st Store) Settings() ([]byte, error) {
	m, err := st.Manifest()
	if err != nil || m.Settings == "" {
		return nil, err
	}
	b, err := st.content(m.Settings)
	if err != nil {
		return nil, fmt.Errorf("read the last good settings: %w", err)
	}
	return b, nil
}

// Rules are those of the last good set, if it compiles to this digest here and
// now: the rule ids of what an earlier daemon left in force.
func (st Store) Rules(digest [32]byte, machine Machine) ([]lsm.Rule, error) {
	s, err := st.Set(digest, machine)
	if err != nil {
		return nil, err
	}
	if s.Ruleset == nil || s.Ruleset.Digest != digest {
		return nil, errors.New("the last good policies compile to something else now")
	}
	return s.Ruleset.Rules, nil
}

// Set is the last good set, if it was saved under this digest. It may compile
// to another one by now.
func (st Store) Set(digest [32]byte, machine Machine) (*Set, error) {
	m, err := st.Manifest()
	if err != nil {
		return nil, err
	}
	if m.Digest != hex.EncodeToString(digest[:]) {
		return nil, errors.New("the last good policies are not those in force")
	}
	s := &Set{}
	for _, k := range m.Files {
		f := File{Path: k.Path}
		f.stepBack(st, machine.Files, k.SHA256)
		// It is in force as it is; asWritten for the same reason.
		f.LastGood, f.asWritten = false, true
		s.Files = append(s.Files, f)
	}
	if err := s.build(machine, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// Complete reports whether every file of the set could be read.
func (s *Set) Complete() bool {
	return !slices.ContainsFunc(s.Files, func(f File) bool { return f.Rejected() || f.State == 0 })
}
