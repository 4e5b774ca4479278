//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/daemon/status"
)

// testBroken: after a mistake the old set stays whole, and every problem is
// told in one event, by status, by reload and by check.
func testBroken(t *testing.T) {
	survives(t)
	const file, fresh = "/srv/broken/file", "/srv/broken/fresh"
	write(t, file, "text\n")
	write(t, fresh, "text\n")
	path := load(t, "broken", hostPolicy("[file.it]\npath = %q\n", file))
	want(t, denied, "read", file)
	generation := getStatus(t).Generation

	// Another file of the same set is sound, and must not come into force
	// without this one.
	const sound = policies + "/broken-sound.toml"
	t.Cleanup(func() { os.Remove(sound) })
	want(t, 0, "read", fresh)

	before := len(journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=policy-rejected"))
	replace(t, path, hostPolicy("[file.it]\npth = %q\n\n[process.two]\npath = \"relative\"\naction = \"bloc\"\n", file))
	eventually(t, "the refusal is told", func() bool {
		return len(journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=policy-rejected")) > before
	})
	write(t, sound, hostPolicy("[file.it]\npath = %q\n", fresh))

	problems := []string{path + ":5:1", "file.it.pth", path + ":8:8", "relative", path + ":9:10", "bloc"}
	hasAll := func(what, text string) {
		t.Helper()
		for _, p := range problems {
			if !strings.Contains(text, p) {
				t.Errorf("%s lacks %q:\n%s", what, p, text)
			}
		}
	}
	rejected := journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=policy-rejected")
	if n := len(rejected) - before; n != 1 {
		t.Errorf("%d events for one refusal", n)
	}
	hasAll("the event", rejected[len(rejected)-1].get("MESSAGE"))
	out, code := try(t, "hostarmor", "reload")
	if code != 1 {
		t.Errorf("hostarmor reload: exit code %d", code)
	}
	hasAll("hostarmor reload", out)
	out, code = try(t, "systemctl", "reload", service)
	if code == 0 || out == "" {
		t.Errorf("systemctl reload of a refused set: exit code %d\n%s", code, out)
	}
	if out := run(t, "journalctl", "-u", service, "-n", "30", "-o", "cat"); !strings.Contains(out, path+":5:") {
		t.Errorf("the journal of the unit does not say why the reload failed:\n%s", out)
	}
	out, code = try(t, "hostarmor", "status")
	if code != 1 || !strings.HasPrefix(out, "ENFORCING: the previous policies; those on disk were refused\n") {
		t.Errorf("hostarmor status: exit code %d\n%s", code, out)
	}
	hasAll("hostarmor status", out)
	s := getStatus(t)
	if s.Mode != status.Enforcing || len(s.Drift) == 0 {
		t.Errorf("status: mode %s, drift %v", s.Mode, s.Drift)
	}
	out, code = try(t, "hostarmor", "check", path)
	if code != 1 {
		t.Errorf("hostarmor check: exit code %d", code)
	}
	hasAll("hostarmor check", out)
	if out, code := try(t, "runuser", "-u", "user", "--", "hostarmor", "check", policies+"/base.toml"); code != 0 {
		t.Errorf("hostarmor check of a sound file by a user: exit code %d\n%s", code, out)
	}

	want(t, denied, "read", file)
	want(t, denied, "read", secret)
	want(t, 0, "read", fresh)

	// Mended, it is loaded without being asked for.
	replace(t, path, hostPolicy("[file.it]\npath = %q\n", file))
	eventually(t, "the mended set is in force", func() bool { return errno(access("read", fresh)) == denied })
	want(t, denied, "read", file)
	if now := getStatus(t); !now.Clean() || now.Generation <= generation {
		t.Errorf("after mending: generation %d (was %d), drift %v, degraded %v", now.Generation, generation, now.Drift, now.Degraded)
	}
}
