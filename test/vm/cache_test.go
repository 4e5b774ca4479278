package vm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheDir(t *testing.T) {
	for _, tc := range []struct{ explicit, xdg, home, want string }{
		{"/explicit", "/xdg", "/home/x", "/explicit"},
		{"", "/xdg", "/home/x", "/xdg/hostarmor/vm"},
		{"", "relative", "/home/x", "/home/x/.cache/hostarmor/vm"},
		{"", "", "/root", "/root/.cache/hostarmor/vm"},
	} {
		if got := cacheDir(tc.explicit, tc.xdg, tc.home); got != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
	for _, home := range []string{"", "/", "/nonexistent", "relative"} {
		if got := cacheDir("", "", home); !strings.HasPrefix(got, filepath.Join(os.TempDir(), "hostarmor-vm-")) {
			t.Errorf("home %q: got %s, want a directory below %s", home, got, os.TempDir())
		}
	}
}

func TestCachedBuildsOnce(t *testing.T) {
	root := t.TempDir()
	var built atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cached(root, "x", func(string, ...any) {}, func(dir string) error {
				built.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			} else if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times, want once", built.Load())
	}
}

func TestCachedFailureLeavesNothing(t *testing.T) {
	root := t.TempDir()
	broken := errors.New("broken")
	fail := func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), broken)
	}
	if _, err := cached(root, "x", t.Logf, fail); !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	// What a killed process leaves must not be mistaken for a part of the new build.
	if err := os.MkdirAll(filepath.Join(root, ".x.tmp", "stale"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := cached(root, "x", t.Logf, func(dir string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left over from the failed builds: %v, %v", entries, err)
	}
}
