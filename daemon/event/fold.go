package event

import "time"

// maxFolds bounds the decisions that are being folded. Beyond it a decision is
// written as it comes.
const maxFolds = 4096

// sameness is what makes two decisions identical. PID and PPID are left out: a
// shell loop that is refused the same program a thousand times is one thing
// that happens, though each time another process does it.
type sameness struct {
	kind                      Kind
	generation                uint64
	action, rule              string
	class, operation, hook    string
	resource, exe, comm, unit string
	uid                       uint32
}

func samenessOf(e *Event) sameness {
	return sameness{
		e.Kind, e.Generation, e.Action, e.Rule, e.Class, e.Operation, e.Hook,
		e.Resource, e.Exe, e.Comm, e.Unit, e.UID,
	}
}

// folder makes one record of identical decisions. The first is written at
// once; those that follow within the window are written at its end as one
// record with their number, so that the counts of all records add up to the
// number of decisions. While they go on, there is one record a window.
type folder struct {
	window time.Duration
	open   map[sameness]*fold
	queue  []*fold // by end: all windows have one length
}

type fold struct {
	key    sameness
	end    time.Time
	last   Event // the latest repeat, with the number of them in Count
	repeat bool
}

func newFolder(window time.Duration) *folder {
	return &folder{window: window, open: make(map[sameness]*fold)}
}

// add takes a decision, and returns whether it is to be written now.
func (f *folder) add(e Event, now time.Time) bool {
	if f.window == 0 || e.Decision == nil {
		return true
	}
	key := samenessOf(&e)
	if w := f.open[key]; w != nil {
		if w.repeat {
			e.Count += w.last.Count
		}
		w.last, w.repeat = e, true
		return false
	}
	if len(f.open) < maxFolds {
		f.start(&fold{key: key}, now)
	}
	return true
}

func (f *folder) start(w *fold, now time.Time) {
	w.end, w.repeat, w.last = now.Add(f.window), false, Event{}
	f.open[w.key] = w
	f.queue = append(f.queue, w)
}

// expire returns the records of the windows that have ended.
func (f *folder) expire(now time.Time) []Event {
	var out []Event
	for len(f.queue) > 0 && !f.queue[0].end.After(now) {
		w := f.queue[0]
		f.queue[0] = nil
		f.queue = f.queue[1:]
		if !w.repeat {
			delete(f.open, w.key)
			continue
		}
		out = append(out, w.last)
		f.start(w, now)
	}
	if len(f.queue) == 0 {
		f.queue = nil // lets go of the array that grew behind it
	}
	return out
}

// flush ends every window.
func (f *folder) flush() []Event {
	var out []Event
	for _, w := range f.queue {
		if w.repeat {
			out = append(out, w.last)
		}
	}
	clear(f.open)
	f.queue = nil
	return out
}

// next is when the first window ends, if one is open.
func (f *folder) next() (time.Time, bool) {
	if len(f.queue) == 0 {
		return time.Time{}, false
	}
	return f.queue[0].end, true
}
