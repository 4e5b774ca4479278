package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// start watches dir/policies and dir/settings.toml.
func start(t *testing.T, dir string) *Watcher {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); w.Run(t.Context(), func(err error) { t.Log(err) }) }()
	t.Cleanup(func() { <-done })
	w.Set([]string{filepath.Join(dir, "policies")}, []string{filepath.Join(dir, "settings.toml")})
	told(t, w) // the first look
	return w
}

func told(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.C:
	case <-time.After(20 * time.Second):
		t.Fatal("no look after a change")
	}
}

func silent(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.C:
		t.Fatal("a look after nothing that counts")
	case <-time.After(4 * quiet):
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestChanges(t *testing.T) {
	write := func(t *testing.T, name ...string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(name...), []byte(time.Now().String()), 0o644))
	}
	for name, c := range map[string]struct {
		before func(t *testing.T, d string)
		change []func(t *testing.T, d string)
	}{
		"a file is made, written, made unreadable, removed": {
			func(t *testing.T, d string) { must(t, os.Mkdir(d+"/policies", 0o755)) },
			[]func(*testing.T, string){
				func(t *testing.T, d string) { write(t, d, "policies/a.toml") },
				func(t *testing.T, d string) { write(t, d, "policies/a.toml") },
				func(t *testing.T, d string) { must(t, os.Chmod(d+"/policies/a.toml", 0)) },
				func(t *testing.T, d string) { must(t, os.Remove(d+"/policies/a.toml")) },
			},
		},
		"a file is replaced from outside": {
			func(t *testing.T, d string) { must(t, os.Mkdir(d+"/policies", 0o755)); write(t, d, "policies/a.toml") },
			[]func(*testing.T, string){
				func(t *testing.T, d string) {
					write(t, d, "new")
					must(t, os.Rename(d+"/new", d+"/policies/a.toml"))
				},
			},
		},
		"the directory appears late, goes, and comes back": {
			func(t *testing.T, d string) {},
			[]func(*testing.T, string){
				func(t *testing.T, d string) { must(t, os.Mkdir(d+"/policies", 0o755)) },
				func(t *testing.T, d string) { write(t, d, "policies/a.toml") },
				func(t *testing.T, d string) { must(t, os.RemoveAll(d+"/policies")) },
				func(t *testing.T, d string) { must(t, os.Mkdir(d+"/policies", 0o755)) },
				func(t *testing.T, d string) { write(t, d, "policies/a.toml") },
			},
		},
		"the directory is swapped by a rename": {
			func(t *testing.T, d string) { must(t, os.Mkdir(d+"/policies", 0o755)) },
			[]func(*testing.T, string){
				func(t *testing.T, d string) {
					must(t, os.Mkdir(d+"/next", 0o755))
					must(t, os.Rename(d+"/policies", d+"/old"))
					must(t, os.Rename(d+"/next", d+"/policies"))
				},
				func(t *testing.T, d string) { write(t, d, "policies/a.toml") },
			},
		},
		"..data is swapped": {
			func(t *testing.T, d string) {
				must(t, os.MkdirAll(d+"/policies/..1", 0o755))
				must(t, os.MkdirAll(d+"/policies/..2", 0o755))
				write(t, d, "policies/..1/a.toml")
				write(t, d, "policies/..2/a.toml")
				must(t, os.Symlink("..1", d+"/policies/..data"))
				must(t, os.Symlink("..data/a.toml", d+"/policies/a.toml"))
			},
			[]func(*testing.T, string){
				func(t *testing.T, d string) {
					must(t, os.Symlink("..2", d+"/policies/..tmp"))
					must(t, os.Rename(d+"/policies/..tmp", d+"/policies/..data"))
				},
				func(t *testing.T, d string) { write(t, d, "policies/..2/a.toml") },
			},
		},
		"the target of a link, far away": {
			func(t *testing.T, d string) {
				must(t, os.MkdirAll(d+"/policies", 0o755))
				must(t, os.MkdirAll(d+"/far/v1", 0o755))
				must(t, os.MkdirAll(d+"/far/v2", 0o755))
				must(t, os.Symlink("v1", d+"/far/current"))
				must(t, os.Symlink(d+"/far/current/a.toml", d+"/policies/a.toml"))
			},
			[]func(*testing.T, string){
				func(t *testing.T, d string) { write(t, d, "far/v1/a.toml") }, // it dangled
				func(t *testing.T, d string) { write(t, d, "far/v1/a.toml") },
				func(t *testing.T, d string) {
					must(t, os.Symlink("v2", d+"/far/x"))
					must(t, os.Rename(d+"/far/x", d+"/far/current"))
				},
				func(t *testing.T, d string) { write(t, d, "far/v2/a.toml") },
			},
		},
		"the directory itself is a link": {
			func(t *testing.T, d string) {
				must(t, os.MkdirAll(d+"/real", 0o755))
				must(t, os.Symlink("real", d+"/policies"))
			},
			[]func(*testing.T, string){
				func(t *testing.T, d string) { write(t, d, "real/a.toml") },
				func(t *testing.T, d string) {
					must(t, os.Mkdir(d+"/other", 0o755))
					must(t, os.Remove(d+"/policies"))
					must(t, os.Symlink("other", d+"/policies"))
				},
				func(t *testing.T, d string) { write(t, d, "other/a.toml") },
			},
		},
		"a loop of links does not hang": {
			func(t *testing.T, d string) {
				must(t, os.MkdirAll(d+"/policies", 0o755))
				must(t, os.Symlink("b.toml", d+"/policies/a.toml"))
				must(t, os.Symlink("a.toml", d+"/policies/b.toml"))
			},
			[]func(*testing.T, string){
				func(t *testing.T, d string) { must(t, os.Remove(d+"/policies/a.toml")) },
			},
		},
		"the settings file": {
			func(t *testing.T, d string) {},
			[]func(*testing.T, string){
				func(t *testing.T, d string) { write(t, d, "settings.toml") },
				func(t *testing.T, d string) {
					write(t, d, "new")
					must(t, os.Rename(d+"/new", d+"/settings.toml"))
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.before(t, dir)
			w := start(t, dir)
			for i, change := range c.change {
				silent(t, w)
				change(t, dir)
				t.Log("change", i)
				told(t, w)
			}
		})
	}
}

func TestUnrelatedFilesAreIgnored(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	must(t, os.WriteFile(dir+"/other", nil, 0o644))
	silent(t, w)
}

// A program that writes without a pause must not put off the look.
func TestConstantWriter(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/policies", 0o755))
	w := start(t, dir)
	stop := time.After(3 * most)
	looks := 0
	for i := 0; ; i++ {
		select {
		case <-stop:
			if looks == 0 {
				t.Error("a constant writer starved the look")
			}
			if looks > 20 {
				t.Errorf("%d looks at one burst", looks)
			}
			return
		case <-w.C:
			looks++
		default:
			must(t, os.WriteFile(dir+"/policies/a.toml", fmt.Append(nil, i), 0o644))
			time.Sleep(time.Millisecond)
		}
	}
}
