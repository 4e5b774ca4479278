/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_ROLE_H
#define HOSTARMOR_ROLE_H

/*
 * Who acts. A role is found from the program that was executed, the user and
 * the cgroup. What it was found for is kept with it and compared each time, so
 * that no hook has to see every setuid and every move between cgroups.
 */

/* The state of a dentry that the verifier does not know by type. */
static __always_inline __u32 state_of_number(__u64 dentry, struct generation *g)
{
	struct dentry *d = (void *)dentry;
	__u32 *root = root_state(SLOT(g), BPF_CORE_READ(d, d_sb, s_dev));
	__u32 start = root ? *root : g->start, found;
	int try;

	if (!start)
		return 0;
	for (try = 0; try < 3; try++) {
		found = walk_from_root(dentry, SLOT(g), start);
		if (found != RETRY)
			return found;
	}
	return UNJUDGED;
}

static __noinline __u32 program_of(struct dentry *dentry, struct generation *g)
{
	struct cached *c = 0;
	__u32 state, label;
	struct label *row;

	if (!arguments_only)
		c = bpf_inode_storage_get(&inodes, dentry->d_inode, 0, 0);
	if (c && current_entry(c, dentry, current_word()) && !moving) {
		label = c->label;
	} else {
		state = state_of_number(number(dentry), g);
		if (state >= RETRY)
			return 0;
		label = label_of_state(SLOT(g), state);
	}
	row = label_row(SLOT(g), label);
	return row ? row->program : 0;
}

/* Whether this is the file that was executed, as far as that was seen. */
static __always_inline bool executed(struct subject *s, struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;

	return !s->exe_inode ||
	       (s->exe_inode == inode->i_ino && s->exe_device == inode->i_sb->s_dev);
}

/* The class of the program that a task runs, by the file that was executed. A
 * forged /proc/self/exe is nobody's program. */
static __always_inline __u32 program_of_task(struct task_struct *task, struct subject *s,
					     struct generation *g)
{
	struct mm_struct *mm = task->mm;
	struct file *exe;

	if (!mm)
		return 0;
	exe = mm->exe_file;
	if (!exe || (s && !executed(s, exe->f_path.dentry)))
		return 0;
	return program_of(exe->f_path.dentry, g);
}

/* The bits of one id: those of the last row that begins at or below it. */
struct search {
	__u32 slot;
	__u32 first;
	__u32 low; /* rows below it begin at or below the id */
	__u32 high;
	__u32 id;
	__u32 unused;
	__u64 bits;
};

static long search_one(__u32 i, struct search *s)
{
	void *in = inner(&users, s->slot);
	__u32 middle = s->low + (s->high - s->low) / 2, index;
	struct user_row *row;

	if (s->low >= s->high || !in)
		return 1;
	index = s->first + middle;
	row = bpf_map_lookup_elem(in, &index);
	if (!row)
		return 1;
	if (row->first <= s->id) {
		s->bits = row->bits;
		s->low = middle + 1;
	} else {
		s->high = middle;
	}
	return 0;
}

/* Global functions, of numbers: the verifier looks at each once. */
__noinline __u64 user_bits(__u32 slot, __u32 first, __u32 rows, __u32 id)
{
	struct search s = {.slot = slot, .first = first, .id = id};

	s.low = unknown;
	s.bits = unknown;
	s.high = rows;
	bpf_loop(32, search_one, &s, 0);
	return s.bits;
}

__noinline __u32 user_class(__u32 slot, __u32 uid, __u32 euid, __u32 login)
{
	struct generation *g = bpf_map_lookup_elem(&generations, &slot);
	void *in = inner(&classes, slot);
	__u64 bits;
	__u32 *class;

	if (!g || !in)
		return 0;
	bits = user_bits(slot, 0, g->user_rows, uid);
	if (euid != uid)
		bits |= user_bits(slot, 0, g->user_rows, euid);
	if (login != 0xffffffffU)
		bits |= user_bits(slot, g->user_rows, g->login_rows, login);
	class = bits ? bpf_map_lookup_elem(in, &bits) : 0;
	return class ? *class : 0;
}

/*
 * The workload of a cgroup: one step of the automaton for each cgroup on the
 * way from the root. Whoever owns a cgroup names those beneath it: such names
 * do not count unless the owner is root.
 */
struct unit_walk {
	__u64 home;
	__u64 cgroup;
	__u64 unit;
	__u32 level; /* the last one; of kept names, where the next begins */
	__u32 levels; /* whose names count */
	__u32 slot;
	__u32 state;
	__u32 workload;
};

static __always_inline __u64 ancestor(__u64 cgroup, __u32 level)
{
	struct cgroup *a = 0;

	bpf_probe_read_kernel(&a, sizeof(a),
			      (void *)(cgroup + bpf_core_field_offset(struct cgroup, ancestors) + level * 8));
	return (__u64)a;
}

static __always_inline __u32 name_length(__u64 name)
{
	char part[32];
	__u32 n = 0, i;

	for (i = 0; i < 9; i++) {
		long got = bpf_probe_read_kernel_str(part, sizeof(part), (void *)(name + n));

		if (got <= 0)
			return 0;
		n += got - 1;
		if (got < (long)sizeof(part))
			return n;
	}
	return 0;
}

static __always_inline void unit_step(struct unit_walk *w, __u64 name, __u64 id)
{
	__u32 length, workload;
	char first = 0;

	/* systemd escapes what could be taken for a file of the kernel's. */
	bpf_probe_read_kernel(&first, 1, (void *)name);
	if (first == '_')
		name++;
	length = name_length(name);
	w->state = length ? step(w->slot, w->state, name, length) : 0;
	if (w->state >= RETRY)
		w->state = 0;
	if (!w->state)
		return;
	workload = label_of_state(w->slot, w->state);
	if (workload == UNJUDGED)
		return;
	if (workload && !w->unit)
		w->unit = id;
	w->workload = workload;
}

static long unit_one(__u32 i, struct unit_walk *w)
{
	struct cgroup *above, *here;
	struct kernfs_iattrs *owner;
	struct kernfs_node *kn;
	__u32 level = i + 1;

	if (level > w->level || !w->state)
		return 1;
	above = (void *)ancestor(w->cgroup, i);
	here = (void *)ancestor(w->cgroup, level);
	if (!above || !here)
		return 1;
	owner = BPF_CORE_READ(above, kn, iattr);
	if (owner && BPF_CORE_READ(owner, ia_uid.val))
		return 1;
	kn = BPF_CORE_READ(here, kn);
	unit_step(w, (__u64)BPF_CORE_READ(kn, name), BPF_CORE_READ(kn, id));
	w->levels = level;
	return 0;
}

/* The same for names that were kept. */
static long home_one(__u32 i, struct unit_walk *w)
{
	if (i >= w->levels || !w->state)
		return 1;
	unit_step(w, w->home + w->level, 1);
	w->level += name_length(w->home + w->level) + 1;
	return 0;
}

/* What is asked of a walk over cgroups, because a function returns one number. */
enum asked {
	THE_WORKLOAD,
	THE_UNIT,
	THE_LEVELS,
};

__noinline __u64 cgroup_walk(__u64 cgroup, __u32 slot, __u32 state, __u32 asked)
{
	struct unit_walk w = {.slot = slot, .cgroup = cgroup, .state = state};

	w.unit = unknown;
	w.workload = unknown;
	w.levels = unknown;
	w.level = BPF_CORE_READ((struct cgroup *)cgroup, level);
	bpf_loop(64, unit_one, &w, 0);
	return asked == THE_WORKLOAD ? w.workload : asked == THE_UNIT ? w.unit : w.levels;
}

__noinline __u32 home_walk(__u64 home, __u32 levels, __u32 slot, __u32 state)
{
	struct unit_walk w = {.slot = slot, .home = home, .state = state, .levels = levels};

	w.unit = unknown;
	w.workload = unknown;
	w.level = unknown;
	bpf_loop(64, home_one, &w, 0);
	return w.workload;
}

struct keeping {
	struct subject *s;
	__u64 cgroup;
	__u32 levels;
	__u32 offset;
};

static long keep_one(__u32 i, struct keeping *k)
{
	struct subject *s = k->s;
	struct cgroup *here;
	__u32 offset = k->offset;
	long n;

	if (i >= k->levels || offset >= HOME - 64)
		return 1;
	here = (void *)ancestor(k->cgroup, i + 1);
	n = bpf_probe_read_kernel_str(&s->home[offset], 64, BPF_CORE_READ(here, kn, name));
	if (n <= 0 || n == 64)
		return 1;
	k->offset = offset + n;
	s->home_levels = i + 1;
	return 0;
}

static __noinline void keep_home(struct subject *s, __u64 cgroup, __u32 levels)
{
	struct keeping k = {.s = s, .cgroup = cgroup, .levels = levels};

	k.offset = unknown;
	bpf_loop(64, keep_one, &k, 0);
}

/* Finds the workload of a task. What confines it is kept in its storage. */
static __noinline void find_unit(struct task_struct *task, struct generation *g, struct subject *kept,
				 struct identity *now)
{
	__u32 state = g->units;
	__u64 cgroup = number(task->cgroups->dfl_cgrp);

	if (kept && kept->held) {
		now->workload = home_walk(number(kept->home), kept->home_levels, SLOT(g), state);
		now->unit = now->workload ? kept->home_unit : 0;
		return;
	}
	now->workload = cgroup_walk(cgroup, SLOT(g), state, THE_WORKLOAD);
	if (!now->workload)
		return;
	now->unit = cgroup_walk(cgroup, SLOT(g), state, THE_UNIT);
	if (kept) {
		kept->home_unit = now->unit;
		keep_home(kept, cgroup, cgroup_walk(cgroup, SLOT(g), state, THE_LEVELS));
	}
}

/* Who brought a task to its cgroup. A process that a unit's policy confines
 * stays confined wherever it moves itself or its children. */
static __always_inline __u32 mover_of(struct task_struct *task, struct subject *s, __u64 cgroup)
{
	struct task_struct *leader = task->group_leader;
	struct subject *l;

	s->alien = 0;
	if (s->moved_to == cgroup)
		return s->moved_by;
	l = leader ? bpf_task_storage_get(&subjects, leader, 0, 0) : 0;
	if (l && l->moved_to == cgroup)
		return l->moved_by;
	/* Put there when it was made. */
	s->alien = s->forked_by != MOVER_INIT;
	return s->forked_by;
}

/* Keeps a task where it was confined, if it was not let go. A thread that was
 * not looked at there is confined as its process was. */
static __always_inline void hold(struct task_struct *task, struct subject *s, __u64 cgroup)
{
	struct task_struct *leader = task->group_leader;
	struct subject *l;

	if (!s->now.cgroup || s->now.cgroup == cgroup)
		return;
	if (mover_of(task, s, cgroup) != MOVER_CONFINED) {
		s->held = 0;
		return;
	}
	s->held |= s->now.workload != 0;
	if (s->held || !leader || leader == task)
		return;
	l = bpf_task_storage_get(&subjects, leader, 0, 0);
	if (l && l->moved_to == cgroup && (l->held || l->now.workload)) {
		__builtin_memcpy(s->home, l->home, sizeof(s->home));
		s->home_levels = l->home_levels;
		s->home_unit = l->home_unit;
		s->held = 1;
	}
}

/* Whether a unit's policy confines a task, where it is now. All else of its
 * identity is found when it is needed. */
static __noinline bool confined(struct task_struct *task, struct generation *g)
{
	struct subject *s = bpf_task_storage_get(&subjects, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 cgroup = task->cgroups->dfl_cgrp->kn->id;
	struct identity who = {};

	if (!s)
		return cgroup_walk(number(task->cgroups->dfl_cgrp), SLOT(g), g->units, THE_WORKLOAD);
	if (s->generation != g->id || s->now.cgroup != cgroup) {
		s->generation = 0;
		hold(task, s, cgroup);
		find_unit(task, g, s, &who);
		s->now.cgroup = cgroup;
		s->now.workload = who.workload;
		s->now.unit = who.unit;
	}
	return s->held || s->now.workload;
}

static __noinline void find_role(struct generation *g, struct identity *s)
{
	struct role_key key = {.workload = s->workload, .user = s->user, .program = s->program};
	void *in = inner(&roles, SLOT(g));
	__u32 *id = 0;
	struct role *row;

	if (in) {
		id = bpf_map_lookup_elem(in, &key);
		if (!id && key.program) {
			key.program = 0;
			id = bpf_map_lookup_elem(in, &key);
			key.program = s->program;
		}
		if (!id && key.user) {
			key.user = 0;
			id = bpf_map_lookup_elem(in, &key);
			if (!id && key.program) {
				key.program = 0;
				id = bpf_map_lookup_elem(in, &key);
			}
		}
	}
	s->role = id ? *id : g->base.id;
	s->base = g->base.id;
	in = inner(&rows, SLOT(g));
	row = in ? bpf_map_lookup_elem(in, &s->role) : 0;
	if (row)
		s->base = row->base;
}

/* `now` has the ids that count; `kept` is the task's storage, or 0. */
static __always_inline void resolve(struct task_struct *task, struct generation *g,
				   struct subject *kept,
				   struct identity *now)
{
	/* The program was found at exec: what /proc/self/exe says now may be
	 * forged. */
	if (kept && kept->generation == g->id)
		now->program = kept->now.program;
	else if (g->flags & GENERATION_PROGRAMS)
		now->program = program_of_task(task, kept, g);
	if (g->flags & GENERATION_USERS)
		now->user = user_class(SLOT(g), now->uid, now->euid, now->login);
	if (g->units)
		find_unit(task, g, kept, now);
	find_role(g, now);
}

/* Whether what is kept of a task is still true of it. */
static __always_inline bool describes(struct subject *s, struct task_struct *task,
				      struct generation *g)
{
	const struct cred *cred;

	if (s->generation != g->id || s->now.cgroup != task->cgroups->dfl_cgrp->kn->id)
		return false;
	if (!(g->flags & GENERATION_USERS))
		return true;
	cred = task->real_cred;
	return s->now.uid == cred->uid.val && s->now.euid == cred->euid.val &&
	       s->now.login == task->loginuid.val;
}

/*
 * Fills `who` for a task: from its storage where that is valid, anew where not. A
 * task whose storage cannot be had is looked at anew each time, never taken
 * for somebody else. Only a task itself writes what is kept of it.
 */
static __always_inline void find_identity(struct task_struct *task, bool own, struct generation *g,
					  struct identity *who)
{
	const struct cred *cred = task->real_cred;
	struct subject *s;

	s = bpf_task_storage_get(&subjects, task, 0, own ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (s && describes(s, task, g)) {
		*who = s->now;
		return;
	}
	who->login = task->loginuid.val;
	who->uid = cred->uid.val;
	who->euid = cred->euid.val;
	who->cgroup = task->cgroups->dfl_cgrp->kn->id;
	if (s && own)
		hold(task, s, who->cgroup);
	who->program = 0;
	who->user = 0;
	who->workload = 0;
	who->unit = 0;
	resolve(task, g, s, who);
	if (s && own) {
		s->generation = 0;
		s->now = *who;
		s->generation = g->id;
	}
}

static __noinline void identify(struct task_struct *task, bool own, struct generation *g,
				struct identity *who)
{
	find_identity(task, own, g, who);
}

/* The role of the current task and its base, in one number: the stack is short. */
#define ROLE(roles) ((__u32)((roles) >> 32))
#define BASE(roles) ((__u32)(roles))

/* Global: the verifier looks at it once. */
__noinline __u64 roles_anew(__u32 slot)
{
	struct generation *g = bpf_map_lookup_elem(&generations, &slot);
	struct identity who;

	if (!g)
		return 0;
	find_identity(bpf_get_current_task_btf(), true, g, &who);
	return (__u64)who.role << 32 | who.base;
}

static __always_inline __u64 own_roles(struct generation *g)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct subject *s = bpf_task_storage_get(&subjects, task, 0, 0);

	if (s && describes(s, task, g))
		return (__u64)s->now.role << 32 | s->now.base;
	return roles_anew(SLOT(g));
}

/* Whether the current task is of the host's own role: most are. */
static __always_inline bool of_base_role(struct generation *g)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct subject *s = bpf_task_storage_get(&subjects, task, 0, 0);

	if (s && describes(s, task, g))
		return s->now.role == g->base.id;
	return ROLE(roles_anew(SLOT(g))) == g->base.id;
}

#endif
