package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest"
)

// file makes an empty file with further names, below the machine's directory.
func (m *machine) file(name string, others ...string) {
	m.t.Helper()
	must(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	must(m.t, os.WriteFile(m.path(name), nil, 0o644))
	for _, o := range others {
		must(m.t, os.Link(m.path(name), m.path(o)))
	}
}

// knows waits until the kernel knows exactly these files with hard links, each
// as its names with a space between them.
func (m *machine) knows(want ...string) {
	m.t.Helper()
	var got []string
	for range 1500 {
		got = nil
		for _, l := range m.kernel.Links() {
			got = append(got, strings.ReplaceAll(strings.Join(l.Names, " "), m.dir, ""))
			if l.Device == 0 || l.Inode == 0 {
				m.t.Fatalf("%+v", l)
			}
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.t.Fatalf("the kernel knows %q, want %q", got, want)
}

func TestHardLinks(t *testing.T) {
	m := newMachine(t)
	m.file("tree/a", "tree/b")
	m.file("tree/single")
	m.write("a.toml", policy(m.path("tree/a")))
	d := m.start()
	m.knows("/tree/a")
	m.write("a.toml", policy(m.path("tree")+"/"))
	m.knows("/tree/a /tree/b")

	// A daemon that takes over binds what it finds.
	d.kill()
	must(t, os.Remove(m.path("tree/b")))
	m.file("tree/c", "tree/d")
	d = m.start()
	m.knows("/tree/c /tree/d")
	if !d.status().Adopted {
		t.Error("not taken over")
	}

	// A mount that comes and goes has them looked for again.
	must(t, os.Link(m.path("tree/single"), m.path("tree/second")))
	poke(d.remap)
	m.knows("/tree/c /tree/d", "/tree/second /tree/single")

	// The last policy takes them with it.
	must(t, os.Remove(m.path("policies/a.toml")))
	m.enforces(0)
	poke(d.remap)
	d.reloads()
	if s := d.status(); !s.Clean() {
		t.Errorf("%+v", s.Degraded)
	}
}

func TestALinkMadeBeforeTheCommit(t *testing.T) {
	m := newMachine(t)
	m.file("tree/a")
	m.start()
	release := m.kernel.Hold(lsmtest.Commit)
	m.write("a.toml", policy(m.path("tree/a")))
	for !slices.Contains(m.kernel.Calls(), lsmtest.Commit) {
		sleepShortly()
	}
	must(t, os.Link(m.path("tree/a"), m.path("tree/b")))
	release()
	m.knows("/tree/a")
}

// bindNow does what the timer does.
func (d *daemon) bindNow() {
	d.in(d.m.t.Context(), func(context.Context) {
		if d.unbound {
			d.bind()
		}
	})
}

// What there is no time for is looked for in the background, and told.
func TestTheSearchGoesOn(t *testing.T) {
	m := newMachine(t)
	m.linkBudget = 5
	var want []string
	for i := range 30 {
		m.file(fmt.Sprintf("tree/%02d/a", i), fmt.Sprintf("tree/%02d/b", i))
		want = append(want, fmt.Sprintf("/tree/%02d/b", i))
	}
	m.write("a.toml", policy(m.path("tree")+"/**/b"))
	d := m.start()
	m.enforces(lsm.Enforce, "a/process.no")
	m.wants(event.Degraded, "Not every hard link to the files that rules name is known yet")
	m.knows(want...)
	for range 1500 {
		if s := d.status(); s.Clean() {
			break
		}
		sleepShortly()
	}
	if s := d.status(); !s.Clean() {
		t.Errorf("%+v", s.Degraded)
	}
	// A change of the mount table loses nothing of it.
	poke(d.remap)
	d.reloads()
	m.knows(want...)

	t.Run("a kernel that cannot be told", func(t *testing.T) {
		m.kernel.Fail(lsmtest.Bind, errors.New("out of memory"))
		m.file("tree/00/c")
		poke(d.remap)
		m.wants(event.Degraded, "hard links is not taken into account yet")
		m.kernel.Fail(lsmtest.Bind, nil)
		d.bindNow()
		m.knows(want...)
	})
}
