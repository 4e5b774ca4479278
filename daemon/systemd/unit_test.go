package systemd

import "testing"

func TestUnit(t *testing.T) {
	for _, c := range []struct{ cgroup, unit, user string }{
		{"/system.slice/cron.service", "cron.service", ""},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""},
		{"/system.slice/docker.service/sub/x.service", "docker.service", ""},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", ""},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "user@1000.service", "foo.service"},
		{"/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service", "init.scope"},
		{"/init.scope", "init.scope", ""},
		{"/system.slice/_cpu.service", "cpu.service", ""},
		{"/system.slice/docker-0123.scope", "docker-0123.scope", ""},
		{"/system.slice/dbus.socket", "dbus.socket", ""},
		{"/system.slice/home.mount", "home.mount", ""},
		{"/system.slice", "", ""},
		{"/docker/0123456789", "", ""},
		{"/.slice/x.service", "", ""},
		{"/", "", ""},
		{"", "", ""},
	} {
		if got := Unit(c.cgroup); got != c.unit {
			t.Errorf("Unit(%q) = %q, want %q", c.cgroup, got, c.unit)
		}
		if got := UserUnit(c.cgroup); got != c.user {
			t.Errorf("UserUnit(%q) = %q, want %q", c.cgroup, got, c.user)
		}
	}
}
