package kubearmor

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocs holds docs/kubearmor.md to the loader: its examples load, the codes
// that it names exist, and it has a word on every field that a policy may hold.
func TestDocs(t *testing.T) {
	content, err := os.ReadFile("../../../docs/kubearmor.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(examples) == 0 {
		t.Error("no example")
	}
	for _, e := range examples {
		if r := Load("example.yaml", []byte(e[1]), here); len(r.Problems) > 0 || len(r.Policies) == 0 {
			t.Errorf("%v of\n%s", r.Problems, e[1])
		}
	}
	for _, code := range regexp.MustCompile(`HA1\d\d`).FindAllString(text, -1) {
		if _, ok := Codes[code]; !ok {
			t.Errorf("no code %s", code)
		}
	}
	// The fields are where the sources list them.
	var fields []string
	for _, file := range []string{"document.go", "selector.go", "nodeselector.go", "paths.go", "network.go", "packets.go", "other.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`(?:\.object\(|with\(|expect\(|kind(?:Pod|Host|Cluster|Network): +\{)[^\n]*`).FindAllString(string(source), -1) {
			for _, name := range regexp.MustCompile(`"([a-z][A-Za-z]+)"`).FindAllStringSubmatch(call, -1) {
				fields = append(fields, name[1])
			}
		}
	}
	if len(fields) < 60 {
		t.Fatalf("found only %d fields: %v", len(fields), fields)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(fields))) {
		// What is inside an entry whose whole is refused or plain needs no line.
		if slices.Contains([]string{"items", "ipBlock", "cidr", "name", "operator"}, name) {
			continue
		}
		if !strings.Contains(text, name) {
			t.Errorf("no word on %s", name)
		}
	}
}
