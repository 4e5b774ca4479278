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
#include "hooks.h"
#include "maps.h"
#include "walk.h"
#include "role.h"
#include "event.h"
#include "judge.h"
#include "move.h"
#include "act.h"
#include "exec.h"
#include "system.h"
#include "self.h"
#include "device.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Never attached: whether it loads decides arguments_only. */
SEC("lsm/file_open")
int BPF_PROG(probe_parent, struct file *file)
{
	bpf_inode_storage_get(&inodes, file->f_path.dentry->d_parent->d_inode, 0, 0);
	return 0;
}

/* The file of a layer, by one of its names: hard links are in `links`. */
static __noinline int judge_layer(struct inode *inode, __u32 kinds, struct generation *g)
{
	struct hlist_node *alias = BPF_CORE_READ(inode, i_dentry.first);
	__u32 order = ORDER(KIND_WRITE, KIND_READ, HOOK_file_open), state, label;
	__u64 dentry;

	kinds &= g->kinds;
	if (!alias || !kinds)
		return 0;
	/* Later kernels open the layer's file as itself, and come here never. */
	if (!bpf_core_field_exists(((struct dentry *)0)->d_u))
		return 0;
	dentry = (__u64)alias - bpf_core_field_offset(struct dentry, d_u);
	state = state_of_number(dentry, g);
	label = state >= RETRY ? UNJUDGED : label_of_state(SLOT(g), state);
	return label ? judge_label(dentry, label, kinds, order, g) : 0;
}

/* Files of /proc by which a process is looked into, or its memory written. */
static __noinline int judge_process(struct dentry *dentry, struct inode *inode, __u32 mode,
				    struct generation *g)
{
	__u32 target = 0;

	if (g->acts & ACT_BIT(ACT_ANONYMOUS_EXEC) && mode & FMODE_WRITE && is_memory(dentry)) {
		int err = act(number(dentry), WHAT(ACT_ANONYMOUS_EXEC, HOOK_file_open), 0);

		if (err)
			return err;
	}
	if (!(g->acts & ACT_BIT(ACT_READ_PROC_ENVIRON)) || !others_environ(dentry, inode, &target))
		return 0;
	return act(number(dentry), WHAT(ACT_READ_PROC_ENVIRON, HOOK_file_open), target);
}

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file->f_inode;
	__u32 kinds = 0, flags, mode;
	__u64 word = current_word();
	struct generation *g;
	struct cached *c;

	/* Most opens end here: the file's name is known, and no rule names it. */
	c = entry_of(dentry, inode, word);
	if (c && !c->kinds)
		return 0;
	g = generation_of(word);
	if (!g)
		return 0;
	flags = file->f_flags;
	/* An exec is judged by bprm_check_security, an interpreter's too. */
	if (flags & FMODE_EXEC)
		return 0;
	mode = file->f_mode;
	if (mode & FMODE_READ)
		kinds |= 1 << KIND_READ;
	/* A descriptor for neither still takes ioctls, and a loop device. */
	if ((flags & O_ACCMODE) == O_ACCMODE)
		kinds |= 1 << KIND_READ | 1 << KIND_WRITE;
	/* O_TRUNC empties a file that is opened for reading too. */
	if (mode & FMODE_WRITE || flags & O_TRUNC)
		kinds |= 1 << KIND_WRITE;
	/* Overlay opens the layer's file a second time, as itself since 6.8;
	 * before, under the overlay's path. Its own name may be protected. */
	if (inode != dentry->d_inode)
		return judge_layer(inode, kinds, g);
	if (g->acts & (ACT_BIT(ACT_ANONYMOUS_EXEC) | ACT_BIT(ACT_READ_PROC_ENVIRON))) {
		int err = judge_process(dentry, inode, mode, g);

		if (err)
			return err;
	}
	if ((inode->i_mode & S_IFMT) == S_IFBLK) {
		int err = judge_device(dentry, inode, kinds, g);

		if (err)
			return err;
	}
	return judge(dentry, inode, &file->f_path, kinds, ORDER(KIND_WRITE, KIND_READ, HOOK_file_open),
		     word, g, c);
}

/* An argument that is read where it is used: the stack is short. */
#define ARG(n, type) ((type)ctx[n])

/* A descriptor that comes over a socket, or was taken from another process. */
SEC("lsm/file_receive")
int BPF_PROG(file_receive, struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file->f_inode;
	__u32 kinds = 0, mode = file->f_mode;
	__u64 word = current_word();
	struct generation *g = generation_of(word);

	if (inode != dentry->d_inode || !g)
		return 0;
	if (mode & FMODE_READ)
		kinds |= 1 << KIND_READ;
	if (mode & FMODE_WRITE)
		kinds |= 1 << KIND_WRITE;
	return judge(dentry, inode, &file->f_path, kinds,
		     ORDER(KIND_WRITE, KIND_READ, HOOK_file_receive), word, g,
		     entry_of(dentry, inode, word));
}

/* The number of a file system's device is used again. */
SEC("lsm/sb_delete")
int BPF_PROG(sb_delete, struct super_block *sb)
{
	struct root key = {.device = sb->s_dev};
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);
	struct generation *g = in_force();
	void *in;
	__u64 now;

	if (!g || !control)
		return 0;
	/* Noted first: a row that is written after it was deleted here is seen
	 * by who wrote it to be of the dead. */
	now = __sync_fetch_and_add(&control->deaths, 1) + 1;
	if (bpf_map_update_elem(&gone, &key.device, &now, BPF_ANY))
		control->lost = now;
	in = inner(&roots, SLOT(g));
	if (in)
		bpf_map_delete_elem(in, &key);
	return 0;
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

/* utimes, and what changes more than one thing at once. chmod, chown and
 * truncate were judged by their own hooks. */
#define ATTR_TIMES (1 << 4 | 1 << 5)
#define ATTR_OTHERS (1 << 0 | 1 << 1 | 1 << 2 | 1 << 3)

static __always_inline int judge_times(struct dentry *dentry, struct iattr *attr)
{
	unsigned int valid = BPF_CORE_READ(attr, ia_valid);

	if (!(valid & ATTR_TIMES) || valid & ATTR_OTHERS)
		return 0;
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_setattr);
}

/* Until 6.8 without the idmap. */
SEC("lsm/inode_setattr")
int inode_setattr(unsigned long long *ctx)
{
	if (setattr_idmap)
		return judge_times(ARG(1, struct dentry *), ARG(2, struct iattr *));
	return judge_times(ARG(0, struct dentry *), ARG(1, struct iattr *));
}

/* chattr, by a descriptor that may be for reading. */
static __always_inline int judge_ioctl(struct file *file, unsigned int command, __u32 hook)
{
	switch (command) {
	case 0x40086602: /* FS_IOC_SETFLAGS */
	case 0x40046602: /* ... of 32 bits */
	case 0x401c5820: /* FS_IOC_FSSETXATTR */
	case 0x40087602: /* FS_IOC_SETVERSION */
	case 0x40047602:
	case 0x40086604: /* EXT4_IOC_SETVERSION */
	case 0x6609:	 /* EXT4_IOC_MIGRATE */
	case 0x6611:	 /* EXT4_IOC_SWAP_BOOT */
	case 0x40806685: /* FS_IOC_ENABLE_VERITY */
	case 0x800c6613: /* FS_IOC_SET_ENCRYPTION_POLICY */
		return judge_one(file->f_path.dentry, file->f_inode, &file->f_path, KIND_WRITE, hook);
	}
	return 0;
}

CHANGE(file_ioctl, struct file *file, unsigned int command)
{
	return judge_ioctl(file, command, HOOK_file_ioctl);
}

CHANGE(file_ioctl_compat, struct file *file, unsigned int command)
{
	return judge_ioctl(file, command, HOOK_file_ioctl_compat);
}

/* The same by a call of its own, since 6.17. */
CHANGE(inode_file_setattr, struct dentry *dentry)
{
	return judge_one(dentry, dentry->d_inode, 0, KIND_WRITE, HOOK_inode_file_setattr);
}

#define OLD ARG(1, struct dentry *)
#define OLD_DIR ARG(0, struct path *)
#define NEW ARG(3, struct dentry *)
#define NEW_DIR ARG(2, struct path *)

CHANGE(path_link, struct dentry *old, struct path *dir, struct dentry *dentry)
{
	int err = judge_renamed(old, dentry, dir, HOOK_path_link);

	if (!err)
		err = judge_one(dentry, dentry->d_inode, dir, KIND_WRITE, HOOK_path_link);
	return err ? err : keep_link(old, dentry, dir);
}

SEC("lsm/path_rename")
int path_rename(unsigned long long *ctx)
{
	int err = judge_renamed(OLD, NEW, OLD_DIR, HOOK_path_rename);

	if (!err)
		err = judge_moved(OLD, NEW, OLD_DIR, HOOK_path_rename);
	if (!err && ctx[4] & RENAME_EXCHANGE) {
		err = judge_renamed(NEW, OLD, NEW_DIR, HOOK_path_rename);
		if (!err)
			err = judge_moved(NEW, OLD, NEW_DIR, HOOK_path_rename);
	} else if (!err) {
		err = judge_one(NEW, NEW->d_inode, NEW_DIR, KIND_WRITE, HOOK_path_rename);
	}
	return err;
}

/* Subjects. */

/* A child is what its parent is, until it looks otherwise. */
SEC("lsm/task_alloc")
int BPF_PROG(task_alloc, struct task_struct *child)
{
	struct task_struct *parent = bpf_get_current_task_btf();
	struct subject *s, *inherited;
	struct identity who;
	struct generation *g = in_force();

	if (!g)
		return 0;
	identify(parent, true, g, &who);
	s = bpf_task_storage_get(&subjects, parent, 0, 0);
	if (!s)
		return 0;
	inherited = bpf_task_storage_get(&subjects, child, s, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!inherited)
		/* What confines it could not be kept, so that it could leave. */
		return s->held || who.workload ? -ENOMEM : 0;
	inherited->renames = 0;
	inherited->moved_to = 0;
	inherited->forked_by = parent->tgid == 1	   ? MOVER_INIT :
			       s->held || who.workload ? MOVER_CONFINED :
							 MOVER_FREE;
	return 0;
}

/* Who moves a task between cgroups decides whether its unit lets it go. Before the
 * move: who moves itself is still where its unit confines it. */
SEC("fentry/cgroup_attach_task")
int BPF_PROG(cgroup_moved, struct cgroup *to, struct task_struct *task)
{
	struct task_struct *mover = bpf_get_current_task_btf();
	struct generation *g = in_force();
	struct subject *s;
	__u8 by = MOVER_FREE;

	/* Units are cgroups of version 2. */
	if (!g || to->root != mover->cgroups->dfl_cgrp->root)
		return 0;
	if (mover->tgid == 1) {
		by = MOVER_INIT;
	} else if (g->units && confined(mover, g)) {
		by = MOVER_CONFINED;
		confined(task, g);
	}
	s = bpf_task_storage_get(&subjects, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (s) {
		s->moved_by = by;
		s->moved_to = to->kn->id;
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
	__u64 word = current_word();
	struct generation *g = generation_of(word);
	__u32 before = 0, after = 0;
	bool directory = a && (a->i_mode & S_IFMT) == S_IFDIR;

	directory |= b && (b->i_mode & S_IFMT) == S_IFDIR;
	if (directory && g) {
		before = state_plain(old, word, g);
		after = state_plain(new, word, g);
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
