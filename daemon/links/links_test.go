package links

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/daemon/mounts"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// disk is a tree with one file system, the device 7.
type disk struct {
	t     testing.TB
	root  string
	table mounts.Table
}

func newDisk(t testing.TB) *disk {
	d := &disk{t: t, root: t.TempDir()}
	d.mount("/", "ext4", 7)
	return d
}

func (d *disk) mount(point, fstype string, device uint32) {
	d.table.Mounts = append(d.table.Mounts, lsm.Mount{Device: device, Root: "/", Point: point})
	d.table.Types = append(d.table.Types, fstype)
}

func (d *disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) path(name string) string { return filepath.Join(d.root, name) }

// file makes a file with further names.
func (d *disk) file(name string, others ...string) {
	d.t.Helper()
	d.must(os.MkdirAll(filepath.Dir(d.path(name)), 0o755))
	d.must(os.WriteFile(d.path(name), nil, 0o644))
	for _, o := range others {
		d.must(os.MkdirAll(filepath.Dir(d.path(o)), 0o755))
		d.must(os.Link(d.path(name), d.path(o)))
	}
}

func (d *disk) inode(name string) uint64 {
	info, err := os.Lstat(d.path(name))
	d.must(err)
	return info.Sys().(*syscall.Stat_t).Ino
}

func patterns(t testing.TB, texts ...string) []hostpolicy.Pattern {
	var list []hostpolicy.Pattern
	for _, text := range texts {
		p, err := hostpolicy.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func block(t testing.TB, texts ...string) hostpolicy.Rule {
	return hostpolicy.Rule{Class: hostpolicy.File, Action: hostpolicy.Block, Path: patterns(t, texts...)}
}

func host(rules ...hostpolicy.Rule) []hostpolicy.Policy {
	return []hostpolicy.Policy{{AppliesTo: hostpolicy.Selector{Host: true}, Rules: rules}}
}

// find is the names found, by device: "7: /a /b".
func (d *disk) find(budget int, policies []hostpolicy.Policy) (found, rest []string) {
	d.t.Helper()
	list, rest, err := Of(policies).Find(d.t.Context(), d.root, d.table, budget)
	d.must(err)
	for _, l := range list {
		for _, name := range l.Names {
			if got := d.inode(name); got != l.Inode {
				d.t.Errorf("%s has inode %d, said to be %d", name, got, l.Inode)
			}
		}
		found = append(found, fmt.Sprintf("%d: %s", l.Device, strings.Join(l.Names, " ")))
	}
	slices.Sort(found)
	return found, rest
}

func TestFind(t *testing.T) {
	d := newDisk(t)
	d.file("/etc/shadow", "/etc/shadow-", "/tmp/mine")
	d.file("/etc/single")
	d.file("/etc/ssl/private/key", "/srv/key")
	d.file("/etc/ssl/README", "/srv/README")
	d.file("/home/a/.ssh/id", "/home/b/.ssh/id", "/home/b/notes")
	d.file("/home/b/.ssh/deep/er/id2", "/home/b/.ssh/deep/id2")
	d.file("/usr/bin/perl", "/usr/bin/perl5.36")
	d.must(os.Symlink("/etc/ssl", d.path("/etc/link")))
	d.must(os.Symlink("/etc/shadow", d.path("/srv/shadow")))
	d.must(os.MkdirAll(d.path("/etc/dir"), 0o755))
	d.must(syscall.Mkfifo(d.path("/etc/fifo"), 0o600))
	d.must(os.Link(d.path("/etc/fifo"), d.path("/etc/fifo2")))
	for name, c := range map[string]struct {
		rule hostpolicy.Rule
		want []string
	}{
		"a literal":             {block(t, "/etc/shadow"), []string{"7: /etc/shadow"}},
		"two names":             {block(t, "/etc/shadow", "/etc/shadow-", "/etc/single"), []string{"7: /etc/shadow /etc/shadow-"}},
		"not there":             {block(t, "/etc/nothing", "/nowhere/", "/etc/single/", "/etc/single/*"), nil},
		"no regular file":       {block(t, "/etc/fifo", "/etc/dir", "/etc/fif*"), nil},
		"a directory":           {block(t, "/etc/ssl/"), []string{"7: /etc/ssl/README", "7: /etc/ssl/private/key"}},
		"a file as a directory": {block(t, "/etc/shadow/"), []string{"7: /etc/shadow"}},
		"a glob":                {block(t, "/etc/sh*"), []string{"7: /etc/shadow /etc/shadow-"}},
		"a glob within":         {block(t, "/home/*/.ssh/"), []string{"7: /home/a/.ssh/id /home/b/.ssh/id", "7: /home/b/.ssh/deep/er/id2 /home/b/.ssh/deep/id2"}},
		"one level":             {block(t, "/home/*/.ssh/*"), []string{"7: /home/a/.ssh/id /home/b/.ssh/id"}},
		"braces":                {block(t, "/{etc/shadow,usr/bin/perl*}"), []string{"7: /etc/shadow", "7: /usr/bin/perl /usr/bin/perl5.36"}},
		"everywhere":            {block(t, "/**/id*"), []string{"7: /home/a/.ssh/id /home/b/.ssh/id", "7: /home/b/.ssh/deep/er/id2 /home/b/.ssh/deep/id2"}},
		"everything":            {block(t, "/etc/", "/**/perl"), []string{"7: /etc/shadow /etc/shadow-", "7: /etc/ssl/README", "7: /etc/ssl/private/key", "7: /usr/bin/perl"}},
		"links are no way":      {block(t, "/etc/link/", "/etc/link/README", "/srv/shadow"), nil},
		"exceptions": {
			hostpolicy.Rule{Class: hostpolicy.Process, Action: hostpolicy.Audit, Path: patterns(t, "/etc/ssl/", "/usr/bin/perl"), Except: patterns(t, "/etc/ssl/README", "/usr/bin/p*")},
			[]string{"7: /etc/ssl/private/key"},
		},
		"allowed": {hostpolicy.Rule{Class: hostpolicy.File, Action: hostpolicy.Allow, Path: patterns(t, "/etc/")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, rest := d.find(Foreground, host(c.rule))
			if diff := cmp.Diff(c.want, got); diff != "" || len(rest) > 0 {
				t.Error(diff, rest)
			}
		})
	}
	container := host(block(t, "/etc/shadow"))
	container[0].AppliesTo = hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{}}
	if got, _ := d.find(Foreground, container); got != nil {
		t.Errorf("a container's names are not the host's: %v", got)
	}
}

func TestMounts(t *testing.T) {
	d := newDisk(t)
	d.file("/srv/a", "/srv/b")
	d.file("/srv/data/a", "/srv/data/b")
	d.file("/srv/net/a", "/srv/net/b")
	d.file("/proc/a", "/proc/b")
	d.mount("/srv/data", "tmpfs", 8)
	d.mount("/srv/data", "xfs", 9) // over it
	d.mount("/srv/net", "nfs4", 10)
	d.mount("/proc", "proc", 11)
	got, rest := d.find(Foreground, host(block(t, "/srv/", "/proc/", "/srv/net/a", "/**/a")))
	want := []string{"7: /srv/a /srv/b", "9: /srv/data/a /srv/data/b"}
	if diff := cmp.Diff(want, got); diff != "" || rest != nil {
		t.Error(diff, rest)
	}
}

func TestBudget(t *testing.T) {
	d := newDisk(t)
	for i := range 50 {
		d.file(fmt.Sprintf("/big/%d/x", i), fmt.Sprintf("/big/%d/y", i))
	}
	d.file("/etc/a", "/etc/b")
	rules := host(block(t, "/etc/a", "/etc/*", "/**/x"), block(t, "/big/**/y"))
	got, rest := d.find(20, rules)
	// The narrow pattern and the literal name are searched all the same.
	if !slices.Contains(got, "7: /etc/a /etc/b") && !slices.Contains(got, "7: /etc/a") {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"/**/x", "/big/**/y"}, intersect(rest, "/**/x", "/big/**/y")); diff != "" {
		t.Error(diff, rest)
	}
	got, rest = d.find(Limit, rules)
	if len(got) != 51 || rest != nil {
		t.Errorf("%d links, rest %v", len(got), rest)
	}
}

// A chain of directories costs its depth at each of them: it has few entries,
// and must not keep whoever waits.
func TestBudgetOfDeepTree(t *testing.T) {
	d := newDisk(t)
	d.file("/deep"+strings.Repeat("/d", 500)+"/file", "/deep/other")
	rules := host(block(t, "/deep/**/file"))
	if got, rest := d.find(10_000, rules); len(got) != 0 || len(rest) != 1 {
		t.Errorf("%d links, rest %v: 125,000 directories were opened for it", len(got), rest)
	}
	if got, rest := d.find(200_000, rules); len(got) != 1 || rest != nil {
		t.Errorf("%d links, rest %v", len(got), rest)
	}
}

func intersect(list []string, of ...string) []string {
	return slices.DeleteFunc(of, func(s string) bool { return !slices.Contains(list, s) })
}

func TestManyLiterals(t *testing.T) {
	d := newDisk(t)
	var rules []hostpolicy.Rule
	for i := range 10_000 {
		rules = append(rules, block(t, fmt.Sprintf("/etc/many/%d", i)))
	}
	d.file("/etc/many/7", "/etc/many/70")
	got, rest := d.find(0, host(rules...)) // literals need no budget
	if diff := cmp.Diff([]string{"7: /etc/many/7 /etc/many/70"}, got); diff != "" || rest != nil {
		t.Error(diff, rest)
	}
}

// A directory that becomes a link while it is searched leads nowhere else.
func TestRacingLinks(t *testing.T) {
	d := newDisk(t)
	d.file("/etc/shadow", "/etc/shadow-")
	d.file("/srv/x/shadow")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				os.Rename(d.path("/srv/x"), d.path("/srv/y"))
				os.Symlink("/etc", d.path("/srv/x"))
				os.Remove(d.path("/srv/x"))
				os.Rename(d.path("/srv/y"), d.path("/srv/x"))
			}
		}
	}()
	for range 300 {
		if got, _ := d.find(Foreground, host(block(t, "/srv/x/shadow", "/srv/x/*", "/srv/**/shadow"))); got != nil {
			t.Errorf("another file is found: %v", got)
			break
		}
	}
	close(stop)
	<-done
}

func TestEnds(t *testing.T) {
	d := newDisk(t)
	d.file("/etc/a", "/etc/b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Of(host(block(t, "/**/a", "/etc/a"))).Find(ctx, d.root, d.table, Limit); err == nil {
		t.Error("a search that ended found all")
	}
	if _, _, err := Of(nil).Find(t.Context(), d.path("/nowhere"), d.table, Limit); err == nil {
		t.Error("no tree, no error")
	}
	deep := strings.Repeat("/d", 2100) // beyond PATH_MAX
	at := d.root
	wd, err := os.Getwd()
	d.must(err)
	d.must(os.Chdir(at))
	defer os.Chdir(wd)
	for range strings.Count(deep, "/d") {
		d.must(os.Mkdir("d", 0o755))
		d.must(os.Chdir("d"))
	}
	d.must(os.WriteFile("a", nil, 0o644))
	d.must(os.Link("a", "b"))
	if _, rest := d.find(Limit, host(block(t, "/**/b"))); !slices.Equal(rest, []string{"/**/b"}) {
		t.Errorf("a directory too deep to open is passed over: rest %v", rest)
	}
}

func TestMergeAndEqual(t *testing.T) {
	a := []lsm.Link{{Device: 1, Inode: 2, Names: []string{"/a"}}, {Device: 1, Inode: 9, Names: []string{"/z"}}}
	b := []lsm.Link{{Device: 1, Inode: 2, Names: []string{"/b", "/a"}}, {Device: 0, Inode: 3, Names: []string{"/c"}}}
	want := []lsm.Link{{Device: 0, Inode: 3, Names: []string{"/c"}}, {Device: 1, Inode: 2, Names: []string{"/a", "/b"}}, {Device: 1, Inode: 9, Names: []string{"/z"}}}
	got := Merge(a, b)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !Equal(got, want) || Equal(a, b) || Equal(a, a[:1]) || !Equal(nil, []lsm.Link{}) {
		t.Error("Equal")
	}
}

func BenchmarkLiterals(b *testing.B) {
	d := newDisk(b)
	var rules []hostpolicy.Rule
	for i := range 10_000 {
		rules = append(rules, block(b, fmt.Sprintf("/usr/lib/many/%d", i)))
	}
	d.file("/usr/lib/many/7")
	targets := Of(host(rules...))
	for b.Loop() {
		if _, _, err := targets.Find(b.Context(), d.root, d.table, Foreground); err != nil {
			b.Fatal(err)
		}
	}
}
