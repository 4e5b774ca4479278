package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFrame(t *testing.T) {
	for _, tt := range []struct {
		name, line  string
		column      int
		text, caret string
	}{
		{"plain", `path = "x"`, 8, `path = "x"`, "       ^"},
		{"the end", "a =", 4, "a =", "   ^"},
		{"beyond the end", "a =", 99, "a =", "   ^"},
		{"column 0", "a", 0, "a", "^"},
		{"a tab", "\ta\t= 1", 4, "    a    = 1", "         ^"},
		{"umlauts are one column", "ä = ö", 6, "ä = ö", "    ^"},
		{"wide characters are two", "漢字 = 1", 8, "漢字 = 1", "     ^"},
		{"combining marks are none", "e\u0301 = 1", 5, "e\u0301 = 1", "  ^"},
		{"control characters", "\x1b[2J\x00\x7f\u009b", 6, "\ufffd[2J\ufffd\ufffd\ufffd", "     ^"},
		{"direction marks", "a\u202eb\u200d", 5, "a\ufffdb\ufffd", "  ^"},
		{"not UTF-8", "\xff\xfe = 1", 3, "\ufffd\ufffd = 1", "  ^"},
		{"inside a character", "漢", 2, "漢", "^"},
		{"empty", "", 1, "", ""},
		{"long, at its start", strings.Repeat("a", 500), 1, strings.Repeat("a", 100) + "...", "^"},
		{"long, at its end", strings.Repeat("a", 500), 501, "..." + strings.Repeat("a", 66), strings.Repeat(" ", 69) + "^"},
		{"long, within", strings.Repeat("a", 250) + "b" + strings.Repeat("c", 250), 251,
			"..." + strings.Repeat("a", 66) + "b" + strings.Repeat("c", 33) + "...", strings.Repeat(" ", 69) + "^"},
	} {
		if text, caret := frame([]byte(tt.line), tt.column); text != tt.text || caret != tt.caret {
			t.Errorf("%s: %q\n%q, want\n%q\n%q", tt.name, text, caret, tt.text, tt.caret)
		}
	}
}

// Whatever the line, what is shown is short, text, and has no control
// characters, and the caret stands below it.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("path = \"x\""), 3)
	f.Add([]byte("\x1b]0;\a\t\u202e漢\xff"), 6)
	f.Add([]byte(strings.Repeat("\u0301", 3000)), 2000)
	f.Fuzz(func(t *testing.T, line []byte, column int) {
		text, caret := frame(line, column)
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
			t.Errorf("%q", text)
		}
		if len(text) > 20*frameWidth || len(caret) > frameWidth+len(cutMark)+1 {
			t.Errorf("%d bytes, caret %d", len(text), len(caret))
		}
		if len(line) > 0 && (text == "" || !strings.HasSuffix(caret, "^")) {
			t.Errorf("%q: %q %q", line, text, caret)
		}
	})
}
