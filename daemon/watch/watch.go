package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	quiet = 50 * time.Millisecond  // without a change, before the look
	most  = 500 * time.Millisecond // from the first change to the look
)

// Watcher watches policy directories and single files.
type Watcher struct {
	// C receives when it is time to look again.
	C <-chan struct{}

	c     chan struct{}
	paths chan paths
	fs    *fsnotify.Watcher
	have  map[string]identity // watched, and which directory it was
	want  interest
}

type paths struct{ dirs, files []string }

// identity tells a directory from one made later under its name.
type identity struct{ dev, ino uint64 }

// New watches nothing yet.
func New() (*Watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the policy directories: %w (raise fs.inotify.max_user_instances)", err)
	}
	c := make(chan struct{}, 1)
	return &Watcher{C: c, c: c, paths: make(chan paths, 1), fs: fs, have: make(map[string]identity)}, nil
}

// Set changes what is watched. It is called from one goroutine.
func (w *Watcher) Set(dirs, files []string) {
	select {
	case <-w.paths:
	default:
	}
	w.paths <- paths{dirs, files}
}

// Run watches until ctx ends. Errors of single watches are delivered to
// report; the periodic look of the caller is the net below them.
func (w *Watcher) Run(ctx context.Context, report func(error)) {
	defer w.fs.Close()
	var p paths
	var first time.Time // of the changes being collected; zero: none
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	dirty := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(min(quiet, first.Add(most).Sub(now)))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case p = <-w.paths:
			w.renew(p, report)
			dirty() // what changed before the watch stood
		case e := <-w.fs.Events:
			if w.want.concerns(e.Name) {
				dirty()
			}
		case err := <-w.fs.Errors:
			// Most of all the overflow of the kernel's queue: anything may
			// have changed.
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				report(fmt.Errorf("watch the policy directories: %w", err))
			}
			dirty()
		case <-timer.C:
			first = time.Time{}
			w.renew(p, report)
			select {
			case w.c <- struct{}{}:
			default:
			}
		}
	}
}

// renew makes the watches match what a look passes through now. What appears
// while it works is found by its next round, what changes after it by a watch.
func (w *Watcher) renew(p paths, report func(error)) {
	for range 8 {
		w.want = survey(p.dirs, p.files)
		if !w.step(report) {
			return
		}
	}
}

// step adds and removes watches, and reports whether any was added.
func (w *Watcher) step(report func(error)) (added bool) {
	for dir, was := range w.have {
		is, ok := identify(dir)
		if _, wanted := w.want[dir]; wanted && ok && is == was {
			continue
		}
		// The watch may be gone with its directory already.
		if err := w.fs.Remove(dir); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
			report(fmt.Errorf("stop watching %s: %w", dir, err))
		}
		delete(w.have, dir)
	}
	for dir := range w.want {
		if _, ok := w.have[dir]; ok {
			continue
		}
		is, ok := identify(dir)
		if !ok {
			continue
		}
		if err := w.fs.Add(dir); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				report(fmt.Errorf("watch %s: %w", dir, err))
			}
			continue
		}
		w.have[dir] = is
		added = true
	}
	return added
}

func identify(dir string) (identity, bool) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return identity{}, false
	}
	st := info.Sys().(*syscall.Stat_t)
	return identity{uint64(st.Dev), st.Ino}, true
}
