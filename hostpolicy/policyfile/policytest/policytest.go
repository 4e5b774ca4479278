// Package policytest reads and runs tests of policies: files that say what
// becomes of accesses, by whom, and by which rule.
package policytest

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
)

// Suffix is that of the names of test files.
const Suffix = ".test.toml"

// Codes of problems of a test file.
const (
	CodeAccess   = "HA301"
	CodeSubject  = "HA302"
	CodeNothing  = "HA303"
	CodePolicies = "HA304"
)

// Codes explains the codes of this package.
var Codes = map[string]hostpolicy.Code{
	CodeAccess: {
		Title: "the operation of a test cannot be understood",
		Why:   "An access is an operation and its object, as in \"exec /bin/sh\", \"connect tcp:203.0.113.7:443\" or \"capability CAP_NET_RAW\". What cannot be read cannot be tested.",
		Fix:   "Write it as the message says; hostarmor(8) lists the operations and their objects.",
	},
	CodeSubject: {
		Title: "a test does not say who acts, or contradicts itself",
		Why:   "Whether a policy applies depends on the subject, so a test without one would judge another process than its author thinks.",
		Fix:   "Write subject = { host = true }, { unit = \"nginx.service\" } or { container = { name = \"web-1\" } }, with exe and user where rules ask for them.",
	},
	CodeNothing: {
		Title: "a test tests nothing",
		Why:   "A case without an operation or without an expectation always passes, and so would seem to prove something.",
		Fix:   "Give it do and expect, or remove it.",
	},
	CodePolicies: {
		Title: "the policies of a test are not there",
		Why:   "A test of no policies passes wherever it expects allow.",
		Fix:   "Write policies = [\"web.toml\"], relative to the test's own directory.",
	},
}

// File is a test file.
type File struct {
	Name     string
	Policies []policyfile.Text // files or globs, relative to the file's directory
	Cases    []Case
}

// Case is one expectation.
type Case struct {
	Name     string
	Position hostpolicy.Position // of its table's header
	Subject  hostpolicy.Subject
	Do       []Step
	Expect   hostpolicy.Action
	// Rule is the full id of the rule that has to decide one step at least;
	// with NoRule none may decide any. Both empty: whichever.
	Rule   string
	NoRule bool
}

// Step is one access of a case.
type Step struct {
	Text     string
	Position hostpolicy.Position
	Access
}

// Parse reads a test file. The problems are all errors, in the order of their
// places; with any of them the file must not be run.
func Parse(name string, content []byte) (File, []hostpolicy.Problem) {
	f := File{Name: name}
	root, ok := policyfile.ParseTable(name, content, policyfile.Options{})
	if !ok {
		return f, root.Problems()
	}
	root.Only("a test", "policies", "case")
	f.Policies = root.Strings("policies")
	if !root.Has("policies") {
		root.Report(CodePolicies, "policies", "the test names no policies", `add policies = ["web.toml"], relative to this file`)
	}
	cases, ok := root.Table("case")
	if ok {
		for _, key := range cases.Keys() {
			if t, ok := cases.Table(key); ok {
				f.Cases = append(f.Cases, parseCase(key, t))
			}
		}
	}
	if len(f.Cases) == 0 && (!root.Has("case") || ok && len(cases.Keys()) == 0) {
		root.Report(CodeNothing, "case", "the file holds no case", "add a table [case.NAME] with subject, do and expect")
	}
	return f, root.Problems()
}

func parseCase(name string, t policyfile.Table) Case {
	t.Only("a case", "subject", "do", "expect", "rule", "args", "owned")
	c := Case{Name: name, Position: t.Position(), Expect: t.Action("expect")}
	if !t.Has("expect") {
		t.Report(CodeNothing, "expect", "the case expects nothing", `add expect = "block", "audit" or "allow"`)
	}
	if rule, ok := t.String("rule"); ok {
		c.Rule, c.NoRule = rule.Value, rule.Value == ""
		if policy, id, found := strings.Cut(rule.Value, "/"); !c.NoRule && (!found || policy == "" || !strings.Contains(id, ".")) {
			t.Report(policyfile.CodeType, "rule", fmt.Sprintf("%s is not the full id of a rule", short(rule.Value)), `write "POLICY/CLASS.RULE-NAME", or "" where no rule may decide`)
		}
	}
	c.steps(t)
	c.subject(t)
	return c
}

func (c *Case) steps(t policyfile.Table) {
	var args []string
	for _, arg := range t.Strings("args") {
		args = append(args, arg.Value)
	}
	owned := t.Bool("owned")
	var execs, files int
	do := t.Strings("do")
	for _, text := range do {
		access, err := ParseAccess(text.Value)
		if err != nil {
			fix := ""
			if e, ok := err.(*AccessError); ok {
				err, fix = fmt.Errorf("%s", e.Reason), e.Fix
			}
			t.ReportAt(CodeAccess, "do", text, err.Error(), fix)
			continue
		}
		if access.Operation == hostpolicy.OpExec {
			execs++
			if args != nil {
				access.Object.Args = args
			}
		}
		if class := access.Operation.Class(); class == hostpolicy.Process || class == hostpolicy.File {
			files++
			access.Object.Owned = owned
		}
		c.Do = append(c.Do, Step{text.Value, text.Position, access})
	}
	if !t.Has("do") {
		t.Report(CodeNothing, "do", "the case does nothing", `add do = "exec /bin/sh", or a list of such accesses`)
	}
	if len(c.Do) < len(do) {
		return // what could not be read may have been what they are for
	}
	if t.Has("args") && execs == 0 {
		t.Report(CodeNothing, "args", "no exec takes these arguments", "remove args, or add an exec to do")
	}
	if t.Has("owned") && files == 0 {
		t.Report(CodeNothing, "owned", "no access is to a file", "remove owned, or add an exec, read or write to do")
	}
}

var subjectKeys = []string{"host", "container", "unit", "exe", "user", "login_user"}

func (c *Case) subject(parent policyfile.Table) {
	c.Subject = hostpolicy.Subject{LoginUID: hostpolicy.NoLogin}
	if !parent.Has("subject") {
		parent.Report(CodeSubject, "subject", "the case does not say who acts", "add subject = { host = true }, or a container, unit, exe or user")
		return
	}
	t, ok := parent.Table("subject")
	if !ok {
		return
	}
	t.Only("a subject", subjectKeys...)
	if len(t.Keys()) == 0 {
		parent.Report(CodeSubject, "subject", "the subject is empty", "write { host = true } for a process of the host")
	}
	host := t.Bool("host")
	switch {
	case host && t.Has("container"):
		t.Report(CodeSubject, "container", "a process is on the host or in a container", "remove one of the two")
	case t.Has("host") && !host:
		t.Report(CodeSubject, "host", "host = false says nothing", "name the container, as in container = { name = \"web-1\" }")
	}
	if t.Has("container") {
		c.Subject.Container = container(t)
	}
	for _, unit := range t.Strings("unit") {
		if !UnitName(unit.Value) {
			t.ReportAt(CodeSubject, "unit", unit, fmt.Sprintf("%s is not the name of one unit with processes", short(unit.Value)), `write it as systemctl shows it, such as "nginx.service"`)
		}
		c.Subject.Units = append(c.Subject.Units, unit.Value)
	}
	for _, exe := range t.Strings("exe") {
		if !strings.HasPrefix(exe.Value, "/") || strings.Contains(exe.Value, "*") {
			t.ReportAt(CodeSubject, "exe", exe, fmt.Sprintf("%s is not the path of one program", short(exe.Value)), "write its whole path, from /")
		}
		c.Subject.Programs = append(c.Subject.Programs, exe.Value)
	}
	if uid, ok := user(t, "user"); ok {
		c.Subject.UID, c.Subject.EUID = uid, uid
	}
	if uid, ok := user(t, "login_user"); ok {
		c.Subject.LoginUID = uid
	}
}

// UnitName reports whether a name is that of one unit that can hold processes,
// ending included: no policy is for another, so a test of one proves nothing.
func UnitName(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return dot > 0 && !strings.ContainsAny(name, "*?[]{}/ ") && slices.Contains([]string{"service", "scope", "slice", "socket", "mount", "swap"}, name[dot+1:])
}

func container(parent policyfile.Table) *hostpolicy.Container {
	c := &hostpolicy.Container{}
	t, ok := parent.Table("container")
	if !ok {
		return c
	}
	t.Only("a container", "name", "image", "labels")
	if name, ok := t.String("name"); ok {
		c.Name = name.Value
	}
	if image, ok := t.String("image"); ok {
		c.Image = image.Value
	}
	if labels, ok := t.Table("labels"); ok {
		c.Labels = make(map[string]string)
		for _, key := range labels.Keys() {
			if value, ok := labels.String(key); ok {
				c.Labels[key] = value.Value
			}
		}
	}
	return c
}

func user(t policyfile.Table, key string) (uint32, bool) {
	name, ok := t.String(key)
	if !ok {
		return 0, false
	}
	if strings.Trim(name.Value, "0123456789") == "" {
		uid, err := strconv.ParseUint(name.Value, 10, 32)
		if err != nil || uid >= hostpolicy.NoLogin {
			t.Report(CodeSubject, key, fmt.Sprintf("%s is not a uid", short(name.Value)), "write a name, or a number below 4294967295")
			return 0, false
		}
		return uint32(uid), true
	}
	uid, ok := LookupUser(name.Value)
	if !ok {
		t.Report(CodeSubject, key, fmt.Sprintf("%s cannot be the name of a user", short(name.Value)), "write a name or a uid")
	}
	return uid, ok
}

// LookupUser gives users the same uids on every machine, so that a test does
// not depend on who exists where it runs: root is 0, nobody 65534, and every
// other name stands for a uid of its own far above those that systems give.
func LookupUser(name string) (uint32, bool) {
	switch {
	case name == "root":
		return 0, true
	case name == "nobody":
		return 65534, true
	case name == "" || len(name) > 64:
		return 0, false
	}
	// From 2^31 on there are neither users nor the ids of user namespaces.
	h := fnv.New32a()
	h.Write([]byte(name))
	return 1<<31 | h.Sum32()&(1<<30-1), true
}
