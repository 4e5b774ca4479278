package policytest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each test file of testdata with what comes of it beside it.
func TestRun(t *testing.T) {
	files, err := Find([]string{"testdata"})
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r, err := Run(file, "")
			if err != nil {
				t.Fatal(err)
			}
			got := dump(r)
			golden := strings.TrimSuffix(file, Suffix) + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got, -update rewrites the file:\n%s", diff)
			}
		})
	}
}

// Every code that a test file can have is explained.
func TestCodes(t *testing.T) {
	for _, code := range []string{CodeAccess, CodeSubject, CodeNothing, CodePolicies} {
		if c := Codes[code]; c.Title == "" || c.Why == "" || c.Fix == "" || strings.ContainsAny(c.Title, ".\n") {
			t.Errorf("%s explains too little: %+v", code, c)
		}
	}
	if len(Codes) != 4 {
		t.Errorf("%d codes are explained, 4 exist", len(Codes))
	}
}

func dump(r Result) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "%s %s %s\n", p.Severity, p.Code, p)
	}
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "%s %s passed=%t\n", c.Position, c.Name, c.Passed())
		for _, s := range c.Steps {
			fmt.Fprintf(&b, "  %s: %s\n", s.Text, s.Explanation.Action)
			if s.Failure != "" {
				fmt.Fprintf(&b, "    %s\n", s.Failure)
			}
		}
	}
	return b.String()
}

// With a root, names are those of that tree.
func TestRunInATree(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, d := range []string{"root/opt/real", "root/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/opt/real", filepath.Join(dir, "root/opt/link")); err != nil {
		t.Fatal(err)
	}
	write("p.toml", "applies_to = { everything = true }\n[file.a]\npath = \"/opt/link/x\"\n[process.b]\npath = \"/bin/nc\"\n")
	file := write("p.test.toml", `policies = "p.toml"
[case.linked]
subject = { host = true }
do      = ["write /opt/real/x", "write /opt/link/x", "exec /bin/nc"]
expect  = "block"
[case.in-a-container]
subject = { container = { name = "a" } }
do      = "read /opt/real/x"
expect  = "block"
[case.usr-is-not-merged-here]
subject = { host = true }
do      = "exec /usr/bin/nc"
expect  = "allow"
`)
	r, err := Run(file, filepath.Join(dir, "root"))
	if err != nil || len(r.Problems) > 0 || len(r.Cases) != 3 {
		t.Fatal(r, err)
	}
	for _, c := range r.Cases {
		if !c.Passed() {
			t.Errorf("%+v", c.Steps)
		}
	}
	// In any tree with a merged /usr all of that is otherwise.
	r, err = Run(file, "")
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(r, err)
	}
	for i, want := range []bool{false, false, false} {
		if r.Cases[i].Passed() != want {
			t.Errorf("%+v", r.Cases[i])
		}
	}
	if _, err := Run(file, filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a root that is not there")
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if _, err := Find([]string{dir}); err == nil || !strings.Contains(err.Error(), "there is no test") {
		t.Error(err)
	}
	if _, err := Find([]string{filepath.Join(dir, "x.test.toml")}); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// The uid of a name is the same everywhere, and another one for each name.
func TestLookupUser(t *testing.T) {
	seen := map[uint32]string{}
	for _, name := range []string{"root", "nobody", "www-data", "nginx", "postgres", "a", "b", "ab", "ba"} {
		uid, ok := LookupUser(name)
		if !ok || uid >= hostpolicy.NoLogin {
			t.Errorf("%s: %d, %t", name, uid, ok)
		}
		if seen[uid] != "" {
			t.Errorf("%s and %s are both %d", name, seen[uid], uid)
		}
		seen[uid] = name
	}
	if uid, _ := LookupUser("www-data"); uid != 2574966619 {
		t.Errorf("www-data is %d", uid)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*" + Suffix)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, problems := Parse("x.test.toml", content)
		lines := strings.Split(string(content), "\n")
		for _, p := range problems {
			if p.Severity != hostpolicy.Error && p.Code != "HA023" {
				t.Errorf("a mere warning: %s", p)
			}
			if p.Position.Line < 1 || p.Position.Line > len(lines) || p.Position.Column < 1 || p.Position.Column > len(lines[p.Position.Line-1])+1 {
				t.Errorf("a place outside the file: %s", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		if len(file.Cases) == 0 || len(file.Policies) == 0 {
			t.Errorf("nothing is tested, and nothing reported: %q", content)
		}
		for _, c := range file.Cases {
			if len(c.Do) == 0 || !c.Expect.Valid() {
				t.Errorf("the case tests nothing: %+v", c)
			}
		}
	})
}

// The manual's example is a test that can be run.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) == 0 {
		t.Fatal("no example")
	}
	for _, e := range examples {
		file, problems := Parse("example.test.toml", e[1])
		for _, p := range problems {
			t.Error(p)
		}
		if len(file.Cases) < 3 {
			t.Errorf("%d cases", len(file.Cases))
		}
	}
	for _, name := range OperationNames() {
		op, _ := hostpolicy.ParseOperation(name)
		if op.Class() != hostpolicy.System && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the manual does not mention %s", name)
		}
	}
}
