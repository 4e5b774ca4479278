package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// problemLine is a problem in one line, as compilers print them.
func problemLine(p event.Problem) string {
	s := fmt.Sprintf("%s: %s %s: ", p.Source, p.Severity, p.Code)
	if p.Field != "" {
		s += p.Field + ": "
	}
	s += p.Message
	if p.Fix != "" {
		s += " (" + p.Fix + ")"
	}
	return printable(s)
}

// contents gives the text of a file that was read.
type contents func(name string) ([]byte, bool)

// showProblems prints problems for people: each with its place, the line it is
// about with a caret, and the fix.
func showProblems(w io.Writer, problems []hostpolicy.Problem, content contents) {
	s := sources{content: content, lines: make(map[string][][]byte)}
	for _, p := range problems {
		what := p.Message
		if p.Field != "" {
			what = p.Field + ": " + what
		}
		fmt.Fprintln(w, printable(fmt.Sprintf("%s: %s %s: %s", p.Position, p.Severity, p.Code, what)))
		if line, caret := frame(s.line(p.Position), p.Position.Column); line != "" {
			number := strconv.Itoa(p.Position.Line)
			fmt.Fprintf(w, "  %s | %s\n  %*s | %s\n", number, line, len(number), "", caret)
		}
		if p.Fix != "" {
			fmt.Fprintf(w, "  fix: %s\n", printable(p.Fix))
		}
		fmt.Fprintln(w)
	}
}

// sources are the lines of the files that problems are about, each file cut
// once: one file may have as many problems as lines.
type sources struct {
	content contents
	lines   map[string][][]byte
}

func (s *sources) line(at hostpolicy.Position) []byte {
	lines, ok := s.lines[at.File]
	if !ok {
		text, ok := s.content(at.File)
		if !ok {
			text = fromDisk(at.File)
		}
		lines = bytes.Split(text, []byte("\n"))
		s.lines[at.File] = lines
	}
	if at.Line < 1 || at.Line > len(lines) {
		return nil
	}
	return bytes.TrimRight(lines[at.Line-1], "\r")
}

// fromDisk is for files that are no policies, such as the settings.
func fromDisk(name string) []byte {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return text
}

const (
	frameWidth = 100 // columns of a line that are shown
	tabWidth   = 4
	cutMark    = "..."
)

// frame is a line for people and the caret under its column, which counts
// bytes from 1. What a terminal would not show as itself is replaced, and of a
// long line only the part around the column is shown. Both are empty for an
// empty line.
func frame(line []byte, column int) (text, caret string) {
	if len(line) == 0 {
		return "", ""
	}
	at := min(max(column-1, 0), len(line))
	for at > 0 && at < len(line) && !utf8.RuneStart(line[at]) {
		at-- // of text that is none: a caret below the middle of a character
	}
	// What is too far away to be shown is not looked at: a line may be a
	// megabyte long.
	const reach = 4 * frameWidth
	from, to := max(at-reach, 0), min(at+reach, len(line))
	before, cutLeft := tail(cells(line[from:at]), frameWidth*2/3)
	after, cutRight := head(cells(line[at:to]), frameWidth-width(before))
	left, right := "", ""
	if cutLeft || from > 0 {
		left = cutMark
	}
	if cutRight || to < len(line) {
		right = cutMark
	}
	return left + join(before) + join(after) + right, strings.Repeat(" ", len(left)+width(before)) + "^"
}

// cell is a character as a terminal shows it.
type cell struct {
	text  string
	width int
}

func cells(line []byte) []cell {
	var out []cell
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		line = line[size:]
		switch {
		case r == '\t':
			out = append(out, cell{strings.Repeat(" ", tabWidth), tabWidth})
		case unprintable(r):
			out = append(out, cell{string(utf8.RuneError), 1})
		case unicode.In(r, unicode.Mn, unicode.Me):
			out = append(out, cell{string(r), 0})
		case wide(r):
			out = append(out, cell{string(r), 2})
		default:
			out = append(out, cell{string(r), 1})
		}
	}
	return out
}

func width(list []cell) int {
	n := 0
	for _, c := range list {
		n += c.width
	}
	return n
}

func join(list []cell) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(c.text)
	}
	return b.String()
}

// head is the first cells that fit. Marks without width are bounded too.
func head(list []cell, limit int) ([]cell, bool) {
	n := 0
	for i, c := range list {
		if n += c.width; n > limit || i >= 2*frameWidth {
			return list[:i], true
		}
	}
	return list, false
}

// tail is the last cells that fit.
func tail(list []cell, limit int) ([]cell, bool) {
	n := 0
	for i := len(list) - 1; i >= 0; i-- {
		if n += list[i].width; n > limit || len(list)-i > 2*frameWidth {
			return list[i+1:], true
		}
	}
	return list, false
}

// wide reports whether terminals give a character two columns: the blocks of
// East Asian writing and of emoji.
func wide(r rune) bool {
	for _, block := range [][2]rune{
		{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
		{0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
	} {
		if r >= block[0] && r <= block[1] {
			return true
		}
	}
	return false
}

// printable keeps a file's content from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// unprintable are control characters, and those of category Cf, which show
// nothing and can turn the direction of what follows.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}
