package canonical

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// build makes a tree of "dir/", "file" and "link -> target" lines.
func build(t *testing.T, lines ...string) Root {
	t.Helper()
	dir := t.TempDir()
	for _, line := range lines {
		name, target, isLink := strings.Cut(line, " -> ")
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, at)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		default:
			err = os.WriteFile(at, nil, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func pattern(t *testing.T, text string) hostpolicy.Pattern {
	t.Helper()
	p, err := hostpolicy.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// merged is a machine with a merged /usr and the usual links.
var merged = []string{
	"bin -> usr/bin", "sbin -> usr/sbin", "usr/bin/dash", "usr/bin/sh -> dash", "usr/bin/bash",
	"usr/bin/awk -> /etc/alternatives/awk", "etc/alternatives/awk -> /usr/bin/mawk", "usr/bin/mawk",
	"usr/bin/tool", "usr/sbin/", "run/x/", "var/run -> /run", "etc/ssl/private/", "etc/ssl/private/key",
	"etc/ssl/link -> private", "srv/app -> releases/1", "srv/releases/1/bin/", "srv/releases/1/up -> ../../../etc",
	"loop/a -> b", "loop/b -> a", "loop/self -> self/x", "dangling -> /nowhere/at/all", "dangling-up -> ../../../../nowhere",
	"odd/we*ird{/f", "odd/plain -> we*ird{/f", "odd/dir -> we*ird{", "root -> /", "proc/self -> 123", "proc/123/", "etc/mtab -> /proc/self/mounts",
	"bb/busybox", "bb/ls -> busybox", "out -> ../../../../../../../../etc/ssl", "usr/bin/slash -> ./dash", "notes",
}

func TestResolve(t *testing.T) {
	root := build(t, merged...)
	for _, tt := range []struct {
		written string
		want    string // names, separated by spaces
		problem string // code, or ""
	}{
		{"/usr/bin/tool", "/usr/bin/tool", ""},
		{"/bin/tool", "/usr/bin/tool", ""},
		{"/bin/sh", "/usr/bin/dash /usr/bin/sh", ""},
		{"/bin/slash", "/usr/bin/dash /usr/bin/slash", ""},
		{"/bin/awk", "/usr/bin/mawk /usr/bin/awk", ""},
		{"/bin/*", "/usr/bin/*", ""},
		{"/bin/{sh,bash}", "/usr/bin/dash /usr/bin/sh /usr/bin/bash", ""},
		{"/usr/bin/{tool,bash}", "/usr/bin/{tool,bash}", ""},
		{"/{bin,opt}/x", "/usr/bin/x /opt/x", ""},
		{"/**/sh", "/**/sh", ""},
		{"/", "/", ""},
		{"/**", "/**", ""},
		{"/var/run/x/", "/run/x/", ""},
		{"/var/run/", "/run/ /var/run/", ""},
		{"/var/run/**", "/run/**", ""},
		{"/etc/ssl/link/", "/etc/ssl/private/ /etc/ssl/link/", ""},
		{"/etc/ssl/link/key", "/etc/ssl/private/key", ""},
		{"/srv/app/bin/", "/srv/releases/1/bin/", ""},
		{"/srv/app/up/ssl/", "/etc/ssl/", ""},
		{"/srv/app/new", "/srv/releases/1/new", ""},
		{"/bin/missing", "/usr/bin/missing", ""},
		{"/missing/a/b/", "/missing/a/b/", ""},
		{"/notes/beneath", "/notes/beneath", ""},
		{"/odd/plain", `/odd/we\*ird\{/f /odd/plain`, ""},
		{"/odd/dir/*", `/odd/we\*ird\{/*`, ""},
		{`/odd/we\*ird\{/f`, `/odd/we\*ird\{/f`, ""},
		{"/out/private/key", "/etc/ssl/private/key", ""}, // not the machine's own /etc
		{"/root/bin/sh", "/usr/bin/dash /usr/bin/sh", ""},
		{"/loop/a", "/loop/a", "HA043"},
		{"/loop/self", "/loop/self", "HA043"},
		{"/loop/a/x", "/loop/a/x", "HA043"},
		{"/dangling", "/nowhere/at/all /dangling", "HA043"},
		{"/dangling/x", "/nowhere/at/all/x", "HA043"},
		{"/dangling-up", "/nowhere /dangling-up", "HA043"},
		{"/etc/mtab", "/etc/mtab", "HA043"},
		{"/proc/self/environ", "/proc/self/environ", "HA043"},
		{"/proc/*/environ", "/proc/*/environ", ""},
		{"/etc/ssl/private", "/etc/ssl/private", "HA040"},
		{"/etc/ssl/link", "/etc/ssl/private /etc/ssl/link", "HA040"},
		{"/etc/{ssl,mail}", "/etc/{ssl,mail}", "HA040"},
		{"/notes/", "/notes/", "HA042"},
		{"/bb/l?", "/bb/l?", "HA044"},
		{"/bb/[lb]*", "/bb/[lb]*", ""},
		{"/bin/s?", "/usr/bin/s?", "HA044"},
		{"/loop/*", "/loop/*", ""},
		{"/bb/ls", "/bb/busybox /bb/ls", "HA041"},
		{"/bb/busybox", "/bb/busybox", "HA041"},
	} {
		t.Run(tt.written, func(t *testing.T) {
			at := hostpolicy.Position{File: "x.toml", Line: 3, Column: 8}
			policies := []hostpolicy.Policy{{Name: "x", Dangerous: true, Rules: []hostpolicy.Rule{{
				Policy: "x", Class: hostpolicy.Process, Name: "r", Action: hostpolicy.Audit, Access: hostpolicy.Exec,
				Path: []hostpolicy.Pattern{pattern(t, tt.written)}, Places: hostpolicy.Places{Path: []hostpolicy.Position{at}},
			}}}}
			res := root.Resolve(policies)
			rule := res.Policies[0].Rules[0]
			var got []string
			for _, p := range rule.Path {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if again := root.Resolve(res.Policies).Policies[0].Rules[0].Path; !slices.Equal(again, rule.Path) {
				t.Errorf("resolved again: %v", again)
			}
			if len(rule.Places.Path) != len(rule.Path) || rule.Places.Path[0] != at {
				t.Errorf("places %v", rule.Places.Path)
			}
			codes := ""
			for _, p := range res.Problems {
				codes += p.Code
				if p.Position != at || p.Field != "process.r.path" {
					t.Errorf("problem without its place: %s", p)
				}
			}
			if codes != tt.problem {
				t.Errorf("problems %v, want %q", res.Problems, tt.problem)
			}
			changed := len(got) != 1 || got[0] != tt.written
			if (len(res.Resolutions) == 1) != changed {
				t.Errorf("resolutions %v", res.Resolutions)
			}
			if policies[0].Rules[0].Path[0].String() != tt.written || len(policies[0].Rules[0].Path) != 1 {
				t.Error("the argument was changed")
			}
		})
	}
}

// /root leads to the root directory: without its slash the text "/" would be
// every file.
func TestResolveToRoot(t *testing.T) {
	root := build(t, merged...)
	rule := hostpolicy.Rule{Policy: "x", Class: hostpolicy.File, Name: "r", Action: hostpolicy.Audit, Access: hostpolicy.Read,
		Path: []hostpolicy.Pattern{pattern(t, "/notes")}, From: []hostpolicy.Pattern{pattern(t, "/root")}}
	policies, problems := root.Policies([]hostpolicy.Policy{{Name: "x", Rules: []hostpolicy.Rule{rule}}})
	if from := policies[0].Rules[0].From; len(from) != 1 || from[0].String() != "/root" {
		t.Errorf("from became %v", from)
	}
	if len(problems) == 0 {
		t.Error("no warning")
	}
}

func TestResolveKeys(t *testing.T) {
	root := build(t, merged...)
	list := func(texts ...string) (out []hostpolicy.Pattern) {
		for _, text := range texts {
			out = append(out, pattern(t, text))
		}
		return out
	}
	at := hostpolicy.Position{File: "x.toml", Line: 2, Column: 1}
	rule := hostpolicy.Rule{Policy: "x", Class: hostpolicy.File, Name: "r", Position: at, Action: hostpolicy.Block, Access: hostpolicy.Read,
		Path: list("/etc/ssl/link/", "/etc/ssl/private/"), Except: list("/etc/ssl/link", "/etc/ssl/link/key"),
		From: list("/bin/sh", "/bb/ls", "/usr/sbin"), ExceptFrom: list("/bin/awk")}
	res := root.Resolve([]hostpolicy.Policy{{Name: "x", Rules: []hostpolicy.Rule{rule}}})
	got := res.Policies[0].Rules[0]
	rule.Path = list("/etc/ssl/private/", "/etc/ssl/link/")
	rule.Except = list("/etc/ssl/private", "/etc/ssl/link", "/etc/ssl/private/key")
	rule.From = list("/usr/bin/dash", "/usr/bin/sh", "/bb/busybox", "/bb/ls", "/usr/sbin")
	rule.ExceptFrom = list("/usr/bin/mawk", "/usr/bin/awk")
	if diff := cmp.Diff(rule, got, cmp.Comparer(func(a, b hostpolicy.Pattern) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	var problems []string
	for _, p := range res.Problems {
		problems = append(problems, fmt.Sprintf("%s %s %s", p.Severity, p.Code, p))
	}
	want := []string{
		`warning HA040 x.toml:2:1: file.r.except: "/etc/ssl/link" is a directory (write "/etc/ssl/link/" for the directory and all beneath it)`,
		`warning HA041 x.toml:2:1: file.r.from: "/bb/ls" is /bb/busybox, many commands in one file: all its names are hit (no rule can tell programs apart that are one file)`,
		`warning HA040 x.toml:2:1: file.r.from: "/usr/sbin" is a directory (write "/usr/sbin/" for the directory and all beneath it)`,
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
	if len(res.Resolutions) != 6 {
		t.Errorf("resolutions %+v", res.Resolutions)
	}
}

func TestResolveStrays(t *testing.T) {
	root := build(t, "opt/jdk/java", "opt/jdk/javac", "usr/bin/java -> /opt/jdk/java", "usr/bin/javac -> /opt/jdk/javac",
		"usr/bin/javap -> /opt/jdk/javap", "usr/bin/java8 -> java9", "usr/bin/java9", "usr/bin/javadir -> /opt/jdk")
	rule := hostpolicy.Rule{Policy: "x", Class: hostpolicy.Process, Name: "r", Action: hostpolicy.Audit, Access: hostpolicy.Exec,
		Path: []hostpolicy.Pattern{pattern(t, "/usr/bin/java*")}}
	resolve := func() []string {
		_, problems := root.Policies([]hostpolicy.Policy{{Name: "x", Rules: []hostpolicy.Rule{rule}}})
		var out []string
		for _, p := range problems {
			out = append(out, p.Code+" "+p.Message+" ("+p.Fix+")")
		}
		return out
	}
	want := []string{`HA044 "/usr/bin/java*" names the link /usr/bin/java, but nothing names /opt/jdk/java that it leads to, and so for 1 more links (add "/opt/jdk/java" if it is meant)`}
	if diff := cmp.Diff(want, resolve()); diff != "" {
		t.Error(diff)
	}
	rule.Except = []hostpolicy.Pattern{pattern(t, "/usr/bin/javac")}
	rule.Path = append(rule.Path, pattern(t, "/opt/jdk/"))
	if got := resolve(); got != nil {
		t.Errorf("named by another pattern: %q", got)
	}
}

func TestResolveLockOut(t *testing.T) {
	root := build(t, append(merged, "opt/shell -> /bin/bash")...)
	block := hostpolicy.Policy{Name: "x", Rules: []hostpolicy.Rule{{
		Policy: "x", Class: hostpolicy.Process, Name: "r", Action: hostpolicy.Block, Access: hostpolicy.Exec,
		Path: []hostpolicy.Pattern{pattern(t, "/opt/shell")},
	}}}
	for _, dangerous := range []bool{false, true} {
		block.Dangerous = dangerous
		_, problems := root.Policies([]hostpolicy.Policy{block})
		want := hostpolicy.Error
		if dangerous {
			want = hostpolicy.Warning
		}
		if len(problems) != 1 || problems[0].Code != "HA029" || problems[0].Severity != want {
			t.Errorf("dangerous=%t: %v", dangerous, problems)
		}
	}
}

// A tree that wants to cost time: 40 links in a row, each of them 1,000
// components long, and a chain that is one link too long.
func TestResolveHostile(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("chain/%d -> %d", i, i+1))
		lines = append(lines, fmt.Sprintf("wide/%d -> %s%d", i, strings.Repeat("./", 1500), i+1))
		lines = append(lines, fmt.Sprintf("deep/%d -> %s/x", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d/", i+1), 30), "/")))
	}
	lines = append(lines, "chain/60", "wide/60", "deep/60")
	root := build(t, lines...)
	w := newWalker(root.dir)
	if r := w.resolve("/chain/20"); r.name != "/chain/60" || r.trouble != "" {
		t.Errorf("40 links: %+v", r)
	}
	for _, name := range []string{"/chain/19", "/wide/0", "/deep/0"} {
		if r := w.resolve(name); r.trouble == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestOpenMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("opened what is not there")
	}
}
