package vm

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// CacheDir returns the directory that holds kernels and images: $HOSTARMOR_VM_CACHE, else hostarmor/vm
// under $XDG_CACHE_HOME or ~/.cache, else (no home at all) a directory for this user under the temporary one.
func CacheDir() string {
	home := os.Getenv("HOME")
	if home == "" {
		if u, err := user.Current(); err == nil {
			home = u.HomeDir
		}
	}
	return cacheDir(os.Getenv("HOSTARMOR_VM_CACHE"), os.Getenv("XDG_CACHE_HOME"), home)
}

func cacheDir(explicit, xdg, home string) string {
	switch {
	case explicit != "":
		// QEMU and mke2fs run in other directories, so a relative path must not survive.
		if abs, err := filepath.Abs(explicit); err == nil {
			return abs
		}
		return explicit
	case filepath.IsAbs(xdg):
		return filepath.Join(xdg, "hostarmor", "vm")
	case filepath.IsAbs(home) && home != "/" && home != "/nonexistent":
		return filepath.Join(home, ".cache", "hostarmor", "vm")
	}
	return filepath.Join(os.TempDir(), "hostarmor-vm-"+strconv.Itoa(os.Getuid()))
}

// cached returns the directory `name` of the cache. If it does not exist, build fills a temporary directory
// that takes the name only once build has succeeded. A second process that wants the same waits for the first.
func cached(root, name string, progress func(string, ...any), build func(dir string) error) (string, error) {
	final := filepath.Join(root, name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("create VM cache: %w (set HOSTARMOR_VM_CACHE to a writable directory)", err)
	}
	unlock, err := lock(filepath.Join(root, "."+name+".lock"), func() {
		progress("%s: waiting for another process that builds it", name)
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	temporary := filepath.Join(root, "."+name+".tmp")
	// Left by a killed process: nobody else can be using it while we hold the lock.
	if err := removeAll(temporary); err != nil {
		return "", fmt.Errorf("clear an unfinished build of %s: %w", name, err)
	}
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return "", fmt.Errorf("create VM cache: %w", err)
	}
	if err := build(temporary); err != nil {
		if cleanup := removeAll(temporary); cleanup != nil {
			err = errors.Join(err, cleanup)
		}
		return "", fmt.Errorf("prepare %s: %w", name, err)
	}
	if err := os.Rename(temporary, final); err != nil {
		return "", fmt.Errorf("publish %s in the VM cache: %w", name, err)
	}
	return final, nil
}

// lock takes the file lock at path. waiting is called once if somebody else holds it.
func lock(path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock VM cache: %w", err)
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		waiting()
		err = flock(f, syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
