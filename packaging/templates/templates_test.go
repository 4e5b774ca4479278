// Package templates tests the policies that are packaged as templates.
package templates

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

func names(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.toml")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if !strings.HasSuffix(f, policytest.Suffix) {
			out = append(out, strings.TrimSuffix(f, ".toml"))
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d templates", len(out))
	}
	return out
}

// Every template has a test beside it, which passes, shows an access that goes
// on working, and one for each of its rules where that rule decides.
func TestTemplates(t *testing.T) {
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			r, err := policytest.Run(name+policytest.Suffix, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range r.Problems {
				t.Error(p)
			}
			allowed, decided := false, make(map[string]bool)
			for _, c := range r.Cases {
				for _, s := range c.Steps {
					if s.Failure != "" {
						t.Errorf("%s: %s: %s", c.Position, s.Text, s.Failure)
					}
					if s.Explanation.Rule != nil {
						decided[s.Explanation.Rule.ID()] = true
					} else {
						allowed = true
					}
				}
			}
			if !allowed {
				t.Error("no case shows what goes on working")
			}
			for _, rule := range rules(t, name) {
				if !decided[rule] {
					t.Errorf("no case shows %s at work", rule)
				}
			}
		})
	}
}

func rules(t *testing.T, name string) []string {
	t.Helper()
	set, _ := policyfile.ReadPaths([]string{name + ".toml"}, policyfile.Options{AnyOwner: true})
	var ids []string
	for _, p := range set.Policies() {
		if p.Name != name {
			t.Errorf("the policy of %s.toml is named %s", name, p.Name)
		}
		for _, r := range p.Rules {
			ids = append(ids, r.ID())
		}
	}
	return ids
}

// All templates together are clean, on machines of both families, as written
// and under the names that links lead to, and this version enforces every rule.
func TestTemplatesAreClean(t *testing.T) {
	var paths []string
	for _, name := range names(t) {
		paths = append(paths, name+".toml")
	}
	set, problems := policyfile.ReadPaths(paths, policyfile.Options{AnyOwner: true})
	for family, links := range map[string][]string{
		"debian": {
			"/usr/bin/sh -> dash", "/usr/bin/awk -> /etc/alternatives/awk", "/etc/alternatives/awk -> /usr/bin/mawk", "/usr/bin/nc -> /etc/alternatives/nc",
			"/etc/alternatives/nc -> /bin/nc.openbsd", "/usr/bin/python3 -> python3.11", "/usr/bin/redis-server -> redis-check-rdb",
			"/usr/bin/gcc -> gcc-12", "/usr/bin/gcc-12 -> x86_64-linux-gnu-gcc-12", "/usr/bin/cc -> /etc/alternatives/cc", "/etc/alternatives/cc -> /usr/bin/gcc",
			"/usr/bin/ld -> x86_64-linux-gnu-ld", "/usr/bin/x86_64-linux-gnu-ld -> x86_64-linux-gnu-ld.bfd", "/usr/sbin/update-alternatives -> ../bin/update-alternatives",
			"/etc/grub.d -> /usr/share/grub.d", "/usr/bin/sudo -> sudo.ws",
		},
		"fedora": {
			"/usr/bin/sh -> bash", "/usr/sbin/sshd -> ../bin/sshd", "/usr/bin/ld -> /etc/alternatives/ld", "/etc/alternatives/ld -> /usr/bin/ld.bfd",
			"/etc/init.d -> rc.d/init.d", "/usr/bin/python3 -> python3.13", "/usr/bin/node -> node-22", "/usr/bin/awk -> gawk",
		},
	} {
		tree, err := canonical.Open(machine(t, links))
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		policies, found := tree.Policies(set.Policies())
		problems = append(problems, found...)
		support, _ := lsm.Offers("bpf")
		kept, gaps := compile.Supported(policies, support)
		for _, g := range gaps {
			t.Errorf("%s: %s is not enforced: %s", family, g.Rule, g.Reason)
		}
		_, found = compile.Compile(kept)
		problems = append(problems, found...)
	}
	for _, p := range problems {
		t.Errorf("%s %s %s", p.Severity, p.Code, p)
	}
	if len(set.Policies()) != len(paths) {
		t.Errorf("%d policies in %d files", len(set.Policies()), len(paths))
	}
}

// machine is a tree with a merged /usr and these links.
func machine(t *testing.T, links []string) string {
	t.Helper()
	dir := t.TempDir()
	links = append([]string{"/bin -> usr/bin", "/sbin -> usr/sbin", "/lib -> usr/lib", "/lib64 -> usr/lib64", "/var/run -> /run", "/var/lock -> /run/lock"}, links...)
	for _, d := range []string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/etc/alternatives", "/etc/ssh", "/var", "/run/lock", "/usr/share/grub.d", "/etc/rc.d/init.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox", "/usr/bin/mawk", "/usr/bin/gawk", "/usr/bin/nc.openbsd", "/usr/bin/x86_64-linux-gnu-gcc-12",
		"/usr/bin/ld.bfd", "/usr/bin/x86_64-linux-gnu-ld.bfd", "/usr/bin/python3.11", "/usr/bin/python3.13", "/usr/bin/redis-check-rdb", "/usr/bin/update-alternatives", "/usr/bin/sudo.ws",
		"/usr/bin/sshd", "/usr/bin/node-22"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range links {
		name, target, _ := strings.Cut(l, " -> ")
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Each says what it stops, why these paths, and what may break.
func TestTemplatesExplainThemselves(t *testing.T) {
	for _, name := range names(t) {
		text, err := os.ReadFile(name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		comment, _, _ := strings.Cut(string(text), "\n\n")
		for _, part := range []string{"# Stops", "# Why these paths", "# May break"} {
			if !strings.Contains(comment, part) {
				t.Errorf("%s.toml does not say %q", name, part)
			}
		}
		for _, line := range strings.Split(string(text), "\n") {
			if len(line) > 180 {
				t.Errorf("%s.toml: a line of %d bytes: %.60s...", name, len(line), line)
			}
		}
	}
}

// A template that blocks must not stop what keeps the machine repairable.
func TestTemplatesLockNobodyOut(t *testing.T) {
	set, _ := policyfile.ReadPaths([]string{"."}, policyfile.Options{AnyOwner: true})
	for _, policies := range [][]hostpolicy.Policy{set.Policies(), canonical.MergedUsr(set.Policies())} {
		for i := range policies {
			for _, l := range policies[i].LockOuts() {
				t.Errorf("%s would stop %s", l.Rule.ID(), strings.Join(l.Names, ", "))
			}
		}
	}
}
