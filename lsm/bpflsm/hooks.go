package bpflsm

import (
	"slices"

	"github.com/hostarmor/hostarmor/lsm"
)

// hook is one place where the kernel asks. The table below is the only list of
// them: the probe, the attach list and the threat model are made from it.
type hook struct {
	name      string // of the program, and of the LSM hook unless target is set
	target    string // the traced kernel function, for what is not an LSM hook
	exit      bool   // traced at its end
	kinds     []lsm.Kind
	programs  bool   // needed where rules tell programs apart
	always    bool   // needed by every ruleset
	since     string // kernel that has it in this form
	before    string // the hook that judges this on kernels that lack it, "" = none
	sleepable string // kernels where it may sleep, "" = none
	judges    string // for the threat model
}

var hooks = []hook{
	{name: "file_open", kinds: []lsm.Kind{lsm.KindRead, lsm.KindWrite}, since: "6.1", sleepable: "6.1",
		judges: "opening a file or directory, by path, descriptor link or handle"},
	{name: "bprm_check_security", kinds: []lsm.Kind{lsm.KindExec}, since: "6.1", sleepable: "6.1",
		judges: "executing a program, and each interpreter of a script"},
	{name: "mmap_file", kinds: []lsm.Kind{lsm.KindMap}, since: "6.1", sleepable: "6.1",
		judges: "mapping a program executable without executing it (ld.so PROGRAM)"},
	{name: "path_unlink", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "deleting a file"},
	{name: "path_rmdir", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "deleting a directory"},
	{name: "path_mkdir", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "making a directory"},
	{name: "path_mknod", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", judges: "making a file, device, FIFO or socket"},
	{name: "path_symlink", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "making a symbolic link"},
	{name: "path_truncate", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "truncating by name, and O_TRUNC"},
	{name: "path_link", kinds: []lsm.Kind{lsm.KindWrite, lsm.KindMove}, since: "6.1", sleepable: "6.12", judges: "making a hard link: the old name and the new"},
	{name: "path_rename", kinds: []lsm.Kind{lsm.KindWrite, lsm.KindMove}, since: "6.1", sleepable: "6.12", judges: "renaming: both names, and what a moved directory holds"},
	{name: "path_chmod", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "changing the mode"},
	{name: "path_chown", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.12", judges: "changing the owner"},
	{name: "inode_setxattr", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.1", judges: "setting an extended attribute"},
	{name: "inode_removexattr", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.1", sleepable: "6.1", judges: "removing an extended attribute"},
	{name: "inode_set_acl", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.2", before: "inode_setxattr", sleepable: "6.2", judges: "setting an access control list"},
	{name: "inode_remove_acl", kinds: []lsm.Kind{lsm.KindWrite}, since: "6.2", before: "inode_removexattr", sleepable: "6.2", judges: "removing an access control list"},
	{name: "bprm_committed_creds", programs: true, since: "6.1", sleepable: "6.1", judges: "which program a process runs"},
	{name: "task_alloc", programs: true, since: "6.1", sleepable: "6.1", judges: "what a child inherits"},
	{name: "rename_begin", target: "vfs_rename", always: true, since: "6.1", judges: "that nothing cached is believed while a directory moves"},
	{name: "rename_end", target: "vfs_rename", exit: true, always: true, since: "6.1", judges: "that nothing cached before it is believed afterwards"},
}

func (h *hook) kernelName() string {
	if h.target != "" {
		return h.target
	}
	return "bpf_lsm_" + h.name
}

// needed lists the hooks for these access kinds, as indexes into hooks.
func needed(kinds uint32, programs bool) []int {
	var list []int
	if kinds == 0 {
		return nil
	}
	for i, h := range hooks {
		if h.always || h.programs && programs || slices.ContainsFunc(h.kinds, func(k lsm.Kind) bool { return kinds&(1<<k) != 0 }) {
			list = append(list, i)
		}
	}
	return list
}
