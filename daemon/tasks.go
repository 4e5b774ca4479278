package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/watch"
)

// tasks are the goroutines beside the loop.
type tasks struct{ wg sync.WaitGroup }

func (t *tasks) run(f func()) { t.wg.Go(f) }

// wait waits for all of them, but not for ever.
func (t *tasks) wait(patience time.Duration) {
	done := make(chan struct{})
	go func() { defer close(done); t.wg.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// poster keeps events until there is a pipe: settings say where events go, and
// reading them has events of its own.
type poster struct {
	pipe  *event.Pipe
	early []event.Event
}

func (p *poster) post(e event.Event) {
	if p.pipe == nil {
		p.early = append(p.early, e)
		return
	}
	p.pipe.Post(e)
}

func (p *poster) to(pipe *event.Pipe) {
	p.pipe = pipe
	for _, e := range p.early {
		pipe.Post(e)
	}
	p.early = nil
}

// watcher is the watch on directories, or nothing where inotify has no room:
// then the timer has to do.
type watcher struct {
	w   *watch.Watcher
	err error
}

func (w *watcher) start(ctx context.Context, t *tasks, d *Daemon) {
	w.w, w.err = watch.New()
	if w.err != nil {
		return
	}
	t.run(func() {
		w.w.Run(ctx, func(err error) {
			select {
			case d.unwatched <- err:
			default: // one is told already
			}
		})
	})
	t.run(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.w.C:
				d.Look()
			}
		}
	})
}

func (w *watcher) set(dirs []string, settings string) {
	if w.w != nil {
		w.w.Set(dirs, []string{settings})
	}
}
