package mounts

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/daemon/protect"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// tree makes directories, and links as "name -> target".
func tree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, n := range names {
		name, target, link := strings.Cut(n, " -> ")
		name = filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil && link {
			err = os.Symlink(target, name)
		} else if err == nil {
			err = os.MkdirAll(name, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func layered(t testing.TB, root, table string) []lsm.Mount {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mountinfo")
	if err := os.WriteFile(file, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	mounts, err := ReadLayered(file, root, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(table, "\n"); len(mounts.Plain()) != n {
		t.Errorf("%d plain mounts of %d lines", len(mounts.Plain()), n)
	}
	return mounts.Mounts
}

func TestLayers(t *testing.T) {
	const plain = "22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n23 22 254:2 / /var/lib rw - ext4 /dev/vda2 rw\n24 22 0:77 / /gone rw - tmpfs tmpfs rw\n"
	docker := "/var/lib/docker/overlay2/"
	root := tree(t,
		docker+"l/AAA -> ../one/diff", docker+"l/BBB -> ../two/diff", docker+"l/LOOP -> LOOP",
		docker+"one/diff", docker+"two/diff", docker+"three/diff", docker+"three/merged",
		"/srv/a:b", "/srv/c,d", "/srv/e f", `/srv/back\slash`, "/srv/up", "/snap/1/fs", "/snap/2/fs", "/snap/3/fs",
		"/link -> /srv", "/absolute -> /var/lib/docker",
	)
	vda1, vda2 := uint32(254<<20|1), uint32(254<<20|2)
	for name, c := range map[string]struct {
		point, root, options string
		want                 []lsm.Mount
	}{
		"docker": {
			docker + "three/merged", "/",
			"rw,lowerdir=" + docker + "l/AAA:" + docker + "l/BBB,upperdir=" + docker + "three/diff,workdir=" + docker + "three/work,nouserxattr",
			[]lsm.Mount{
				{Device: vda2, Root: "/docker/overlay2/three/diff"}, {Device: vda2, Root: "/docker/overlay2/one/diff"}, {Device: vda2, Root: "/docker/overlay2/two/diff"},
			},
		},
		"relative": {
			docker + "three/merged", "/", "rw,lowerdir=l/AAA:l/BBB,upperdir=three/diff,workdir=three/work",
			[]lsm.Mount{
				{Device: vda2, Root: "/docker/overlay2/three/diff"}, {Device: vda2, Root: "/docker/overlay2/one/diff"}, {Device: vda2, Root: "/docker/overlay2/two/diff"},
			},
		},
		"containerd": {
			"/run/c/rootfs", "/", "rw,lowerdir=1/fs:2/fs,upperdir=/snap/3/fs,workdir=/snap/3/work",
			[]lsm.Mount{{Device: vda1, Root: "/snap/3/fs"}, {Device: vda1, Root: "/snap/1/fs"}, {Device: vda1, Root: "/snap/2/fs"}},
		},
		"escapes": {
			"/m", "/", `rw,lowerdir=/srv/a\134:b:/srv/e\040f,upperdir=/srv/c\134\054d`,
			[]lsm.Mount{{Device: vda1, Root: "/srv/c,d"}, {Device: vda1, Root: "/srv/a:b"}, {Device: vda1, Root: "/srv/e f"}},
		},
		"unescaped": {
			"/m", "/", `rw,upperdir=/srv/c\054d,lowerdir+=/srv/a:b,lowerdir+=/srv/back\134slash,datadir+=/srv/up`,
			[]lsm.Mount{{Device: vda1, Root: "/srv/c,d"}, {Device: vda1, Root: "/srv/a:b"}, {Device: vda1, Root: `/srv/back\slash`}},
		},
		"links":          {"/m", "/", "rw,lowerdir=/link/up:/absolute/overlay2/one/diff", []lsm.Mount{{Device: vda1, Root: "/srv/up"}, {Device: vda2, Root: "/docker/overlay2/one/diff"}}},
		"data":           {"/m", "/", "rw,lowerdir=/srv/up::/snap/1/fs", []lsm.Mount{{Device: vda1, Root: "/srv/up"}}},
		"gone":           {"/m", "/", "rw,lowerdir=/nowhere:" + docker + "l/LOOP:/srv/up:gone", []lsm.Mount{{Device: vda1, Root: "/srv/up"}}},
		"twice":          {"/m", "/", "rw,lowerdir=/srv/up:/srv/up", []lsm.Mount{{Device: vda1, Root: "/srv/up"}}},
		"a part of one":  {"/m", "/etc", "rw,lowerdir=/srv/up", nil},
		"without layers": {"/m", "/", "rw", nil},
	} {
		t.Run(name, func(t *testing.T) {
			line := fmt.Sprintf("50 22 0:50 %s %s rw,relatime shared:9 master:1 - overlay overlay %s\n", c.root, c.point, c.options)
			got := layered(t, root, plain+line)
			if len(got) < 4 || got[3] != (lsm.Mount{Device: 50, Root: c.root, Point: c.point}) {
				t.Fatalf("the plain mounts come first: %v", got)
			}
			for i := range c.want {
				c.want[i].Point = c.point
			}
			if d := cmp.Diff(c.want, append([]lsm.Mount(nil), got[4:]...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// busy is a host with many containers that share most of their layers.
func busy(t testing.TB, containers, each int) (root, table string) {
	var names []string
	var b strings.Builder
	b.WriteString("22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n")
	const docker = "/var/lib/docker/overlay2/"
	for i := range containers {
		var lower []string
		for j := range each {
			id := fmt.Sprintf("%064d", i*each+j)
			if j > 2 {
				id = fmt.Sprintf("%064d", 1000000+j) // a base image
			}
			names = append(names, docker+id+"/diff")
			lower = append(lower, docker+"l/"+id[38:])
		}
		id := fmt.Sprintf("%063dx", i)
		names = append(names, docker+id+"/diff")
		fmt.Fprintf(&b, "%d 22 0:%d / %s%s/merged rw - overlay overlay rw,lowerdir=%s,upperdir=%s%s/diff,workdir=%s%s/work\n",
			100+i, 100+i, docker, id, strings.Join(lower, ":"), docker, id, docker, id)
	}
	root = tree(t, names...)
	for _, n := range names {
		if id := filepath.Base(filepath.Dir(n)); !strings.HasSuffix(id, "x") {
			os.MkdirAll(filepath.Join(root, docker, "l"), 0o755)
			os.Symlink("../"+id+"/diff", filepath.Join(root, docker, "l", id[38:]))
		}
	}
	return root, b.String()
}

// Every layer of every overlay is a mount to the placement, which has to cope
// with thousands: what it makes must not grow by their product.
func TestPlacingABusyHost(t *testing.T) {
	root, table := busy(t, 100, 20)
	mounts := layered(t, root, table)
	if len(mounts) != 1+100+100*21 {
		t.Fatalf("%d mounts", len(mounts))
	}
	p, err := protect.Policy(settings.Protect{Self: true}, protect.Places{State: "/var/lib/hostarmor", Socket: "/run/hostarmor/control.sock"}, false)
	if err != nil {
		t.Fatal(err)
	}
	shadow, err := hostpolicy.ParsePattern("/**/shadow")
	if err != nil {
		t.Fatal(err)
	}
	merged, err := hostpolicy.ParsePattern("/var/lib/docker/overlay2/*/merged/etc/")
	if err != nil {
		t.Fatal(err)
	}
	p.Rules = append(p.Rules, hostpolicy.Rule{
		Policy: p.Name, Class: hostpolicy.File, Name: "x", Action: hostpolicy.Block, Access: hostpolicy.Write, Path: []hostpolicy.Pattern{shadow, merged},
	})
	rs, problems := compile.Compile([]hostpolicy.Policy{*p})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	placed, err := compile.Place(rs, mounts)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(placed.States); n > 20*len(mounts) {
		t.Errorf("%d states for %d mounts", n, len(mounts))
	}
	t.Logf("%d states, %d edges", len(placed.States), len(placed.Edges))
}

func BenchmarkReadLayered(b *testing.B) {
	root, table := busy(b, 100, 20)
	file := filepath.Join(b.TempDir(), "mountinfo")
	os.WriteFile(file, []byte(table), 0o644)
	for b.Loop() {
		if _, err := ReadLayered(file, root, slog.New(slog.DiscardHandler)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlaceBusyHost(b *testing.B) {
	root, table := busy(b, 100, 20)
	mounts := layered(b, root, table)
	p, _ := protect.Policy(settings.Protect{Self: true}, protect.Places{State: "/var/lib/hostarmor", Socket: "/run/hostarmor/control.sock"}, false)
	shadow, _ := hostpolicy.ParsePattern("/**/shadow")
	p.Rules = append(p.Rules, hostpolicy.Rule{Policy: p.Name, Class: hostpolicy.File, Name: "x", Action: hostpolicy.Block, Access: hostpolicy.Write, Path: []hostpolicy.Pattern{shadow}})
	rs, _ := compile.Compile([]hostpolicy.Policy{*p})
	for b.Loop() {
		if _, err := compile.Place(rs, mounts); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzOverlay(f *testing.F) {
	f.Add(`rw,lowerdir=/a\134:b:c::d,upperdir=/u\054,lowerdir+=x`, "/m")
	f.Fuzz(func(t *testing.T, options, point string) {
		o := overlay{point, options}
		upper, _ := o.directories()
		o.bases(upper)
	})
}
