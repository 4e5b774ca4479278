package reload

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBeingWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.toml")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if !BeingWritten([]string{dir}) {
		w.Close()
		t.Fatal("a file open for writing is not seen")
	}
	w.Close()
	if BeingWritten([]string{dir, "/nowhere"}) {
		t.Error("a closed file is being written")
	}
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if BeingWritten([]string{dir}) {
		t.Error("a file that is read is being written")
	}
}
