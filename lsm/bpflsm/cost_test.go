//go:build kernel

package bpflsm

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// TestVerifierCost prints what the verifier does for each program: it is the
// larger part of the time that a first start takes.
func TestVerifierCost(t *testing.T) {
	spec, err := loadEngine()
	if err != nil {
		t.Fatal(err)
	}
	if err := fit(spec); err != nil {
		t.Fatal(err)
	}
	missing, err := without()
	if err != nil {
		t.Fatal(err)
	}
	for name := range missing {
		delete(spec.Programs, name)
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lines []string
	for name, p := range c.Programs {
		for line := range strings.Lines(p.VerifierLog) {
			if strings.HasPrefix(line, "processed") || strings.HasPrefix(line, "verification time") || strings.HasPrefix(line, "stack") {
				lines = append(lines, name+": "+strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(lines)
	t.Log(strings.Join(lines, "\n"))
}
