//go:build vm

package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smoke boots the minimal guest on 6.1 with the program of testdata/smoke.
func smoke(t *testing.T, job Job, args ...string) (Result, string, error) {
	t.Helper()
	var output bytes.Buffer
	job.Kernel, job.Args, job.Output = "6.1", args, &output
	if job.Guest == 0 {
		job.Guest = Minimal
	}
	job.Program = filepath.Join(t.TempDir(), "smoke")
	build := exec.Command("go", "build", "-o", job.Program, "./testdata/smoke")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest's program: %v\n%s", err, out)
	}
	if job.Keep == "" {
		job.Keep = t.TempDir()
	}
	res, err := Run(t.Context(), job)
	t.Logf("%s: %s", strings.Join(args, " "), res.Duration.Round(100*time.Millisecond))
	return res, output.String(), err
}

func TestSmokeJob(t *testing.T) {
	got := filepath.Join(t.TempDir(), "answer")
	res, output, err := smoke(t, Job{
		Env: []string{"SMOKE=it's $HOME"},
		Get: []Fetch{{Guest: "/tmp/answer", Host: got}},
	}, "exit", "two words\nand 'quotes'")
	if err != nil || res.TimedOut {
		t.Fatalf("run: %v, timed out %v, console:\n%s", err, res.TimedOut, res.ConsoleTail)
	}
	if res.ExitCode != 7 {
		t.Errorf("exit code %d, want 7", res.ExitCode)
	}
	want := "uid 0, argument \"two words\\nand 'quotes'\", environment \"it's $HOME\"\non stderr\n"
	if output != want {
		t.Errorf("output %q, want %q", output, want)
	}
	if data, err := os.ReadFile(got); err != nil || string(data) != "from the guest\n" {
		t.Errorf("fetched file: %q, %v", data, err)
	}
	for _, name := range []string{"console.log", "dmesg.txt"} {
		if st, err := os.Stat(filepath.Join(res.Kept, name)); err != nil {
			t.Errorf("a failed job keeps no %s: %v", name, err)
		} else if name == "dmesg.txt" && st.Size() == 0 {
			t.Errorf("the kept %s is empty", name)
		}
	}
}

func TestSmokeInputAndFlood(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	res, output, err := smoke(t, Job{Files: []File{{Source: source, Guest: "/srv/input"}}}, "input")
	if err != nil || res.ExitCode != 0 || output != "from the host\n" {
		t.Errorf("input: exit %d, %v, output %q", res.ExitCode, err, output)
	}
	res, output, err = smoke(t, Job{ICount: true}, "flood")
	if err != nil || res.ExitCode != 0 || len(output) != 4<<20 {
		t.Errorf("flood under icount: exit %d, %v, %d bytes of output, want %d", res.ExitCode, err, len(output), 4<<20)
	}
}

func TestSmokeMissingFile(t *testing.T) {
	_, _, err := smoke(t, Job{
		Files: []File{{Source: "vm.go", Guest: "/srv/input/file"}},
		Get:   []Fetch{{Guest: "/no/such/file", Host: filepath.Join(t.TempDir(), "x")}},
	}, "input")
	if err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("a job that leaves no requested file: error %v, want one that names the file", err)
	}
}

func TestSmokeTimeout(t *testing.T) {
	res, output, err := smoke(t, Job{Timeout: 30 * time.Second}, "sleep")
	if err != nil || !res.TimedOut || !strings.HasPrefix(output, "sleeping\n") {
		t.Fatalf("timed out %v, error %v, output %q", res.TimedOut, err, output)
	}
	if !strings.Contains(output, "goroutine 1 ") {
		t.Errorf("the output does not show where the program hung: %q", output)
	}
	if data, err := os.ReadFile(filepath.Join(res.Kept, "ps.txt")); err != nil || !strings.Contains(string(data), "smoke sleep") {
		t.Errorf("the kept process list does not show the job: %v\n%s", err, data)
	}
}

func TestSmokePanic(t *testing.T) {
	res, _, err := smoke(t, Job{}, "panic")
	if err == nil || !strings.Contains(err.Error(), "panicked: sysrq triggered crash") {
		t.Errorf("a panic in the guest: error %v", err)
	}
	if !strings.Contains(res.ConsoleTail, "Kernel panic") {
		t.Errorf("the console's end does not show the panic:\n%s", res.ConsoleTail)
	}
}

func TestSmokePoweroff(t *testing.T) {
	_, _, err := smoke(t, Job{}, "poweroff")
	if err == nil || !strings.Contains(err.Error(), "stopped before the job ended") {
		t.Errorf("a poweroff inside the job: error %v", err)
	}
}

func TestSmokeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	output := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho started\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Run(ctx, Job{Kernel: "6.1", Guest: Minimal, Program: script, Output: output})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("a cancelled run: error %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestSmokeNoQEMU(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Run(t.Context(), Job{Kernel: "6.1", Guest: Minimal, Program: os.Args[0]})
	if err == nil || !strings.Contains(err.Error(), "qemu-system-x86_64 is not installed (run test/vm/deps.sh") {
		t.Errorf("without QEMU: error %v", err)
	}
}
