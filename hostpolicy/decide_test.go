package hostpolicy

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func patterns(t testing.TB, texts ...string) []Pattern {
	t.Helper()
	var out []Pattern
	for _, text := range texts {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestDecide(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	process := func(name string, a Action, path ...string) Rule {
		return Rule{Class: Process, Name: name, Action: a, Access: Exec, Path: at(path...)}
	}
	file := func(name string, a Action, access Access, path ...string) Rule {
		return Rule{Class: File, Name: name, Action: a, Access: access, Path: at(path...)}
	}
	policy := func(name string, rules ...Rule) Policy {
		for i := range rules {
			rules[i].Policy = name
		}
		return Policy{Name: name, AppliesTo: Selector{Host: true}, Otherwise: Audit, Rules: rules}
	}
	blocking := func(p Policy) Policy { p.Otherwise = Block; return p }
	dangerous := func(p Policy) Policy { p.Dangerous = true; return p }
	from := func(r Rule, programs ...string) Rule { r.From = at(programs...); return r }
	exceptFrom := func(r Rule, programs ...string) Rule { r.ExceptFrom = at(programs...); return r }
	except := func(r Rule, path ...string) Rule { r.Except = at(path...); return r }
	object := func(names ...string) Object { return Object{Names: names} }
	bash := Subject{Programs: []string{"/usr/bin/bash"}}
	python := Subject{Programs: []string{"/usr/bin/python3.11"}}

	for _, tt := range []struct {
		quote    string
		policies []Policy
		subject  Subject
		op       Operation
		object   Object
		want     Action
		rule     string
		other    bool
		danger   bool
	}{
		{"any block rule matches -> denied and logged",
			[]Policy{policy("p", process("a", Allow, "/bin/x"), process("b", Audit, "/bin/x"), process("c", Block, "/bin/x"))},
			bash, OpExec, object("/bin/x"), Block, "p/process.c", false, false},
		{"else any audit rule matches -> permitted and logged",
			[]Policy{policy("p", process("a", Allow, "/bin/x"), process("b", Audit, "/bin/x"))},
			bash, OpExec, object("/bin/x"), Audit, "p/process.b", false, false},
		{"else any allow rule matches -> permitted",
			[]Policy{blocking(policy("p", process("a", Allow, "/bin/x")))},
			bash, OpExec, object("/bin/x"), Allow, "p/process.a", false, false},
		{"else, if the class holds an allow rule for this subject -> otherwise",
			[]Policy{policy("p", process("a", Allow, "/bin/x"))},
			bash, OpExec, object("/bin/y"), Audit, "p/process.a", true, false},
		{"otherwise of those policies (block wins)",
			[]Policy{policy("a", process("a", Allow, "/bin/x")), blocking(policy("z", process("z", Allow, "/bin/x")))},
			bash, OpExec, object("/bin/y"), Block, "z/process.z", true, false},
		{"of those policies: one without an allow rule has no say",
			[]Policy{policy("a", process("a", Allow, "/bin/x")), blocking(policy("z", file("z", Allow, Read, "/x")))},
			bash, OpExec, object("/bin/y"), Audit, "a/process.a", true, false},
		{"a rule with from counts for those programs only",
			[]Policy{blocking(policy("p", from(process("a", Allow, "/bin/x"), "/usr/bin/python3*")))},
			bash, OpExec, object("/bin/y"), Allow, "", false, false},
		{"a rule with from counts for those programs",
			[]Policy{blocking(policy("p", from(process("a", Allow, "/bin/x"), "/usr/bin/python3*")))},
			python, OpExec, object("/bin/y"), Block, "p/process.a", true, false},
		{"except_from: an allow rule makes no list for the programs it leaves out",
			[]Policy{blocking(policy("p", exceptFrom(process("a", Allow, "/bin/x"), "/usr/bin/bash")))},
			bash, OpExec, object("/bin/y"), Allow, "", false, false},
		{"else permitted",
			[]Policy{policy("p", process("a", Block, "/bin/x"))},
			bash, OpExec, object("/bin/y"), Allow, "", false, false},
		{"all policies that apply to it",
			[]Policy{{Name: "p", Rules: []Rule{process("a", Block, "/bin/x")}}},
			bash, OpExec, object("/bin/x"), Allow, "", false, false},
		{"a trailing slash: the directory and all beneath",
			[]Policy{policy("p", file("a", Block, Read|Write, "/etc/ssl/private/"))},
			bash, OpRead, object("/etc/ssl/private/sub/key"), Block, "p/file.a", false, false},
		{"access read does not cover write",
			[]Policy{policy("p", file("a", Block, Read, "/x"))},
			bash, OpWrite, object("/x"), Allow, "", false, false},
		{"the class holds an allow rule: an allow rule for reading lists writing too",
			[]Policy{blocking(policy("p", file("a", Allow, Read, "/x")))},
			bash, OpWrite, object("/x"), Block, "p/file.a", true, false},
		{"file rules say nothing about executing",
			[]Policy{blocking(policy("p", file("a", Block, Read|Write, "/x"), file("b", Allow, Read, "/y")))},
			bash, OpExec, object("/x"), Allow, "", false, false},
		{"only when the acting program is one of these",
			[]Policy{policy("p", from(file("a", Block, Read, "/x"), "/usr/bin/python3*"))},
			bash, OpRead, object("/x"), Allow, "", false, false},
		{"not when it is one of these: only sshd reads the host keys",
			[]Policy{policy("p", exceptFrom(file("a", Block, Read, "/etc/ssh/ssh_host_*"), "/usr/sbin/sshd"))},
			Subject{Programs: []string{"/usr/sbin/sshd"}}, OpRead, object("/etc/ssh/ssh_host_rsa_key"), Allow, "", false, false},
		{"except_from beats from, under any name of the program",
			[]Policy{policy("p", exceptFrom(from(file("a", Block, Read, "/x"), "/usr/bin/*"), "/opt/tool"))},
			Subject{Programs: []string{"/usr/bin/tool", "/opt/tool"}}, OpRead, object("/x"), Allow, "", false, false},
		{"any name that a block rule matches blocks",
			[]Policy{policy("p", file("a", Block, Read, "/etc/ssl/private/"))},
			bash, OpRead, object("/tmp/link", "/etc/ssl/private/key"), Block, "p/file.a", false, false},
		{"an exception holds for the same name only",
			[]Policy{policy("p", except(file("a", Block, Read, "/etc/ssl/private/"), "/etc/ssl/private/README"))},
			bash, OpRead, object("/etc/ssl/private/README", "/etc/ssl/private/key"), Block, "p/file.a", false, false},
		{"an exception",
			[]Policy{policy("p", except(file("a", Block, Read, "/etc/ssl/private/"), "/etc/ssl/private/README"))},
			bash, OpRead, object("/etc/ssl/private/README"), Allow, "", false, false},
		{"block rules also where it is mapped executable",
			[]Policy{policy("p", process("a", Block, "/bin/x"))},
			bash, OpMap, object("/bin/x"), Block, "p/process.a", false, false},
		{"audit rules also where it is mapped executable",
			[]Policy{policy("p", process("a", Audit, "/bin/x"))},
			bash, OpMap, object("/bin/x"), Audit, "p/process.a", false, false},
		{"an allow-list does not judge mapping",
			[]Policy{blocking(policy("p", process("a", Allow, "/bin/x")))},
			bash, OpMap, object("/lib/libc.so.6"), Allow, "", false, false},
		{"attribution: the smallest id, not the first policy",
			[]Policy{policy("b", process("a", Block, "/bin/x")), policy("a", process("z", Block, "/bin/x"), process("y", Block, "/bin/*"))},
			bash, OpExec, object("/bin/x"), Block, "a/process.y", false, false},
		{"attribution: ids as text, so a-b stands before a/",
			[]Policy{policy("a", process("a", Block, "/bin/x")), policy("a-b", process("a", Block, "/bin/x"))},
			bash, OpExec, object("/bin/x"), Block, "a-b/process.a", false, false},
		{"dangerous is that of any policy that decides",
			[]Policy{policy("a", process("a", Block, "/bin/x")), dangerous(policy("b", process("b", Block, "/bin/x")))},
			bash, OpExec, object("/bin/x"), Block, "a/process.a", false, true},
		{"dangerous policies that do not decide have no say",
			[]Policy{policy("a", process("a", Block, "/bin/x")), dangerous(policy("b", process("b", Audit, "/bin/x")))},
			bash, OpExec, object("/bin/x"), Block, "a/process.a", false, false},
		{"an object without a name is no rule's",
			[]Policy{policy("a", process("a", Block, "/**"))},
			bash, OpExec, object(), Allow, "", false, false},
	} {
		t.Run(tt.quote, func(t *testing.T) {
			check := func(policies []Policy) {
				t.Helper()
				d := Decide(policies, tt.subject, tt.op, tt.object)
				rule := ""
				if d.Rule != nil {
					rule = d.Rule.ID()
				}
				if d.Action != tt.want || rule != tt.rule || d.Otherwise != tt.other || d.Dangerous != tt.danger || d.Reason == "" {
					t.Errorf("got %s by %q, otherwise %t, dangerous %t (%s)\nwant %s by %q, %t, %t",
						d.Action, rule, d.Otherwise, d.Dangerous, d.Reason, tt.want, tt.rule, tt.other, tt.danger)
				}
			}
			check(tt.policies)
			for range 4 { // order of files and rules never matters
				shuffled := slices.Clone(tt.policies)
				rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				for i := range shuffled {
					shuffled[i].Rules = slices.Clone(shuffled[i].Rules)
					slices.Reverse(shuffled[i].Rules)
				}
				check(shuffled)
			}
		})
	}
}

func TestSortedRules(t *testing.T) {
	rule := func(policy string, c Class, name string) Rule { return Rule{Policy: policy, Class: c, Name: name} }
	policies := []Policy{
		{Name: "a", Rules: []Rule{rule("a", Process, "x"), rule("a", File, "x"), rule("a", File, "B")}},
		{Name: "a-b", Rules: []Rule{rule("a-b", File, "x")}},
	}
	var ids []string
	for _, r := range SortedRules(policies) {
		ids = append(ids, r.ID())
	}
	want := []string{"a-b/file.x", "a/file.B", "a/file.x", "a/process.x"}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
	if policies[0].Rules[0].Class != Process {
		t.Error("SortedRules changed its argument")
	}
}

func TestLockOuts(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	for _, tt := range []struct {
		name string
		rule Rule
		want []string // first name for each pattern
	}{
		{"init under its old name", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/opt/x", "/sbin/init")}, []string{"/sbin/init"}},
		{"a shell", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/bin/bash")}, []string{"/bin/bash"}},
		{"a library, which is mapped executable", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/usr/lib/*/libc.so.6")}, []string{"/usr/lib/x86_64-linux-gnu/libc.so.6"}},
		{"everything", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/**")}, []string{"/usr/lib/systemd/systemd"}},
		{"audit", Rule{Class: Process, Access: Exec, Action: Audit, Path: at("/**")}, nil},
		{"excepted", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/usr/bin/dpkg*"), Except: at("/usr/bin/dpkg", "/usr/bin/dpkg-*")}, nil},
		{"from one program", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/bin/sh"), From: at("/usr/sbin/nginx")}, nil},
		{"from everything", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/bin/sh"), From: at("/usr/**")}, []string{"/bin/sh"}},
		{"unrelated", Rule{Class: Process, Access: Exec, Action: Block, Path: at("/usr/bin/nc", "/tmp/")}, nil},
		{"reading users", Rule{Class: File, Access: Read, Action: Block, Path: at("/etc/")}, []string{"/etc/passwd"}},
		{"writing users is not reading them", Rule{Class: File, Access: Write, Action: Block, Path: at("/etc/")}, nil},
		{"reading shadow", Rule{Class: File, Access: Read, Action: Block, Path: at("/etc/shadow"), ExceptFrom: at("/usr/sbin/nginx")}, []string{"/etc/shadow"}},
		{"writing /dev/null", Rule{Class: File, Access: Write, Action: Block, Path: at("/dev/")}, []string{"/dev/null"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Policy{Name: "p", Rules: []Rule{tt.rule}}
			var got []string
			for _, l := range p.LockOuts() {
				got = append(got, l.Names[0])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Only what some programs need can be left to except_from.
func TestLockOutExcepted(t *testing.T) {
	for _, tt := range []struct {
		path, exceptFrom string
		want             bool
	}{
		{"/etc/shadow", "/usr/sbin/sshd", true},
		{"/etc/shadow", "/usr/sbin/nginx", false},
		{"/etc/passwd", "/usr/sbin/sshd", false},
		{"/etc/", "/usr/sbin/sshd", false},
		{"/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/sbin/sshd", false},
	} {
		p := Policy{Name: "p", Rules: []Rule{{Class: File, Access: Read, Action: Block, Path: patterns(t, tt.path), ExceptFrom: patterns(t, tt.exceptFrom)}}}
		l := p.LockOuts()
		if len(l) != 1 || l[0].Excepted != tt.want {
			t.Errorf("%s except_from %s: %+v, want %t", tt.path, tt.exceptFrom, l, tt.want)
		}
	}
}
