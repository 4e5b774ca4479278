package links

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/mounts"
	"github.com/hostarmor/hostarmor/lsm"
)

const (
	// Foreground is how many directory entries are looked at while somebody
	// waits for policies.
	Foreground = 200_000
	// Limit is how many are looked at at all.
	Limit = 20_000_000

	// maxNames bounds what is found: anybody may make links that a wide
	// pattern names.
	maxNames = 200_000
)

// Find looks for named files with several hard links, in the tree root, which
// shows what the mount table tells. After budget directory entries, and
// directories on the way to them, it stops: rest are then the patterns that were not searched to their end, without
// which all links are known. Literal names cost no budget. The links are
// ordered by device and inode, the names of each likewise. An error is one of
// the tree or of ctx; what cannot be read is in rest.
func (t *Targets) Find(ctx context.Context, root string, table mounts.Table, budget int) (found []lsm.Link, rest []string, err error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("look for hard links: open %s: %w", root, err)
	}
	defer unix.Close(fd)
	s := search{
		targets: t, ctx: ctx, root: fd, budget: budget,
		mounts: make(map[string]mount), names: make(map[file][]string),
		begun: make(map[string]bool), rest: make(map[string]bool),
	}
	plain := table.Plain()
	for i, m := range plain {
		s.mounts[m.Point] = mount{m.Device, skipped(table.Types[i])}
	}
	s.literals()
	s.walk()
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("look for hard links: %w", context.Cause(ctx))
	}
	return s.links(), slices.Sorted(maps.Keys(s.rest)), nil
}

// skipped reports whether a file system is not searched: it has no hard links,
// or may keep whoever looks waiting for ever.
func skipped(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "cgroup", "cgroup2", "devpts", "securityfs", "debugfs", "tracefs", "bpf", "pstore", "configfs",
		"fusectl", "mqueue", "efivarfs", "selinuxfs", "binfmt_misc", "autofs", "nsfs", "rpc_pipefs", "nfsd", "hugetlbfs",
		"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "fuse", "fuseblk", "virtiofs":
		return true
	}
	return strings.HasPrefix(fstype, "fuse.")
}

type mount struct {
	device uint32
	skip   bool
}

type file struct {
	device uint32
	inode  uint64
}

// directory is one that is still to be read.
type directory struct {
	name  string
	mount mount
	at    []place
}

type search struct {
	targets *Targets
	ctx     context.Context
	root    int
	budget  int
	mounts  map[string]mount // by point; of several at one the last
	names   map[file][]string
	begun   map[string]bool // prefixes whose trees are being walked
	rest    map[string]bool
	taken   int // names
	stack   []directory
}

// holding is the mount that a name leads into.
func (s *search) holding(name string) mount {
	for dir := name; ; dir = path.Dir(dir) {
		if m, ok := s.mounts[dir]; ok {
			return m
		}
		if dir == "/" {
			return mount{skip: true} // no table names it
		}
	}
}

// open opens a name through no symbolic link at all: whoever puts one there
// must not have another file judged by this name.
//
// One component at a time: openat2 would do it in one call, but the service's
// RestrictSUIDSGID= leaves that out, because its flags cannot be filtered.
func (s *search) open(name string, flags int) (int, error) {
	if len(name) >= unix.PathMax {
		return -1, unix.ENAMETOOLONG // as one call would say; and a deep tree costs its depth each time
	}
	dir, err := unix.FcntlInt(uintptr(s.root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	parts := strings.FieldsFunc(name, func(c rune) bool { return c == '/' })
	if len(parts) == 0 {
		parts = []string{"."}
	}
	for i, part := range parts {
		how := unix.O_PATH | unix.O_DIRECTORY
		if i == len(parts)-1 {
			how = flags
		}
		next, err := unix.Openat(dir, part, how|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}

func (s *search) literals() {
	for _, name := range slices.Sorted(maps.Keys(s.targets.literals)) {
		if s.ctx.Err() != nil {
			return
		}
		m := s.holding(name)
		if m.skip {
			continue
		}
		var st unix.Stat_t
		// Most names have one link, or none: one call tells.
		if unix.Fstatat(s.root, "."+name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil || !several(&st) {
			continue
		}
		fd, err := s.open(name, unix.O_PATH)
		if err != nil {
			continue // a link on the way, or gone meanwhile
		}
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		if err == nil && several(&st) {
			for _, except := range s.targets.literals[name] {
				if !s.take(name, m, st.Ino, except) {
					s.rest[name] = true
				}
			}
		}
	}
}

func several(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1
}

// take notes a name, unless it is an exception. It reports false where there
// are too many already.
func (s *search) take(name string, m mount, inode uint64, except uint32) bool {
	if s.targets.excepted(except, name) {
		return true
	}
	if s.taken == maxNames {
		return false
	}
	f := file{m.device, inode}
	s.names[f] = append(s.names[f], name)
	s.taken++
	return true
}

// walk reads the directories of all trees, those that begin at the root of
// everything last: the budget is for the narrow ones first.
func (s *search) walk() {
	prefixes := slices.Sorted(maps.Keys(s.targets.trees))
	if len(prefixes) > 0 && prefixes[0] == "/" {
		prefixes = append(prefixes[1:], "/")
	}
	for _, prefix := range prefixes {
		if s.begun[prefix] {
			continue // within one that was walked
		}
		if m := s.holding(prefix); !m.skip {
			s.stack = append(s.stack, directory{prefix, m, nil})
		}
		for len(s.stack) > 0 && s.ctx.Err() == nil {
			d := s.stack[len(s.stack)-1]
			s.stack = s.stack[:len(s.stack)-1]
			s.begin(&d)
			if s.budget <= 0 || !s.read(d) {
				s.unread(d.at)
			}
		}
	}
}

// begin adds the trees that begin in the directory.
func (s *search) begin(d *directory) {
	if s.begun[d.name] {
		return
	}
	trees, ok := s.targets.trees[d.name]
	if !ok {
		return
	}
	s.begun[d.name] = true
	d.at = slices.Clip(d.at)
	for _, t := range trees {
		d.at = append(d.at, place{t, 0})
	}
}

// unread notes that the trees were not searched to their end.
func (s *search) unread(at []place) {
	for _, p := range at {
		s.rest[p.tree.pattern.String()] = true
	}
}

// read looks at the entries of a directory. It reports false where it did not
// see all of them.
func (s *search) read(d directory) bool {
	if len(d.at) == 0 {
		return true
	}
	// Whoever makes a chain of thousands must not keep the daemon busy: to open
	// the last costs its depth.
	s.budget -= strings.Count(d.name, "/")
	fd, err := s.open(d.name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		// Not there, or by now something else.
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
	}
	f := os.NewFile(uintptr(fd), d.name)
	defer f.Close()
	for s.ctx.Err() == nil {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			s.budget -= 1 + len(d.at)/8 // many patterns take their time too
			s.entry(&d, fd, e)
		}
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil || s.budget <= 0:
			return false
		}
	}
	return false
}

func (s *search) entry(d *directory, fd int, e os.DirEntry) {
	if !e.IsDir() && !e.Type().IsRegular() {
		return
	}
	in, named := enter(d.at, e.Name())
	name := path.Join(d.name, e.Name())
	if e.IsDir() {
		m := d.mount
		if other, ok := s.mounts[name]; ok {
			m = other
		}
		if _, begins := s.targets.trees[name]; (len(in) > 0 || begins && !s.begun[name]) && !m.skip {
			s.stack = append(s.stack, directory{name, m, in})
		}
		return
	}
	if !named {
		return
	}
	// A file can be a mount point too, and the name is then another file's.
	m := d.mount
	if other, ok := s.mounts[name]; ok {
		m = other
	}
	var st unix.Stat_t
	if m.skip || unix.Fstatat(fd, e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil || !several(&st) {
		return
	}
	for _, p := range d.at {
		if p.tree.pattern.Match(name) && !s.take(name, m, st.Ino, p.tree.except) {
			s.rest[p.tree.pattern.String()] = true
		}
	}
}

func (s *search) links() []lsm.Link {
	out := make([]lsm.Link, 0, len(s.names))
	for f, names := range s.names {
		slices.Sort(names)
		out = append(out, lsm.Link{Device: f.device, Inode: f.inode, Names: slices.Compact(names)})
	}
	slices.SortFunc(out, compare)
	return out
}

func compare(a, b lsm.Link) int {
	return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Inode, b.Inode))
}

// Merge is what either list knows.
func Merge(a, b []lsm.Link) []lsm.Link {
	s := search{names: make(map[file][]string)}
	for _, l := range slices.Concat(a, b) {
		f := file{l.Device, l.Inode}
		s.names[f] = append(s.names[f], l.Names...)
	}
	return s.links()
}

// Equal reports whether both lists are the same.
func Equal(a, b []lsm.Link) bool {
	return slices.EqualFunc(a, b, func(a, b lsm.Link) bool {
		return compare(a, b) == 0 && slices.Equal(a.Names, b.Names)
	})
}
