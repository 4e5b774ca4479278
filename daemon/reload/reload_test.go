package reload

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

type disk struct {
	t     *testing.T
	dir   string
	store Store
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("policy files must be owned by root, so this test runs as root only")
	}
	d := &disk{t: t, dir: t.TempDir()}
	d.store = NewStore(filepath.Join(d.dir, "last-good"))
	for _, sub := range []string{"etc", "usr"} {
		d.must(os.Mkdir(filepath.Join(d.dir, sub), 0o755))
	}
	return d
}

func (d *disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }
func (d *disk) dirs() []string          { return []string{d.path("etc"), d.path("usr")} }

func (d *disk) write(name, text string) {
	d.t.Helper()
	d.must(os.WriteFile(d.path(name), []byte(text), 0o644))
}

func (d *disk) look() *Set {
	d.t.Helper()
	s, err := Look(d.dirs(), Machine{Root: "/"})
	d.must(err)
	return s
}

// good looks, and saves what must be fine.
func (d *disk) good() *Set {
	d.t.Helper()
	s := d.look()
	if s.Refused() {
		d.t.Fatalf("refused: %v", s.Problems)
	}
	d.must(d.store.Save(s, s.Ruleset.Digest, nil))
	return s
}

// recover looks at a broken set and makes the best of it.
func (d *disk) recover() *Set {
	d.t.Helper()
	refused := d.look()
	if !refused.Refused() {
		d.t.Fatal("the set is fine")
	}
	s, err := Recover(refused, d.store, Machine{Root: "/"})
	d.must(err)
	return s
}

func rulesOf(s *Set) []string {
	var ids []string
	if s.Ruleset != nil {
		for i := range s.Ruleset.Rules {
			ids = append(ids, s.Ruleset.Rules[i].ID())
		}
	}
	return ids
}

func policy(name, rule string) string {
	return fmt.Sprintf("name = %q\n[applies_to]\nhost = true\n[process.%s]\npath = \"/opt/%s\"\n", name, rule, rule)
}

func TestRecover(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(d *disk)
		want   []string
		drift  string // files whose state is not what is on disk
	}{
		"junk": {
			func(d *disk) { d.write("etc/a.toml", "junk") },
			[]string{"a/process.one", "b/process.two"}, "a.toml last good",
		},
		"a new file of junk": {
			func(d *disk) { d.write("etc/c.toml", "junk") },
			[]string{"a/process.one", "b/process.two"}, "c.toml rejected",
		},
		"one broken, one changed": {
			func(d *disk) { d.write("etc/a.toml", "junk"); d.write("etc/b.toml", policy("b", "three")) },
			[]string{"a/process.one", "b/process.three"}, "a.toml last good",
		},
		"one broken, one gone": {
			func(d *disk) { d.write("etc/a.toml", "junk"); d.must(os.Remove(d.path("etc/b.toml"))) },
			[]string{"a/process.one"}, "a.toml last good",
		},
		"a new file takes a name": {
			func(d *disk) { d.write("etc/0.toml", policy("a", "four")) },
			// Which of the two is meant nobody knows. The one that was
			// read first stands, the other cannot.
			[]string{"a/process.four", "b/process.two"}, "a.toml rejected",
		},
		"another owner": {
			func(d *disk) { d.must(os.Chown(d.path("etc/a.toml"), 1000, 1000)) },
			[]string{"a/process.one", "b/process.two"}, "a.toml last good",
		},
		"a directory that others can write": {
			func(d *disk) { d.must(os.Chmod(d.path("etc"), 0o777)) },
			[]string{"a/process.one", "b/process.two"}, "a.toml last good, b.toml last good",
		},
		"everything": {
			func(d *disk) { d.write("etc/a.toml", "junk"); d.write("etc/b.toml", "junk") },
			[]string{"a/process.one", "b/process.two"}, "a.toml last good, b.toml last good",
		},
		"a path that is a directory now": {
			func(d *disk) {
				d.must(os.MkdirAll(d.path("tree"), 0o755))
				d.write("etc/a.toml", strings.ReplaceAll(policy("a", "one"), "/opt/one", d.path("tree")))
			},
			[]string{"a/process.one", "b/process.two"}, "a.toml last good",
		},
		"a path becomes a directory": {
			// Whoever may make it must not lift the file's rules by it.
			func(d *disk) { d.must(os.MkdirAll(d.path("later"), 0o755)) },
			[]string{"a/process.one", "b/process.later", "b/process.two"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			d.write("etc/a.toml", policy("a", "one"))
			b := policy("b", "two")
			if strings.HasPrefix(name, "a path becomes") {
				b += fmt.Sprintf("[process.later]\npath = %q\n", d.path("later"))
			}
			d.write("etc/b.toml", b)
			d.good()
			c.break_(d)
			s := d.recover()
			if diff := cmp.Diff(c.want, rulesOf(s)); diff != "" {
				t.Errorf("%s\n%v", diff, s.Problems)
			}
			var drift []string
			for _, f := range s.Files {
				switch {
				case f.LastGood:
					drift = append(drift, filepath.Base(f.Path)+" last good")
				case f.Rejected():
					drift = append(drift, filepath.Base(f.Path)+" rejected")
				}
			}
			if got := strings.Join(drift, ", "); got != c.drift {
				t.Errorf("files: %q, want %q", got, c.drift)
			}
			if !s.Refused() {
				t.Error("what is wrong on disk is not told")
			}
		})
	}
}

func TestRecoverWithoutAStore(t *testing.T) {
	d := newDisk(t)
	d.write("etc/a.toml", "junk")
	d.write("etc/b.toml", policy("b", "two"))
	if diff := cmp.Diff([]string{"b/process.two"}, rulesOf(d.recover())); diff != "" {
		t.Error(diff)
	}
}

func TestADamagedStoreIsNotBelieved(t *testing.T) {
	d := newDisk(t)
	d.write("etc/a.toml", policy("a", "one"))
	s := d.good()
	d.must(os.WriteFile(filepath.Join(d.store.dir, s.Files[0].SHA256), []byte(policy("a", "evil")), 0o600))
	d.write("etc/a.toml", "junk")
	if got := rulesOf(d.recover()); got != nil {
		t.Errorf("a content without its sum is in force: %v", got)
	}
	// The next good set heals it.
	d.write("etc/a.toml", policy("a", "one"))
	d.good()
	d.write("etc/a.toml", "junk")
	if diff := cmp.Diff([]string{"a/process.one"}, rulesOf(d.recover())); diff != "" {
		t.Error(diff)
	}
}

func TestStoreHoldsOnlyTheLastSet(t *testing.T) {
	d := newDisk(t)
	for i := range 5 {
		d.write("etc/a.toml", policy("a", fmt.Sprintf("r%d", i)))
		d.good()
	}
	entries, err := os.ReadDir(d.store.dir)
	d.must(err)
	if len(entries) != 2 {
		t.Errorf("the store holds %v", entries)
	}
	s := d.look()
	rules, err := d.store.Rules(s.Ruleset.Digest, Machine{Root: "/"})
	if err != nil || len(rules) != 1 || rules[0].ID() != "a/process.r4" {
		t.Errorf("%v, %v", rules, err)
	}
	if _, err := d.store.Rules([32]byte{1}, Machine{Root: "/"}); err == nil {
		t.Error("the rules of another digest")
	}
}

func TestMaskingAndPrecedence(t *testing.T) {
	d := newDisk(t)
	d.write("usr/a.toml", policy("a", "vendor"))
	d.write("usr/b.toml", policy("b", "vendor"))
	d.write("etc/a.toml", policy("a", "mine"))
	d.must(os.Symlink("/dev/null", d.path("etc/b.toml")))
	s := d.good()
	if diff := cmp.Diff([]string{"a/process.mine"}, rulesOf(s)); diff != "" {
		t.Error(diff)
	}
}

// The boot guard knows a set by its files: not by where links lead, nor by the
// files of others.
func TestSetIDs(t *testing.T) {
	d := newDisk(t)
	d.must(os.Symlink("/opt/x", d.path("link")))
	d.write("etc/a.toml", strings.ReplaceAll(policy("a", "one"), "/opt/one", d.path("link")))
	first := d.good()
	if first.Links.Changed() {
		t.Error("nothing changed")
	}
	d.must(os.Remove(d.path("link")))
	d.must(os.WriteFile(d.path("target"), nil, 0o755))
	d.must(os.Symlink(d.path("target"), d.path("link")))
	if !first.Links.Changed() {
		t.Error("a link was turned, and nobody saw it")
	}
	second := d.good()
	if first.ID != second.ID || first.Ruleset.Digest == second.Ruleset.Digest {
		t.Errorf("ids %s, %s; digests equal %v", first.ID, second.ID, first.Ruleset.Digest == second.Ruleset.Digest)
	}
	d.write("etc/a.toml", policy("a", "two"))
	if d.good().ID == second.ID {
		t.Error("another file, the same id")
	}
}

func TestProblemsAreOrdered(t *testing.T) {
	d := newDisk(t)
	d.write("etc/b.toml", "y = 1\nx = 1\n")
	d.write("etc/a.toml", "x = 1\n")
	s := d.look()
	if !slices.IsSortedFunc(s.Problems, func(a, b hostpolicy.Problem) int {
		return strings.Compare(a.Position.String(), b.Position.String())
	}) || len(s.Problems) < 3 {
		t.Error(s.Problems)
	}
}
