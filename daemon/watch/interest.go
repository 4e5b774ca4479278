package watch

import (
	"os"
	"path/filepath"
	"strings"
)

const (
	maxLinks = 40   // as the kernel's
	maxDirs  = 1024 // beyond this the periodic look has to do
)

// interest is what a look depends on: real directories, and in each the names
// that count (nil: all of them).
type interest map[string]map[string]bool

// survey finds what looking at the directories dirs and the single files
// depends on.
func survey(dirs, files []string) interest {
	in := make(interest)
	for _, dir := range dirs {
		real, ok := in.walk(dir)
		if !ok {
			continue
		}
		in[real] = nil
		entries, err := os.ReadDir(real)
		if err != nil {
			continue // what a reader finds wrong it reports; here we only wait
		}
		for _, e := range entries {
			if e.Type()&os.ModeSymlink != 0 {
				in.walk(filepath.Join(real, e.Name()))
			}
		}
	}
	for _, file := range files {
		in.walk(file)
	}
	return in
}

// walk goes through path as the kernel does, noting each name that it reads,
// and returns where it ends. It stops at what does not exist, having noted the
// name that has to appear.
func (in interest) walk(path string) (string, bool) {
	dir, rest, links := "/", strings.Trim(filepath.Clean(path), "/"), 0
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		in.note(dir, name)
		next := filepath.Join(dir, name)
		info, err := os.Lstat(next)
		if err != nil {
			return "", false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			dir = next
			continue
		}
		if links++; links > maxLinks {
			return "", false
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", false
		}
		if filepath.IsAbs(target) {
			dir = "/"
		}
		rest = strings.Trim(target, "/") + "/" + rest
	}
	return dir, true
}

func (in interest) note(dir, name string) {
	names, known := in[dir]
	if known && names == nil || !known && len(in) >= maxDirs {
		return
	}
	if !known {
		names = make(map[string]bool)
		in[dir] = names
	}
	names[name] = true
}

// concerns reports whether an event at path is of interest.
func (in interest) concerns(path string) bool {
	if _, self := in[path]; self {
		return true
	}
	names, known := in[filepath.Dir(path)]
	return known && (names == nil || names[filepath.Base(path)])
}
