package canonical

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func TestMergedUsr(t *testing.T) {
	parse := func(texts ...string) []hostpolicy.Pattern {
		var out []hostpolicy.Pattern
		for _, text := range texts {
			p, err := hostpolicy.ParsePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
	at := []hostpolicy.Position{{Line: 1}, {Line: 2}, {Line: 3}, {Line: 4}, {Line: 5}, {Line: 6}}
	rule := hostpolicy.Rule{
		Path:   parse("/bin/sh", "/usr/bin/sh", "/{bin,sbin,opt}/x*", "/lib64/", "/binary", "/var/run/x"),
		Places: hostpolicy.Places{Path: at},
		Except: parse("/{opt,srv}/x"), From: parse("/sbin/*"), ExceptFrom: parse("/libx32/a"), Within: parse("/var/lock/"),
	}
	before := []hostpolicy.Policy{{Rules: []hostpolicy.Rule{rule}, AppliesTo: hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{}}}}
	got := MergedUsr(before)[0].Rules[0]
	for _, tt := range []struct {
		key  string
		got  []hostpolicy.Pattern
		want []string
	}{
		{"path", got.Path, []string{"/usr/bin/sh", "/usr/bin/x*", "/usr/sbin/x*", "/opt/x*", "/usr/lib64/", "/lib64/", "/binary", "/run/x"}},
		{"except", got.Except, []string{"/{opt,srv}/x"}},
		{"from", got.From, []string{"/usr/sbin/*"}},
		{"except_from", got.ExceptFrom, []string{"/usr/libx32/a"}},
		{"within", got.Within, []string{"/run/lock/", "/var/lock/"}},
	} {
		var texts []string
		for _, p := range tt.got {
			texts = append(texts, p.String())
		}
		if diff := cmp.Diff(tt.want, texts); diff != "" {
			t.Errorf("%s: %s", tt.key, diff)
		}
	}
	lines := []int{}
	for _, p := range got.Places.Path {
		lines = append(lines, p.Line)
	}
	if diff := cmp.Diff([]int{1, 3, 3, 3, 4, 4, 5, 6}, lines); diff != "" {
		t.Error(diff)
	}
	if before[0].Rules[0].Path[0].String() != "/bin/sh" {
		t.Error("the argument was changed")
	}
	for name, want := range map[string]string{"/bin/sh": "/usr/bin/sh", "/bin": "/usr/bin", "/binary": "/binary", "/x/../lib/y": "/usr/lib/y", "/var/run/x": "/run/x", "/": "/"} {
		if got := MergedName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// What is assumed of every machine is what Resolve finds in such a tree.
func TestMergedUsrIsWhatResolveFinds(t *testing.T) {
	dir := t.TempDir()
	for _, m := range mergedLinks {
		if err := os.MkdirAll(filepath.Join(dir, m.target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(m.link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(m.target, filepath.Join(dir, m.link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	policy := hostpolicy.Policy{Name: "p", AppliesTo: hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{}}}
	for _, text := range []string{"/bin/sh", "/{bin,sbin,opt}/x", "/lib64/", "/lib/**", "/var/run/x/", "/var/lock/", "/usr/bin/a", "/li*/x"} {
		p, err := hostpolicy.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		policy.Rules = append(policy.Rules, hostpolicy.Rule{Policy: "p", Class: hostpolicy.File, Name: text, Path: []hostpolicy.Pattern{p}})
	}
	policies := []hostpolicy.Policy{policy}
	found := root.Names(policies, true)
	if outside := root.Names(policies, false); !cmp.Equal(outside.Policies, policies, cmp.Comparer(func(a, b hostpolicy.Pattern) bool { return a == b })) {
		t.Errorf("the container's policy was resolved on the host: %v", outside.Policies)
	}
	if diff := cmp.Diff(found.Policies, MergedUsr(policies), cmp.Comparer(func(a, b hostpolicy.Pattern) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	// For the host it is what Resolve gives.
	policies[0].AppliesTo = hostpolicy.Selector{Host: true}
	if diff := cmp.Diff(root.Resolve(policies).Policies, root.Names(policies, false).Policies, cmp.Comparer(func(a, b hostpolicy.Pattern) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"/bin/sh", "/var/run/x", "/var/lock", "/etc/x", "/lib64/../bin/x"} {
		want := MergedName(name)
		if name == "/lib64/../bin/x" {
			want = "/usr/bin/x" // through the link, which text alone cannot know
		}
		if got := root.Name(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
