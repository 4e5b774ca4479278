package mounts

import (
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// ReadLayered reads the mount table in file with the layers of overlay mounts
// behind the plain mounts: a file of a layer, reached through the layer, has
// its name in the merged tree as well. Layers are looked for in the tree root;
// those that are not there are left out and logged.
func ReadLayered(file, root string, log *slog.Logger) (Table, error) {
	table, overlays, err := read(file)
	if err != nil {
		return Table{}, err
	}
	table.Mounts = append(table.Mounts, layers(table.Mounts, overlays, root, log)...)
	return table, nil
}

// overlay is a mount of a whole overlay file system.
type overlay struct {
	point   string
	options string // of the superblock, with octal escapes
}

// layers are the mounts that overlays amount to: each upper and lower directory
// at the overlay's mount point.
func layers(table []lsm.Mount, overlays []overlay, root string, log *slog.Logger) []lsm.Mount {
	if len(overlays) == 0 {
		return nil
	}
	r := newResolver(root)
	points := newPoints(table)
	var out []lsm.Mount
	seen := make(map[lsm.Mount]bool)
	for _, o := range overlays {
		upper, lower := o.directories()
		bases := o.bases(upper)
		for _, texts := range append([][]string{upper}, lower...) {
			dir, ok := r.first(texts, bases)
			if !ok {
				if len(texts) > 0 {
					log.Debug("a layer of an overlay is not found", "overlay", o.point, "layer", texts[0])
				}
				continue
			}
			m, ok := points.inside(dir)
			if !ok {
				continue
			}
			m.Point = o.point
			if !seen[m] {
				seen[m] = true
				out = append(out, m)
			}
		}
	}
	return out
}

// directories are the upper directory and each lower one as the options have
// them, in the forms that they can be meant in. Directories for data alone are
// left out: their files have other names in the merged tree.
func (o overlay) directories() (upper []string, lower [][]string) {
	for option := range strings.SplitSeq(o.options, ",") {
		name, value, _ := strings.Cut(option, "=")
		value = unescape(value)
		switch name {
		case "upperdir":
			upper = forms(value)
		case "lowerdir+":
			lower = append(lower, forms(value))
		case "lowerdir":
			for _, part := range splitColons(value) {
				if part == "" {
					break // behind "::" there is data alone
				}
				lower = append(lower, forms(part))
			}
		}
	}
	return upper, lower
}

// forms are a directory as written, and without the backslashes that mount(2)
// wants before colons and commas. Kernels differ in which of them they show.
func forms(text string) []string {
	list := []string{text}
	if strings.Contains(text, `\`) {
		var b strings.Builder
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' && i+1 < len(text) {
				i++
			}
			b.WriteByte(text[i])
		}
		list = append(list, b.String())
	}
	return list
}

// splitColons splits at colons that no backslash stands before.
func splitColons(text string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ':':
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// bases are the directories that a relative layer can be relative to. The
// kernel does not keep the one that it was: runtimes change into the directory
// that holds all layers to keep the options short, and the upper directory and
// the merged one are two levels below it.
func (o overlay) bases(upper []string) []string {
	bases := []string{path.Dir(path.Dir(o.point)), path.Dir(o.point)}
	for _, u := range upper {
		if path.IsAbs(u) {
			bases = append([]string{path.Dir(path.Dir(u))}, bases...)
		}
	}
	return bases
}

// resolver follows symbolic links below root and remembers what it found: many
// overlays share their layers, and all of them their directories.
type resolver struct {
	root string
	real map[string]string // "" is one that is not there
}

func newResolver(root string) *resolver {
	return &resolver{strings.TrimSuffix(root, "/"), map[string]string{"/": "/"}}
}

// first is the first of the forms that is there.
func (r *resolver) first(texts, bases []string) (string, bool) {
	for _, text := range texts {
		if path.IsAbs(text) {
			if dir := r.follow(path.Clean(text), maxLinks); dir != "" {
				return dir, true
			}
			continue
		}
		for _, base := range bases {
			if dir := r.follow(path.Join(base, text), maxLinks); dir != "" {
				return dir, true
			}
		}
	}
	return "", false
}

const maxLinks = 40 // as the kernel's

// follow is the real name of a clean path, "" if it is not there.
func (r *resolver) follow(name string, links int) string {
	if real, ok := r.real[name]; ok {
		return real
	}
	real := ""
	if parent := r.follow(path.Dir(name), links); parent != "" {
		real = path.Join(parent, path.Base(name))
		info, err := os.Lstat(r.root + real)
		switch {
		case err != nil:
			real = ""
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(r.root + real)
			if !path.IsAbs(target) {
				target = path.Join(parent, target)
			}
			real = ""
			if err == nil && links > 0 {
				real = r.follow(filepath.Clean(target), links-1)
			}
		}
	}
	r.real[name] = real
	return real
}

// points finds the mount that a name leads into.
type points map[string]lsm.Mount

// newPoints keeps of mounts at one point the last.
func newPoints(table []lsm.Mount) points {
	p := make(points, len(table))
	for _, m := range table {
		p[m.Point] = m
	}
	return p
}

// inside is the superblock of a name and the name's path inside it.
func (p points) inside(name string) (lsm.Mount, bool) {
	for dir := name; ; dir = path.Dir(dir) {
		if m, ok := p[dir]; ok {
			return lsm.Mount{Device: m.Device, Root: path.Join(m.Root, below(dir, name))}, strings.HasPrefix(m.Root, "/")
		}
		if dir == "/" {
			return lsm.Mount{}, false
		}
	}
}
