// Package version says which HostArmor this is.
package version

import (
	"runtime/debug"

	"github.com/hostarmor/hostarmor/daemon/event"
)

// Info is the answer of `hostarmor version -o json`.
type Info struct {
	Schema  int    `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"` // built from an uncommitted tree
	Go      string `json:"go"`
}

// Of describes this program. The build sets release and commit by -ldflags;
// without them they are found out as far as can be.
func Of(release, commit string) Info {
	v := Info{Schema: event.Schema, Version: release, Commit: commit}
	if release == "" {
		v.Version = "devel"
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Go = build.GoVersion
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			if commit == "" {
				v.Commit = s.Value
			}
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	return v
}

// String is one line, as `--version` prints it.
func (v Info) String() string {
	s := "hostarmor " + v.Version
	if v.Commit != "" {
		s += " (" + v.Commit[:min(12, len(v.Commit))]
		if v.Dirty {
			s += ", modified"
		}
		s += ")"
	}
	return s
}
