package vm

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// archive makes a report of name, content pairs.
func archive(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for pair := range slices.Chunk(pairs, 2) {
		h := &tar.Header{Name: pair[0], Mode: 0o640, Size: int64(len(pair[1]))}
		if target, ok := strings.CutPrefix(pair[1], "-> "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
			pair[1] = ""
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(pair[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadReport(t *testing.T) {
	dir := t.TempDir()
	rep, err := readReport(bytes.NewReader(archive(t, "./exit", "7\n", "./bytes", " 12\n", "./missing", "/a b\n/c\n", "./get/0/x", "data", "./dmesg", "log")), dir)
	if err != nil {
		t.Fatal(err)
	}
	if rep.exit != 7 || rep.output != 12 || !slices.Equal(rep.missing, []string{"/a b", "/c"}) {
		t.Errorf("got %+v", rep)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "get/0/x")); err != nil || string(data) != "data" {
		t.Errorf("fetched file: %q, %v", data, err)
	}
}

func TestReadReportMalformed(t *testing.T) {
	good := archive(t, "exit", "0\n", "bytes", "0\n", "get/0", strings.Repeat("x", 5000))
	for name, tc := range map[string]struct {
		input []byte
		want  string
	}{
		"nothing":          {nil, "no exit"},
		"no exit":          {archive(t, "bytes", "1\n"), "no exit"},
		"no bytes":         {archive(t, "exit", "1\n"), "no bytes"},
		"exit not number":  {archive(t, "exit", "one\n", "bytes", "1\n"), `"one\n" for exit`},
		"exit too large":   {archive(t, "exit", "256\n", "bytes", "1\n"), "for exit"},
		"exit negative":    {archive(t, "exit", "-1\n", "bytes", "1\n"), "for exit"},
		"cut in header":    {good[:100], "broken"},
		"cut in a file":    {good[:len(good)-4000], "unpack"},
		"console garbage":  {[]byte(strings.Repeat("Kernel panic\n", 100)), "broken"},
		"parent directory": {archive(t, "../evil", "x"), "escapes"},
		"absolute":         {archive(t, "/tmp/evil-report", "x"), "escapes"},
		"through a link":   {archive(t, "get", "-> /tmp", "get/evil", "x"), "escapes"},
		"exit is a link":   {archive(t, "exit", "-> /proc/self/stat", "bytes", "1\n"), "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := readReport(bytes.NewReader(tc.input), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %+v, error %v, want one with %q", rep, err, tc.want)
			}
		})
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte("exit"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "report")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, _ = readReport(bytes.NewReader(data), dir)
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("the report left its directory: %v, %v", entries, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	if got, want := printable("\x1b[2J\x1b[0;1;31mFAILED\x1b[0m a\r\n\x1bcb\x00\tc\x1b["), "FAILED a\nb\tc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTailFromTrouble(t *testing.T) {
	calm := strings.Repeat("line\n", 40)
	if got := tailFromTrouble(calm, 30); strings.Count(got, "line") != 30 {
		t.Errorf("a calm console: %d lines, want 30", strings.Count(got, "line"))
	}
	trouble := calm + "[    1.0] Kernel panic - not syncing: x\n" + calm
	if got := tailFromTrouble(trouble, 30); !strings.HasPrefix(got, "[    1.0] Kernel panic") {
		t.Errorf("a panic before the last lines is cut off:\n%s", got)
	}
	if got := tailFromTrouble(trouble+strings.Repeat(calm, 100), 30); strings.Count(got, "\n") > 150 {
		t.Errorf("an endless crash gives %d lines", strings.Count(got, "\n"))
	}
	if got := tailFromTrouble("one", 30); got != "one" {
		t.Errorf("got %q", got)
	}
}
