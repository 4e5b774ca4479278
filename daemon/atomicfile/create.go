package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create is Write where no file may be replaced: what stands at path, be it a
// dangling link, stays, and the error is fs.ErrExist.
func Create(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := fill(tmp, data, mode); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace anything.
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else if err != nil {
		return err
	}
	return SyncDir(dir)
}
