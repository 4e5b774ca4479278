package event

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// deedWords say what was done: "may not " do, or did, and to what.
type deedWords struct{ do, did, object string }

// to adds the object.
func (w deedWords) to(object string) deedWords {
	w.object = object
	return w
}

// fileWords are those for files.
func fileWords(d *lsm.Denial) deedWords {
	w := deedWords{"write", "wrote", ""}
	switch d.Kind {
	case lsm.KindMap:
		w = deedWords{"map as a program", "mapped as a program", ""}
	case lsm.KindExec:
		w = deedWords{"execute", "executed", ""}
	case lsm.KindRead:
		w = deedWords{"read", "read", ""}
	case lsm.KindMove:
		w = deedWords{"move", "moved", ""}
	}
	return w.to(show(d.Resource))
}

// systemWords are those for the operations of class system. Some need what
// they act upon, which the caller adds.
var systemWords = map[hostpolicy.Operation]deedWords{
	hostpolicy.OpLoadModule:      {"load a kernel module", "loaded a kernel module", ""},
	hostpolicy.OpPtrace:          {"reach into", "reached into", ""},
	hostpolicy.OpMount:           {"change the mounts at", "changed the mounts at", ""},
	hostpolicy.OpBPF:             {"use bpf(2)", "used bpf(2)", ""},
	hostpolicy.OpCreateUserNS:    {"make a user namespace", "made a user namespace", ""},
	hostpolicy.OpKexec:           {"load another kernel (kexec)", "loaded another kernel (kexec)", ""},
	hostpolicy.OpIOUring:         {"use io_uring", "used io_uring", ""},
	hostpolicy.OpFilelessExec:    {"execute what no directory holds:", "executed what no directory holds:", ""},
	hostpolicy.OpAnonymousExec:   {"make memory executable that no file backs", "made memory executable that no file backs", ""},
	hostpolicy.OpSignalOutside:   {"signal", "signalled", ""},
	hostpolicy.OpSetTime:         {"set the clock", "set the clock", ""},
	hostpolicy.OpReadProcEnviron: {"read the environment of", "read the environment of", ""},
	hostpolicy.OpTamper:          {"touch", "touched", ""},
}

// tamperWords say by the hook how the daemon was touched.
var tamperWords = map[string]deedWords{
	"task_kill":           {"signal", "signalled", ""},
	"ptrace_access_check": {"reach into", "reached into", ""},
	"ptrace_traceme":      {"reach into", "reached into", ""},
	"file_send_sigiotask": {"signal", "signalled", ""},
	"sb_umount":           {"unmount", "unmounted", ""},
	"task_setrlimit":      {"change the limits of", "changed the limits of", ""},
}

// bpfWords are for what HostArmor has in the kernel.
var bpfWords = deedWords{"touch what HostArmor has in the kernel", "touched what HostArmor has in the kernel", ""}

func actWords(d *lsm.Denial, r Rule, known bool) deedWords {
	op := operationOf(d.Act)
	w := systemWords[op]
	switch {
	case op == hostpolicy.OpCapability:
		return deedWords{"use", "used", d.Act.String()}
	case known && reachesInto(d, r) && strings.HasPrefix(d.Operation, "bprm"):
		return deedWords{"start", "started", show(d.Resource) + " in a way that could control it"}
	case op == hostpolicy.OpTamper && strings.HasPrefix(d.Operation, "bpf"):
		return bpfWords
	case op == hostpolicy.OpTamper:
		if by, ok := tamperWords[d.Operation]; ok {
			w = by
		}
	}
	return w.to(target(d, op))
}

// target is what an operation acts upon, "" for those that act upon nothing
// that has a name.
func target(d *lsm.Denial, op hostpolicy.Operation) string {
	switch op {
	case hostpolicy.OpPtrace, hostpolicy.OpSignalOutside, hostpolicy.OpReadProcEnviron, hostpolicy.OpTamper:
		if d.Target == 0 {
			return show(d.Resource)
		}
		return fmt.Sprintf("%s, pid %d", show(d.Resource), d.Target)
	case hostpolicy.OpMount, hostpolicy.OpFilelessExec:
		return show(d.Resource)
	}
	if d.Resource == "" {
		return ""
	}
	return "(" + show(d.Resource) + ")"
}

// reachesInto reports whether the rule decided because it trusts a program
// that somebody reached into: a rule of class system names the operation.
func reachesInto(d *lsm.Denial, r Rule) bool {
	return d.Kind == lsm.KindAct && operationOf(d.Act) == hostpolicy.OpPtrace && r.Class != hostpolicy.System
}
