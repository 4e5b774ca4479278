package policyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func fileProblem(path, code, message, fix string) *hostpolicy.Problem {
	return &hostpolicy.Problem{
		Position: hostpolicy.Position{File: path, Line: 1, Column: 1},
		Code:     code, Severity: hostpolicy.Error, Message: message, Fix: fix,
	}
}

// listDir gives the names of the files in dir that are policies or claim to be.
func (o Options) listDir(dir string) ([]string, *hostpolicy.Problem) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cannot("open the directory", dir, err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return nil, cannot("open the directory", dir, err)
	}
	if !info.IsDir() {
		return nil, fileProblem(dir, codeUnreadable, "not a directory", "")
	}
	if why, fix := o.unsafe(dir, info); why != "" {
		return nil, fileProblem(dir, codeDirMode, "the directory "+why+", so none of its files is read", fix)
	}
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, cannot("list the directory", dir, err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".test.toml") &&
			(filepath.Ext(name) == ".toml" || isYAML(name)) {
			names = append(names, name)
		}
	}
	return names, nil
}

func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// read returns a file's content, or that the file masks its namesakes, or why
// neither can be.
func (o Options) read(path string) (content []byte, masks bool, problem *hostpolicy.Problem) {
	// Opening a device can have effects, and opening a FIFO can wait for ever,
	// so look before. What counts is what the open file turns out to be.
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, cannot("read", path, err)
	}
	if isNull(info) {
		return nil, true, nil
	}
	if problem := irregular(path, info); problem != nil {
		return nil, false, problem
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, false, cannot("read", path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, false, cannot("read", path, err)
	}
	if problem := irregular(path, info); problem != nil {
		return nil, false, problem
	}
	if why, fix := o.unsafe(path, info); why != "" {
		return nil, false, fileProblem(path, codeFileMode, "the file "+why, fix)
	}
	limit := o.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	// Read, not asked for its size: files of /proc have none and are not empty.
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, false, cannot("read", path, err)
	}
	if len(content) == 0 {
		return nil, true, nil
	}
	if int64(len(content)) > limit {
		return nil, false, fileProblem(path, codeTooLarge, fmt.Sprintf("the file has %d bytes, more than the limit of %d", max(info.Size(), limit+1), limit), "split the policy into several files")
	}
	return content, false, nil
}

// isNull recognises /dev/null by what it is, not by its name.
func isNull(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 1<<8|3
}

func irregular(path string, info fs.FileInfo) *hostpolicy.Problem {
	what := "not a regular file"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory, not a file"
	case mode&fs.ModeNamedPipe != 0:
		what = "a FIFO, not a regular file"
	case mode&fs.ModeSocket != 0:
		what = "a socket, not a regular file"
	case mode&fs.ModeDevice != 0:
		what = "a device, not a regular file"
	}
	fix := "name a regular file"
	if ext := filepath.Ext(path); ext == ".toml" || isYAML(path) {
		fix = "remove it or give it a name that does not end in " + ext
	}
	return fileProblem(path, codeUnreadable, what, fix)
}

// unsafe says what lets others than root change a file, and the remedy.
func (o Options) unsafe(path string, info fs.FileInfo) (why, fix string) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if o.AnyOwner || !ok {
		return "", ""
	}
	if st.Uid != o.owner {
		return fmt.Sprintf("is owned by uid %d, not by root", st.Uid), "chown root " + path
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Sprintf("is writable by others than root (mode %04o)", perm), "chmod go-w " + path
	}
	return "", ""
}

// cannot words the errors that people meet.
func cannot(do, path string, err error) *hostpolicy.Problem {
	why, fix := err.Error(), ""
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		why = pe.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		fix = "run as root, or give yourself read permission"
	case errors.Is(err, syscall.ELOOP):
		why, fix = "its symbolic links lead in a circle", "correct the link"
	case errors.Is(err, fs.ErrNotExist):
		if target, lerr := os.Readlink(path); lerr == nil {
			why, fix = fmt.Sprintf("it is a symbolic link to %s, where nothing is", target), "correct the link, or remove it"
		}
	}
	return fileProblem(path, codeUnreadable, "cannot "+do+": "+why, fix)
}
