package policyfile

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// source is one file's text with the problems found in it. Places in it are
// byte offsets until they are reported.
type source struct {
	name     string
	lines    []int // offset of each line's first byte
	problems []hostpolicy.Problem
	// lookupUser gives the uid of a user; nil means this machine's.
	lookupUser func(name string) (uint32, bool)
}

func newSource(name string, text []byte) *source {
	s := &source{name: name, lines: []int{0}}
	for i, b := range text {
		if b == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

func (s *source) position(offset int) hostpolicy.Position {
	line := sort.SearchInts(s.lines, offset+1)
	return hostpolicy.Position{File: s.name, Line: line, Column: offset - s.lines[line-1] + 1}
}

func (s *source) report(severity hostpolicy.Severity, code string, offset int, field, message, fix string) {
	s.problems = append(s.problems, hostpolicy.Problem{
		Position: s.position(offset), Code: code, Severity: severity, Field: field, Message: message, Fix: fix,
	})
}

func (s *source) err(code string, offset int, field, message, fix string) {
	s.report(hostpolicy.Error, code, offset, field, message, fix)
}

func (s *source) warn(code string, offset int, field, message, fix string) {
	s.report(hostpolicy.Warning, code, offset, field, message, fix)
}

// failed reports whether the file has an error.
func (s *source) failed() bool { return hasError(s.problems) }

func hasError(problems []hostpolicy.Problem) bool {
	return slices.ContainsFunc(problems, func(p hostpolicy.Problem) bool { return p.Severity == hostpolicy.Error })
}

// sorted is the problems in the order of their places.
func (s *source) sorted() []hostpolicy.Problem {
	sortProblems(s.problems)
	return s.problems
}

func sortProblems(problems []hostpolicy.Problem) {
	slices.SortStableFunc(problems, func(a, b hostpolicy.Problem) int {
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
}

// checkText refuses what is not UTF-8 text, which the TOML reader would
// otherwise report in terms of its own.
func (s *source) checkText(text []byte) bool {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		s.err(codeNotText, 0, "", "the file is UTF-16 text", "save it as UTF-8")
		return false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			s.err(codeNotText, i, "", fmt.Sprintf("byte 0x%02x is not UTF-8 text", text[i]), "save the file as UTF-8")
			return false
		}
		if r == 0 {
			s.err(codeNotText, i, "", "the file holds a NUL byte", "write it as a text file")
			return false
		}
		i += size
	}
	return true
}
