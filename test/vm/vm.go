// Package vm runs a program as root on a real Debian kernel, in QEMU without KVM, and brings back its
// output, exit code and files.
package vm

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Guest is the user space around the job. The zero value is not valid.
type Guest uint8

const (
	// Minimal is busybox on a tmpfs and /scratch on ext4: about four seconds from start to exit.
	Minimal Guest = iota + 1
	// Full is Debian bookworm with systemd, journald, docker and AppArmor.
	Full
)

// String returns the name that ParseGuest takes.
func (g Guest) String() string {
	switch g {
	case Minimal:
		return "minimal"
	case Full:
		return "full"
	}
	return fmt.Sprintf("Guest(%d)", uint8(g))
}

// ParseGuest reads "minimal" or "full".
func ParseGuest(name string) (Guest, error) {
	switch name {
	case "minimal":
		return Minimal, nil
	case "full":
		return Full, nil
	}
	return 0, fmt.Errorf("unknown guest %q (minimal or full)", name)
}

// File is copied from the host into the guest before the job starts; a directory is copied whole.
type File struct {
	Source string
	// Guest is where it goes: an absolute path, or one below /job. Empty: /job and the source's base name.
	Guest string
}

// Fetch is copied from the guest to the host after the job ends; a directory is copied whole.
type Fetch struct {
	// Guest is an absolute path, or one below /job.
	Guest string
	// Host is a file name or an existing directory. Empty: the base name in the current directory.
	Host string
}

// Job is one boot of one guest that runs one program.
type Job struct {
	Kernel string // one of Kernels
	Guest  Guest
	// Program is a static binary or a script on the host. It runs as root in /job.
	Program string
	Args    []string
	Env     []string // K=V

	CPUs     int           // 0: 2, or 1 with ICount
	MemoryMB int           // 0: 1024 for Minimal, 2048 for Full
	Timeout  time.Duration // wall clock from the start of QEMU; 0: 5 minutes
	Append   []string      // words added to the kernel command line
	// ICount counts instructions instead of time, so that a figure repeats exactly.
	ICount bool

	Files []File
	Get   []Fetch

	// Disk is a qcow2 overlay over the full image, made if missing, that keeps what the guest writes.
	// Empty: every boot starts from the same clean disk.
	Disk string
	// PowerCut ends a guest with a Disk without a shutdown, as soon as the job has reported.
	PowerCut bool

	// Keep receives console, dmesg and journal, whatever the outcome. Empty: a new directory under
	// the temporary one, and only when the job failed.
	Keep string
	// Output receives the job's stdout and stderr as they come. Nil: discarded.
	Output io.Writer
	// Progress receives a line for each slow step of the preparation. Nil: discarded.
	Progress io.Writer
}

// Result is what a job that ran to its end, or to its timeout, reported.
type Result struct {
	// ExitCode is the job's, 128+n if signal n killed it, and -1 after a timeout.
	ExitCode int
	TimedOut bool
	// Duration is wall-clock time from the start of QEMU to the end of the guest.
	Duration time.Duration
	// Kept is the directory with console, dmesg and journal; empty if nothing was kept.
	Kept string
	// ConsoleTail holds the last lines of the guest's console, after a failure only.
	ConsoleTail string
}

// normalize fills in defaults and refuses what cannot work, before anything slow starts.
func (j *Job) normalize() error {
	if err := checkKernel(j.Kernel); err != nil {
		return err
	}
	if j.Guest != Minimal && j.Guest != Full {
		return fmt.Errorf("no guest chosen (minimal or full)")
	}
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the guests are amd64 and this machine is %s", runtime.GOARCH)
	}
	if st, err := os.Stat(j.Program); err != nil {
		return fmt.Errorf("the program to run in the guest: %w", err)
	} else if !st.Mode().IsRegular() {
		return fmt.Errorf("the program to run in the guest: %s is not a file", j.Program)
	}
	if j.Disk != "" && j.Guest != Full {
		return fmt.Errorf("a persistent disk needs the full guest")
	}
	if j.PowerCut && j.Disk == "" {
		return fmt.Errorf("a power cut needs a persistent disk: nothing else survives it")
	}
	if j.ICount && j.CPUs > 1 {
		return fmt.Errorf("counting instructions works with 1 CPU, not %d", j.CPUs)
	}
	if j.CPUs == 0 {
		j.CPUs = 2
		if j.ICount {
			j.CPUs = 1
		}
	}
	if j.MemoryMB == 0 {
		j.MemoryMB = 1024
		if j.Guest == Full {
			j.MemoryMB = 2048
		}
	}
	if j.CPUs < 0 || j.MemoryMB < 128 || j.Timeout < 0 {
		return fmt.Errorf("%d CPUs, %d MB, %s: out of range (at least 1 CPU, 128 MB, no negative timeout)", j.CPUs, j.MemoryMB, j.Timeout)
	}
	if j.Timeout == 0 {
		j.Timeout = 5 * time.Minute
	}
	if j.Output == nil {
		j.Output = io.Discard
	}
	if j.Progress == nil {
		j.Progress = io.Discard
	}
	return j.normalizeFiles()
}

func (j *Job) normalizeFiles() error {
	for _, kv := range j.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || !shellName.MatchString(name) {
			return fmt.Errorf("environment %q is not NAME=VALUE", kv)
		}
	}
	for _, word := range j.Append {
		if strings.ContainsAny(word, "\n\x00") {
			return fmt.Errorf("kernel command line: %q holds a line break", word)
		}
	}
	j.Files = slices.Clone(j.Files)
	for i, f := range j.Files {
		if _, err := os.Stat(f.Source); err != nil {
			return fmt.Errorf("a file to pass to the guest: %w", err)
		}
		if f.Guest == "" {
			j.Files[i].Guest = filepath.Base(f.Source)
		}
		j.Files[i].Guest = guestPath(j.Files[i].Guest)
	}
	j.Get = slices.Clone(j.Get)
	for i, g := range j.Get {
		if g.Guest == "" || strings.ContainsAny(g.Guest, "\n\x00") {
			return fmt.Errorf("a file to fetch: %q is not a path", g.Guest)
		}
		if g.Host == "" {
			j.Get[i].Host = filepath.Base(g.Guest)
		}
		j.Get[i].Guest = guestPath(g.Guest)
	}
	return nil
}

// guestPath makes a path absolute as the guest sees it.
func guestPath(p string) string {
	if !filepath.IsAbs(p) {
		p = "/job/" + p
	}
	return filepath.Clean(p)
}
