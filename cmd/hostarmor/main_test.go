package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostarmor/hostarmor/daemon/settings"
)

// TestInterrupted: a command that does not look at its context ends all the
// same, but has its grace first.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs strings.Builder
		start := time.Now()
		code := -1
		interrupted(&errs, func(c int) { code = c })
		if code != exitFail || time.Since(start) != grace || errs.String() != "hostarmor: interrupted\n" {
			t.Errorf("code %d after %s: %q", code, time.Since(start), errs.String())
		}
	})
}

// TestComplain: an error may hold a file's name, which must not command the
// terminal.
func TestComplain(t *testing.T) {
	var out strings.Builder
	complain(&out, errors.Join(fmt.Errorf("stat a\x1b[31m: gone"), fmt.Errorf("b\u202e")))
	if want := "hostarmor: stat a\ufffd[31m: gone\nb\ufffd\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestReadSettings: settings that are there and cannot be read are not taken
// for the defaults.
func TestReadSettings(t *testing.T) {
	dir := t.TempDir()
	if _, problems, err := readSettings(filepath.Join(dir, "none.toml")); err != nil || len(problems) > 0 {
		t.Errorf("none: %v, %v", problems, err)
	}
	if _, _, err := readSettings(dir); err == nil {
		t.Error("a directory passes for settings")
	}
}

// TestReadable: what others may not read is not a file with an error, but one
// that cannot be looked at.
func TestReadable(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.toml")
	if err := readable(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(name, nil, 0); err != nil {
		t.Fatal(err)
	}
	found := make(chan error)
	go func() {
		runtime.LockOSThread() // and end the thread with its user
		if os.Getuid() == 0 {
			const nobody = 65534
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
				found <- errno
				return
			}
		}
		found <- readable(name)
	}()
	if err := <-found; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file of mode 0: %v", err)
	}
}

// A setting that is not understood is told, also where paths are named: it may
// change what a KubeArmor file means.
func TestBrokenSettingsAreTold(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "a.yaml")
	for name, text := range map[string]string{
		"hostarmor.toml": "[kubearmor]\nposture = { files = \"block\" }\n",
		"a.yaml": "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorHostPolicy\nmetadata: {name: a}\nspec:\n" +
			"  nodeSelector: {matchLabels: {kubernetes.io/hostname: here}}\n  file: {matchPaths: [{path: /srv/a}]}\n  action: Block\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"check", "convert"} {
		for file, want := range map[string]int{"none.toml": exitClean, "hostarmor.toml": exitWrong} {
			t.Cleanup(func() { settingsFile = settings.DefaultFile })
			settingsFile = filepath.Join(dir, file)
			var out, errs strings.Builder
			code := run(t.Context(), []string{command, policy}, strings.NewReader(""), &out, &errs)
			if told := strings.Contains(out.String()+errs.String(), "kubearmor.posture"); code != want || told != (want == exitWrong) {
				t.Errorf("%s with %s: exit code %d\n%s%s", command, file, code, out.String(), errs.String())
			}
		}
	}
}
