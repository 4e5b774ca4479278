package policyfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// largeText is long enough to tell, and short enough for the race detector.
const largeText = 1 << 18

const goodPolicy = "applies_to = { host = true }\n[file.a]\npath = \"/a\"\n"

// self are the options for files that the test itself owns.
func self() Options { return Options{owner: uint32(os.Getuid())} }

type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) tree { return tree{t, t.TempDir()} }

func (w tree) path(name string) string { return filepath.Join(w.dir, name) }

func (w tree) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w tree) file(name, content string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	w.must(os.WriteFile(w.path(name), []byte(content), 0o644))
}

func (w tree) link(name, target string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	w.must(os.Symlink(target, w.path(name)))
}

// status is one line for each file and each problem, relative to the tree.
func (w tree) status(set Set, problems []string) []string {
	lines := []string{}
	for _, e := range set.Files {
		line := strings.TrimPrefix(e.Path, w.dir+"/") + " " + e.State.String()
		if e.MaskedBy != "" {
			line += " by " + strings.TrimPrefix(e.MaskedBy, w.dir+"/")
		}
		if (e.State == Active) != (len(e.Policies)+len(e.Inactive) > 0) || (e.Content == nil) != (e.SHA256 == "") {
			w.t.Errorf("inconsistent entry %+v", e)
		}
		lines = append(lines, line)
	}
	for _, p := range problems {
		lines = append(lines, strings.ReplaceAll(p, w.dir+"/", ""))
	}
	return lines
}

func (w tree) read(o Options, dirs ...string) []string {
	w.t.Helper()
	var paths []string
	for _, d := range dirs {
		paths = append(paths, w.path(d))
	}
	set, problems := ReadDirs(paths, o)
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Code+" "+p.String())
		if Codes[p.Code] == (hostpolicy.Code{}) {
			w.t.Errorf("no explanation of %s", p.Code)
		}
	}
	return w.status(set, texts)
}

func TestReadDirsOverride(t *testing.T) {
	w := newTree(t)
	w.file("etc/a.toml", goodPolicy)
	w.file("run/a.toml", "broken")
	w.file("lib/a.toml", goodPolicy)
	w.file("run/b.toml", goodPolicy)
	w.file("lib/b.toml", "broken")
	w.file("etc/empty.toml", "")
	w.file("lib/empty.toml", goodPolicy)
	w.link("etc/null.toml", "/dev/null")
	w.file("lib/null.toml", goodPolicy)
	w.file("etc/wrong.toml", "broken")
	w.file("lib/wrong.toml", goodPolicy)
	w.file("managed/real.conf", goodPolicy)
	w.link("etc/linked.toml", "../managed/real.conf")
	want := []string{
		"etc/a.toml active", "run/a.toml masked by etc/a.toml", "lib/a.toml masked by etc/a.toml",
		"run/b.toml active", "lib/b.toml masked by run/b.toml",
		"etc/empty.toml masked by etc/empty.toml", "lib/empty.toml masked by etc/empty.toml",
		"etc/linked.toml active",
		"etc/null.toml masked by etc/null.toml", "lib/null.toml masked by etc/null.toml",
		"etc/wrong.toml rejected", "lib/wrong.toml masked by etc/wrong.toml",
		`HA001 etc/wrong.toml:1:6: unexpected EOF; expected key separator '='`,
	}
	got := w.read(self(), "etc", "run", "missing", "lib")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadDirsNames(t *testing.T) {
	w := newTree(t)
	for _, name := range []string{"a.toml", "a.toml~", ".a.toml", ".a.toml.swp", ".#a.toml", "#a.toml#", "a.toml.bak", "a.toml.dpkg-new", "README", "web.test.toml"} {
		w.file("etc/"+name, goodPolicy)
	}
	w.must(os.Mkdir(w.path("etc/sub"), 0o755))
	w.file("etc/two.yaml", kubeArmor("one", "/usr/bin/nc")+"---\n"+kubeArmor("two", "/usr/bin/socat"))
	w.file("etc/dpkg.yml", kubeArmor("three", "/usr/bin/dpkg"))
	w.file("etc/one.yml", kubeArmor("one", "/usr/bin/ncat"))
	want := []string{
		"etc/a.toml active", "etc/dpkg.yml rejected", "etc/one.yml active", "etc/two.yaml rejected",
		`HA029 etc/dpkg.yml:9:13: process.dpkg.path: "/usr/bin/dpkg" would stop the package manager: it covers /usr/bin/dpkg ` +
			"(narrow it, use action Audit, or turn the policy into TOML with hostarmor convert and add dangerous = true there)",
		`HA012 etc/two.yaml:4:9: name: a policy named "one" is already defined at etc/one.yml:4:9 (give one of them another name)`,
	}
	o := self()
	o.Node.Hostname = "here"
	if diff := cmp.Diff(want, w.read(o, "etc")); diff != "" {
		t.Error(diff)
	}
}

// kubeArmor is a host policy that blocks one program.
func kubeArmor(name, path string) string {
	return fmt.Sprintf(`apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata:
  name: %s
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: here}}
  process:
    matchPaths:
    - path: %s
  action: Block
`, name, path)
}

// A file that is for another machine is no error, and confines nobody.
func TestReadDirsInactive(t *testing.T) {
	w := newTree(t)
	w.file("etc/two.yaml", kubeArmor("one", "/usr/bin/nc")+"---\n"+strings.Replace(kubeArmor("two", "/usr/bin/socat"), "here", "elsewhere", 1))
	o := self()
	o.Node.Hostname = "here"
	set, problems := ReadDirs([]string{w.path("etc")}, o)
	if len(problems) > 0 || len(set.Files) != 1 || len(set.Policies()) != 1 || set.Policies()[0].Name != "one" {
		t.Fatalf("%+v %v", set, problems)
	}
	inactive := set.Files[0].Inactive
	if len(inactive) != 1 || inactive[0].Name != "two" || !strings.Contains(inactive[0].Reason, "elsewhere") {
		t.Errorf("%+v", inactive)
	}
}

func TestReadDirsHostile(t *testing.T) {
	w := newTree(t)
	o := self()
	o.MaxBytes = 1000
	w.file("etc/big.toml", strings.Repeat("#", 1001))
	w.file("etc/fits.toml", goodPolicy+strings.Repeat("#", 1000-len(goodPolicy)))
	w.file("etc/binary.toml", "\x7fELF\x00\x01")
	w.must(os.Mkdir(w.path("etc/dir.toml"), 0o755))
	w.must(syscall.Mkfifo(w.path("etc/fifo.toml"), 0o600))
	w.link("etc/loop.toml", "loop.toml")
	w.link("etc/dangling.toml", "nowhere")
	w.link("etc/device.toml", "/dev/zero")
	w.link("etc/eio.toml", "/proc/self/mem") // of size 0, and yet not empty
	w.file("etc/open.toml", goodPolicy)
	w.must(os.Chmod(w.path("etc/open.toml"), 0o664))
	w.file("etc/open-empty.toml", "")
	w.must(os.Chmod(w.path("etc/open-empty.toml"), 0o602))
	w.file("etc/z.toml", "name = \"fits\"\n"+goodPolicy)
	done := make(chan []string)
	go func() { done <- w.read(o, "etc") }()
	var got []string
	select {
	case got = <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("reading hangs")
	}
	want := []string{
		"etc/big.toml rejected", "etc/binary.toml rejected", "etc/dangling.toml rejected", "etc/device.toml rejected",
		"etc/dir.toml rejected", "etc/eio.toml rejected", "etc/fifo.toml rejected", "etc/fits.toml active", "etc/loop.toml rejected",
		"etc/open-empty.toml rejected", "etc/open.toml rejected", "etc/z.toml rejected",
		"HA003 etc/big.toml:1:1: the file has 1001 bytes, more than the limit of 1000 (split the policy into several files)",
		"HA004 etc/binary.toml:1:5: the file holds a NUL byte (write it as a text file)",
		"HA002 etc/dangling.toml:1:1: cannot read: it is a symbolic link to nowhere, where nothing is (correct the link, or remove it)",
		"HA002 etc/device.toml:1:1: a device, not a regular file (remove it or give it a name that does not end in .toml)",
		"HA002 etc/dir.toml:1:1: a directory, not a file (remove it or give it a name that does not end in .toml)",
		"HA002 etc/eio.toml:1:1: cannot read: input/output error",
		"HA002 etc/fifo.toml:1:1: a FIFO, not a regular file (remove it or give it a name that does not end in .toml)",
		"HA002 etc/loop.toml:1:1: cannot read: its symbolic links lead in a circle (correct the link)",
		"HA005 etc/open-empty.toml:1:1: the file is writable by others than root (mode 0602) (chmod go-w etc/open-empty.toml)",
		"HA005 etc/open.toml:1:1: the file is writable by others than root (mode 0664) (chmod go-w etc/open.toml)",
		`HA012 etc/z.toml:1:8: name: a policy named "fits" is already defined at etc/fits.toml:1:1 (give one of them another name)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadDirsOwner(t *testing.T) {
	w := newTree(t)
	w.file("etc/a.toml", goodPolicy)
	w.file("lib/b.toml", goodPolicy)
	w.must(os.Chmod(w.path("etc"), 0o777))
	want := []string{
		"lib/b.toml active",
		"HA006 etc:1:1: the directory is writable by others than root (mode 0777), so none of its files is read (chmod go-w etc)",
	}
	if diff := cmp.Diff(want, w.read(self(), "etc", "lib")); diff != "" {
		t.Error(diff)
	}
	other := Options{owner: uint32(os.Getuid()) + 1}
	if got := w.read(other, "lib"); len(got) != 1 || !strings.Contains(got[0], "HA006 lib:1:1: the directory is owned by uid") {
		t.Errorf("another owner: %q", got)
	}
	if diff := cmp.Diff([]string{"etc/a.toml active", "lib/b.toml active"}, w.read(Options{AnyOwner: true, owner: other.owner}, "etc", "lib")); diff != "" {
		t.Error(diff)
	}
	w.must(os.Remove(w.path("etc/a.toml")))
	w.file("etc/a.toml", goodPolicy)
	if got := w.read(Options{}, "file"); len(got) != 0 {
		t.Errorf("missing directory: %q", got)
	}
	w.file("file", "")
	if diff := cmp.Diff([]string{"HA002 file:1:1: not a directory"}, w.read(self(), "file")); diff != "" {
		t.Error(diff)
	}
}

func TestReadPaths(t *testing.T) {
	w := newTree(t)
	w.file("etc/a.toml", goodPolicy)
	w.file("other/a.toml", "name = \"b\"\n"+goodPolicy)
	w.file("policy.txt", "name = \"c\"\n"+goodPolicy)
	w.file("web.test.toml", "[case.x]\n")
	w.file("nested/deep/a.toml", goodPolicy)
	set, problems := ReadPaths([]string{w.path("nested"), w.path("etc"), w.path("other"), w.path("policy.txt"), w.path("web.test.toml"), w.path("none.toml"), w.path("etc/a.toml")}, Options{AnyOwner: true})
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Code+" "+p.String())
	}
	want := []string{
		"etc/a.toml active", "other/a.toml active", "policy.txt active", "web.test.toml rejected", "none.toml rejected",
		"HA069 nested:1:1: the directory holds no policy file (name the directory that does; those beneath are not looked into)",
		"HA002 web.test.toml:1:1: this is a test of policies, not a policy (run it with hostarmor test)",
		"HA002 none.toml:1:1: cannot read: no such file or directory",
	}
	if diff := cmp.Diff(want, w.status(set, texts)); diff != "" {
		t.Error(diff)
	}
	if n := len(set.Policies()); n != 3 {
		t.Errorf("%d policies", n)
	}
}

func TestReadUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads every file")
	}
	w := newTree(t)
	w.file("etc/a.toml", goodPolicy)
	w.must(os.Chmod(w.path("etc/a.toml"), 0))
	want := []string{"etc/a.toml rejected", "HA002 etc/a.toml:1:1: cannot read: permission denied (run as root, or give yourself read permission)"}
	if diff := cmp.Diff(want, w.read(self(), "etc")); diff != "" {
		t.Error(diff)
	}
}

// The longest texts are answered soon: neither the scan nor what follows is
// quadratic.
func TestLoadLarge(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, largeText/len(unit)) }
	var distinct strings.Builder
	for i := 0; distinct.Len() < largeText; i++ {
		distinct.WriteString("k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + "_" + strings.Repeat("y", i/1000%50) + strconv.Itoa(i) + " = 1\n")
	}
	for name, text := range map[string]string{
		"brackets":     fill("["),
		"arrays":       "x = " + fill("["),
		"broken start": "= 1\nx = " + fill("["),
		"inline":       "x = " + fill("{a="),
		"dots":         fill("a."),
		"keys":         distinct.String(),
		"headers":      fill("[[a]]\n"),
		"strings":      goodPolicy + "except = [" + fill(`"x",`) + "]",
		"comment":      fill("#"),
		"quotes":       "x = " + fill(`"`),
		"braces":       goodPolicy + `except = "/` + fill("{a,b}") + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			policies, problems := Load("x.toml", []byte(text), Options{})
			policy := only(policies)
			if policy != nil && name != "comment" || len(problems) == 0 {
				t.Errorf("accepted, %d problems", len(problems))
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %s", d)
			}
			checkPositions(t, []byte(text), problems[:min(len(problems), 100)])
		})
	}
}
