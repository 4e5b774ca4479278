package status

import (
	"strings"
	"testing"
)

func TestTextFitsAScreen(t *testing.T) {
	s := Status{
		Mode: AuditOnly, Reason: strings.Repeat("a reason that goes on ", 10), Backend: "bpf", Kernel: "6.1",
		Degraded: []string{strings.Repeat("something is less than it should be ", 9)},
		Policies: []Policy{{Name: "p", Source: "/etc/p.toml", State: Active, Reason: strings.Repeat("because of this ", 12),
			Rules: []Rule{{ID: "p/file.x", State: NotEnforced, Reason: strings.Repeat("the kernel cannot do it ", 8)}}}},
		Drift: []Drift{{Source: "/etc/p.toml", Reason: strings.Repeat("differs ", 20)}},
	}
	var b strings.Builder
	if err := s.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > width+1 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if !strings.HasPrefix(b.String(), "AUDIT ONLY: nothing is blocked, a reason") {
		t.Error(b.String())
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colour where none was asked for")
	}
}

func TestClean(t *testing.T) {
	fine := func() *Status {
		return &Status{Policies: []Policy{{State: Active, Rules: []Rule{{State: Enforced}}}, {State: Inactive}}}
	}
	if !fine().Clean() {
		t.Error("a fine status is not clean")
	}
	for name, spoil := range map[string]func(*Status){
		"drift":        func(s *Status) { s.Drift = []Drift{{}} },
		"degraded":     func(s *Status) { s.Degraded = []string{"x"} },
		"rejected":     func(s *Status) { s.Policies[0].State = Rejected },
		"not enforced": func(s *Status) { s.Policies[0].Rules[0].State = NotEnforced },
	} {
		s := fine()
		if spoil(s); s.Clean() {
			t.Errorf("%s is clean", name)
		}
	}
}
