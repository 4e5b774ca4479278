//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// deb is the package under test.
var deb string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	if err := install(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func install() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs a throw-away machine and root: make test-e2e")
	}
	found, err := filepath.Glob("/job/hostarmor_*.deb")
	if err != nil || len(found) != 1 {
		return fmt.Errorf("/job holds %d hostarmor_*.deb, want 1", len(found))
	}
	deb = found[0]
	if out, err := exec.Command("dpkg", "-i", deb).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg -i %s: %w\n%s", deb, err, out)
	}
	// Waits for the start that the installation began, or begins one.
	if out, err := exec.Command("systemctl", "start", service).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl start %s: %w\n%s", service, err, out)
	}
	return nil
}

// TestHost is one story on one machine: each chapter leaves the service running
// with the policy of base, until the last two take the package away.
func TestHost(t *testing.T) {
	chapters := []struct {
		name string
		test func(*testing.T)
	}{
		{"install", testInstall},
		{"base", base},
		{"program", testProgram},
		{"kubearmor", testKubeArmor},
		{"file", testFile},
		{"exceptions", testExceptions},
		{"audit", testAudit},
		{"follow", testFollow},
		{"latency", testLatency},
		{"broken", testBroken},
		{"bad-input", testBadInput},
		{"full-disk", testFullDisk},
		{"never-blinks", testNeverBlinks},
		{"stop", testStop},
		{"many-rules", testManyRules},
		{"remove", testRemove},
		{"purge", testPurge},
	}
	for _, c := range chapters {
		if !t.Run(c.name, c.test) && c.name == "base" {
			t.Fatal("nothing can be enforced, so nothing more can be shown")
		}
	}
}
