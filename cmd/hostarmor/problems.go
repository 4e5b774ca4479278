package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// maxShown is the longest line of a policy that is shown around a problem.
const maxShown = 160

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

// showProblem is a problem for people: its place, the line it is about with a
// caret, and the fix.
func showProblem(w io.Writer, p hostpolicy.Problem) {
	what := p.Message
	if p.Field != "" {
		what = p.Field + ": " + what
	}
	fmt.Fprintln(w, printable(fmt.Sprintf("%s: %s %s: %s", p.Position, p.Severity, p.Code, what)))
	if line, caret, ok := sourceLine(p.Position); ok {
		number := strconv.Itoa(p.Position.Line)
		fmt.Fprintf(w, "  %s | %s\n  %*s | %s\n", number, line, len(number), "", caret)
	}
	if p.Fix != "" {
		fmt.Fprintf(w, "  fix: %s\n", printable(p.Fix))
	}
	fmt.Fprintln(w)
}

// sourceLine is the line that a position names, and a caret under its column.
func sourceLine(at hostpolicy.Position) (line, caret string, ok bool) {
	info, err := os.Stat(at.File)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 8<<20 {
		return "", "", false
	}
	text, err := os.ReadFile(at.File)
	if err != nil {
		return "", "", false
	}
	for range at.Line - 1 {
		_, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			return "", "", false
		}
		text = rest
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	text = bytes.TrimRight(text, "\r")
	column := min(max(at.Column-1, 0), len(text))
	if len(text) == 0 || len(text) > maxShown || !utf8.Valid(text) {
		return "", "", false
	}
	before := printable(strings.ReplaceAll(string(text[:column]), "\t", "    "))
	line = printable(strings.ReplaceAll(string(text), "\t", "    "))
	return line, strings.Repeat(" ", utf8.RuneCountInString(before)) + "^", true
}

// printable keeps a file's content from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return utf8.RuneError
		}
		return r
	}, s)
}
