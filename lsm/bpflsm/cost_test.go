//go:build kernel

package bpflsm

import (
	"embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// counted holds what each kernel's verifier did when somebody last looked.
//
//go:embed testdata/verifier
var counted embed.FS

// costVariable names a file to write the counts to (make verifier-cost).
const costVariable = "BPFLSM_VERIFIER_COST"

// TestVerifierCost compares what the verifier does for each program with the
// committed counts: it is the larger part of the time that a first start takes,
// and near the verifier's limit one more branch makes a program unloadable. The
// counts depend on the kernel and the object alone.
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
	processed := regexp.MustCompile(`(?m)^processed (\d+) insns`)
	var lines []string
	sum := 0
	for name, p := range c.Programs {
		found := processed.FindStringSubmatch(p.VerifierLog)
		if found == nil {
			t.Fatalf("%s: the verifier does not say what it processed: %q", name, p.VerifierLog)
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
		lines = append(lines, fmt.Sprintf("%-32s %8d\n", name, n))
		for line := range strings.Lines(p.VerifierLog) {
			if strings.HasPrefix(line, "verification time") || strings.HasPrefix(line, "stack") {
				t.Logf("%s: %s", name, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(lines)
	version := strings.SplitN(release(), ".", 3)
	file := "testdata/verifier/" + version[0] + "." + version[1] + ".txt"
	head := "# Instructions that the verifier processes on Linux " + release() + " (make verifier-cost)\n"
	got := head + strings.Join(lines, "") + fmt.Sprintf("%-32s %8d\n", "total", sum)
	if to := os.Getenv(costVariable); to != "" {
		if err := os.WriteFile(to, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := counted.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\nno counts for this kernel: make verifier-cost KERNELS=%s.%s, and commit the file", err, version[0], version[1])
	}
	before, differ := counts(t, string(want)), false
	for name, n := range counts(t, got) {
		// The same object gives 0.1 % more or less from boot to boot.
		if old, known := before[name]; !known || max(n-old, old-n)*100 > old {
			t.Errorf("%s: %d instructions, %s says %d", name, n, file, old)
			differ = true
		}
		delete(before, name)
	}
	for name := range before {
		t.Errorf("%s: named by %s, and not loaded", name, file)
		differ = true
	}
	if differ {
		t.Errorf("%s is of %sand this is Linux %s. If the change is meant: make generate verifier-cost KERNELS=%s.%s, read the diff, commit it",
			file, strings.SplitAfter(string(want), "\n")[0], release(), version[0], version[1])
	}
}

func counts(t *testing.T, text string) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		n, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		all[words[0]] = n
	}
	return all
}
