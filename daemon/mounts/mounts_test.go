package mounts

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/lsm"
)

func TestParse(t *testing.T) {
	in := `22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /sys/fs/bpf rw,nosuid shared:8 - bpf bpf rw
41 22 254:1 /srv/a\040b /mnt/tab\011new\012back\134end rw - ext4 /dev/vda1 rw
42 22 8:1048575 / /mnt/x\04 rw - ext4 /dev/sdz rw
`
	got, err := Parse(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []lsm.Mount{
		{Device: 254<<20 | 1, Root: "/", Point: "/"},
		{Device: 26, Root: "/", Point: "/sys/fs/bpf"},
		{Device: 254<<20 | 1, Root: "/srv/a b", Point: "/mnt/tab\tnew\nback\\end"},
		{Device: 8<<20 | 1048575, Root: "/", Point: `/mnt/x\04`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseRefusesWhatItCannotRead(t *testing.T) {
	for _, in := range []string{"junk\n", "1 2 3 4 5\n", "1 2 x:y / /\n", "1 2 0:1048576 / /\n"} {
		if got, err := Parse(strings.NewReader(in)); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`22 1 254:1 / /a\040b rw - ext4 /dev/vda1 rw`)
	f.Fuzz(func(t *testing.T, s string) { Parse(strings.NewReader(s)) })
}

func TestHost(t *testing.T) {
	table, err := Read("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range table {
		if m.Point == "/" {
			return
		}
	}
	t.Errorf("no root among %d mounts", len(table))
}

func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Watch(ctx, "/proc/self/mountinfo", func() {}) }()
	time.Sleep(10 * time.Millisecond)
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Watch did not end with its context")
	}
}
