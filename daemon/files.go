package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// readSettings reads the settings file. At the start a broken file is replaced
// by the last good one, key by key the defaults where there is none; later it
// refuses the reload and the settings stay as they are.
func (d *Daemon) readSettings(start bool) []hostpolicy.Problem {
	text, err := os.ReadFile(d.conf.Settings)
	var problems []hostpolicy.Problem
	var read settings.Settings
	switch {
	case err == nil:
		read, problems = settings.Load(d.conf.Settings, text)
	case errors.Is(err, fs.ErrNotExist):
		text, read = nil, settings.Default()
	default:
		read = settings.Default()
		problems = []hostpolicy.Problem{{
			Position: hostpolicy.Position{File: d.conf.Settings, Line: 1, Column: 1},
			Code:     settings.CodeUnreadable, Severity: hostpolicy.Error,
			Message: fmt.Sprintf("cannot be read: %v", err), Fix: "make it readable, or remove it for the defaults",
		}}
	}
	if len(problems) > 0 && !start {
		return problems
	}
	if len(problems) > 0 {
		what := "the defaults stand for what is broken"
		if good, gerr := d.store.Settings(); gerr == nil && good != nil {
			if last, bad := settings.Load(d.conf.Settings, good); len(bad) == 0 {
				read, text = last, good
				what = "the settings that were last in force are used"
			}
		} else {
			text = nil
		}
		d.degradeWith("settings", fmt.Sprintf("The settings file %s is broken, so %s. See all problems with: hostarmor status", d.conf.Settings, what), problems)
		d.settingsProblems = problems
	} else {
		d.restore("settings")
		d.settingsProblems = nil
	}
	changed := read.Events != d.settings.Events
	d.settings, d.settingsText = read, text
	if changed && d.pipe != nil {
		d.pipe.Configure(read.Events.Fold, d.sinks()...)
	}
	d.watch.set(read.Dirs, d.conf.Settings)
	return nil
}

func (d *Daemon) sinks() []event.Sink {
	var sinks []event.Sink
	if d.settings.Events.Journal {
		sinks = append(sinks, d.conf.Journal)
	}
	if d.settings.Events.File != "" {
		sinks = append(sinks, event.NewFile(d.settings.Events.File))
	}
	return sinks
}

// fingerprint is what the files look like from outside: whether they have to
// be read again.
func (d *Daemon) fingerprint() [32]byte {
	h := sha256.New()
	look := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(h, "%q %v\n", path, err)
			return
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(h, "%q %d %d %o %d %d %d %d\n", path, st.Dev, st.Ino, st.Mode, st.Uid, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
	}
	look(d.conf.Settings)
	for _, dir := range d.settings.Dirs {
		look(dir)
		entries, err := os.ReadDir(dir)
		fmt.Fprintf(h, "%v\n", err)
		for _, e := range entries {
			look(filepath.Join(dir, e.Name()))
		}
	}
	return [32]byte(h.Sum(nil))
}
