package canonical

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

const (
	maxLinks = 40 // as in the kernel
	// A link target may hold 2,000 components, and so may each link in them.
	maxSteps = 4096
)

// resolved is where a name leads.
type resolved struct {
	name   string // canonical
	link   string // the last component's own canonical name, if it is a link
	exists bool
	dir    bool
	keep   bool // name is unknown, the written one has to do
	// trouble says why the name may not be the last word, with a fix.
	trouble, fix string
}

// entry is what stands at a canonical name.
type entry struct {
	mode   fs.FileMode
	target string // of a link
	err    error
}

// walker resolves names. It asks os.Root about one component at a time, always
// under a name that holds no link, so that a tree that changes meanwhile can
// give a wrong answer and still cannot lead out of the root.
type walker struct {
	dir    *os.Root
	seen   map[string]entry
	found  map[string]resolved
	listed map[string][]string // the links of directories
	missed map[string][]stray  // by list of patterns and exceptions
}

func newWalker(dir *os.Root) *walker {
	return &walker{dir: dir, seen: make(map[string]entry), found: make(map[string]resolved), listed: make(map[string][]string), missed: make(map[string][]stray)}
}

func (w *walker) at(name string) entry {
	if e, ok := w.seen[name]; ok {
		return e
	}
	var e entry
	relative := strings.TrimPrefix(name, "/")
	info, err := w.dir.Lstat(relative)
	if err != nil {
		e.err = err
	} else if e.mode = info.Mode(); e.mode&fs.ModeSymlink != 0 {
		e.target, e.err = w.dir.Readlink(relative)
	}
	w.seen[name] = e
	return e
}

// resolve follows the links of a clean absolute name.
func (w *walker) resolve(name string) resolved {
	r, ok := w.found[name]
	if !ok {
		r = w.follow(name)
		w.found[name] = r
	}
	return r
}

func (w *walker) follow(name string) resolved {
	pending := components(name)
	written := len(pending) // the last ones of pending, which name itself holds
	cur, links, missing := "/", 0, false
	r := resolved{exists: true, dir: true}
	for steps := 0; len(pending) > 0; steps++ {
		if steps > maxSteps {
			return r.kept("its symbolic links lead too far", keptFix)
		}
		c, target := pending[0], len(pending) > written
		pending = pending[1:]
		written = min(written, len(pending))
		if c == "." {
			continue
		}
		if c == ".." {
			cur = path.Dir(cur)
			continue
		}
		next := path.Join(cur, c)
		if missing {
			cur = next
			continue
		}
		if next == "/proc/self" || next == "/proc/thread-self" {
			return r.kept(next+" is another directory for each process, and no file is judged by that name",
				`write "/proc/[0-9]*/..." for those of all processes`)
		}
		e := w.at(next)
		switch {
		case e.err == nil && e.mode&fs.ModeSymlink == 0:
			r.dir = e.mode.IsDir()
			cur = next
		case e.err == nil:
			if !target && len(pending) == 0 {
				r.link = next
			}
			if links++; links > maxLinks {
				return r.kept("its symbolic links lead in a circle", "correct the link; until then "+keptFix)
			}
			if strings.HasPrefix(e.target, "/") {
				cur = "/"
			}
			r.dir = true
			pending = append(components(e.target), pending...)
		case errors.Is(e.err, fs.ErrNotExist) || errors.Is(e.err, syscall.ENOTDIR):
			missing, r.exists, r.dir = true, false, false
			cur = next
			if target {
				r.trouble = fmt.Sprintf("a symbolic link leads to %s, where nothing is", next)
				r.fix = "correct the link; until then the rule names what it would lead to"
			}
		default:
			return r.kept(fmt.Sprintf("cannot look at %s: %v", next, reason(e.err)), keptFix)
		}
	}
	r.name = cur
	return r
}

const keptFix = "only the written name is judged"

// kept is the result where links lead to no end: the name as written, or the
// canonical one of the link it ends in.
func (r resolved) kept(trouble, fix string) resolved {
	return resolved{name: r.link, keep: r.link == "", trouble: trouble, fix: fix}
}

func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func components(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}
