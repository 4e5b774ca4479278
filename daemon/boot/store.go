package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostarmor/hostarmor/daemon/atomicfile"
)

// idFile holds this boot's id.
const idFile = "/proc/sys/kernel/random/boot_id"

// ID is this boot's id.
func ID() (string, error) {
	b, err := os.ReadFile(idFile)
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Store is the record on disk.
type Store struct{ path string }

// NewStore keeps the record in dir/boot.json.
func NewStore(dir string) Store { return Store{filepath.Join(dir, "boot.json")} }

type file struct {
	Schema int    `json:"schema"`
	Sets   Record `json:"sets"`
}

// Read returns the record; one that was never written is empty. A broken file
// is an error and an empty record, so that it disarms nothing.
func (s Store) Read() (Record, error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the boot guard's record: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read the boot guard's record %s: %w", s.path, err)
	}
	return f.Sets, nil
}

// Write stores the record, on disk when it returns: it has to survive the
// crash that it is there to notice.
func (s Store) Write(r Record) error {
	b, err := json.MarshalIndent(file{Schema: 1, Sets: r}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the boot guard's record: %w", err)
	}
	if err := atomicfile.Write(s.path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the boot guard's record: %w", err)
	}
	return nil
}
