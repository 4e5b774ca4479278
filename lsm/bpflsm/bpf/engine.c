// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The BPF-LSM engine. One program per hook; which rules exist is in the maps.
 * docs/architecture.md tells how the pieces fit. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "abi.h"
#include "kernel.h"
#include "maps.h"
#include "walk.h"
#include "event.h"
#include "judge.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The order is the table of hooks in hooks.go; a test compares the two. */
enum hook {
	HOOK_file_open,
	HOOK_bprm_check_security,
	HOOK_mmap_file,
	HOOK_path_unlink,
	HOOK_path_rmdir,
	HOOK_path_mkdir,
	HOOK_path_mknod,
	HOOK_path_symlink,
	HOOK_path_truncate,
	HOOK_path_link,
	HOOK_path_rename,
	HOOK_path_chmod,
	HOOK_path_chown,
	HOOK_inode_setxattr,
	HOOK_inode_removexattr,
	HOOK_inode_set_acl,
	HOOK_inode_remove_acl,
};

/* Never attached: whether it loads decides arguments_only. */
SEC("lsm/file_open")
int BPF_PROG(probe_parent, struct file *file)
{
	bpf_inode_storage_get(&inodes, file->f_path.dentry->d_parent->d_inode, 0, 0);
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file->f_inode;
	__u32 kinds = 0, zero = 0, flags, mode;
	struct control *control;
	struct cached *c;
	struct view v;

	/* Most opens end here: the file's name is known, and no rule names it. */
	control = bpf_map_lookup_elem(&controls, &zero);
	if (!control)
		return 0;
	c = entry_of(dentry, inode, control, control->current);
	if (c && !c->kinds)
		return 0;
	if (!look(&v))
		return 0;
	if (c && c->word != v.word)
		c = 0;
	/* Overlay opens the layer's file a second time, under the overlay's
	 * path or on a private mount; the first open was judged. */
	if (inode != dentry->d_inode)
		return 0;
	flags = file->f_flags;
	/* An exec is judged by bprm_check_security, an interpreter's too. */
	if (flags & FMODE_EXEC)
		return 0;
	mode = file->f_mode;
	if (mode & FMODE_READ)
		kinds |= 1 << KIND_READ;
	/* O_TRUNC empties a file that is opened for reading too. */
	if (mode & FMODE_WRITE || flags & O_TRUNC)
		kinds |= 1 << KIND_WRITE;
	return judge(dentry, inode, &file->f_path, kinds, ORDER(KIND_WRITE, KIND_READ, HOOK_file_open),
		     &v, c);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(bprm_check_security, struct linux_binprm *bprm)
{
	struct file *file = bprm->file;

	return judge_one(file->f_path.dentry, file->f_inode, &file->f_path, KIND_EXEC,
			 HOOK_bprm_check_security);
}

/* ld.so PROGRAM maps the program instead of executing it. */
SEC("lsm/mmap_file")
int BPF_PROG(mmap_file, struct file *file, unsigned long reqprot, unsigned long prot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	struct file *exe;

	if (!(prot & PROT_EXEC) || !file)
		return 0;
	/* The program's own text: judged at its exec. */
	if (mm) {
		exe = mm->exe_file;
		if (exe && exe->f_inode == file->f_inode)
			return 0;
	}
	return judge_one(file->f_path.dentry, file->f_inode, &file->f_path, KIND_MAP, HOOK_mmap_file);
}

#define CHANGE(name, ...)                                                               \
	SEC("lsm/" #name)                                                               \
	int BPF_PROG(name, ##__VA_ARGS__)

CHANGE(path_unlink, struct path *dir, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_unlink);
}

CHANGE(path_rmdir, struct path *dir, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_rmdir);
}

CHANGE(path_mkdir, struct path *dir, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_mkdir);
}

CHANGE(path_mknod, struct path *dir, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_mknod);
}

CHANGE(path_symlink, struct path *dir, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_symlink);
}

CHANGE(path_truncate, struct path *path)
{
	return judge_one(path->dentry, path->dentry->d_inode, path, KIND_WRITE, HOOK_path_truncate);
}

CHANGE(path_chmod, struct path *path)
{
	return judge_one(path->dentry, path->dentry->d_inode, path, KIND_WRITE, HOOK_path_chmod);
}

CHANGE(path_chown, struct path *path)
{
	return judge_one(path->dentry, path->dentry->d_inode, path, KIND_WRITE, HOOK_path_chown);
}

/* The first argument is a user namespace or an idmap, as the kernel's age has it. */
CHANGE(inode_setxattr, void *idmap, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_setxattr);
}

CHANGE(inode_removexattr, void *idmap, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_removexattr);
}

/* Since 6.2; before, an ACL was an extended attribute like others. */
CHANGE(inode_set_acl, void *idmap, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_set_acl);
}

CHANGE(inode_remove_acl, void *idmap, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_remove_acl);
}

/* The arguments are read where they are used: the stack is short. */
#define ARG(n, type) ((type)ctx[n])
#define OLD ARG(1, struct dentry *)
#define OLD_DIR ARG(0, struct path *)
#define NEW ARG(3, struct dentry *)
#define NEW_DIR ARG(2, struct path *)

CHANGE(path_link, struct dentry *old, struct path *dir, struct dentry *dentry)
{
	int err = judge_renamed(old, dir, HOOK_path_link);

	return err ? err : judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_link);
}

SEC("lsm/path_rename")
int path_rename(unsigned long long *ctx)
{
	int err = judge_renamed(OLD, OLD_DIR, HOOK_path_rename);

	if (!err)
		err = judge_moved(OLD, NEW, OLD_DIR, HOOK_path_rename);
	if (!err && ctx[4] & RENAME_EXCHANGE) {
		err = judge_renamed(NEW, NEW_DIR, HOOK_path_rename);
		if (!err)
			err = judge_moved(NEW, OLD, NEW_DIR, HOOK_path_rename);
	} else if (!err) {
		err = judge_one(NEW, NEW->d_inode, NEW_DIR, KIND_WRITE, HOOK_path_rename);
	}
	return err;
}

/* Subjects. */

SEC("lsm/bprm_committed_creds")
int BPF_PROG(bprm_committed_creds, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = bprm->file;
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = dentry->d_inode;
	struct subject *s;
	struct view v;

	if (!look(&v))
		return 0;
	s = bpf_task_storage_get(&subjects, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		return 0; /* found from the executable when it is needed */
	s->generation = 0;
	s->exe_inode = inode->i_ino;
	s->exe_device = inode->i_sb->s_dev;
	s->program = program_of(dentry, &v);
	s->generation = v.word >> TREE_BITS;
	return 0;
}

SEC("lsm/task_alloc")
int BPF_PROG(task_alloc, struct task_struct *child)
{
	struct subject *s, *inherited;

	s = bpf_task_storage_get(&subjects, bpf_get_current_task_btf(), 0, 0);
	if (!s)
		return 0;
	inherited = bpf_task_storage_get(&subjects, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (inherited) {
		inherited->program = s->program;
		inherited->exe_device = s->exe_device;
		inherited->exe_inode = s->exe_inode;
		inherited->generation = s->generation;
	}
	return 0;
}

/* The move of a directory into other rules' reach: nothing cached is believed
 * while it happens, and nothing cached before it afterwards. */

SEC("fentry/vfs_rename")
int BPF_PROG(rename_begin, struct renamedata *rd)
{
	struct dentry *old = rd->old_dentry, *new = rd->new_dentry;
	struct inode *a = old->d_inode, *b = new->d_inode;
	struct subject *s;
	struct view v;
	__u32 before = 0, after = 0;
	bool directory = a && (a->i_mode & S_IFMT) == S_IFDIR;

	directory |= b && (b->i_mode & S_IFMT) == S_IFDIR;
	if (directory && look(&v)) {
		before = state_plain(old, &v);
		after = state_plain(new, &v);
	}
	s = bpf_task_storage_get(&subjects, bpf_get_current_task_btf(), 0,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		return 0; /* rename_end then bumps in any case */
	/* Overlay renames within a rename. */
	s->renames <<= 1;
	if (before != after || before >= RETRY) {
		s->renames |= 1;
		__sync_fetch_and_add(&moving, 1);
	}
	return 0;
}

SEC("fexit/vfs_rename")
int BPF_PROG(rename_end)
{
	struct control *control;
	struct subject *s;
	__u32 zero = 0;
	bool moved;

	s = bpf_task_storage_get(&subjects, bpf_get_current_task_btf(), 0, 0);
	moved = s ? s->renames & 1 : true;
	if (s)
		s->renames >>= 1;
	if (!moved)
		return 0;
	control = bpf_map_lookup_elem(&controls, &zero);
	if (control)
		__sync_fetch_and_add(&control->current, 1);
	if (s)
		__sync_fetch_and_add(&moving, -1);
	return 0;
}

/* Run by the daemon: the one word is never stored to, only added to, so that
 * a switch and a tree change at the same time both count. */
struct advance {
	__u64 by;
};

SEC("syscall")
int advance(struct advance *a)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);

	if (!control)
		return 1;
	__sync_fetch_and_add(&control->current, a->by);
	return 0;
}
