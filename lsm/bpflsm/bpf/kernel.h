/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_KERNEL_H
#define HOSTARMOR_KERNEL_H

/* The kernel's own structures, as far as they are read here; CO-RE finds the
 * fields on the running kernel. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	unsigned int val;
} kuid_t;

struct qstr {
	union {
		struct {
			__u32 hash;
			__u32 len;
		};
	};
	const unsigned char *name;
};

struct seqcount {
	unsigned int sequence;
};
typedef struct seqcount seqcount_t;

struct seqcount_spinlock {
	seqcount_t seqcount;
};
typedef struct seqcount_spinlock seqcount_spinlock_t;

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
	struct dentry *s_root;
};

struct inode {
	__u16 i_mode;
	kuid_t i_uid;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_rdev;
	struct hlist_head i_dentry;
};

struct dentry {
	unsigned int d_flags;
	seqcount_spinlock_t d_seq;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	unsigned int f_mode;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct linux_binprm {
	unsigned long p;
	int unsafe;
	int argc;
	struct file *file;
	const char *filename;
	const char *interp;
};

struct vm_area_struct {
	unsigned long vm_flags;
	struct file *vm_file;
	void *anon_vma;
};

struct pt_regs {
	unsigned long r10;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long orig_ax;
};

struct thread_info {
	__u32 status;
};

struct cred {
	kuid_t uid;
	kuid_t euid;
};

struct user_namespace {
	int level;
};

struct pid {
	struct hlist_head tasks[4];
};

struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};

struct bpf_prog;

struct bpf_map {
	__u32 id;
};

struct bpf_prog_aux {
	__u32 id;
	__u32 used_map_cnt;
	struct bpf_map **used_maps;
	struct bpf_prog *dst_prog;
	struct bpf_prog *prog;
};

struct bpf_prog {
	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	struct bpf_prog_aux *aux;
};

struct mm_struct {
	struct file *exe_file;
};

struct kernfs_iattrs {
	kuid_t ia_uid;
};

struct kernfs_node {
	struct kernfs_node *parent;
	const char *name;
	__u64 id;
	struct kernfs_iattrs *iattr;
};

/* Since 6.14. */
struct kernfs_node___renamed {
	struct kernfs_node *__parent;
};

struct cgroup_root;

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup *ancestors[];
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	struct thread_info thread_info;
	int pid;
	int tgid;
	unsigned int flags;
	unsigned int ptrace;
	struct mm_struct *mm;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct task_struct *group_leader;
	const struct cred *real_cred;
	struct css_set *cgroups;
	struct hlist_node pid_links[4];
	kuid_t loginuid;
};

struct renamedata {
	struct dentry *old_dentry;
	struct dentry *new_dentry;
};

struct mnt_idmap;

struct iattr {
	unsigned int ia_valid;
};

#pragma clang attribute pop

#define S_IFMT 00170000
#define S_IFDIR 0040000
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_EXEC 0x20
#define O_TRUNC 01000
#define O_ACCMODE 3
#define PROT_EXEC 0x4
#define RENAME_EXCHANGE 2
#define SB_NOUSER (1UL << 31)
#define DCACHE_OP_REVALIDATE 0x4
#define DCACHE_DISCONNECTED 0x20
#define EPERM 1
#define ENOMEM 12
#define EACCES 13
#define ENOSYS 38
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define PROT_WRITE 0x2
#define MAP_SHARED 0x01
#define VM_EXEC 0x4
#define VM_SHARED 0x8
#define PROC_SUPER_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define TS_COMPAT 0x2
#define SIGHUP 1
#define SIGKILL 9
#define SIGCONT 18
#define CAP_SYS_ADMIN 21
#define CAP_SYS_TIME 25
#define PTRACE_MODE_ATTACH 0x2
#define PR_SET_MM 35
#define PR_SET_MM_EXE_FILE 13
#define PR_SET_MM_MAP 14

#endif
