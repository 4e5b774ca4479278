package vm

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// report is what the guest sends on the result port once the job has ended.
type report struct {
	exit    int
	output  int64    // bytes of stdout and stderr that went to the out port
	missing []string // requested paths that the guest does not have
	dir     string   // holds get/N and the diagnostics
}

// A guest gone wild must not fill the host's disk.
const maxReport = 8 << 30

// readReport unpacks the guest's tar below dir. The guest is not trusted: it may have crashed in mid-word.
func readReport(r io.Reader, dir string) (*report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open report directory: %w", err)
	}
	defer root.Close()
	limited := &io.LimitedReader{R: r, N: maxReport}
	tr := tar.NewReader(limited)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if limited.N <= 0 {
			return nil, fmt.Errorf("the guest's report is larger than %d bytes", int64(maxReport))
		}
		if err != nil {
			return nil, fmt.Errorf("the guest's report is broken: %w", err)
		}
		if err := unpackEntry(root, h, tr); err != nil {
			return nil, fmt.Errorf("unpack %q from the guest's report: %w", h.Name, err)
		}
	}
	rep := &report{dir: dir}
	if rep.exit, err = reportNumber[int](root, "exit", 255); err != nil {
		return nil, err
	}
	if rep.output, err = reportNumber[int64](root, "bytes", 1<<62); err != nil {
		return nil, err
	}
	if missing, err := root.ReadFile("missing"); err == nil {
		rep.missing = strings.Split(strings.TrimSuffix(string(missing), "\n"), "\n")
	}
	return rep, nil
}

func reportNumber[T int | int64](root *os.Root, name string, highest int64) (T, error) {
	text, err := root.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("the guest's report has no %s: %w", name, err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 || n > highest {
		return 0, fmt.Errorf("the guest's report says %q for %s, want a number up to %d", text, name, highest)
	}
	return T(n), nil
}

func unpackEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := path.Clean(h.Name)
	if name == "." {
		return nil
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		// The harness must be able to write into it and to delete it, whatever the guest's mode.
		if err := root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return root.Chmod(name, h.FileInfo().Mode().Perm()|0o700)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, r); err != nil {
			f.Close()
			return err
		}
		return errors.Join(f.Chmod(h.FileInfo().Mode().Perm()|0o600), f.Close())
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(path.Clean(h.Linkname), name)
	}
	// Devices, sockets and pipes mean nothing outside the guest.
	return nil
}
