/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_JUDGE_H
#define HOSTARMOR_JUDGE_H

/* One look at what is in force; the whole decision keeps to it. */
struct view {
	struct control *control;
	struct generation *generation;
	__u64 word;
	__u32 slot;
};

/* False, and the view as it was, where nothing is in force. */
static __always_inline bool look(struct view *v)
{
	struct generation *generation;
	struct control *control;
	__u32 zero = 0, slot;
	__u64 word;

	control = bpf_map_lookup_elem(&controls, &zero);
	if (!control)
		return false;
	word = control->current;
	if (!(word >> TREE_BITS))
		return false;
	slot = word >> TREE_BITS & (SLOTS - 1);
	generation = bpf_map_lookup_elem(&generations, &slot);
	if (!generation)
		return false;
	v->control = control;
	v->generation = generation;
	v->word = word;
	v->slot = slot;
	return true;
}

static __always_inline __u32 state_by_walk(struct dentry *dentry, struct vfsmount *mnt, struct view *v)
{
	__u32 state = RETRY;
	int try;

	for (try = 0; try < 3; try++) {
		state = state_caching(dentry, mnt, v->slot, v->word, v->generation->start);
		if (state != RETRY)
			return state;
		/* A moved tree or a new generation: judge by what is now. */
		if (!look(v))
			break;
	}
	return UNJUDGED;
}

static __always_inline __u32 label_of(struct dentry *dentry, struct vfsmount *mnt, struct view *v,
				      __u32 *state)
{
	__u32 label = cached_label(dentry, v->control, v->word, state);

	if (label != RETRY)
		return label;
	*state = state_by_walk(dentry, mnt, v);
	if (*state >= RETRY)
		return UNJUDGED;
	return label_of_state(v->slot, *state);
}

static __noinline __u32 program_of(struct dentry *dentry, struct view *v)
{
	struct cached *c = bpf_inode_storage_get(&inodes, dentry->d_inode, 0, 0);
	__u32 state, label, *program, *root;
	void *in;
	int try;

	if (c && current_entry(c, dentry, v->word) && !moving) {
		label = c->label;
	} else {
		root = root_state(v->slot, dentry->d_sb->s_dev);
		state = root ? *root : v->generation->start;
		for (try = 0; state && try < 3; try++) {
			__u32 found = walk_from_root(number(dentry), v->slot, state);

			if (found != RETRY) {
				state = found;
				break;
			}
		}
		if (state >= RETRY)
			return 0;
		label = label_of_state(v->slot, state);
	}
	label &= ~LABEL_BY_PROGRAM;
	in = inner(&programs, v->slot);
	program = in ? bpf_map_lookup_elem(in, &label) : 0;
	return program ? *program : 0;
}

/* The class of the program that the current task runs. It is found at exec,
 * and again after a reload, by the file that was executed. */
static __noinline __u32 current_program(struct view *v)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 generation = v->word >> TREE_BITS;
	struct subject *s;
	struct mm_struct *mm;
	struct file *exe;
	__u32 program = 0;

	s = bpf_task_storage_get(&subjects, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (s && s->generation == generation)
		return s->program;
	mm = task->mm;
	if (mm) {
		exe = mm->exe_file;
		if (exe)
			program = program_of(exe->f_path.dentry, v);
	}
	if (s) {
		s->program = program;
		s->generation = generation;
	}
	return program;
}

/*
 * The verdict on one access by the current task, and its event. A global
 * function: the verifier looks at it once. `about` is ABOUT(kind, 0, 0, hook).
 */
__noinline int decide(__u64 resource, __u64 word, __u32 label, __u32 program, __u32 about)
{
	__u32 slot = word >> TREE_BITS & (SLOTS - 1), zero = 0, rule = 0, kind = about & 0xff;
	struct generation *g = bpf_map_lookup_elem(&generations, &slot);
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	struct verdict *row = 0;
	struct role *role;
	struct cell *cell;
	__u8 flags = 0, action;
	bool deny;

	if (!g || !daemon || kind >= KINDS)
		return 0;
	if (label == UNJUDGED) {
		/* Nobody can tell which rules would match. */
		deny = g->blocks & (1 << kind);
		action = deny ? ACTION_BLOCK : ACTION_AUDIT;
		flags = EVENT_UNJUDGED;
		goto decided;
	}
	role = &g->base;
	if (program) {
		struct role_key key = {.program = program};
		void *in = inner(&roles, slot);

		if (in)
			role = bpf_map_lookup_elem(in, &key);
		if (!role)
			role = &g->base;
	}
	if (label) {
		struct verdict_key key = {.label = label};
		void *in = inner(&verdicts, slot);

		if (in && label & LABEL_BY_PROGRAM) {
			key.role = role->id;
			row = bpf_map_lookup_elem(in, &key);
		}
		if (in && !row) {
			key.role = role->base;
			row = bpf_map_lookup_elem(in, &key);
		}
	}
	if (!row)
		row = &role->otherwise;
	cell = &row->cells[kind];
	action = cell->action;
	if (action == ACTION_NONE || action == ACTION_ALLOW)
		return 0;
	rule = cell->rule;
	if (cell->flags & CELL_OTHERWISE)
		flags = EVENT_OTHERWISE;
	deny = action == ACTION_BLOCK;
	if (deny && !(cell->flags & CELL_DANGEROUS)) {
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;

		/* A machine without its init, or a daemon that locks itself
		 * out, cannot be put right. */
		if (tgid == 1 || tgid == daemon->tgid) {
			deny = false;
			flags |= EVENT_EXEMPT | EVENT_PERMITTED;
		}
	}
decided:
	if (deny && g->flags & GENERATION_AUDIT) {
		deny = false;
		flags |= EVENT_PERMITTED;
	}
	if (daemon->owner == owner) {
		void *in = inner(&hits, slot);
		__u64 *hit = in ? bpf_map_lookup_elem(in, &rule) : 0;

		if (hit)
			__sync_fetch_and_add(hit, 1);
		report(resource, word >> TREE_BITS, rule, about | ABOUT(0, action, flags, 0));
	}
	return deny ? -EACCES : 0;
}

/* Two kinds of access to judge, the one to report first below, and the hook. */
#define ORDER(first, second, hook) ((first) | (second) << 8 | (hook) << 16)

/* Judges one file for every kind in the mask `kinds`. */
static __noinline int judge(struct dentry *dentry, struct vfsmount *mnt, __u32 kinds, __u32 order)
{
	__u32 first = order & 7, second = order >> 8 & 7, hook = order >> 16;
	__u32 label, state, program = 0;
	struct view v;

	if (!look(&v))
		return 0;
	kinds &= v.generation->kinds;
	if (!kinds)
		return 0;
	label = label_of(dentry, mnt, &v, &state);
	if (!label && !(v.generation->flags & GENERATION_DEFAULTS))
		return 0;
	if (v.generation->flags & GENERATION_PROGRAMS)
		program = current_program(&v);
	/* A constant: a hook may return 0 and small negative numbers only. */
	if (kinds & (1 << first) &&
	    decide(number(dentry), v.word, label, program, ABOUT(first, 0, 0, hook)))
		return -EACCES;
	if (second != first && kinds & (1 << second) &&
	    decide(number(dentry), v.word, label, program, ABOUT(second, 0, 0, hook)))
		return -EACCES;
	return 0;
}

static __always_inline int judge_one(struct dentry *dentry, struct vfsmount *mnt, __u32 kind,
				     __u32 hook)
{
	return judge(dentry, mnt, 1 << kind, ORDER(kind, kind, hook));
}

/* A file that is about to get another name: who may not use it in every way
 * may not take it out of the rule's reach. */
static __always_inline int judge_renamed(struct dentry *dentry, struct vfsmount *mnt, __u32 hook)
{
	return judge(dentry, mnt, 1 << KIND_WRITE | 1 << KIND_MOVE,
		     ORDER(KIND_WRITE, KIND_MOVE, hook));
}

/* The same for what lies beneath a directory: `from` and `to` are its names. */
static __noinline int judge_moved(struct dentry *from, struct dentry *to, struct vfsmount *mnt,
				  __u32 hook)
{
	struct inode *inode = from->d_inode;
	struct view v;
	struct state *s;
	__u32 before, after, program = 0, label = UNJUDGED;
	void *in;

	if (!inode || (inode->i_mode & S_IFMT) != S_IFDIR)
		return 0;
	if (!look(&v) || !(v.generation->kinds & (1 << KIND_MOVE)))
		return 0;
	before = state_by_walk(from, mnt, &v);
	after = state_by_walk(to, mnt, &v);
	if (before == after && before < RETRY)
		return 0;
	if (v.generation->flags & GENERATION_PROGRAMS)
		program = current_program(&v);
	if (before < RETRY && after < RETRY) {
		in = inner(&states, v.slot);
		s = in ? bpf_map_lookup_elem(in, &before) : 0;
		if (!s || !s->below)
			return 0;
		label = s->below;
	}
	if (decide(number(from), v.word, label, program, ABOUT(KIND_MOVE, 0, 0, hook)))
		return -EACCES;
	return 0;
}

#endif
