package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// diagnostics maps a file of the guest's report to its name in the directory that is kept.
var diagnostics = map[string]string{"dmesg": "dmesg.txt", "journal": "journal.txt", "ps": "ps.txt"}

// keep saves console, QEMU's own output and what the guest sent, and returns the directory.
func (r *run) keep(rep *report) (string, error) {
	dir := r.job.Keep
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "hostarmor-vm-kept-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("keep the guest's logs: %w", err)
	}
	copies := map[string]string{r.path("console.log"): "console.log", r.path("qemu.log"): "qemu.log"}
	if rep != nil {
		for from, to := range diagnostics {
			copies[filepath.Join(rep.dir, from)] = to
		}
	}
	for from, to := range copies {
		data, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), data, 0o644)
		}
		if err != nil {
			return "", fmt.Errorf("keep the guest's logs: %w", err)
		}
	}
	return dir, nil
}

// fetch copies the requested files to where the job wants them on the host.
func (r *run) fetch(ctx context.Context, rep *report) error {
	if len(rep.missing) > 0 && rep.exit == 0 {
		return fmt.Errorf("the job succeeded but left no %s in the guest", strings.Join(rep.missing, ", "))
	}
	for i, g := range r.job.Get {
		from := filepath.Join(rep.dir, "get", strconv.Itoa(i))
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		to := g.Host
		if st, err := os.Stat(to); err == nil && st.IsDir() {
			to = filepath.Join(to, filepath.Base(g.Guest))
		}
		cp := tool{"cp", "coreutils"}
		if _, err := cp.run(ctx, "-a", "-T", "--", from, to); err != nil {
			return fmt.Errorf("fetch %s: %w", g.Guest, err)
		}
	}
	return nil
}

// consoleTail returns the end of the guest's console in printable form: n lines, or more where the kernel
// began to complain before them.
func (r *run) consoleTail(n int) string {
	data, err := os.ReadFile(r.path("console.log"))
	if err != nil || len(data) == 0 {
		return "(nothing on the console)"
	}
	return tailFromTrouble(printable(string(data)), n)
}

func tailFromTrouble(console string, n int) string {
	lines := strings.Split(strings.TrimRight(console, "\n"), "\n")
	from := max(0, len(lines)-n)
	for i, line := range lines {
		if strings.Contains(line, "Kernel panic - ") || strings.Contains(line, "] BUG: ") || strings.Contains(line, "Oops: ") {
			// A crash that repeats itself must not print a book.
			from = max(min(from, i), len(lines)-5*n)
			break
		}
	}
	return strings.Join(lines[max(0, from):], "\n")
}

// printable drops the carriage returns and colour sequences that firmware, kernel and systemd write.
func printable(console string) string {
	var b strings.Builder
	for i := 0; i < len(console); i++ {
		c := console[i]
		if c == 0x1b {
			if i+1 < len(console) && console[i+1] == '[' {
				for i += 2; i < len(console) && (console[i] < '@' || console[i] > '~'); i++ {
				}
			} else {
				i++
			}
			continue
		}
		if c == '\n' || c == '\t' || c >= ' ' && c != 0x7f {
			b.WriteByte(c)
		}
	}
	return strings.ToValidUTF8(b.String(), "?")
}
