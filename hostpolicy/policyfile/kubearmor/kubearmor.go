// Package kubearmor reads KubeArmor's YAML policies as values of the policy
// language. What KubeArmor documents is kept; what cannot be kept is refused,
// or warned of, by line.
package kubearmor

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Node is this machine, as nodeSelectors see it.
type Node struct {
	Hostname string
	Labels   map[string]string
}

// Posture is what becomes of an access in a class with Allow rules that none
// of them permits: Block or Audit, zero is Audit. File governs class process
// too.
type Posture struct{ File, Network, Capabilities hostpolicy.Action }

// Options of loading.
type Options struct {
	Node Node
	// AnyNode takes policies for other machines as if they were for this one.
	AnyNode bool
	Posture Posture
}

// Inactive is a valid policy that confines nobody here.
type Inactive struct {
	Name     string
	Position hostpolicy.Position // of its name
	Reason   string
}

// Result is what a file holds.
type Result struct {
	Policies []hostpolicy.Policy   // nil where there is an error
	Names    []hostpolicy.Position // where each policy's name is written
	Inactive []Inactive
	Problems []hostpolicy.Problem
}

// Load reads a file of one or more YAML documents. A file with any error gives
// no policy at all; every problem of it is in the result, in the order of the
// lines.
func Load(name string, content []byte, o Options) Result {
	return load(name, content, o).result()
}

// loader is the work on one file.
type loader struct {
	file     string
	lines    []string
	o        Options
	problems []problem
	reading  int // the policy that is being read, by number
	policies []loaded
	inactive []Inactive
}

// loaded is a policy with what Convert has to know besides.
type loaded struct {
	policy hostpolicy.Policy
	number int // of the policy as it stands in the file
	named  hostpolicy.Position
	notes  []remark
}

// problem belongs to a rule, by its class and name, or to a whole policy where
// rule is "".
type problem struct {
	hostpolicy.Problem
	policy int
	rule   string
	lost   bool // something was left out
}

func load(name string, content []byte, o Options) *loader {
	l := &loader{file: name, o: o}
	// The library miscounts lines that end in two bytes.
	text := strings.ReplaceAll(strings.TrimPrefix(string(content), "\ufeff"), "\r\n", "\n")
	l.lines = strings.Split(text, "\n")
	if !l.checkText(content) {
		return l
	}
	documents, ok := l.parse(text)
	if !ok {
		return l
	}
	if len(documents) == 0 {
		l.err(codeNoPolicy, pos{1, 1}, "", "the file holds no policy", "write one, or remove the file")
	}
	for _, root := range documents {
		l.document(root)
	}
	return l
}

func (l *loader) result() Result {
	slices.SortStableFunc(l.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
	r := Result{Inactive: l.inactive}
	for _, p := range l.problems {
		r.Problems = append(r.Problems, p.Problem)
	}
	if l.failed() {
		r.Inactive = nil
		return r
	}
	for _, p := range l.policies {
		r.Policies = append(r.Policies, p.policy)
		r.Names = append(r.Names, p.named)
	}
	return r
}

func (l *loader) failed() bool {
	return slices.ContainsFunc(l.problems, func(p problem) bool { return p.Severity == hostpolicy.Error })
}

// Limits of a file. They keep a hostile one from costing memory or time.
const (
	maxBytes    = 1 << 20
	maxProblems = 1000
)

// checkText reports bytes that no policy holds.
func (l *loader) checkText(content []byte) bool {
	at := func(i int) pos {
		head := content[:i]
		return pos{bytes.Count(head, []byte("\n")) + 1, i - bytes.LastIndexByte(head, '\n')}
	}
	if len(content) > maxBytes {
		l.err(codeTooLarge, pos{1, 1}, "", fmt.Sprintf("the file has %d bytes, more than the limit of %d", len(content), maxBytes), "split it into several files")
		return false
	}
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		l.err(codeNotText, pos{1, 1}, "", "the file is UTF-16, not UTF-8", "save it as UTF-8")
		return false
	}
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			l.err(codeNotText, at(i), "", fmt.Sprintf("byte 0x%02x is not UTF-8 text", content[i]), "save the file as UTF-8")
			return false
		case r == '\r' && (i+1 == len(content) || content[i+1] != '\n'):
			l.err(codeNotText, at(i), "", "a carriage return without a line feed", "save the file with the line ends of Linux")
			return false
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f, r == 0x85, r == '\u2028', r == '\u2029', r == '\ufeff' && i > 0:
			l.err(codeNotText, at(i), "", fmt.Sprintf("the control character %U", r), "remove it")
			return false
		}
		i += size
	}
	return true
}

// pos is a place in the file. Lines and columns count from 1, columns in bytes.
type pos struct{ line, column int }

func (l *loader) position(at pos) hostpolicy.Position {
	line := min(max(at.line, 1), len(l.lines))
	return hostpolicy.Position{File: l.file, Line: line, Column: min(max(at.column, 1), len(l.lines[line-1])+1)}
}

func (l *loader) report(severity hostpolicy.Severity, code string, at pos, field, message, fix string) *problem {
	if len(l.problems) == maxProblems {
		// A file with so many is not read for the last of them; but it is
		// never accepted either.
		p := &l.problems[maxProblems-1]
		p.Severity = hostpolicy.Error
		return &problem{}
	}
	l.problems = append(l.problems, problem{policy: l.reading, Problem: hostpolicy.Problem{
		Position: l.position(at), Code: code, Severity: severity, Field: field, Message: message, Fix: fix,
	}})
	return &l.problems[len(l.problems)-1]
}

func (l *loader) err(code string, at pos, field, message, fix string) {
	l.report(hostpolicy.Error, code, at, field, message, fix)
}

func (l *loader) warn(code string, at pos, field, message, fix string) {
	l.report(hostpolicy.Warning, code, at, field, message, fix)
}

// quote shortens what would drown the rest of a line.
func quote(v string) string {
	if len(v) > 120 {
		v = strings.ToValidUTF8(v[:120], "") + "..."
	}
	return fmt.Sprintf("%q", v)
}
