//go:build e2e

package escapes

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// snapshot is all that an attack could have changed of what is guarded, as
// text: it tells what differs.
func (c *ctx) snapshot(a *attack) (string, error) {
	var b strings.Builder
	for _, name := range a.guarded {
		err := filepath.WalkDir(c.path(name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(&b, path, "does not exist")
				return nil
			}
			if err != nil {
				return err
			}
			line, err := describe(path, d)
			fmt.Fprintln(&b, path, line)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// describe is one file: all but the time of the last access.
func describe(path string, d fs.DirEntry) (string, error) {
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return "", at("lstat "+path, err)
	}
	line := fmt.Sprintf("inode %d mode %o links %d owner %d:%d size %d changed %d.%09d modified %d.%09d", s.Ino, s.Mode, s.Nlink, s.Uid, s.Gid,
		s.Size, s.Ctim.Sec, s.Ctim.Nsec, s.Mtim.Sec, s.Mtim.Nsec)
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return "", at("list attributes of "+path, err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", at("attribute "+name+" of "+path, err)
		}
		line += fmt.Sprintf(" %s=%x", name, value[:n])
	}
	if !d.Type().IsRegular() {
		return line, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		line += fmt.Sprintf(" flags %#x", flags)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return line + fmt.Sprintf(" content %x", sha256.Sum256(text)), nil
}
