package event

import (
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

func TestActs(t *testing.T) {
	system := Rule{ID: "web/system.x", File: "web.toml", Line: 3, Class: hostpolicy.System}
	trusting := Rule{ID: "ssh/file.keys", File: "ssh.toml", Line: 5, Class: hostpolicy.File}
	own := Rule{ID: "hostarmor/system.process", File: "(built in)", Class: hostpolicy.System}
	files := Rule{ID: "hostarmor/file.policies", File: "(built in)", Class: hostpolicy.File}
	noted := Rule{ID: "hostarmor/file.overrides", File: "(built in)", Class: hostpolicy.File}
	op := func(o hostpolicy.Operation) func(*lsm.Denial) {
		return func(d *lsm.Denial) { d.Kind, d.Act = lsm.KindAct, lsm.ActOf(o, 0) }
	}
	on := func(o hostpolicy.Operation, hook, resource string, target uint32) func(*lsm.Denial) {
		return func(d *lsm.Denial) {
			op(o)(d)
			d.Operation, d.Resource, d.Target = hook, resource, target
		}
	}
	for _, c := range []struct {
		change func(*lsm.Denial)
		rule   Rule
		want   string // within the message
		fields string
	}{
		{op(hostpolicy.OpLoadModule), system, ") may not load a kernel module: rule web/system.x at web.toml:3. To permit it, change", "access system load-module"},
		{on(hostpolicy.OpPtrace, "ptrace_access_check", "/usr/bin/vim", 7), system, "may not reach into /usr/bin/vim, pid 7: rule web/system.x at", "access system ptrace"},
		{on(hostpolicy.OpPtrace, "ptrace_access_check", "/usr/sbin/sshd", 7), trusting,
			"may not reach into /usr/sbin/sshd, pid 7: rule ssh/file.keys at ssh.toml:5 trusts that program. To permit it, change", "access system ptrace"},
		{on(hostpolicy.OpPtrace, "bprm_creds_for_exec", "/usr/sbin/sshd", 0), trusting,
			"may not start /usr/sbin/sshd in a way that could control it: rule ssh/file.keys at ssh.toml:5 trusts", "access system ptrace"},
		{on(hostpolicy.OpMount, "sb_mount", "/mnt", 0), system, "may not change the mounts at /mnt:", "access system mount"},
		{op(hostpolicy.OpBPF), system, "may not use bpf(2):", "access system bpf"},
		{op(hostpolicy.OpCreateUserNS), system, "may not make a user namespace:", "access system create-userns"},
		{op(hostpolicy.OpKexec), system, "may not load another kernel (kexec):", "access system kexec"},
		{op(hostpolicy.OpIOUring), system, "may not use io_uring:", "access system io-uring"},
		{on(hostpolicy.OpFilelessExec, "bprm_check_security", "/memfd:x", 0), system, "may not execute what no directory holds: /memfd:x: rule", "access system fileless-exec"},
		{op(hostpolicy.OpAnonymousExec), system, "may not make memory executable that no file backs:", "access system anonymous-exec"},
		{on(hostpolicy.OpSignalOutside, "task_kill", "/usr/bin/vim", 7), system, "may not signal /usr/bin/vim, pid 7:", "access system signal-outside"},
		{op(hostpolicy.OpSetTime), system, "may not set the clock:", "access system set-time"},
		{on(hostpolicy.OpReadProcEnviron, "", "/usr/bin/vim", 7), system, "may not read the environment of /usr/bin/vim, pid 7:", "access system read-proc-environ"},
		{on(hostpolicy.OpTamper, "task_kill", "/usr/sbin/hostarmord", 7), own,
			"may not signal /usr/sbin/hostarmord, pid 7: rule hostarmor/system.process, which is built in. To permit it, set self = false", "tamper system tamper"},
		{on(hostpolicy.OpTamper, "task_setrlimit", "/usr/sbin/hostarmord", 7), own, "may not change the limits of /usr/sbin/hostarmord, pid 7:", "tamper system tamper"},
		{on(hostpolicy.OpTamper, "bpf_map", "", 0), own, "may not touch what HostArmor has in the kernel:", "tamper system tamper"},
		{on(hostpolicy.OpTamper, "new_hook", "/usr/sbin/hostarmord", 7), own, "may not touch /usr/sbin/hostarmord, pid 7:", "tamper system tamper"},
		{func(d *lsm.Denial) { d.Kind, d.Resource = lsm.KindWrite, "/etc/hostarmor/x" }, files,
			"may not write /etc/hostarmor/x: rule hostarmor/file.policies, which is built in. To permit it for a while: hostarmor unlock", "tamper file write"},
		{func(d *lsm.Denial) {
			d.Kind, d.Resource, d.Action, d.Permitted = lsm.KindWrite, "/etc/x", hostpolicy.Audit, true
		}, noted, "wrote /etc/x: rule hostarmor/file.overrides, which is built in", "tamper file write"},
		{func(d *lsm.Denial) { op(hostpolicy.OpSetTime)(d); d.Exempt, d.Permitted = true, true }, system,
			"Let through, because PID 1 and the daemon are exempt: cat (/bin/cat, pid 1, uid 2) set the clock: rule", "access system set-time"},
		{func(d *lsm.Denial) { d.Kind, d.Act = lsm.KindAct, lsm.ActOf(hostpolicy.OpCapability, 13) },
			Rule{ID: "web/capability.x", File: "web.toml", Line: 3, Class: hostpolicy.Capability}, "may not use CAP_NET_RAW: rule", "access capability capability"},
	} {
		d := lsm.Denial{Rule: 1, Action: hostpolicy.Block, Exe: "/bin/cat", Comm: "cat", PID: 1, UID: 2}
		c.change(&d)
		e := FromDenial(d, c.rule, true)
		if !strings.Contains(e.Message, c.want) {
			t.Errorf("\n got %s\nwant %s", e.Message, c.want)
		}
		if got := strings.Join([]string{string(e.Kind), e.Class, e.Operation}, " "); got != c.fields {
			t.Errorf("%s: %s, want %s", e.Message, got, c.fields)
		}
		if strings.HasSuffix(c.rule.ID, "overrides") && strings.Contains(e.Message, "To refuse") {
			t.Error(e.Message)
		}
	}
}

func TestEverySystemOperationHasWords(t *testing.T) {
	for _, op := range append(hostpolicy.Operations(hostpolicy.System), hostpolicy.OpTamper) {
		if w := systemWords[op]; w.do == "" || w.did == "" {
			t.Errorf("%s has no words", op)
		}
	}
}

// Signals to each of many processes of one program are one thing that happens.
func TestFoldingLeavesTheTargetOut(t *testing.T) {
	d := lsm.Denial{Kind: lsm.KindAct, Act: lsm.ActOf(hostpolicy.OpSignalOutside, 0), Resource: "/usr/bin/vim", Target: 7}
	a := FromDenial(d, Rule{}, false)
	d.Target = 8
	b := FromDenial(d, Rule{}, false)
	if samenessOf(&a) != samenessOf(&b) {
		t.Error("two targets are two things")
	}
	d.Act = lsm.ActOf(hostpolicy.OpPtrace, 0)
	c := FromDenial(d, Rule{}, false)
	d.Resource = "/usr/bin/vi"
	e := FromDenial(d, Rule{}, false)
	if samenessOf(&b) == samenessOf(&c) || samenessOf(&c) == samenessOf(&e) {
		t.Error("another operation or program is the same thing")
	}
}
