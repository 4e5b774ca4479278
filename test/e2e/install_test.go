//go:build e2e

package e2e

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testInstall: the package starts its service without any policy, which
// protects itself and changes nothing else on the machine.
func testInstall(t *testing.T) {
	if got := property(t, "ActiveState"); got != "active" {
		t.Fatalf("the service is %s\n%s", got, state())
	}
	if got := property(t, "UnitFileState"); got != "enabled" {
		t.Errorf("the service is %s, want enabled", got)
	}
	for _, command := range []string{"/usr/bin/id", "/usr/bin/curl --version", "/usr/bin/python3 -c pass", "/usr/bin/touch /srv/file"} {
		words := strings.Fields(command)
		run(t, words[0], words[1:]...)
	}
	out, code := try(t, "hostarmor", "status")
	if code != 0 || !strings.HasPrefix(out, "ENFORCING: HostArmor's own protection alone; put policies into\n  /etc/hostarmor/policies\n") {
		t.Errorf("hostarmor status: exit code %d\n%s", code, out)
	}
	if out := run(t, "hostarmor", "version"); strings.Contains(out, "devel") {
		t.Errorf("the package does not know its version: %s", out)
	}
	for path, mode := range map[string]os.FileMode{
		"/usr/sbin/hostarmord":          0o755,
		"/usr/bin/hostarmor":            0o755,
		"/etc/hostarmor":                0o755 | os.ModeDir,
		"/etc/hostarmor/policies":       0o755 | os.ModeDir,
		"/etc/hostarmor/hostarmor.toml": 0o644,
		"/run/hostarmor/policies":       0o755 | os.ModeDir,
		"/run/hostarmor/control.sock":   0o600 | os.ModeSocket,
		"/usr/lib/hostarmor/policies":   0o755 | os.ModeDir,
		"/var/lib/hostarmor":            0o700 | os.ModeDir,
	} {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			t.Error(err)
		case info.Mode() != mode:
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
	out, code = try(t, "runuser", "-u", "user", "--", "hostarmor", "status")
	if code != 3 || !strings.Contains(out, "only root may talk to the daemon") {
		t.Errorf("hostarmor status by a user: exit code %d\n%s", code, out)
	}
	out = run(t, "curl", "--silent", "--unix-socket", "/run/hostarmor/control.sock", "http://hostarmor/v1/status")
	if !strings.Contains(out, `"schema":1`) {
		t.Errorf("curl of the control socket: %s", out)
	}
}

// attached lists the pinned links of hooks.
func attached(t *testing.T) []string {
	t.Helper()
	links, err := filepath.Glob(pins + "/*/*/links/*")
	if err != nil {
		t.Fatal(err)
	}
	return links
}

const (
	secret   = "/srv/base/secret"   // blocked by base
	ordinary = "/srv/base/ordinary" // named by no rule
)

// base loads the policy that stays in force through all chapters, and copies
// the programs that they need.
func base(t *testing.T) {
	write(t, secret, "secret\n")
	write(t, ordinary, "ordinary\n")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, exe, self)
	want(t, 0, "read", secret)

	replace(t, policies+"/base.toml", hostPolicy("[file.secret]\npath = %q\n", secret))
	eventually(t, "the first policy comes into force", func() bool { return errno(access("read", secret)) == denied })
	user.want(t, denied, "read", secret)
	user.want(t, 0, "read", ordinary)
	if len(attached(t)) == 0 {
		t.Errorf("a policy is in force and no link is pinned below %s", pins)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}
