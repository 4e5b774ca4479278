package reload

import (
	"crypto/sha256"
	"path/filepath"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// maxLinks bounds the names that are looked at between reloads; rules beyond
// it are looked at with the daemon's full look.
const maxLinks = 20000

// Links are the names whose symbolic links the rules depend on: a later look
// tells from them alone, without parsing a file, that the rules mean other
// files now.
type Links struct {
	names string // each ending in a NUL
	sum   [32]byte
}

// Changed reports whether any name leads elsewhere than it did.
func (l Links) Changed() bool { return len(l.names) > 0 && follow(l.names) != l.sum }

func linksOf(root string, policies []hostpolicy.Policy) Links {
	seen := make(map[string]bool)
	var names strings.Builder
	add := func(patterns []hostpolicy.Pattern) {
		for _, p := range patterns {
			name := filepath.Join(root, literal(p.String()))
			if !seen[name] && len(seen) < maxLinks {
				seen[name] = true
				names.WriteString(name + "\x00")
			}
		}
	}
	for i := range policies {
		if policies[i].AppliesTo.Container != nil {
			continue // named in a tree of its own
		}
		for j := range policies[i].Rules {
			r := &policies[i].Rules[j]
			add(r.Path)
			add(r.Except)
			add(r.From)
			add(r.ExceptFrom)
			add(r.Within)
		}
	}
	text := names.String()
	return Links{names: text, sum: follow(text)}
}

// literal is the part of a pattern before its first special character, cut at
// a component.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		pattern = pattern[:i]
		return pattern[:strings.LastIndexByte(pattern, '/')+1]
	}
	return pattern
}

func follow(names string) [32]byte {
	h := sha256.New()
	for name := range strings.SplitSeq(names, "\x00") {
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			real = ""
		}
		h.Write([]byte(real))
		h.Write([]byte{0})
	}
	return [32]byte(h.Sum(nil))
}
