package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func decision(resource string, pid uint32) Event {
	return Event{Kind: Access, Count: 1, Decision: &Decision{Action: "block", Rule: "a/b.c", Resource: resource, PID: pid}}
}

// sink records what is written, and when.
type sink struct {
	mu    sync.Mutex
	start time.Time
	lines []string
	fail  error
	hold  chan struct{}
}

func (s *sink) Write(e Event) error {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	what := string(e.Kind)
	if e.Decision != nil {
		what = e.Resource
	}
	s.lines = append(s.lines, fmt.Sprintf("%v %s x%d", time.Since(s.start), what, e.Count))
	return nil
}

func TestFolding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{start: time.Now()}
		p := NewPipe(NewHub(), time.Second, s)
		for i := range 1000 {
			p.Deliver(t.Context(), decision("/a", uint32(i)))
		}
		p.Deliver(t.Context(), decision("/b", 1))
		time.Sleep(1500 * time.Millisecond) // the window of /a goes on, as it had repeats
		p.Deliver(t.Context(), decision("/a", 1))
		p.Deliver(t.Context(), decision("/b", 1)) // a new window
		time.Sleep(3 * time.Second)
		p.Deliver(t.Context(), decision("/a", 1))
		p.Deliver(t.Context(), decision("/a", 1))
		if err := p.Stop(t.Context()); err != nil { // flushes
			t.Fatal(err)
		}
		want := []string{
			"0s /a x1", "0s /b x1", "1s /a x999", "1.5s /b x1", "2s /a x1", "4.5s /a x1", "4.5s /a x1",
		}
		if d := cmp.Diff(want, s.lines); d != "" {
			t.Error(d)
		}
	})
}

func TestFoldingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{start: time.Now()}
		p := NewPipe(NewHub(), 0, s)
		for range 3 {
			p.Deliver(t.Context(), decision("/a", 1))
		}
		p.Stop(t.Context())
		if len(s.lines) != 3 {
			t.Error(s.lines)
		}
	})
}

// The counts of all records add up to the decisions, whatever the number of
// different ones.
func TestFoldingIsBoundedAndLosesNothing(t *testing.T) {
	f := newFolder(time.Second)
	now := time.Unix(0, 0)
	var in, out uint64
	take := func(events ...Event) {
		for _, e := range events {
			out += e.Count
		}
	}
	for i := range 3 * maxFolds {
		e := decision(fmt.Sprint(i%(2*maxFolds)), 1)
		in++
		if f.add(e, now) {
			take(e)
		}
		if len(f.open) > maxFolds || len(f.queue) > maxFolds {
			t.Fatalf("%d windows are open", len(f.open))
		}
	}
	take(f.expire(now.Add(time.Second))...)
	take(f.flush()...)
	if in != out {
		t.Errorf("%d decisions in, %d out", in, out)
	}
}

func TestPostNeverBlocksAndCountsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{start: time.Now(), hold: make(chan struct{})}
		p := NewPipe(NewHub(), time.Second, s)
		for range queueRoom + 100 {
			p.Post(Event{Kind: Degraded})
		}
		if p.Lost() < 99 {
			t.Errorf("%d lost", p.Lost())
		}
		lost := p.Lost()
		close(s.hold)
		synctest.Wait()
		if last := s.lines[len(s.lines)-1]; last != fmt.Sprintf("0s lost x%d", lost) {
			t.Errorf("the last record is %q", last)
		}
		p.Stop(t.Context())
	})
}

func TestStopDoesNotWaitForAJournalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hold: make(chan struct{})}
		p := NewPipe(NewHub(), time.Second, s)
		p.Post(Event{Kind: Degraded})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v", err)
		}
		close(s.hold)
	})
}

func TestASinkThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &sink{start: time.Now()}
		bad := &sink{fail: errors.New("disk full")}
		p := NewPipe(NewHub(), time.Second, bad, good)
		p.Post(Event{Kind: PolicyLoaded})
		p.Post(Event{Kind: PolicyLoaded})
		p.Stop(t.Context())
		want := []string{"1.25s degraded x0", "1.25s policy-loaded x0", "1.25s policy-loaded x0"}
		if d := cmp.Diff(want, good.lines); d != "" {
			t.Error(d)
		}
		if p.Lost() != 3 {
			t.Errorf("%d lost", p.Lost())
		}
	})
}

func TestASlowClientLosesAloneAndIsTold(t *testing.T) {
	h := NewHub()
	_, slow := h.Subscribe(0)
	for range clientRoom + 10 {
		h.publish(Event{Kind: Access})
	}
	if n := slow.Lost(); n != 10 {
		t.Errorf("%d lost", n)
	}
	past, _ := h.Subscribe(5)
	if len(past) != 5 || len(h.last) != recent {
		t.Errorf("%d of the past, %d kept", len(past), len(h.last))
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f := NewFile(path)
	write := func() {
		t.Helper()
		if err := f.Write(decision("/a\n\x1b", 7)); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write()
	for _, name := range []string{path, path + ".1"} {
		b, err := os.ReadFile(name)
		if err != nil || strings.Count(string(b), "\n") != 1 {
			t.Fatalf("%s: %q, %v", name, b, err)
		}
		var e Event
		if err := json.Unmarshal(b, &e); err != nil || e.Resource != "/a\n\x1b" || e.PID != 7 {
			t.Errorf("%s: %+v, %v", b, e, err)
		}
	}
}
