//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/status"
)

const (
	service  = "hostarmor.service"
	policies = "/etc/hostarmor/policies"
	pins     = "/sys/fs/bpf/hostarmor"
	// patience bounds every wait. It is far longer than anything takes on an
	// emulated machine with busy neighbours: no test depends on speed.
	patience = 90 * time.Second
)

// self is this binary where every user can run it.
const self = "/usr/local/libexec/e2e"

// run fails the test where a command does; it returns what that printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := try(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// try runs a command and returns what it printed, and its exit code.
func try(t *testing.T, name string, args ...string) (out string, code int) {
	t.Helper()
	b, err := exec.Command(name, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(b), code
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s\n%s", what, state())
		}
	}
}

// state is what an operator would look at, for the message of a failure.
func state() string {
	out, _ := exec.Command("systemctl", "status", "--no-pager", "--lines=15", service).CombinedOutput()
	text, _ := exec.Command("hostarmor", "status").CombinedOutput()
	return string(out) + string(text)
}

// write makes a file, with its directories.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts a file in another's place in one step.
func replace(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	write(t, next, text)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// load puts a policy into force until the end of the test; it names its file.
func load(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(policies, name+".toml")
	replace(t, path, text)
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		reload(t)
	})
	reload(t)
	return path
}

func client() *control.Client { return control.NewClient(control.Path) }

// reload has the daemon take what is on disk.
func reload(t *testing.T) control.Reload {
	t.Helper()
	r, err := tryReload()
	if err != nil {
		t.Fatalf("reload: %v\n%s", err, state())
	}
	return r
}

func tryReload() (control.Reload, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	return client().Reload(ctx)
}

func getStatus(t *testing.T) status.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := client().Status(ctx)
	if err != nil {
		t.Fatalf("status: %v\n%s", err, state())
	}
	return s
}

// property asks systemd about the service.
func property(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "systemctl", "show", "-P", name, service))
}

// survives fails the test if the daemon is another one at its end.
func survives(t *testing.T) {
	t.Helper()
	pid := property(t, "MainPID")
	t.Cleanup(func() {
		if now := property(t, "MainPID"); now != pid || pid == "0" {
			t.Errorf("the daemon was process %s and is %s", pid, now)
		}
	})
}

// record is one entry of the journal.
type record map[string]any

func (r record) get(field string) string { s, _ := r[field].(string); return s }

// journal returns what journalctl finds.
func journal(t *testing.T, args ...string) []record {
	t.Helper()
	cmd := exec.Command("journalctl", append([]string{"--quiet", "--all", "--output=json"}, args...)...)
	out, err := cmd.Output()
	if err != nil && len(out) > 0 {
		t.Fatalf("journalctl %s: %v", strings.Join(args, " "), err)
	}
	var found []record
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var r record
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("journalctl %s: %v", strings.Join(args, " "), err)
		}
		found = append(found, r)
	}
	return found
}

// logged waits for a record of HostArmor with these fields, and returns the
// latest.
func logged(t *testing.T, matches ...string) record {
	t.Helper()
	var found []record
	eventually(t, "a journal record "+strings.Join(matches, " "), func() bool {
		found = journal(t, append([]string{"-t", "hostarmor"}, matches...)...)
		return len(found) > 0
	})
	return found[len(found)-1]
}

// fields compares those of a record.
func (r record) fields(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.get(name); got != value {
			t.Errorf("%s=%q, want %q, in %s", name, got, value, r.get("MESSAGE"))
		}
	}
}

// hostPolicy is the frame of a policy for the host.
func hostPolicy(rules string, args ...any) string {
	return "[applies_to]\nhost = true\n\n" + fmt.Sprintf(rules, args...)
}
