package event

import (
	"fmt"
	"os"
)

// File appends events to a file as JSON lines.
type File struct {
	path string
	file *os.File
}

// NewFile writes to path. It is opened at the first event, and again after
// logrotate has moved it away.
func NewFile(path string) *File { return &File{path: path} }

// Write appends one record.
func (f *File) Write(e Event) error {
	if err := f.open(); err != nil {
		return fmt.Errorf("write events to %s: %w", f.path, err)
	}
	if _, err := f.file.Write(Line(e)); err != nil {
		return fmt.Errorf("write events to %s: %w", f.path, err)
	}
	return nil
}

func (f *File) open() error {
	if f.file != nil {
		have, err1 := f.file.Stat()
		want, err2 := os.Stat(f.path)
		if err1 == nil && err2 == nil && os.SameFile(have, want) {
			return nil
		}
		f.Close()
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	f.file = file
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
