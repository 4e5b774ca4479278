//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/control"
)

// hammer opens a denied file again and again until it is asked what it got.
type hammer struct {
	stop               atomic.Bool
	done               sync.WaitGroup
	tries, permissions uint64
}

func newHammer(path string) *hammer {
	h := &hammer{}
	h.done.Go(func() {
		for ; !h.stop.Load() || h.tries == 0; h.tries++ {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
			}
			if err != unix.EACCES && err != unix.EINTR {
				h.permissions++
			}
			if h.tries%4 == 0 {
				// Every try is an event, which a daemon on the same
				// emulated machine has to read.
				unix.Nanosleep(&unix.Timespec{Nsec: 10e6}, nil)
			}
		}
	})
	return h
}

func (h *hammer) neverThrough(t *testing.T) {
	t.Helper()
	h.stop.Store(true)
	h.done.Wait()
	t.Logf("%d tries", h.tries)
	if h.permissions > 0 {
		t.Errorf("of %d tries %d were not refused", h.tries, h.permissions)
	}
}

// policyTamper are ways to change what the daemon reads.
var policyTamper = map[string]func() error{
	"write": func() error { return os.WriteFile(policyFile("escapes-mine"), nil, 0o644) },
	"rename": func() error {
		if err := os.WriteFile("/etc/escapes-mine", nil, 0o644); err != nil {
			return err
		}
		return os.Rename("/etc/escapes-mine", policyFile("escapes-mine"))
	},
	"mask":   func() error { return os.Symlink("/dev/null", policyFile("escapes-mine")) },
	"append": func() error { return opensToAppend(settingsFile) },
	"move":   func() error { return os.Rename("/etc/hostarmor", "/etc/hostarmor-away") },
	"run":    func() error { return os.WriteFile("/run/hostarmor/policies/escapes-mine.toml", nil, 0o644) },
	"mount-over": func() error {
		return unix.Mount("none", policies, "tmpfs", 0, "")
	},
	"bind-over": func() error {
		return unix.Mount("/srv", policies, "", unix.MS_BIND, "")
	},
}

func opensToAppend(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// untamper puts right what one of them did.
func untamper() error {
	if err := unmountBelow(policies); err != nil {
		return err
	}
	err := os.Rename("/etc/hostarmor-away", "/etc/hostarmor")
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return removeAll("/etc/escapes-mine", policyFile("escapes-mine"), "/run/hostarmor/policies/escapes-mine.toml")
}

// tampered is what came of each of them: while policies are free, while they
// are locked, and after `hostarmor unlock`. One unlocking serves all, for it
// lasts.
var tampered struct {
	sync.Once
	free, locked, unlocked map[string]error
}

func tamper(t *testing.T) {
	all := func() map[string]error {
		got := make(map[string]error)
		for _, x := range chosen(t) {
			if _, ok := policyTamper[strings.TrimPrefix(x.attack.name, "policies-")]; !ok {
				continue
			}
			got[x.attack.name] = actor{}.spawn("try", x.c)
			mustBeDenied(t)
			if err := untamper(); err != nil {
				t.Error(err)
			}
		}
		return got
	}
	guardCanary(t)
	tampered.free = all()
	setting(t, "policies = false", "policies = true")
	tampered.locked = all()
	if out, err := exec.Command("hostarmor", "unlock", "--for", "10m").CombinedOutput(); err != nil {
		t.Errorf("hostarmor unlock: %v\n%s", err, out)
	}
	tampered.unlocked = all()
	setting(t, "policies = true", "policies = false")
}

func init() {
	for name, do := range policyTamper {
		full := "policies-" + name
		register(attack{name: full, try: func(*ctx) error { return do() },
			setup: func(*ctx) error { return os.MkdirAll("/run/hostarmor/policies", 0o755) },
			alone: func(t *testing.T, c *ctx) {
				tampered.Do(func() { tamper(t) })
				if err := tampered.free[full]; err != nil {
					t.Fatalf("it does not even work without the protection: %v", err)
				}
				err := tampered.locked[full]
				if got, _ := errno(err); err == nil || got != unix.EPERM {
					t.Errorf("under the protection: %v, want EPERM", err)
				}
				if err := tampered.unlocked[full]; err != nil {
					t.Errorf("after hostarmor unlock: %v", err)
				}
			}})
	}
	register(
		attack{name: "reloads-under-load", alone: func(t *testing.T, c *ctx) {
			c.load(t, denies(c.secret()))
			h := newHammer(c.secret())
			// Each is another set: the same one would not be loaded again.
			const reloads = 15 // 200 of the engine alone, in lsm/bpflsm
			other := c.name + "-other"
			defer os.Remove(policyFile(other))
			for i := range reloads {
				if err := writePolicy(other, denies(fmt.Sprintf("/srv/escapes/none-%d", i))); err != nil {
					t.Fatal(err)
				}
				if _, err := reload(); err != nil {
					t.Fatal(err)
				}
			}
			h.neverThrough(t)
			t.Logf("%d reloads", reloads)
		}},
		attack{name: "too-many-rules", alone: func(t *testing.T, c *ctx) {
			c.load(t, denies(c.secret()))
			// What is to be remembered of a name doubles with every mark.
			if err := writePolicy(c.name+"-large", onHost("[file.large]\npath = \"/srv/*a%s\"\n", strings.Repeat("?", 40))); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(policyFile(c.name + "-large"))
			_, err := reload()
			var refused *control.Refusal
			switch {
			case !errors.As(err, &refused):
				t.Errorf("reload: %v, want a refusal", err)
			case !strings.Contains(refused.Problems[0].Source, c.name+"-large") || !strings.Contains(fmt.Sprint(refused.Problems[0]), "file.large"):
				t.Errorf("the problem does not name the rule: %+v", refused.Problems)
			}
			if _, err := os.ReadFile(c.secret()); !errors.Is(err, unix.EACCES) {
				t.Errorf("the set before is not in force: %v", err)
			}
		}},
		attack{name: "event-flood", alone: func(t *testing.T, c *ctx) {
			c.load(t, denies(c.secret()))
			lost := getStatus(t).LostEvents
			const tries = 100_000
			for i := range tries {
				if fd, err := unix.Open(c.secret(), unix.O_RDONLY, 0); err != unix.EACCES {
					unix.Close(fd)
					t.Fatalf("try %d: %v", i, err)
				}
			}
			s := getStatus(t)
			if got := hits(s, c.name+"/file.secret"); got != tries {
				t.Errorf("%d hits, want %d", got, tries)
			}
			var counted uint64
			eventually(t, "all events are told or counted as lost", func() bool {
				counted = 0
				for _, r := range journal(t, "HOSTARMOR_POLICY="+c.name) {
					n, err := strconv.ParseUint(r.get("HOSTARMOR_COUNT"), 10, 64)
					if err != nil {
						n = 1
					}
					counted += n
				}
				return counted+getStatus(t).LostEvents-lost >= tries
			})
			if total := counted + getStatus(t).LostEvents - lost; total != tries {
				t.Errorf("%d events were told and %d lost, want %d in all", counted, total-counted, tries)
			}
			t.Logf("%d told, %d lost", counted, tries-counted)
		}},
	)
}
