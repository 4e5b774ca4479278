// Package mounts reads the host's mount table as the enforcer needs it, and
// tells when it changed. The table is PID 1's: the daemon's own namespace has
// mounts of its sandbox that no other process sees.
package mounts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// Host is the mount table that host rules name files by.
const Host = "/proc/1/mountinfo"

// Table is a mount table.
type Table struct {
	// Mounts are the plain ones, and behind them the layers of overlays.
	Mounts []lsm.Mount
	// Types are the file system types of the plain ones, in their order.
	Types []string
}

// Plain are the mounts without the layers of overlays.
func (t *Table) Plain() []lsm.Mount { return t.Mounts[:len(t.Types):len(t.Types)] }

// Read parses the mount table in file.
func Read(file string) ([]lsm.Mount, error) {
	table, _, err := read(file)
	return table.Mounts, err
}

func read(file string) (Table, []overlay, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Table{}, nil, fmt.Errorf("read the mount table: %w", err)
	}
	table, overlays, err := parse(bytes.NewReader(text))
	if err != nil {
		return Table{}, nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return table, overlays, nil
}

// Parse reads lines of mountinfo (proc_pid_mountinfo(5)). Any line that cannot
// be understood is an error: a mount left out is a name left unjudged.
func Parse(r io.Reader) ([]lsm.Mount, error) {
	table, _, err := parse(r)
	return table.Mounts, err
}

func parse(r io.Reader) (Table, []overlay, error) {
	var table Table
	var overlays []overlay
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20) // overlay options name every lower directory
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		if len(f) < 5 {
			return Table{}, nil, fmt.Errorf("line %d: %d fields, at least 5 expected", n, len(f))
		}
		dev, err := device(f[2])
		if err != nil {
			return Table{}, nil, fmt.Errorf("line %d: %w", n, err)
		}
		m := lsm.Mount{Device: dev, Root: unescape(f[3]), Point: unescape(f[4])}
		fstype, options := superblock(f[5:])
		table.Mounts = append(table.Mounts, m)
		table.Types = append(table.Types, fstype)
		// A part of an overlay does not show its layers as a whole.
		if fstype == "overlay" && m.Root == "/" {
			overlays = append(overlays, overlay{m.Point, options})
		}
	}
	if err := sc.Err(); err != nil {
		return Table{}, nil, err
	}
	return table, overlays, nil
}

// superblock is the type and the options behind the dash of a line.
func superblock(fields []string) (fstype, options string) {
	i := slices.Index(fields, "-")
	if i < 0 || len(fields) < i+2 {
		return "", ""
	}
	if len(fields) > i+3 {
		options = fields[i+3]
	}
	return fields[i+1], options
}

// device turns "major:minor" into the kernel's dev_t, which is not stat's.
func device(s string) (uint32, error) {
	a, b, ok := strings.Cut(s, ":")
	major, err1 := strconv.ParseUint(a, 10, 12)
	minor, err2 := strconv.ParseUint(b, 10, 20)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("device %q is not major:minor", s)
	}
	return uint32(major<<20 | minor), nil
}

// unescape undoes the kernel's octal escapes of space, tab, newline and
// backslash. Anything else stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Watch calls changed each time the mount table in file changes, until ctx
// ends. The kernel reports a change as POLLPRI on an open mountinfo.
func Watch(ctx context.Context, file string, changed func()) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("watch the mount table: %w", err)
	}
	defer f.Close()
	// An eventfd wakes poll when ctx ends; closing f would not.
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch the mount table: eventfd: %w", err)
	}
	defer unix.Close(stop)
	ended := context.AfterFunc(ctx, func() { unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	defer func() {
		if !ended() {
			// The write must be over before its descriptor is closed.
			var b [8]byte
			unix.Poll([]unix.PollFd{{Fd: int32(stop), Events: unix.POLLIN}}, 1000)
			unix.Read(stop, b[:])
		}
	}()
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}, {Fd: int32(stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("watch the mount table: poll: %w", err)
		case fds[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0:
			changed()
		}
	}
}
