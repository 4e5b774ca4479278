//go:build e2e

package e2e

import (
	"os"
	"testing"
)

// testRemove: nothing is left in force, even where on_stop says to keep it;
// settings and policies stay for the next installation.
func testRemove(t *testing.T) {
	run(t, "sed", "-i", `s/^on_stop = .*/on_stop = "keep"/`, settingsFile)
	reload(t)
	want(t, denied, "read", secret)

	run(t, "dpkg", "--remove", "hostarmor")
	want(t, 0, "read", secret)
	gone(t, pins, "/usr/sbin/hostarmord", "/usr/bin/hostarmor", "/usr/lib/systemd/system/hostarmor.service")
	for _, path := range []string{settingsFile, policies + "/base.toml"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if out, code := try(t, "systemctl", "is-active", service); code == 0 {
		t.Errorf("the service is %s", out)
	}

	run(t, "dpkg", "-i", deb)
	run(t, "systemctl", "start", service)
	want(t, denied, "read", secret)
}

// testPurge: nothing is left at all.
func testPurge(t *testing.T) {
	run(t, "dpkg", "--purge", "hostarmor")
	want(t, 0, "read", secret)
	gone(t, pins, "/etc/hostarmor", "/var/lib/hostarmor", "/var/log/hostarmor", "/run/hostarmor", "/usr/lib/hostarmor",
		"/usr/sbin/hostarmord", "/usr/bin/hostarmor", "/usr/lib/systemd/system/hostarmor.service",
		"/usr/lib/systemd/catalog/hostarmor.catalog", "/usr/lib/tmpfiles.d/hostarmor.conf")
	// systemd 252 exits with 1 where nothing matches, later versions with 0.
	if out, _ := try(t, "systemctl", "list-unit-files", "--all", "--no-legend", "hostarmor*"); out != "" {
		t.Errorf("systemd still knows %s", out)
	}
}

func gone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
}
