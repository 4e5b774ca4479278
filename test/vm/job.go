package vm

import (
	"archive/tar"
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed guest/runner.sh
var runnerScript []byte

var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// programName is the path of the job's program, relative to the root of the guest.
func programName(j *Job) string { return "job/" + filepath.Base(j.Program) }

// writeJob writes the tar that the guest unpacks at /: the program, its files, and in job/.vm the scripts
// that run it and report.
func writeJob(w io.Writer, j *Job) error {
	tw := tar.NewWriter(w)
	data := func(name string, mode int64, content []byte) error {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: time.Now()}); err != nil {
			return err
		}
		_, err := tw.Write(content)
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: "job/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Now()}); err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: "job/.vm/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Now()}); err != nil {
		return err
	}
	if err := data("job/.vm/runner", 0o755, runnerScript); err != nil {
		return err
	}
	if err := data("job/.vm/run", 0o755, runScript(j)); err != nil {
		return err
	}
	var get strings.Builder
	for _, g := range j.Get {
		get.WriteString(g.Guest + "\n")
	}
	if err := data("job/.vm/get", 0o644, []byte(get.String())); err != nil {
		return err
	}
	if err := addTree(tw, j.Program, programName(j), 0o755); err != nil {
		return fmt.Errorf("pack %s: %w", j.Program, err)
	}
	for _, f := range j.Files {
		if err := addTree(tw, f.Source, strings.TrimPrefix(f.Guest, "/"), 0); err != nil {
			return fmt.Errorf("pack %s: %w", f.Source, err)
		}
	}
	return tw.Close()
}

// runScript is what starts the program in the guest: quoting it as shell keeps every byte of the arguments.
func runScript(j *Job) []byte {
	var b strings.Builder
	b.WriteString("#!/job/.vm/busybox sh\necho $$ >/job/.vm/job\ncd /job || exit 125\n")
	for _, kv := range j.Env {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuote(value))
	}
	b.WriteString("exec " + shellQuote("/"+programName(j)))
	for _, a := range j.Args {
		b.WriteString(" " + shellQuote(a))
	}
	b.WriteString("\n")
	return []byte(b.String())
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// addTree adds the file or directory source under name; orMode is set on top of a file's own mode.
// Owners become root: the host's users are not the guest's.
func addTree(tw *tar.Writer, source, name string, orMode int64) error {
	source, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	return filepath.WalkDir(source, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		var target string
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		h.Name = filepath.Join(name, rel)
		if info.IsDir() {
			h.Name += "/"
		}
		h.Mode |= orMode
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
		if err := tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(tw, f)
		return err
	})
}
