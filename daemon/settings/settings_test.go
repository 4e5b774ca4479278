package settings

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

const packaged = "../../packaging/hostarmor.toml"

// The packaged file is the reference: it must load, hold the defaults, and
// name every key there is.
func TestPackagedFile(t *testing.T) {
	data, err := os.ReadFile(packaged)
	if err != nil {
		t.Fatal(err)
	}
	s, problems := Load("hostarmor.toml", data)
	for _, p := range problems {
		t.Error(p)
	}
	if d := cmp.Diff(Default(), s); d != "" {
		t.Errorf("the packaged file differs from the defaults:\n%s", d)
	}
	var tree map[string]any
	md, err := toml.Decode(string(data), &tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if !md.IsDefined(strings.Split(k.name, ".")...) {
			t.Errorf("%s is not in the packaged file", k.name)
		}
	}
}

func TestEmptyIsDefault(t *testing.T) {
	s, problems := Load("x", nil)
	if d := cmp.Diff(Default(), s); d != "" || problems != nil {
		t.Error(d, problems)
	}
}

func TestLoad(t *testing.T) {
	s, problems := Load("x", []byte(`
backend = "bpf"
required = true
unsupported = "warn"
on_stop = "keep"
boot.guard = false
protect = { self = false, policies = true }
[events]
journal = false
fold = "250ms"
file = "/var/log/hostarmor/events.jsonl"
[policies]
dirs = ["/srv/policies/"]
[node.labels]
site = "berlin"
[kubearmor]
posture = { file = "block" }
`))
	if problems != nil {
		t.Fatal(problems)
	}
	want := Settings{
		Backend: BackendBPF, Required: true, WarnUnsupported: true, KeepOnStop: true,
		Protect: Protect{Policies: true},
		Events:  Events{Fold: 250 * time.Millisecond, File: "/var/log/hostarmor/events.jsonl"},
		Dirs:    []string{"/srv/policies"}, NodeLabels: map[string]string{"site": "berlin"},
		Posture: Posture{hostpolicy.Block, hostpolicy.Audit, hostpolicy.Audit},
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`backend = "epbf"`, `x:1:1: backend: not a value of this key (write "auto" or "bpf")`},
		{`backend = "apparmor"`, `x:1:1: backend: not enforced by this version (leave it out, or write its default "auto")`},
		{`requird = true`, `x:1:1: requird: there is no such setting (did you mean required?)`},
		{`guard = true`, `x:1:1: guard: there is no such setting (did you mean boot.guard?)`},
		{"[evnts]\nfold = \"1s\"", "x:1:1: evnts: there is no such setting (see hostarmor.toml(5))"},
		{"[events]\n  fold = 1", `x:2:3: events.fold: not a value of this key (write a duration from "0s" to "1m", as "1s")`},
		{"[events]\nfold = \"-1s\"", `x:2:1: events.fold: not a value of this key (write a duration from "0s" to "1m", as "1s")`},
		{"[events]\nfile = \"log\"", `x:2:1: events.file: not a value of this key (write an absolute path, or "" for no file)`},
		{"[protect]\nself = 1", "x:2:1: protect.self: not a value of this key (write true or false)"},
		{"[containers]\nunknown = \"deny\"", `x:2:1: containers.unknown: not enforced by this version (leave it out, or write its default "hold")`},
		{"[containers]\nunknown = \"x\"", `x:2:1: containers.unknown: not a value of this key (write "hold", "allow", "deny")`},
		{"[node]\nlabels = { a = 1 }", `x:2:1: node.labels: not a value of this key (write the label "a" as a string)`},
		{"[node]\nlabels = [\"a\"]", `x:2:1: node.labels: not a value of this key (write a table of strings, as { site = "berlin" })`},
		{"[kubearmor]\nposture = { files = \"block\" }", `x:2:1: kubearmor.posture: not a value of this key (write { file = "audit", network = "audit", capabilities = "audit" }, each "audit" or "block")`},
		{"[kubearmor]\nposture = { file = \"allow\" }", "x:2:1: kubearmor.posture: not a value of this key (write "},
		{"[network]\nresolvers = [\"192.0.2.1\"]", "x:2:1: network.resolvers: not enforced by this version (leave it out, or write its default [])"},
		{"[policies]\ndirs = []", "x:2:1: policies.dirs: not a value of this key (write a list of absolute directories)"},
		{"[policies]\ndirs = [\"../x\"]", "x:2:1: policies.dirs: not a value of this key (write a list of absolute directories)"},
		{"on_stop = keep", "x:1:11: "},
	} {
		s, problems := Load("x", []byte(c.in))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.in, problems, c.want)
		}
		if d := cmp.Diff(Default(), s); d != "" {
			t.Errorf("%s: a refused key changed the settings: %s", c.in, d)
		}
	}
}

func TestCodes(t *testing.T) {
	for _, code := range []string{CodeUnreadable, codeSyntax, codeUnknown, codeValue, codeNotYet} {
		if c := Codes[code]; c.Title == "" || c.Why == "" || c.Fix == "" || strings.ContainsAny(c.Title, ".\n") {
			t.Errorf("%s explains too little: %+v", code, c)
		}
	}
	if len(Codes) != 5 {
		t.Errorf("%d codes are explained, 5 exist", len(Codes))
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	_, problems := Load("x", []byte("backend = 1\nnonsense = 2\n[boot]\nguard = \"yes\"\n[x]\ny = 1\n"))
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Position.Line)
	}
	if d := cmp.Diff([]int{1, 2, 4, 5}, lines); d != "" {
		t.Error(d, problems)
	}
}

func FuzzLoad(f *testing.F) {
	data, err := os.ReadFile(packaged)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) { Load("x", data) })
}
