package bpflsm

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// hook is one place where the kernel asks. The table below is the only list of
// them: the probe, the attach list and the threat model are made from it.
type hook struct {
	name      string // of the program, and of the LSM hook unless target is set
	target    string // the traced kernel function, for what is not an LSM hook
	exit      bool   // traced at its end
	kinds     []lsm.Kind
	acts      []hostpolicy.Operation
	flags     uint32 // needed by a generation that has any of them
	always    bool   // needed by every ruleset
	since     string // kernel that has it in this form
	before    string // the hook that judges this on kernels that lack it, "" = none
	sleepable string // kernels where it may sleep, "" = none
	judges    string // for the threat model
}

var (
	write  = []lsm.Kind{lsm.KindWrite}
	mount  = []hostpolicy.Operation{hostpolicy.OpMount}
	tamper = []hostpolicy.Operation{hostpolicy.OpTamper}
)

var hooks = []hook{
	{name: "file_open", kinds: []lsm.Kind{lsm.KindRead, lsm.KindWrite}, acts: []hostpolicy.Operation{hostpolicy.OpReadProcEnviron, hostpolicy.OpAnonymousExec}, since: "6.1", sleepable: "6.1",
		judges: "opening a file or directory, by path, descriptor link or handle; /proc/PID/environ and mem"},
	{name: "bprm_check_security", kinds: []lsm.Kind{lsm.KindExec}, acts: []hostpolicy.Operation{hostpolicy.OpFilelessExec}, since: "6.1", sleepable: "6.1",
		judges: "executing a program, and each interpreter of a script"},
	{name: "mmap_file", kinds: []lsm.Kind{lsm.KindMap}, acts: []hostpolicy.Operation{hostpolicy.OpAnonymousExec, hostpolicy.OpFilelessExec}, since: "6.1",
		sleepable: "6.1", judges: "mapping a program executable without executing it (ld.so PROGRAM)"},
	{name: "path_unlink", kinds: write, since: "6.1", sleepable: "6.12", judges: "deleting a file"},
	{name: "path_rmdir", kinds: write, since: "6.1", sleepable: "6.12", judges: "deleting a directory"},
	{name: "path_mkdir", kinds: write, since: "6.1", sleepable: "6.12", judges: "making a directory"},
	{name: "path_mknod", kinds: write, since: "6.1", judges: "making a file, device, FIFO or socket"},
	{name: "path_symlink", kinds: write, since: "6.1", sleepable: "6.12", judges: "making a symbolic link"},
	{name: "path_truncate", kinds: write, since: "6.1", sleepable: "6.12", judges: "truncating by name, and O_TRUNC"},
	{name: "path_link", kinds: []lsm.Kind{lsm.KindWrite, lsm.KindMove}, since: "6.1", sleepable: "6.12", judges: "making a hard link: the old name and the new"},
	{name: "path_rename", kinds: []lsm.Kind{lsm.KindWrite, lsm.KindMove}, since: "6.1", sleepable: "6.12", judges: "renaming: both names, and what a moved directory holds"},
	{name: "path_chmod", kinds: write, since: "6.1", sleepable: "6.12", judges: "changing the mode"},
	{name: "path_chown", kinds: write, since: "6.1", sleepable: "6.12", judges: "changing the owner"},
	{name: "inode_setxattr", kinds: write, since: "6.1", sleepable: "6.1", judges: "setting an extended attribute"},
	{name: "inode_removexattr", kinds: write, since: "6.1", sleepable: "6.1", judges: "removing an extended attribute"},
	{name: "inode_set_acl", kinds: write, since: "6.2", before: "inode_setxattr", sleepable: "6.2", judges: "setting an access control list"},
	{name: "inode_remove_acl", kinds: write, since: "6.2", before: "inode_removexattr", sleepable: "6.2", judges: "removing an access control list"},
	{name: "inode_setattr", kinds: write, since: "6.1", sleepable: "6.1", judges: "setting times"},
	{name: "file_ioctl", kinds: write, since: "6.1", sleepable: "6.1", judges: "changing attributes by an ioctl (chattr), also on a descriptor for reading"},
	{name: "file_ioctl_compat", kinds: write, since: "6.8", before: "file_ioctl", sleepable: "6.8", judges: "the same by a 32-bit program"},
	{name: "inode_file_setattr", kinds: write, since: "6.17", before: "file_ioctl", judges: "the same by file_setattr(2)"},
	{name: "file_mprotect", kinds: []lsm.Kind{lsm.KindMap}, acts: []hostpolicy.Operation{hostpolicy.OpAnonymousExec, hostpolicy.OpFilelessExec}, since: "6.1",
		judges: "making memory executable afterwards"},
	{name: "bprm_creds_from_file", flags: generationTraces, since: "6.1", sleepable: "6.1", judges: "that a trusted program starts as if setuid (no LD_PRELOAD), and untraced"},
	{name: "bprm_committed_creds", acts: tamper, flags: generationPrograms | generationApplets, since: "6.1", sleepable: "6.1",
		judges: "which program a process runs, and as which command"},
	{name: "kernel_read_file", acts: []hostpolicy.Operation{hostpolicy.OpLoadModule, hostpolicy.OpKexec}, since: "6.1", sleepable: "6.1", judges: "finit_module, kexec_file_load"},
	{name: "kernel_load_data", acts: []hostpolicy.Operation{hostpolicy.OpLoadModule, hostpolicy.OpKexec}, since: "6.1", sleepable: "6.1", judges: "init_module, kexec_load"},
	{name: "kernel_module_request", acts: []hostpolicy.Operation{hostpolicy.OpLoadModule}, since: "6.1", sleepable: "6.1", judges: "a module that the kernel loads on demand"},
	{name: "ptrace_access_check", acts: []hostpolicy.Operation{hostpolicy.OpPtrace, hostpolicy.OpTamper}, flags: generationTraces, since: "6.1",
		judges: "ptrace, process_vm_writev, /proc/PID/mem, pidfd_getfd"},
	{name: "ptrace_traceme", acts: []hostpolicy.Operation{hostpolicy.OpPtrace}, flags: generationTraces, since: "6.1", judges: "asking to be traced"},
	{name: "sb_mount", acts: []hostpolicy.Operation{hostpolicy.OpMount, hostpolicy.OpTamper}, since: "6.1", sleepable: "6.1", judges: "mount(2), and a mount over what is HostArmor's"},
	{name: "move_mount", acts: []hostpolicy.Operation{hostpolicy.OpMount, hostpolicy.OpTamper}, since: "6.1", judges: "move_mount(2), likewise"},
	{name: "sb_umount", acts: []hostpolicy.Operation{hostpolicy.OpMount, hostpolicy.OpTamper}, since: "6.1", sleepable: "6.1", judges: "unmounting, and that of the pins"},
	{name: "sb_pivotroot", acts: mount, since: "6.1", sleepable: "6.1", judges: "pivot_root"},
	{name: "sb_remount", acts: mount, since: "6.1", sleepable: "6.1", judges: "remounting"},
	{name: "sb_kern_mount", acts: mount, since: "6.1", sleepable: "6.1", judges: "a file system made by fsconfig"},
	{name: "bpf", acts: []hostpolicy.Operation{hostpolicy.OpBPF, hostpolicy.OpTamper}, since: "6.1", sleepable: "6.1", judges: "bpf(2), and iterators that write to maps"},
	{name: "userns_create", acts: []hostpolicy.Operation{hostpolicy.OpCreateUserNS}, since: "6.1", sleepable: "6.1", judges: "making a user namespace"},
	{name: "inode_init_security_anon", acts: []hostpolicy.Operation{hostpolicy.OpIOUring}, since: "6.1", judges: "making an io_uring"},
	{name: "capable", acts: []hostpolicy.Operation{hostpolicy.OpSetTime, hostpolicy.OpMount}, since: "6.1", judges: "setting the time, by whatever call; mount_setattr, copying mounts by open_tree"},
	{name: "task_kill", acts: []hostpolicy.Operation{hostpolicy.OpSignalOutside, hostpolicy.OpTamper}, since: "6.1", judges: "signals"},
	{name: "file_send_sigiotask", acts: tamper, since: "6.1", judges: "signals by F_SETOWN"},
	{name: "task_setrlimit", acts: tamper, since: "6.1", sleepable: "6.1", judges: "limits of another process"},
	{name: "bpf_map", acts: tamper, since: "6.1", sleepable: "6.1", judges: "a descriptor to change a map"},
	{name: "bpf_prog", acts: tamper, since: "6.1", sleepable: "6.1", judges: "a program that uses a map"},
	{name: "bpf_prog_alloc_security", acts: tamper, since: "6.1", before: "bpf_prog_load", judges: "a program that replaces a function, until 6.8"},
	{name: "bpf_prog_load", acts: tamper, since: "6.9", before: "bpf_prog_alloc_security", judges: "a program that replaces a function"},
	{name: "task_prctl", flags: generationPrograms, since: "6.1", sleepable: "6.1", judges: "forging /proc/self/exe"},
	{name: "file_receive", kinds: []lsm.Kind{lsm.KindRead, lsm.KindWrite}, since: "6.1", sleepable: "6.1",
		judges: "a descriptor received over a socket, or taken from another process"},
	{name: "sb_delete", always: true, since: "6.1", judges: "that nothing is believed of a file system that is gone"},
	{name: "task_alloc", acts: tamper, flags: generationPrograms | generationUnits, since: "6.1", sleepable: "6.1", judges: "what a child inherits"},
	{name: "cgroup_moved", target: "cgroup_attach_task", acts: tamper, flags: generationUnits, since: "6.1", judges: "who moves a process between cgroups"},
	{name: "rename_begin", target: "vfs_rename", always: true, since: "6.1", judges: "that nothing cached is believed while a directory moves"},
	{name: "rename_end", target: "vfs_rename", exit: true, always: true, since: "6.1", judges: "that nothing cached before it is believed afterwards"},
}

// Hook describes one place where the kernel asks, for the documents.
type Hook struct {
	Name   string
	Traced string // the kernel function, for what is no LSM hook
	Since  string // the first kernel that has it in this form
	Before string // the hook that judges the same on kernels that lack it, "" = none
	Judges string
}

// Hooks describes all of them, in the order of the table.
func Hooks() []Hook {
	list := make([]Hook, len(hooks))
	for i, h := range hooks {
		list[i] = Hook{Name: h.name, Traced: h.target, Since: h.since, Before: h.before, Judges: h.judges}
	}
	return list
}

func (h *hook) kernelName() string {
	if h.target != "" {
		return h.target
	}
	return "bpf_lsm_" + h.name
}

// needed lists the hooks of a generation, as indexes into hooks.
func needed(g *engineGeneration) []int {
	var list []int
	if g.Kinds == 0 && g.Acts == 0 {
		return nil
	}
	for i, h := range hooks {
		if h.always || h.flags&g.Flags != 0 ||
			slices.ContainsFunc(h.kinds, func(k lsm.Kind) bool { return g.Kinds&(1<<k) != 0 }) ||
			slices.ContainsFunc(h.acts, func(op hostpolicy.Operation) bool { return g.Acts&actBit(op) != 0 }) {
			list = append(list, i)
		}
	}
	return list
}
