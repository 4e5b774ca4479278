/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_SELF_H
#define HOSTARMOR_SELF_H

/*
 * What protects HostArmor itself. The rule behind it is one of the policy that
 * the daemon adds to every set; it lets the program hostarmord pass. That
 * program is the daemon only where PID 1 started it as its service: anybody
 * can run it.
 */

static __noinline bool is_named(struct kernfs_node *kn, const char *name, __u32 size)
{
	char have[20] = {};
	__u32 i;

	if (bpf_probe_read_kernel_str(have, sizeof(have), BPF_CORE_READ(kn, name)) != size)
		return false;
	for (i = 0; i < sizeof(have) && i < size; i++)
		if (have[i] != name[i])
			return false;
	return true;
}

static __noinline bool of_own_service(struct task_struct *task)
{
	char service[] = "hostarmor.service", slice[] = "system.slice";
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = BPF_CORE_READ(set, dfl_cgrp), *above;
	struct subject *s;

	if (task->real_parent->tgid != 1 || BPF_CORE_READ(cgroup, level) != 2)
		return false;
	above = (void *)ancestor((__u64)cgroup, 1);
	if (!above || !is_named(BPF_CORE_READ(cgroup, kn), service, sizeof(service)) ||
	    !is_named(BPF_CORE_READ(above, kn), slice, sizeof(slice)))
		return false;
	s = bpf_task_storage_get(&subjects, task, 0, 0);
	return !s || !s->alien;
}

static __noinline bool is_daemon(void)
{
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);

	return daemon && daemon->tgid && bpf_get_current_pid_tgid() >> 32 == daemon->tgid;
}

static __noinline bool daemon_is(__u32 tgid)
{
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);

	return daemon && tgid && daemon->tgid == tgid;
}

static __noinline int tamper(__u64 resource, __u32 hook, __u32 target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cell *cell;
	struct generation *g = in_force();
	__u64 who;

	if (!g || !(g->acts & ACT_BIT(ACT_TAMPER)) || is_daemon())
		return 0;
	who = own_roles(g);
	cell = act_cell(g, ROLE(who), BASE(who), ACT_TAMPER);
	if (!cell && !of_own_service(task))
		cell = act_cell(g, g->base.id, g->base.id, ACT_TAMPER);
	return cell ? enact(resource, g, cell, WHAT(ACT_TAMPER, hook), target) : 0;
}

/* A mount over what is HostArmor's own hides it from the daemon. In a mount
 * namespace of its own, as services have, it hides it from nobody else. */
static __noinline int covers_own(struct path *path, __u32 hook)
{
	__u32 zero = 0, label;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	struct mount *m = (void *)(number(path->mnt) - bpf_core_field_offset(struct mount, mnt));
	__u64 word = current_word();
	struct generation *g = generation_of(word);
	struct cell *cell;

	if (!g || !daemon || !(g->acts & ACT_BIT(ACT_TAMPER)) ||
	    BPF_CORE_READ(m, mnt_ns, ns.inum) != daemon->host_mntns)
		return 0;
	label = label_by_walk(path->dentry, path->dentry->d_inode, path, word, g);
	if (!label || label == UNJUDGED)
		return 0;
	cell = &find_row(g, g->base.id, g->base.id, label)->cells[KIND_WRITE];
	if (cell->action != ACTION_BLOCK || !(cell->flags & CELL_SELF))
		return 0;
	return tamper(number(path->dentry), hook, 0);
}

SEC("lsm/sb_mount")
int BPF_PROG(sb_mount, const char *device, struct path *path)
{
	int err = covers_own(path, HOOK_sb_mount);

	return err ? err : act(number(path->dentry), WHAT(ACT_MOUNT, HOOK_sb_mount), 0);
}

SEC("lsm/move_mount")
int BPF_PROG(move_mount, struct path *from, struct path *to)
{
	int err = covers_own(to, HOOK_move_mount);

	return err ? err : act(number(to->dentry), WHAT(ACT_MOUNT, HOOK_move_mount), 0);
}

static __noinline int judge_signal(struct task_struct *target)
{
	struct identity who;
	struct generation *g = in_force();

	if (!g || !(g->acts & ACT_BIT(ACT_SIGNAL_OUTSIDE)))
		return 0;
	identify(bpf_get_current_task_btf(), true, g, &who);
	return act_upon(target, WHAT(ACT_SIGNAL_OUTSIDE, HOOK_task_kill), g, &who);
}

SEC("lsm/task_kill")
int BPF_PROG(task_kill, struct task_struct *target, void *info, int sig)
{
	if (!sig)
		return 0;
	if (daemon_is(target->tgid)) {
		if (sig == SIGHUP || sig == SIGCONT)
			return 0;
		return tamper(exe_of(target), HOOK_task_kill, target->tgid);
	}
	return judge_signal(target);
}

/* F_SETOWN and F_SETSIG choose any signal, sent by whoever has data to send.
 * The daemon asks for none. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(file_send_sigiotask, struct task_struct *target)
{
	struct generation *g = in_force();

	if (!daemon_is(target->tgid) || !g || !(g->acts & ACT_BIT(ACT_TAMPER)) ||
	    g->flags & GENERATION_AUDIT)
		return 0;
	return -EPERM;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(ptrace_access_check, struct task_struct *target, unsigned int mode)
{
	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	if (daemon_is(target->tgid))
		return tamper(exe_of(target), HOOK_ptrace_access_check, target->tgid);
	return judge_trace(bpf_get_current_task_btf(), target, true, HOOK_ptrace_access_check);
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(ptrace_traceme, struct task_struct *tracer)
{
	return judge_trace(tracer, bpf_get_current_task_btf(), false, HOOK_ptrace_traceme);
}

/* A limit of CPU time or of stack kills as well. */
SEC("lsm/task_setrlimit")
int BPF_PROG(task_setrlimit, struct task_struct *target)
{
	return daemon_is(target->tgid) ?
		       tamper(exe_of(target), HOOK_task_setrlimit, target->tgid) :
		       0;
}

/* What is listed under an id: 0, or the number that the daemon wrote. */
static __noinline __u32 guarded(void *set, __u32 id)
{
	__u32 *value = bpf_map_lookup_elem(set, &id);

	return value ? *value : 0;
}

SEC("lsm/bpf_map")
int BPF_PROG(bpf_map, struct bpf_map *map, unsigned int mode)
{
	if (!(mode & FMODE_WRITE) || !guarded(&guarded_maps, map->id))
		return 0;
	return tamper(0, HOOK_bpf_map, 0);
}

struct using {
	__u64 maps;
	__u32 count;
	__u32 found;
};

static long using_one(__u32 i, struct using *u)
{
	struct bpf_map *map = 0;

	if (i >= u->count)
		return 1;
	bpf_probe_read_kernel(&map, sizeof(map), (void *)(u->maps + i * 8));
	if (map && guarded(&guarded_maps, BPF_CORE_READ(map, id))) {
		u->found = 1;
		return 1;
	}
	return 0;
}

/* A program that was loaded gets its descriptor here. A descriptor for reading
 * a map is enough to load a program that writes to it. */
SEC("lsm/bpf_prog")
int BPF_PROG(bpf_prog, struct bpf_prog *prog)
{
	struct bpf_prog_aux *aux = prog->aux;
	struct using u = {};
	__u32 ours = guarded(&guarded_programs, BPF_CORE_READ(aux, id));

	/* To look at ours is everybody's, but one switches the generation for
	 * whoever runs it. */
	if (ours)
		return ours == GUARDED_SWITCH ? tamper(0, HOOK_bpf_prog, 0) : 0;
	u.maps = (__u64)BPF_CORE_READ(aux, used_maps);
	u.count = BPF_CORE_READ(aux, used_map_cnt);
	u.found = unknown;
	bpf_loop(64, using_one, &u, 0);
	return u.found ? tamper(0, HOOK_bpf_prog, 0) : 0;
}

#define BPF_PROG_TYPE_EXT_NUMBER 28

/* A program that replaces a function of ours. */
static __noinline int judge_load(struct bpf_prog_aux *aux, bool replaces, __u32 hook)
{
	struct bpf_prog *onto = BPF_CORE_READ(aux, dst_prog);

	if (!replaces || !onto || !guarded(&guarded_programs, BPF_CORE_READ(onto, aux, id)))
		return 0;
	return tamper(0, hook, 0);
}

/* Until 6.8. The type is not set yet. Of what is loaded onto another program
 * only this type has no attach type, and one that watches must have one. */
SEC("lsm/bpf_prog_alloc_security")
int BPF_PROG(bpf_prog_alloc_security, struct bpf_prog_aux *aux)
{
	return judge_load(aux, !BPF_CORE_READ(aux, prog, expected_attach_type),
			  HOOK_bpf_prog_alloc_security);
}

SEC("lsm/bpf_prog_load")
int BPF_PROG(bpf_prog_load, struct bpf_prog *prog)
{
	return judge_load(prog->aux, BPF_CORE_READ(prog, type) == BPF_PROG_TYPE_EXT_NUMBER,
			  HOOK_bpf_prog_load);
}

#define LINK_CREATE 28
#define TRACE_ITER 28

struct link_create {
	__u32 program;
	__u32 target;
	__u32 type;
	__u32 flags;
	__u64 info;
	__u32 info_length;
};

SEC("lsm/bpf")
int BPF_PROG(bpf, int command, void *attr)
{
	/* An iterator over a map writes to it, whatever the descriptor is for. */
	if (command == LINK_CREATE) {
		struct link_create link = {};

		bpf_probe_read_kernel(&link, sizeof(link), attr);
		if (link.type == TRACE_ITER && link.info_length) {
			int err = tamper(0, HOOK_bpf, 0);

			if (err)
				return err;
		}
	}
	return act(0, WHAT(ACT_BPF, HOOK_bpf), 0);
}

/* Unmounting the file system of the pins would take them all away. */
SEC("lsm/sb_umount")
int BPF_PROG(sb_umount, struct vfsmount *mnt)
{
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	struct mount *m = (void *)(number(mnt) - bpf_core_field_offset(struct mount, mnt));
	struct super_block *sb = mnt->mnt_sb;

	if (daemon && daemon->pins && (sb->s_dev == daemon->pins || sb->s_magic == SYSFS_MAGIC) &&
	    BPF_CORE_READ(m, mnt_ns, ns.inum) == daemon->host_mntns) {
		int err = tamper(number(mnt->mnt_root), HOOK_sb_umount, 0);

		if (err)
			return err;
	}
	return act(number(mnt->mnt_root), WHAT(ACT_MOUNT, HOOK_sb_umount), 0);
}

/* Another file under /proc/self/exe would make a process a program that it is
 * not, when the rules are loaded anew. */
SEC("lsm/task_prctl")
int BPF_PROG(task_prctl, int option, unsigned long what)
{
	struct generation *g = in_force();

	if (option != PR_SET_MM || (what != PR_SET_MM_EXE_FILE && what != PR_SET_MM_MAP))
		return -ENOSYS;
	if (!g || !(g->flags & GENERATION_PROGRAMS) ||
	    g->flags & GENERATION_AUDIT)
		return -ENOSYS;
	return -EPERM;
}

#endif
