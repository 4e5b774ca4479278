//go:build e2e && soak

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	soakFor = flag.Duration("soak", 30*time.Minute, "how long the load lasts")
	without = flag.Bool("soak.without", false, "the same load without HostArmor: what does the kernel log then?")
)

// TestSoak: half an hour of everything at once. No access is judged wrongly, the
// kernel complains of nothing, and nothing grows: make soak.
func TestSoak(t *testing.T) {
	base(t)
	if *without {
		run(t, "systemctl", "stop", service)
		want(t, 0, "read", secret)
	}
	prepareSoak(t)
	complaints := watchKernel(t)
	refused, permitted := startHammer(t, secret), startHammer(t, ordinary)

	began := time.Now()
	warm := began.Add(*soakFor / 6)
	end := began.Add(*soakFor)
	// Daemons are killed while it warms up and in the second quarter of the rest:
	// what a change of daemons leaves behind shows against the last quarter, and
	// one daemon lives through the whole second half.
	quarter := end.Sub(warm) / 4
	kills := func() bool {
		now := time.Now()
		return now.Before(warm) || now.After(warm.Add(quarter)) && now.Before(warm.Add(2*quarter))
	}

	ctx, stop := context.WithCancel(t.Context())
	load := &soakLoad{counts: make(map[string]*atomic.Uint64)}
	load.start(ctx, t, kills)
	var stopped sync.Once
	finish := func() { stopped.Do(func() { stop(); load.workers.Wait() }) }
	t.Cleanup(finish)

	usage := make(map[string]*series)
	record := func(what string, kb int) {
		if usage[what] == nil {
			usage[what] = new(series)
		}
		usage[what].add(time.Now(), kb)
	}
	for minute := began.Add(time.Minute); time.Now().Before(end); minute = minute.Add(time.Minute) {
		for time.Now().Before(minute) {
			if kb, ok := soakRSS(t); ok {
				record("RSS of the daemon", kb)
			}
			time.Sleep(min(10*time.Second, max(time.Until(minute), 0)))
		}
		now := load.paused(func() map[string]int { return kernelUsage(t) })
		line := ""
		for _, what := range slices.Sorted(keys(now)) {
			record(what, now[what])
			line += fmt.Sprintf("; %s %d", what, now[what])
		}
		t.Logf("%v%s; %s", time.Since(began).Round(time.Second), line, load)
		checkHammer(t, "what a rule refuses", refused, !*without)
		checkHammer(t, "what no rule names", permitted, false)
		complaints.check(t)
	}
	finish()
	complaints.check(t)
	t.Logf("in all: %s", load)
	load.enough(t)

	var names []string
	for what := range usage {
		names = append(names, what)
	}
	slices.Sort(names)
	for _, what := range names {
		s := usage[what]
		var q [4]int
		for i := range q {
			from := warm.Add(time.Duration(i) * quarter)
			q[i] = s.median(from, from.Add(quarter))
		}
		t.Logf("%s, medians of the quarters after the warm-up: %v", what, q)
		if q[0] == 0 && !*without {
			t.Errorf("%s: nothing was measured", what)
		}
		if q[3] > q[0]+q[0]/10 {
			t.Errorf("%s grew from %d to %d, by more than 10 %%", what, q[0], q[3])
		}
		if what == "RSS of the daemon" && q[3] > q[2]+q[2]/10 {
			t.Errorf("%s grew from %d to %d in one life, by more than 10 %%", what, q[2], q[3])
		}
	}
	if *without {
		return
	}
	if s := getStatus(t); !s.Clean() || !s.Adopted {
		t.Errorf("status afterwards: adopted %v, drift %v, degraded %v", s.Adopted, s.Drift, s.Degraded)
	}
}

// checkHammer has every single try judged.
func checkHammer(t *testing.T, what string, h *hammering, refused bool) {
	t.Helper()
	got := h.got(t)
	t.Logf("%s: %d tries, %d refused", what, got.tries, got.refused)
	wrong := got.refused
	if refused {
		wrong = got.permitted
	}
	if wrong != 0 || got.other != 0 {
		t.Errorf("%s: of %d tries %d ended wrongly and %d failed otherwise", what, got.tries, wrong, got.other)
	}
}

// series is one measured quantity over time.
type series struct {
	at     []time.Time
	values []int
}

func (s *series) add(at time.Time, value int) {
	s.at, s.values = append(s.at, at), append(s.values, value)
}

func (s *series) median(from, to time.Time) int {
	var in []int
	for i, at := range s.at {
		if !at.Before(from) && at.Before(to) {
			in = append(in, s.values[i])
		}
	}
	if len(in) == 0 {
		return 0
	}
	slices.Sort(in)
	return in[len(in)/2]
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// soakRSS is false while one daemon follows another.
func soakRSS(t *testing.T) (int, bool) {
	pid := daemonPID(t)
	if pid == "" {
		return 0, false
	}
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, false
	}
	return statusField(string(b), "VmRSS:")
}
