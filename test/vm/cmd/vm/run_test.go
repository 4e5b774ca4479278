package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/test/vm"
)

func TestParseRun(t *testing.T) {
	job, quiet, err := parseRun(strings.Split("--kernel 6.12 --guest full --cpus 1 --memory 512 --timeout 90s --icount --disk d.qcow2 --power-cut --keep k --quiet --file a --file b:/etc/b --get /x --get y:z --env A=b=c -- prog --flag -- x", " "))
	want := vm.Job{
		Kernel: "6.12", Guest: vm.Full, CPUs: 1, MemoryMB: 512, Timeout: 90 * time.Second, ICount: true,
		Disk: "d.qcow2", PowerCut: true, Keep: "k", Program: "prog", Args: []string{"--flag", "--", "x"},
		Files: []vm.File{{Source: "a"}, {Source: "b", Guest: "/etc/b"}},
		Get:   []vm.Fetch{{Guest: "/x"}, {Guest: "y", Host: "z"}},
		Env:   []string{"A=b=c"},
	}
	if err != nil || !quiet || !reflect.DeepEqual(job, want) {
		t.Errorf("got %+v, %v, %v\nwant %+v", job, quiet, err, want)
	}
}

func TestParseRunAppend(t *testing.T) {
	job, _, err := parseRun([]string{"--append", "hostarmor=audit a", "--append", "b", "prog"})
	if want := []string{"hostarmor=audit", "a", "b"}; err != nil || !reflect.DeepEqual(job.Append, want) {
		t.Errorf("got %q, %v, want %q", job.Append, err, want)
	}
}

func TestParseRunRefuses(t *testing.T) {
	silence(t)
	for _, args := range []string{"", "--guest huge prog", "--no-such-flag", "--cpus many prog", "--timeout 5 prog"} {
		if job, _, err := parseRun(strings.Fields(args)); err == nil || errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: got %+v, %v, want an error", args, job, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	silence(t)
	for _, args := range []string{"", "walk", "run", "run --kernel 1 " + os.Args[0], "prepare --kernels 1", "prepare x", "prepare --guest x"} {
		if code, _ := command(t.Context(), strings.Fields(args)); code != exitHarness {
			t.Errorf("%q: exit code %d, want %d", args, code, exitHarness)
		}
	}
	if code, err := command(t.Context(), []string{"run", "-h"}); code != 0 || err != nil {
		t.Errorf("help: %d, %v", code, err)
	}
}

// silence keeps usage messages out of the test's output.
func silence(t *testing.T) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = write
	done := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, read); close(done) }()
	t.Cleanup(func() { os.Stderr = old; write.Close(); <-done; read.Close() })
}
