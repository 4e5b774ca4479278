//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

const settingsFile = "/etc/hostarmor/hostarmor.toml"

// testStop: `systemctl stop` is what lifts enforcement, unless the settings
// say otherwise.
func testStop(t *testing.T) {
	before := len(journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=degraded"))
	run(t, "systemctl", "stop", service)
	want(t, 0, "read", secret)
	if links := attached(t); len(links) > 0 {
		t.Errorf("links are left: %v", links)
	}
	eventually(t, "the release is told", func() bool {
		told := journal(t, "-t", "hostarmor", "HOSTARMOR_EVENT=degraded")
		return len(told) > before && strings.Contains(told[len(told)-1].get("MESSAGE"), "Enforcement was lifted")
	})
	if out, code := try(t, "hostarmor", "status"); code != 3 || !strings.Contains(out, "systemctl start hostarmor") {
		t.Errorf("hostarmor status without a daemon: exit code %d\n%s", code, out)
	}
	run(t, "systemctl", "start", service)
	want(t, denied, "read", secret)

	t.Run("keep", func(t *testing.T) {
		setting(t, `on_stop = "release"`, `on_stop = "keep"`)
		run(t, "systemctl", "stop", service)
		want(t, denied, "read", secret)
		run(t, "systemctl", "start", service)
		want(t, denied, "read", secret)
		if !getStatus(t).Adopted {
			t.Error("the next daemon did not take over what was kept")
		}
	})

	// A broken file at the start: its last good content is in force, and the
	// rest as it is on disk.
	t.Run("broken-start", func(t *testing.T) {
		const file = "/srv/stop/file"
		write(t, file, "text\n")
		path := load(t, "last-good", hostPolicy("[file.it]\npath = %q\n", file))
		replace(t, path, "this is not TOML")
		run(t, "systemctl", "stop", service)
		want(t, 0, "read", file)
		run(t, "systemctl", "start", service)
		want(t, denied, "read", file)
		want(t, denied, "read", secret)
		out, code := try(t, "hostarmor", "status")
		if code != 1 || !strings.Contains(out, "last good content is in force") {
			t.Errorf("hostarmor status: exit code %d\n%s", code, out)
		}
	})
}

// setting replaces a line of the settings until the test ends.
func setting(t *testing.T, old, new string) {
	t.Helper()
	before, err := os.ReadFile(settingsFile)
	if err != nil {
		t.Fatal(err)
	}
	after := strings.Replace(string(before), old, new, 1)
	if after == string(before) {
		t.Fatalf("%s has no line %s", settingsFile, old)
	}
	replace(t, settingsFile, after)
	t.Cleanup(func() {
		replace(t, settingsFile, string(before))
		reload(t)
	})
	reload(t)
}
