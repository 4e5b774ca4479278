package protect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

var usual = Places{
	State: "/var/lib/hostarmor", Socket: "/run/hostarmor/control.sock", Settings: settings.DefaultFile,
	Dirs: settings.Default().Dirs,
}

func ids(p *hostpolicy.Policy) []string {
	var list []string
	if p != nil {
		for i := range p.Rules {
			list = append(list, strings.TrimPrefix(p.Rules[i].ID(), "hostarmor/"))
		}
	}
	return list
}

func TestRules(t *testing.T) {
	self := []string{"file.overrides", "file.pins", "file.programs", "file.state", "file.unit", "system.process"}
	for _, c := range []struct {
		s        settings.Protect
		unlocked bool
		want     []string
	}{
		{settings.Protect{}, false, nil},
		{settings.Protect{Self: true}, false, self},
		{settings.Protect{Self: true}, true, self},
		{settings.Protect{Policies: true}, false, []string{"file.policies"}},
		{settings.Protect{Policies: true}, true, nil},
		{settings.Protect{Self: true, Policies: true}, true, self},
		{settings.Protect{Self: true, Policies: true}, false, []string{"file.overrides", "file.pins", "file.policies", "file.programs", "file.state", "file.unit", "system.process"}},
	} {
		p, err := Policy(c.s, usual, c.unlocked)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, ids(p)); d != "" {
			t.Errorf("%+v, unlocked %v: %s", c.s, c.unlocked, d)
		}
		if p != nil && (!p.Self || p.Dangerous || p.Name != Name || p.Position.Source() != Source || len(p.LockOuts()) > 0) {
			t.Errorf("%+v, lockouts %v", p, p.LockOuts())
		}
	}
}

func TestDecisions(t *testing.T) {
	p, err := Policy(settings.Protect{Self: true, Policies: true}, usual, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ program, path, want string }{
		{"/usr/bin/bash", "/usr/sbin/hostarmord", "programs"},
		{"/usr/bin/dpkg", "/usr/sbin/hostarmord", ""},
		{"/usr/bin/python3.9", "/usr/bin/hostarmor", "programs"}, // dnf 4
		{"/usr/sbin/hostarmord", "/usr/sbin/hostarmord", "programs"},
		{"/usr/bin/bash", "/usr/lib/systemd/system/hostarmor.service.d/x.conf", "programs"},
		{"/usr/bin/systemctl", "/etc/systemd/system/hostarmor.service", "overrides"},
		{"/usr/bin/vim", "/run/systemd/system/hostarmor.service.d/override.conf", "overrides"},
		{"/usr/bin/bash", "/etc/systemd/system/other.service", ""},
		{"/usr/bin/bash", "/var/lib/hostarmor/last-good/manifest.json", "state"},
		{"/usr/bin/bash", "/var/lib/hostarmor", "state"},
		{"/usr/sbin/hostarmord", "/var/lib/hostarmor/boot.json", ""},
		{"/usr/lib/systemd/systemd-executor", "/var/lib/hostarmor", ""},
		{"/usr/bin/systemd-tmpfiles", "/var/lib/hostarmor/boot.json", "state"},
		{"/usr/bin/bash", "/run/hostarmor/control.sock", "state"},
		{"/usr/bin/bash", "/run/hostarmor/other", ""},
		{"/usr/bin/bash", "/sys/fs/bpf/hostarmor/1/links/file_open", "pins"},
		{"/usr/bin/dpkg", "/sys/fs/bpf/hostarmor", "pins"},
		{"/usr/bin/bash", "/sys/fs/cgroup/system.slice/hostarmor.service/cgroup.kill", "unit"},
		{"/usr/bin/bash", "/sys/fs/cgroup/system.slice/cgroup.freeze", "unit"},
		{"/usr/bin/bash", "/sys/fs/cgroup/system.slice/cron.service/cgroup.freeze", ""},
		{"/usr/bin/vim", "/etc/hostarmor/hostarmor.toml", "policies"},
		{"/usr/bin/vim", "/run/hostarmor/policies/x.toml", "policies"},
		{"/usr/bin/rpm", "/usr/lib/hostarmor/policies/x.toml", ""},
	} {
		subject := hostpolicy.Subject{Programs: []string{c.program}, LoginUID: hostpolicy.NoLogin}
		v := hostpolicy.Decide([]hostpolicy.Policy{*p}, subject, hostpolicy.OpWrite, hostpolicy.Object{Names: []string{c.path}})
		got := ""
		if v.Rule != nil {
			got = v.Rule.Name
		}
		if got != c.want {
			t.Errorf("%s writes %s: %q decides, want %q", c.program, c.path, got, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	at := usual
	at.Dirs = []string{"/srv/odd [name]*"}
	p, err := Policy(settings.Protect{Policies: true}, at, false)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Rules[0].Path[len(p.Rules[0].Path)-1].Match("/srv/odd [name]*/x.toml") {
		t.Error(p.Rules[0].Path)
	}
	at.State = "relative"
	if _, err := Policy(settings.Protect{Self: true}, at, false); err == nil {
		t.Error("a place that cannot be named is passed over")
	}
}
