package event

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

func TestFieldsOfADenial(t *testing.T) {
	rule := Rule{
		ID: "web/file.keys", File: "/etc/hostarmor/policies/web.toml", Line: 14, Class: hostpolicy.File,
		Severity: 8, Tags: []string{"MITRE_T1059", "pci"}, Message: "keys are private",
	}
	e := FromDenial(lsm.Denial{
		Time: time.Unix(1, 0), Generation: 3, Rule: 2, Action: hostpolicy.Block, Kind: lsm.KindRead, Operation: "file_open",
		Resource: "/etc/ssl/private/key.pem", Exe: "/usr/bin/cat", ParentExe: "/usr/bin/bash", Comm: "cat",
		PID: 4242, PPID: 4000, UID: 0, LoginUID: 1000,
		Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/foot.service",
	}, rule, true)
	want := map[string]string{
		"MESSAGE_ID":               MessageID[Access],
		"SYSLOG_IDENTIFIER":        "hostarmor",
		"HOSTARMOR_EVENT":          "access",
		"HOSTARMOR_ACTION":         "block",
		"HOSTARMOR_POLICY":         "web",
		"HOSTARMOR_RULE":           "web/file.keys",
		"HOSTARMOR_SOURCE":         "/etc/hostarmor/policies/web.toml:14",
		"HOSTARMOR_CLASS":          "file",
		"HOSTARMOR_OPERATION":      "read",
		"HOSTARMOR_HOOK":           "file_open",
		"HOSTARMOR_RESOURCE":       "/etc/ssl/private/key.pem",
		"HOSTARMOR_EXE":            "/usr/bin/cat",
		"HOSTARMOR_COMM":           "cat",
		"HOSTARMOR_PID":            "4242",
		"HOSTARMOR_PPID":           "4000",
		"HOSTARMOR_PARENT_EXE":     "/usr/bin/bash",
		"HOSTARMOR_UID":            "0",
		"HOSTARMOR_LOGIN_UID":      "1000",
		"HOSTARMOR_UNIT":           "user@1000.service",
		"HOSTARMOR_USER_UNIT":      "foot.service",
		"OBJECT_SYSTEMD_UNIT":      "user@1000.service",
		"OBJECT_SYSTEMD_USER_UNIT": "foot.service",
		"HOSTARMOR_SEVERITY":       "8",
		"HOSTARMOR_TAGS":           "MITRE_T1059,pci",
		"HOSTARMOR_COUNT":          "1",
		"HOSTARMOR_GENERATION":     "3",
	}
	if d := cmp.Diff(want, fields(&e)); d != "" {
		t.Error(d)
	}
	if e.Priority != Warning {
		t.Errorf("priority %d", e.Priority)
	}
}

func TestMessages(t *testing.T) {
	rule := Rule{ID: "web/file.keys", File: "web.toml", Line: 14, Class: hostpolicy.File}
	base := lsm.Denial{Rule: 1, Generation: 7, Kind: lsm.KindWrite, Resource: "/etc/x", Exe: "/bin/cat", Comm: "cat", PID: 1, UID: 2}
	for _, c := range []struct {
		change func(*lsm.Denial)
		known  bool
		want   string
	}{
		{func(d *lsm.Denial) { d.Action = hostpolicy.Block }, true,
			"Refused: cat (/bin/cat, pid 1, uid 2) may not write /etc/x: rule web/file.keys at web.toml:14. To permit it, change that rule, then: hostarmor reload"},
		{func(d *lsm.Denial) { d.Action = hostpolicy.Audit; d.Permitted = true }, true,
			`Noted: cat (/bin/cat, pid 1, uid 2) wrote /etc/x: rule web/file.keys at web.toml:14. To refuse it, set action = "block" there, then: hostarmor reload`},
		{func(d *lsm.Denial) { d.Action = hostpolicy.Block; d.Permitted = true }, true,
			"Let through, because HostArmor is in audit mode: cat (/bin/cat, pid 1, uid 2) wrote /etc/x: rule web/file.keys at web.toml:14. Why nothing is blocked: hostarmor status"},
		{func(d *lsm.Denial) { d.Action = hostpolicy.Block; d.Permitted, d.Exempt = true, true }, true,
			"Let through, because PID 1 and the daemon are exempt: cat (/bin/cat, pid 1, uid 2) wrote /etc/x: rule web/file.keys at web.toml:14. To refuse it to them too, set dangerous = true there, then: hostarmor reload"},
		{func(d *lsm.Denial) { d.Action = hostpolicy.Block; d.Otherwise = true }, true,
			"Refused: cat (/bin/cat, pid 1, uid 2) may not write /etc/x: no allow rule of its policy names it, the first is web/file.keys at web.toml:14. To permit it, add it to that rule, then: hostarmor reload"},
		{func(d *lsm.Denial) { d.Action = hostpolicy.Block }, false,
			"Refused: cat (/bin/cat, pid 1, uid 2) may not write /etc/x: rule 1 of generation 7, whose policy is gone. More: hostarmor status"},
		{func(d *lsm.Denial) { d.Unjudged, d.Rule = true, 0 }, false,
			"Not judged, refused: cat (/bin/cat, pid 1, uid 2) may not write /etc/x: its name could not be resolved. More: hostarmor status"},
		{func(d *lsm.Denial) {
			d.Action = hostpolicy.Block
			d.Resource = "/tmp/a\nRefused: nobody\x1b[2J"
			d.Comm = "a b"
		}, true,
			`Refused: a b (/bin/cat, pid 1, uid 2) may not write "/tmp/a\nRefused: nobody\x1b[2J": rule web/file.keys at web.toml:14. To permit it, change that rule, then: hostarmor reload`},
	} {
		d := base
		c.change(&d)
		if got := FromDenial(d, rule, c.known).Message; got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

// Every kind has an id of its own, and the packaged catalog explains it.
func TestCatalog(t *testing.T) {
	text, err := os.ReadFile("../../packaging/hostarmor.catalog")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]Kind)
	for kind, id := range MessageID {
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
			t.Errorf("%s: %q is no message id", kind, id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have one id", kind, other)
		}
		seen[id] = kind
		if !strings.Contains(string(text), "\n-- "+id+"\nSubject: ") {
			t.Errorf("the catalog does not explain %s (%s)", kind, id)
		}
	}
	for _, m := range regexp.MustCompile(`@([A-Z_]+)@`).FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(m[1], "HOSTARMOR_") {
			t.Errorf("the catalog uses @%s@, which no event has", m[1])
		}
	}
}

func TestProblemsInAMessageAreBounded(t *testing.T) {
	problems := make([]hostpolicy.Problem, 10000)
	for i := range problems {
		problems[i].Message = "bad\n\x1b"
	}
	got := listed("Refused", problems)
	if n := strings.Count(got, "\n"); n != maxListed+1 || !strings.HasSuffix(got, "... and 9900 more; see them all with: hostarmor check") {
		t.Errorf("%d lines, ending in %q", n, got[len(got)-80:])
	}
	if strings.Contains(got, "\x1b") {
		t.Error("an escape got through")
	}
}
