package kubearmor

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// TestHostile: files that are made to cost time, memory or the stack are
// refused before they do. Each takes less than a second; where a limit is lost,
// it takes minutes, and the time limit of go test ends it.
func TestHostile(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(16 << 20))
	const size = maxBytes - 100
	fill := func(head, body string, tail ...string) string {
		return head + strings.Repeat(body, (size-len(head))/len(body)) + strings.Join(tail, "")
	}
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	stairs := func(step string) string {
		var b strings.Builder
		for i := 0; b.Len()+i < size; i++ {
			b.WriteString(strings.Repeat(" ", i) + step + "\n")
		}
		return b.String()
	}
	head := "kind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  process:\n    matchPaths:\n"
	for name, content := range map[string]string{
		"open lists":          fill("", "["),
		"nested lists":        strings.Repeat("[", size/2) + strings.Repeat("]", size/2),
		"open mappings":       fill("", "{a: "),
		"open flow":           fill("a: [", "b,"),
		"open flow mapping":   fill("a: {", "b: c,"),
		"hyphens":             fill("", "- "),
		"empty entries":       fill("a:\n", "-\n"),
		"empty keys":          fill("", "a:\n"),
		"different keys":      numbered("k%d: v\n"),
		"keys with comments":  numbered("k%d: v # c\n"),
		"stairs of keys":      stairs("a:"),
		"stairs of lists":     stairs("-"),
		"questions":           fill("", "? "),
		"colons":              fill("", ": "),
		"anchors":             fill("", "&a "),
		"aliases":             fill("a: &a [x]\nb: [", "*a,", "]"),
		"tags":                fill("", "!!str "),
		"documents":           fill("", "---\na: b\n"),
		"document marks":      fill("", "---\n"),
		"quotes":              fill("a: ", "'"),
		"adjacent":            fill("a: ", "'' "),
		"open quote":          fill("a: \"", "x\n"),
		"escapes":             fill("a: \"", "\\n", "\""),
		"long plain text":     fill("a: b\n", "  c d\n"),
		"long literal":        fill("a: |\n", "  c\n"),
		"blank lines":         fill("a: b", "\n"),
		"comments":            fill("", "# c\n"),
		"spaces":              fill("", " ", "a: b"),
		"tabs":                fill("a: b", "\t"),
		"too large":           strings.Repeat("#", maxBytes+1),
		"entries":             fill(head, "    - path: /a\n"),
		"braces in a pattern": head + "    matchPatterns:\n    - pattern: \"/" + strings.Repeat("{a,b}", 1000) + "\"\n",
		"stars in a pattern":  head + "    matchPatterns:\n    - pattern: \"/" + strings.Repeat("*a", 2000) + "\"\n",
		"long path":           head + "    - path: /" + strings.Repeat("a", 100000) + "\n",
		"long expression":     "kind: KubeArmorHostPolicy\nmetadata: {name: x}\nspec:\n  nodeSelector:\n    matchLabels:\n      kubearmor.io/hostnamereg: \"" + strings.Repeat("(a{1000}){1000}", 60) + "\"\n",
		"exceptions":          head + strings.Repeat("    - path: /a\n", 9000) + strings.Repeat("    - path: /a\n      action: Allow\n      fromSource: [{path: /b}]\n", 9000),
		"names":               fill("kind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  selector:\n    matchLabels:\n      kubearmor.io/container.name: \"[", numbered("%d,")[:size-200], "]\"\n"),
		"values":              "kind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  selector:\n    matchExpressions:\n    - key: label\n      operator: In\n      values:\n" + numbered("      - a=%d\n")[:200000],
		"protocols":           fill("kind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  network:\n    matchProtocols:\n    - protocol: \"", "tcp,", "\"\n"),
		"sources":             head + "    - path: /a\n      fromSource:\n" + strings.TrimSuffix(numbered("      - path: /b%d\n")[:500000], "\n") + "\n      - path: b\n",
		"problems":            fill(head, "    - pth: /a\n"),
		"labels":              "kind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  selector:\n    matchLabels:\n" + numbered("      l%d: v\n"),
	} {
		if len(content) > maxBytes && name != "too large" {
			t.Fatalf("%s: %d bytes", name, len(content))
		}
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			r := Load("x.yaml", []byte(content), here)
			took := time.Since(start)
			check(t, []byte(content), r)
			if !hasError(r.Problems) {
				t.Errorf("%d bytes load", len(content))
			}
			if len(r.Problems) > maxProblems {
				t.Errorf("%d problems", len(r.Problems))
			}
			t.Logf("%d bytes, %s", len(content), took.Round(time.Millisecond))
		})
	}
}

// TestLarge: what KubeArmor drops in silence, more than 256 rules and long or
// deep names, loads here.
func TestLarge(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: x}\nspec:\n  selector: {matchLabels: {a: b}}\n  process:\n    matchPaths:\n")
	const rules = 10000
	for i := range rules {
		fmt.Fprintf(&b, "    - path: /usr/bin/program-%d\n      severity: %d\n", i, i%10+1)
	}
	deep := "/" + strings.Repeat("directory-with-a-name/", 40)
	fmt.Fprintf(&b, "    matchDirectories:\n    - dir: %s\n      recursive: true\n", deep)
	fmt.Fprintf(&b, "  file:\n    matchPaths:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "    - path: /etc/open-%d\n      action: Allow\n", i)
	}
	start := time.Now()
	r := Load("x.yaml", []byte(b.String()), here)
	if len(r.Problems) > 0 || len(r.Policies) != 1 || len(r.Policies[0].Rules) != rules+1+2000 {
		t.Fatalf("%d policies, problems %.300v", len(r.Policies), r.Problems)
	}
	t.Logf("%d rules, %s", rules, time.Since(start).Round(time.Millisecond))
}

// FuzzLoad: whatever the bytes, no panic, positions inside the file, and a file
// taken whole or not at all; what loads converts to texts.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/load/*.yaml")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r := Load("fuzz.yaml", content, here)
		check(t, content, r)
		placed(t, content)
		texts, _, _ := Convert("fuzz.yaml", content, here)
		if hasError(r.Problems) != (texts == nil) && len(r.Policies) > 0 {
			t.Errorf("%d policies, %d texts", len(r.Policies), len(texts))
		}
	})
}

// placed holds the places of plain words to what stands there.
func placed(t *testing.T, content []byte) {
	l := &loader{file: "fuzz.yaml"}
	text := strings.ReplaceAll(strings.TrimPrefix(string(content), "\ufeff"), "\r\n", "\n")
	l.lines = strings.Split(text, "\n")
	if !l.checkText(content) {
		return
	}
	word := regexp.MustCompile(`^[a-zA-Z]+$`)
	at := func(p pos, want string) {
		if line := l.lines[p.line-1]; word.MatchString(want) && (p.column > len(line) || !strings.HasPrefix(line[p.column-1:], want)) {
			t.Errorf("%q is not at %d:%d, where %q stands", want, p.line, p.column, line)
		}
	}
	var walk func(n *node)
	walk = func(n *node) {
		if n.kind == scalar && !n.quoted {
			at(n.at, n.text)
		}
		for _, f := range n.fields {
			if line := l.lines[f.at.line-1]; !strings.ContainsAny(line[min(f.at.column-1, len(line)):][:min(1, len(line)-min(f.at.column-1, len(line)))], "'\"") {
				at(f.at, f.name)
			}
			walk(f.value)
		}
		for _, item := range n.items {
			walk(item)
		}
	}
	documents, _ := l.parse(text)
	for _, d := range documents {
		walk(d)
	}
}
