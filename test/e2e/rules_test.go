//go:build e2e

package e2e

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostarmor/hostarmor/daemon/control"
)

// denied is the errno of a refused exec, read or write.
const denied = syscall.EACCES

// testProgram: a policy stops a program, for root and for users, and the
// journal tells the whole story.
func testProgram(t *testing.T) {
	const program, link, other = "/usr/local/bin/forbidden", "/usr/local/bin/alias", "/usr/local/bin/permitted"
	copyProgram(t, "/usr/bin/true", program)
	copyProgram(t, "/usr/bin/true", other)
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	for _, a := range []actor{root, user, {uid: nobody}} {
		a.want(t, 0, "exec", program)
	}
	path := load(t, "program", `severity = 7
tags = ["MITRE_T1059"]
message = "not this one"
`+hostPolicy("[process.no-forbidden]\npath = %q\n", program))
	for _, a := range []actor{root, user, {uid: nobody}} {
		a.want(t, denied, "exec", program)
		a.want(t, denied, "exec", link)
		a.want(t, 0, "exec", other)
		a.want(t, 0, "read", program)
	}

	common := map[string]string{
		"HOSTARMOR_EVENT": "access", "HOSTARMOR_ACTION": "block", "HOSTARMOR_POLICY": "program",
		"HOSTARMOR_RULE": "program/process.no-forbidden", "HOSTARMOR_SOURCE": path + ":7",
		"HOSTARMOR_CLASS": "process", "HOSTARMOR_OPERATION": "exec", "HOSTARMOR_RESOURCE": program,
		"HOSTARMOR_SEVERITY": "7", "HOSTARMOR_TAGS": "MITRE_T1059",
		"SYSLOG_IDENTIFIER": "hostarmor", "PRIORITY": "4", "MESSAGE_ID": "3ce79564b79042a090f06bb490348a71",
	}
	by := logged(t, "HOSTARMOR_POLICY=program", "HOSTARMOR_UID=1000")
	by.fields(t, common)
	by.fields(t, map[string]string{"HOSTARMOR_EXE": self, "HOSTARMOR_UNIT": "vm-job.service", "OBJECT_SYSTEMD_UNIT": "vm-job.service"})
	for _, part := range []string{"Refused: e2e (" + self, program, "program/process.no-forbidden", path + ":7", "not this one", "hostarmor reload"} {
		if !strings.Contains(by.get("MESSAGE"), part) {
			t.Errorf("MESSAGE lacks %q: %s", part, by.get("MESSAGE"))
		}
	}

	// This process itself: its pid and its parent are known. The forked child
	// is refused, so its parent is this one.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want(t, denied, "exec", program)
	by = logged(t, "HOSTARMOR_POLICY=program", "HOSTARMOR_EXE="+self)
	by.fields(t, common)
	by.fields(t, map[string]string{"HOSTARMOR_UID": "0", "HOSTARMOR_PPID": strconv.Itoa(os.Getpid()), "HOSTARMOR_PARENT_EXE": self})

	actor{uid: 1000, unit: "some-service"}.want(t, denied, "exec", program)
	by = logged(t, "HOSTARMOR_POLICY=program", "HOSTARMOR_UNIT=some-service.service")
	by.fields(t, common)
	if found := journal(t, "-u", "some-service.service", "HOSTARMOR_POLICY=program"); len(found) == 0 {
		t.Error("journalctl -u some-service.service does not show what the unit was denied")
	}
	if out := run(t, "hostarmor", "events", "--policy", "program", "-o", "json"); !strings.Contains(out, `"unit":"some-service.service"`) {
		t.Errorf("hostarmor events -o json:\n%s", out)
	}
	if out := run(t, "hostarmor", "status"); !strings.HasPrefix(out, "ENFORCING: 2 policies with 2 rules\n") {
		t.Errorf("hostarmor status:\n%s", out)
	}
}

// testKubeArmor: a file with two policies, one of them for another machine, and
// a rule that this version cannot enforce.
func testKubeArmor(t *testing.T) {
	const guarded = "/srv/kubearmor/secret"
	write(t, guarded, "text\n")
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	text := func(name, host, kind, selector string) string {
		return "apiVersion: security.kubearmor.com/v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n  " + selector +
			": {matchLabels: {" + host + "}}\n  file:\n    matchPaths:\n    - path: " + guarded + "\n  action: Block\n"
	}
	path := policies + "/host.yaml"
	want(t, 0, "read", guarded)
	replace(t, path, text("for-us", "kubernetes.io/hostname: "+hostname, "KubeArmorHostPolicy", "nodeSelector")+"---\n"+
		text("for-others", "kubernetes.io/hostname: elsewhere", "KubeArmorHostPolicy", "nodeSelector"))
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		reload(t)
	})
	reload(t)
	want(t, denied, "read", guarded)
	want(t, 0, "read", ordinary)
	logged(t, "HOSTARMOR_POLICY=for-us").fields(t, map[string]string{"HOSTARMOR_RULE": "for-us/file.secret", "HOSTARMOR_SOURCE": path + ":8"})
	states := make(map[string]string)
	for _, p := range getStatus(t).Policies {
		states[p.Name] = string(p.State) + " " + p.Reason
	}
	if states["for-us"] != "active " || !strings.HasPrefix(states["for-others"], "inactive ") || !strings.Contains(states["for-others"], "elsewhere") {
		t.Errorf("status: %q", states)
	}

	// What is not enforced is refused, and takes nothing from what is.
	other := policies + "/container.yaml"
	replace(t, other, text("boxed", "app: web", "KubeArmorPolicy", "selector"))
	_, err = tryReload()
	if removed := os.Remove(other); removed != nil {
		t.Error(removed)
	}
	var refused *control.Refusal
	if !errors.As(err, &refused) || len(refused.Problems) != 1 || refused.Problems[0].Code != "HA050" || !strings.Contains(refused.Problems[0].Message, "container") {
		t.Errorf("a container policy: %v", err)
	}
	want(t, denied, "read", guarded)
}

// testFile: reading, and every way of writing beneath a directory.
func testFile(t *testing.T) {
	const dir = "/srv/files"
	write(t, dir+"/read/file", "text\n")
	write(t, dir+"/both/file", "text\n")
	write(t, dir+"/outside", "text\n")
	for _, name := range []string{"a", "b", "c"} {
		write(t, dir+"/write/"+name, "text\n")
		write(t, dir+"/free/"+name, "text\n")
	}
	reading := [][]string{{"read", "read/file"}, {"list", "read"}}
	writing := [][]string{
		{"write", "DIR/a"}, {"append", "DIR/a"}, {"open-truncate", "DIR/a"}, {"truncate", "DIR/b"},
		{"create", "DIR/new"}, {"mkdir", "DIR/sub"}, {"symlink", "outside", "DIR/symlink"}, {"link", "DIR/b", "DIR/link"},
		{"link", "outside", "DIR/linked-in"}, {"rename", "DIR/b", "DIR/renamed"}, {"delete", "DIR/c"},
	}
	in := func(access []string, sub string) (string, []string) {
		var paths []string
		for _, p := range access[1:] {
			paths = append(paths, dir+"/"+strings.Replace(p, "DIR", sub, 1))
		}
		return access[0], paths
	}
	all := func(sub string, accesses [][]string, errno syscall.Errno) {
		t.Helper()
		for _, a := range accesses {
			operation, paths := in(a, sub)
			want(t, errno, operation, paths...)
		}
	}
	all("", reading, 0)
	all("free", writing, 0)

	path := load(t, "file", hostPolicy(`[file.read]
path = %q
access = "read"

[file.write]
path = %q
access = ["write"]

[file.both]
path = %q
`, dir+"/read/", dir+"/write/", dir+"/both/file"))

	all("", reading, denied)
	all("write", writing, denied)
	want(t, 0, "append", dir+"/read/file")
	want(t, 0, "create", dir+"/read/new")
	want(t, 0, "read", dir+"/write/a")
	want(t, 0, "list", dir+"/write")
	want(t, denied, "read", dir+"/both/file")
	want(t, denied, "append", dir+"/both/file")
	want(t, denied, "rename", dir+"/both/file", dir+"/moved")
	want(t, denied, "rename", dir+"/write/a", dir+"/moved")
	want(t, denied, "rename", dir+"/outside", dir+"/write/moved-in")
	want(t, 0, "read", dir+"/outside")
	user.want(t, denied, "read", dir+"/read/file")
	all("free", [][]string{{"append", "DIR/a"}, {"create", "DIR/another"}, {"delete", "DIR/another"}}, 0)

	frame := map[string]string{
		"HOSTARMOR_ACTION": "block", "HOSTARMOR_CLASS": "file", "HOSTARMOR_UID": "0",
		"HOSTARMOR_PID": strconv.Itoa(os.Getpid()), "HOSTARMOR_UNIT": "vm-job.service",
	}
	read := logged(t, "HOSTARMOR_RULE=file/file.read", "HOSTARMOR_UID=0", "HOSTARMOR_RESOURCE="+dir+"/read/file")
	read.fields(t, frame)
	read.fields(t, map[string]string{"HOSTARMOR_OPERATION": "read", "HOSTARMOR_SOURCE": path + ":4"})
	for _, resource := range []string{"a", "b", "c", "new", "sub", "symlink"} {
		r := logged(t, "HOSTARMOR_RULE=file/file.write", "HOSTARMOR_RESOURCE="+dir+"/write/"+resource)
		r.fields(t, frame)
		r.fields(t, map[string]string{"HOSTARMOR_OPERATION": "write", "HOSTARMOR_SOURCE": path + ":8"})
	}
}

// testExceptions: except, from and except_from.
func testExceptions(t *testing.T) {
	const dir, alpha, beta = "/srv/exceptions", "/usr/local/bin/alpha", "/usr/local/bin/beta"
	write(t, dir+"/tree/file", "text\n")
	write(t, dir+"/tree/readme", "text\n")
	write(t, dir+"/from", "text\n")
	write(t, dir+"/except-from", "text\n")
	copyProgram(t, self, alpha)
	copyProgram(t, self, beta)
	want(t, 0, "read", dir+"/tree/file")
	for _, exe := range []string{alpha, beta} {
		actor{exe: exe}.want(t, 0, "read", dir+"/from")
		actor{exe: exe}.want(t, 0, "read", dir+"/except-from")
	}
	load(t, "exceptions", hostPolicy(`[file.tree]
path = %q
except = [%q]

[file.from]
path = %q
from = [%q]

[file.except-from]
path = %q
except_from = [%q]
`, dir+"/tree/", dir+"/tree/readme", dir+"/from", alpha, dir+"/except-from", alpha))

	want(t, denied, "read", dir+"/tree/file")
	want(t, 0, "read", dir+"/tree/readme")
	actor{exe: alpha}.want(t, denied, "read", dir+"/from")
	actor{exe: alpha, uid: 1000}.want(t, denied, "read", dir+"/from")
	actor{exe: beta}.want(t, 0, "read", dir+"/from")
	actor{exe: alpha}.want(t, 0, "read", dir+"/except-from")
	actor{exe: beta}.want(t, denied, "read", dir+"/except-from")
	logged(t, "HOSTARMOR_RULE=exceptions/file.from", "HOSTARMOR_EXE="+alpha)
	logged(t, "HOSTARMOR_RULE=exceptions/file.except-from", "HOSTARMOR_EXE="+beta)
}

// testAudit: nothing is refused, everything is told.
func testAudit(t *testing.T) {
	const program, file = "/usr/local/bin/audited", "/srv/audit/file"
	copyProgram(t, "/usr/bin/true", program)
	write(t, file, "text\n")
	load(t, "audited", "action = \"audit\"\n"+hostPolicy("[process.program]\npath = %q\n\n[file.file]\npath = %q\n", program, file))
	want(t, 0, "exec", program)
	want(t, 0, "read", file)
	want(t, 0, "append", file)
	for operation, resource := range map[string]string{"exec": program, "read": file, "write": file} {
		logged(t, "HOSTARMOR_POLICY=audited", "HOSTARMOR_OPERATION="+operation).fields(t, map[string]string{
			"HOSTARMOR_ACTION": "audit", "HOSTARMOR_RESOURCE": resource, "PRIORITY": "5",
		})
	}
}
