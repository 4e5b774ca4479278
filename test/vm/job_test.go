package vm

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fixture is a valid job with a program and a directory of files.
func fixture(t *testing.T) Job {
	t.Helper()
	dir := t.TempDir()
	write := func(name, data string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program := write("x.test", "#!/bin/sh\n", 0o644)
	write("data/sub/file", "content", 0o600)
	if err := os.Symlink("sub/file", filepath.Join(dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	return Job{
		Kernel: "6.1", Guest: Minimal, Program: program,
		Files: []File{{Source: filepath.Join(dir, "data"), Guest: "/etc/data"}, {Source: filepath.Join(dir, "data/sub/file")}},
		Get:   []Fetch{{Guest: "out.txt"}, {Guest: "/var/log/x", Host: "y"}},
	}
}

func TestWriteJob(t *testing.T) {
	job := fixture(t)
	if err := job.normalize(); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := writeJob(&archive, &job); err != nil {
		t.Fatal(err)
	}
	entries := map[string]*tar.Header{}
	content := map[string]string{}
	for tr := tar.NewReader(&archive); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if entries[h.Name] != nil {
			t.Errorf("%s is in the archive twice", h.Name)
		}
		entries[h.Name], content[h.Name] = h, string(data)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q, want root", h.Name, h.Uid, h.Gid, h.Uname)
		}
	}
	for name, mode := range map[string]int64{
		"job/": 0o755, "job/.vm/": 0o755, "job/.vm/runner": 0o755, "job/.vm/run": 0o755, "job/.vm/get": 0o644,
		"job/x.test": 0o755, "etc/data/": 0o755, "etc/data/sub/": 0o755, "etc/data/sub/file": 0o600, "job/file": 0o600,
	} {
		if h := entries[name]; h == nil {
			t.Errorf("%s is missing", name)
		} else if h.Mode != mode {
			t.Errorf("%s has mode %o, want %o", name, h.Mode, mode)
		}
	}
	if link := entries["etc/data/link"]; link == nil || link.Linkname != "sub/file" {
		t.Errorf("the symbolic link became %+v", link)
	}
	if content["etc/data/sub/file"] != "content" || content["job/.vm/get"] != "/job/out.txt\n/var/log/x\n" {
		t.Errorf("wrong contents: %q", content)
	}
}

func TestShellQuote(t *testing.T) {
	for _, want := range []string{"", "a b", "it's", `"$HOME" \ * ;`, "line\nbreak", "-n"} {
		got, err := exec.Command("sh", "-c", "printf %s "+shellQuote(want)).Output()
		if err != nil || string(got) != want {
			t.Errorf("%q came back as %q, %v", want, got, err)
		}
	}
}

func TestNormalizeDefaults(t *testing.T) {
	job := fixture(t)
	if err := job.normalize(); err != nil {
		t.Fatal(err)
	}
	if job.CPUs != 2 || job.MemoryMB != 1024 || job.Timeout != 5*time.Minute || job.Get[0].Host != "out.txt" || job.Files[1].Guest != "/job/file" {
		t.Errorf("defaults: %+v", job)
	}
	counted := fixture(t)
	counted.ICount = true
	if err := counted.normalize(); err != nil || counted.CPUs != 1 {
		t.Errorf("icount: %d CPUs, %v, want 1", counted.CPUs, err)
	}
}

func TestNormalizeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"kernel":    {func(j *Job) { j.Kernel = "6.2" }, `unknown kernel "6.2" (one of 5.10`},
		"guest":     {func(j *Job) { j.Guest = 0 }, "no guest"},
		"program":   {func(j *Job) { j.Program += "x" }, "no such file"},
		"directory": {func(j *Job) { j.Program = filepath.Dir(j.Program) }, "is not a file"},
		"disk":      {func(j *Job) { j.Disk = "d" }, "needs the full guest"},
		"power cut": {func(j *Job) { j.Guest, j.PowerCut = Full, true }, "needs a persistent disk"},
		"icount":    {func(j *Job) { j.ICount, j.CPUs = true, 2 }, "1 CPU"},
		"memory":    {func(j *Job) { j.MemoryMB = 10 }, "128 MB"},
		"timeout":   {func(j *Job) { j.Timeout = -1 }, "negative timeout"},
		"env":       {func(j *Job) { j.Env = []string{"A;B=1"} }, "not NAME=VALUE"},
		"env value": {func(j *Job) { j.Env = []string{"A"} }, "not NAME=VALUE"},
		"append":    {func(j *Job) { j.Append = []string{"a\nb"} }, "line break"},
		"file":      {func(j *Job) { j.Files[0].Source += "x" }, "no such file"},
		"get":       {func(j *Job) { j.Get[0].Guest = "a\nb" }, "not a path"},
	} {
		t.Run(name, func(t *testing.T) {
			job := fixture(t)
			tc.change(&job)
			if err := job.normalize(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}
