package event

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// queueRoom is how many events wait for a slow sink: about 1 MB.
const queueRoom = 1024

// Sink takes records. Only the pipe's goroutine calls it.
type Sink interface{ Write(Event) error }

// Pipe folds events and writes them to the sinks, one after the other, in a
// goroutine of its own.
type Pipe struct {
	in      chan Event
	conf    chan config
	hub     *Hub
	lost    atomic.Uint64 // posted while the queue was full
	dropped atomic.Uint64 // that a sink did not take
	stop    chan struct{} // closed by Stop
	done    chan struct{} // closed when all is written
}

type config struct {
	fold  time.Duration
	sinks []Sink
}

// NewPipe starts a pipe. Stop ends it.
func NewPipe(hub *Hub, fold time.Duration, sinks ...Sink) *Pipe {
	p := &Pipe{
		in: make(chan Event, queueRoom), conf: make(chan config, 1),
		hub: hub, stop: make(chan struct{}), done: make(chan struct{}),
	}
	go p.run(config{fold, sinks})
	return p
}

// Post hands over an event of the daemon's own. It never blocks.
func (p *Pipe) Post(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	select {
	case p.in <- e:
	default:
		p.lost.Add(1)
	}
}

// Deliver hands over a decision and waits for room. While it waits the
// kernel's buffer fills, and the kernel counts what it cannot hold.
func (p *Pipe) Deliver(ctx context.Context, e Event) {
	select {
	case p.in <- e:
	case <-ctx.Done():
		p.lost.Add(1)
	case <-p.stop:
		p.lost.Add(1)
	}
}

// Configure changes the fold window and the sinks. Old sinks that can be
// closed are.
func (p *Pipe) Configure(fold time.Duration, sinks ...Sink) {
	for {
		select {
		case p.conf <- config{fold, sinks}:
			return
		case <-p.conf: // not yet looked at: the newer one counts
		}
	}
}

// Lost is the number of events that this pipe could not hand on.
func (p *Pipe) Lost() uint64 { return p.lost.Load() + p.dropped.Load() }

// Stop writes what is queued and ends, or gives up when ctx does: a journal
// that hangs must not hold up the daemon's end. What comes after is lost.
func (p *Pipe) Stop(ctx context.Context) error {
	close(p.stop)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last events: %w", ctx.Err())
	}
}

func (p *Pipe) run(c config) {
	defer close(p.done)
	w := writer{pipe: p, sinks: c.sinks, failing: map[Sink]bool{}}
	f := newFolder(c.fold)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if at, ok := f.next(); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case e := <-p.in:
			if f.add(e, time.Now()) {
				w.write(e)
			}
		case <-p.stop:
			for range len(p.in) {
				if e := <-p.in; f.add(e, time.Now()) {
					w.write(e)
				}
			}
			w.write(f.flush()...)
			w.close()
			return
		case <-timer.C:
		case c := <-p.conf:
			w.write(f.flush()...)
			w.close()
			w.sinks, f = c.sinks, newFolder(c.fold)
		}
		w.write(f.expire(time.Now())...)
		w.tellLost()
	}
}

// writer is the pipe's end: every event to the hub first, then to each sink.
type writer struct {
	pipe    *Pipe
	sinks   []Sink
	failing map[Sink]bool
	told    uint64
}

func (w *writer) write(events ...Event) {
	for _, e := range events {
		w.pipe.hub.publish(e)
		for _, s := range w.sinks {
			w.sink(s, e)
		}
	}
}

// retries of a sink that fails, as journald does while it restarts.
var retries = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

func (w *writer) sink(s Sink, e Event) {
	err := s.Write(e)
	for _, pause := range retries {
		if err == nil || w.failing[s] {
			break
		}
		time.Sleep(pause)
		err = s.Write(e)
	}
	if err == nil {
		delete(w.failing, s)
		return
	}
	w.pipe.dropped.Add(1)
	if !w.failing[s] {
		w.failing[s] = true
		// Told once, and by the other ways out.
		w.write(Event{
			Time: time.Now(), Kind: Degraded, Priority: Warning,
			Message: fmt.Sprintf("Events are being lost: cannot %v. They can be followed with: hostarmor events -f", err),
		})
	}
}

// tellLost reports losses when the queue has room again.
func (w *writer) tellLost() {
	n := w.pipe.lost.Load()
	if n == w.told || len(w.pipe.in) > 0 {
		return
	}
	e := LostEvent(n-w.told, "the daemon's queue was full, because the journal was slow")
	w.told = n
	w.write(e)
}

func (w *writer) close() {
	for _, s := range w.sinks {
		if c, ok := s.(interface{ Close() error }); ok {
			c.Close() // every record was written by itself: there is nothing to lose
		}
	}
	clear(w.failing)
}

// LostEvent says that n events are gone, and why.
func LostEvent(n uint64, why string) Event {
	return Event{
		Time: time.Now(), Kind: Lost, Priority: Warning, Count: n,
		Message: fmt.Sprintf("%d events were lost: %s. Enforcement was not affected", n, why),
	}
}
