//go:build e2e

package escapes

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
)

// install puts the package under test onto the machine.
func install() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs a throw-away machine and root: make test-e2e")
	}
	found, err := filepath.Glob("/job/hostarmor_*.deb")
	if err != nil || len(found) != 1 {
		return fmt.Errorf("/job holds %d hostarmor_*.deb, want 1", len(found))
	}
	if out, err := exec.Command("dpkg", "-i", found[0]).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg -i %s: %w\n%s", found[0], err, out)
	}
	// Waits for the start that the installation began, or begins one.
	if out, err := exec.Command("systemctl", "start", service).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl start %s: %w\n%s", service, err, out)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	for _, to := range []string{self, trusted} {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(exe, to, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// policyFile is where a case's policy stands; its name is the policy's.
func policyFile(name string) string { return filepath.Join(policies, name+".toml") }

func writePolicy(name, text string) error {
	return os.WriteFile(policyFile(name), []byte(text), 0o644)
}

// removePolicies leaves none.
func removePolicies() error {
	files, err := filepath.Glob(policies + "/*")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

func client() *control.Client { return control.NewClient(control.Path) }

// reload has the daemon take what is on disk.
func reload() (control.Reload, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
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

// state is what an operator would look at, for the message of a failure.
func state() string {
	out, _ := exec.Command("systemctl", "status", "--no-pager", "--lines=15", service).CombinedOutput()
	text, _ := exec.Command("hostarmor", "status").CombinedOutput()
	if before, _, ok := strings.Cut(string(text), "\nPolicies\n"); ok { // there may be hundreds
		text = []byte(before)
	}
	return string(out) + string(text)
}

// load puts the policy of a case that stands alone into force, until the end of
// its test.
func (c *ctx) load(t *testing.T, text string) {
	t.Helper()
	if err := writePolicy(c.name, text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.unload(t) })
	if _, err := reload(); err != nil {
		t.Fatalf("reload: %v\n%s", err, text)
	}
}

// unload ends load early.
func (c *ctx) unload(t *testing.T) {
	t.Helper()
	if err := os.Remove(policyFile(c.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := reload(); err != nil {
		t.Fatal(err)
	}
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

// record is one entry of the journal.
type record map[string]any

func (r record) get(field string) string { s, _ := r[field].(string); return s }

// journal returns HostArmor's records that journalctl finds.
func journal(t *testing.T, args ...string) []record {
	t.Helper()
	out, err := exec.Command("journalctl", append([]string{"--quiet", "--all", "--output=json", "-t", "hostarmor"}, args...)...).Output()
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
