/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_SYSTEM_H
#define HOSTARMOR_SYSTEM_H

/* The hooks of class system. */

enum kernel_read_file_id {
	READING_MODULE = 2,
	READING_KEXEC_IMAGE = 3,
	READING_KEXEC_INITRAMFS = 4,
};

enum kernel_read_file_id___compressed {
	READING_MODULE_COMPRESSED___compressed = 3,
};

enum kernel_load_data_id {
	LOADING_MODULE = 2,
	LOADING_KEXEC_IMAGE = 3,
};

#define IS(id, type, value) ((id) == bpf_core_enum_value(enum type, value))

SEC("lsm/kernel_read_file")
int BPF_PROG(kernel_read_file, struct file *file, unsigned int id)
{
	__u64 resource = ABSENT(file) ? 0 : number(file->f_path.dentry);

	if (IS(id, kernel_read_file_id, READING_MODULE) ||
	    (bpf_core_enum_value_exists(enum kernel_read_file_id___compressed,
					READING_MODULE_COMPRESSED___compressed) &&
	     id == bpf_core_enum_value(enum kernel_read_file_id___compressed,
				       READING_MODULE_COMPRESSED___compressed)))
		return act(resource, WHAT(ACT_LOAD_MODULE, HOOK_kernel_read_file), 0);
	if (IS(id, kernel_read_file_id, READING_KEXEC_IMAGE) ||
	    IS(id, kernel_read_file_id, READING_KEXEC_INITRAMFS))
		return act(resource, WHAT(ACT_KEXEC, HOOK_kernel_read_file), 0);
	return 0;
}

SEC("lsm/kernel_load_data")
int BPF_PROG(kernel_load_data, unsigned int id)
{
	if (IS(id, kernel_load_data_id, LOADING_MODULE))
		return act(0, WHAT(ACT_LOAD_MODULE, HOOK_kernel_load_data), 0);
	if (IS(id, kernel_load_data_id, LOADING_KEXEC_IMAGE))
		return act(0, WHAT(ACT_KEXEC, HOOK_kernel_load_data), 0);
	return 0;
}

/* A module that the kernel would load by itself for what the process does. */
SEC("lsm/kernel_module_request")
int BPF_PROG(kernel_module_request)
{
	return act(0, WHAT(ACT_LOAD_MODULE, HOOK_kernel_module_request), 0);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(sb_pivotroot, struct path *old, struct path *new)
{
	return act(number(new->dentry), WHAT(ACT_MOUNT, HOOK_sb_pivotroot), 0);
}

SEC("lsm/sb_remount")
int BPF_PROG(sb_remount, struct super_block *sb)
{
	return act(number(sb->s_root), WHAT(ACT_MOUNT, HOOK_sb_remount), 0);
}

/* A file system made by fsopen and fsconfig can be read before it is mounted
 * anywhere. mount(2) comes here too, when sb_mount has judged it. */
SEC("lsm/sb_kern_mount")
int BPF_PROG(sb_kern_mount, struct super_block *sb)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (regs->orig_ax != 431)
		return 0;
	return act(number(sb->s_root), WHAT(ACT_MOUNT, HOOK_sb_kern_mount), 0);
}

SEC("lsm/userns_create")
int BPF_PROG(userns_create)
{
	return act(0, WHAT(ACT_CREATE_USERNS, HOOK_userns_create), 0);
}

/* An io_uring is a file of its own kind. */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(inode_init_security_anon, struct inode *inode, struct qstr *name)
{
	char kind[12] = {};

	bpf_probe_read_kernel_str(kind, sizeof(kind), BPF_CORE_READ(name, name));
	if (__builtin_memcmp(kind, "[io_uring]", 11))
		return 0;
	return act(0, WHAT(ACT_IO_URING, HOOK_inode_init_security_anon), 0);
}

/* Whether the current call changes mounts where no hook but this one asks:
 * mount_setattr, open_tree with OPEN_TREE_CLONE, open_tree_attr. Their numbers
 * and arguments are the same for 32-bit programs. */
static __always_inline bool changes_mounts(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u32 call = regs->orig_ax & 0x3fffffff;

	return call == 442 || call == 467 || (call == 428 && regs->dx & 1);
}

/* Whoever sets the time of the machine is asked for this, by whatever call. */
SEC("lsm/capable")
int BPF_PROG(capable, const struct cred *cred, struct user_namespace *ns, int cap)
{
	if (cap == CAP_SYS_ADMIN && changes_mounts())
		return act(0, WHAT(ACT_MOUNT, HOOK_capable), 0);
	if (cap != CAP_SYS_TIME || ns->level)
		return 0;
	return act(0, WHAT(ACT_SET_TIME, HOOK_capable), 0);
}

/* Whether a process is of the subject's own workload: of the same unit, or
 * both of the host. */
struct inside {
	__u64 cgroup;
	__u64 unit;
	__u32 level;
	__u32 found;
};

static long inside_one(__u32 i, struct inside *in)
{
	struct cgroup *a;

	if (i > in->level)
		return 1;
	a = (void *)ancestor(in->cgroup, i);
	if (a && BPF_CORE_READ(a, kn, id) == in->unit) {
		in->found = 1;
		return 1;
	}
	return 0;
}

static __noinline bool outside(struct identity *who, struct task_struct *target)
{
	struct inside in = {.unit = who->unit};
	struct css_set *set = target->cgroups;
	struct cgroup *cgroup = BPF_CORE_READ(set, dfl_cgrp);
	struct subject *s;

	if (!who->workload)
		return false;
	s = bpf_task_storage_get(&subjects, target, 0, 0);
	if (s && s->held && s->home_unit == who->unit)
		return false;
	in.cgroup = (__u64)cgroup;
	in.level = BPF_CORE_READ(cgroup, level);
	in.found = unknown;
	bpf_loop(64, inside_one, &in, 0);
	return !in.found;
}

/* An act upon another process; `what` is the act and the hook. */
static __noinline int act_upon(struct task_struct *target, __u32 what, struct generation *g,
			       struct identity *who)
{
	struct cell *cell;

	if (!(g->acts & ACT_BIT(what & 0xff)) || !outside(who, target))
		return 0;
	cell = act_cell(g, who->role, who->base, what & 0xff);
	return cell ? enact(exe_of(target), g, cell, what, target->tgid) : 0;
}

/* What `tracer` does to `target`: a role does not reach into a program that is
 * trusted with more, nor out of its workload. */
static __noinline int judge_trace(struct task_struct *tracer, struct task_struct *target,
				  bool own, __u32 hook)
{
	struct identity who;
	struct cell *cell;
	struct generation *g = in_force();
	__u32 program;

	if (!g || tracer->tgid == target->tgid)
		return 0;
	if (!(g->flags & GENERATION_TRACES) && !(g->acts & ACT_BIT(ACT_PTRACE)))
		return 0;
	identify(target, !own, g, &who);
	program = who.program;
	identify(tracer, own, g, &who);
	if (g->flags & GENERATION_TRACES) {
		cell = trace_cell(g, who.role, who.base, program);
		if (cell) {
			int err = enact(exe_of(target), g, cell, WHAT(ACT_PTRACE, hook),
					target->tgid);

			if (err)
				return err;
		}
	}
	return act_upon(target, WHAT(ACT_PTRACE, hook), g, &who);
}

/* Through it a process writes where it is not permitted to, into code too. */
static __noinline bool is_memory(struct dentry *dentry)
{
	char name[4] = {};

	if (dentry->d_name.len != 3 || dentry->d_sb->s_magic != PROC_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel(name, 3, (void *)number(dentry->d_name.name));
	return !__builtin_memcmp(name, "mem", 4);
}

static __noinline bool is_environ(struct dentry *dentry)
{
	char name[8] = {};

	if (dentry->d_name.len != 7 || dentry->d_sb->s_magic != PROC_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel(name, 7, (void *)number(dentry->d_name.name));
	return !__builtin_memcmp(name, "environ", 8);
}

/* The process that a file of /proc is about, 0 where that cannot be told. */
static __noinline __u32 process_of(struct inode *inode)
{
	struct proc_inode *p = (void *)(number(inode) - bpf_core_field_offset(struct proc_inode, vfs_inode));
	struct hlist_node *first = BPF_CORE_READ(p, pid, tasks[0].first);
	struct task_struct *task;

	if (!first)
		return 0;
	task = (void *)((__u64)first - bpf_core_field_offset(struct task_struct, pid_links));
	return BPF_CORE_READ(task, tgid);
}

/* Whether this is the environment of another process, and of which. */
static __noinline bool others_environ(struct dentry *dentry, struct inode *inode, __u32 *target)
{
	if (!is_environ(dentry))
		return false;
	*target = process_of(inode);
	return *target != bpf_get_current_pid_tgid() >> 32;
}

#endif
