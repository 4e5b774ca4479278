/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_JUDGE_H
#define HOSTARMOR_JUDGE_H

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

static __always_inline __u32 state_by_walk(struct dentry *dentry, struct inode *inode,
					   struct path *path, struct view *v)
{
	__u32 state = RETRY;
	int try;

	for (try = 0; try < 3; try++) {
		state = state_caching(dentry, inode, path, v);
		if (state != RETRY)
			return state;
		/* A moved tree or a new generation: judge by what is now. */
		if (!look(v))
			break;
	}
	return UNJUDGED;
}

static __noinline __u32 label_by_walk(struct dentry *dentry, struct inode *inode, struct path *path,
				      struct view *v)
{
	__u32 state = state_by_walk(dentry, inode, path, v);

	return state >= RETRY ? UNJUDGED : label_of_state(v->slot, state);
}

static __noinline __u32 program_of(struct dentry *dentry, struct view *v)
{
	struct cached *c = 0;
	__u32 state, label, *root;
	struct label *row;
	int try;

	if (!arguments_only)
		c = bpf_inode_storage_get(&inodes, dentry->d_inode, 0, 0);
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
	row = label_row(v->slot, label);
	return row ? row->program : 0;
}

/* Whether this is the file that was executed, as far as that was seen. */
static __always_inline bool executed(struct subject *s, struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;

	return !s->exe_inode ||
	       (s->exe_inode == inode->i_ino && s->exe_device == inode->i_sb->s_dev);
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
		/* A forged /proc/self/exe is nobody's program. */
		if (exe && (!s || executed(s, exe->f_path.dentry)))
			program = program_of(exe->f_path.dentry, v);
	}
	if (s) {
		s->program = program;
		s->generation = generation;
	}
	return program;
}

/* Two kinds of access to judge, the one to report first below, and the hook. */
#define ORDER(first, second, hook) ((first) | (second) << 8 | (hook) << 16)

/* Counts and reports a decision, unless another build does. */
static __noinline void tell(struct dentry *dentry, struct view *v, __u32 rule, __u32 about)
{
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	__u64 *hit;
	void *in;

	if (!daemon || daemon->owner != owner)
		return;
	in = inner(&hits, v->slot);
	hit = in ? bpf_map_lookup_elem(in, &rule) : 0;
	if (hit)
		__sync_fetch_and_add(hit, 1);
	report(number(dentry), v->word >> TREE_BITS, rule, about);
}

/* Carries out a cell that blocks or audits: whether the access is denied. */
static __noinline bool enact(struct dentry *dentry, struct view *v, struct cell *cell, __u32 kind,
			     __u32 hook)
{
	bool deny = cell->action == ACTION_BLOCK;
	__u32 flags = 0, zero = 0;

	if (cell->flags & CELL_OTHERWISE)
		flags = EVENT_OTHERWISE;
	if (deny && !(cell->flags & CELL_DANGEROUS)) {
		struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;

		/* A machine without its init, or a daemon that locks itself
		 * out, cannot be put right. */
		if (tgid == 1 || (daemon && tgid == daemon->tgid)) {
			deny = false;
			flags |= EVENT_EXEMPT | EVENT_PERMITTED;
		}
	}
	if (deny && v->generation->flags & GENERATION_AUDIT) {
		deny = false;
		flags |= EVENT_PERMITTED;
	}
	tell(dentry, v, cell->rule, ABOUT(kind, cell->action, flags, hook));
	return deny;
}

/* An access of which nobody can tell which rules would match. */
static __noinline int unjudged(struct dentry *dentry, __u32 kinds, __u32 order, struct view *v)
{
	bool deny = v->generation->blocks & kinds;
	__u32 flags = EVENT_UNJUDGED;
	bool permitted = deny && v->generation->flags & GENERATION_AUDIT;

	if (permitted)
		flags |= EVENT_PERMITTED;
	tell(dentry, v, 0,
	     ABOUT(order & 7, deny ? ACTION_BLOCK : ACTION_AUDIT, flags, order >> 16));
	return deny && !permitted ? -EACCES : 0;
}

#define DECIDES(cell) ((cell)->action == ACTION_BLOCK || (cell)->action == ACTION_AUDIT)

/* A hook may return 0 and small negative numbers only: constants, so that the
 * verifier sees them. */
static __noinline int judge_label(struct dentry *dentry, __u32 label, __u32 kinds, __u32 order,
				  struct view *v)
{
	struct generation *g = v->generation;
	__u32 first = order & 7, second = order >> 8 & 7;
	struct role *role = &g->base;
	struct verdict *row = 0;

	if (label == UNJUDGED)
		return unjudged(dentry, kinds, order, v);
	if (g->flags & GENERATION_PROGRAMS &&
	    (label & LABEL_BY_PROGRAM || g->flags & GENERATION_DEFAULTS)) {
		struct role_key key = {.program = current_program(v)};
		void *in = inner(&roles, v->slot);

		if (in && key.program)
			role = bpf_map_lookup_elem(in, &key);
		if (!role)
			role = &g->base;
	}
	if (label) {
		struct verdict_key key = {.role = role->base, .label = label};
		void *in = inner(&verdicts, v->slot);

		if (in && label & LABEL_BY_PROGRAM && role->id != role->base) {
			key.role = role->id;
			row = bpf_map_lookup_elem(in, &key);
			key.role = role->base;
		}
		if (in && !row)
			row = bpf_map_lookup_elem(in, &key);
	}
	if (!row)
		row = &role->otherwise;
	if (kinds & (1 << first) && DECIDES(&row->cells[first]) &&
	    enact(dentry, v, &row->cells[first], first, order >> 16))
		return -EACCES;
	if (second != first && kinds & (1 << second) && DECIDES(&row->cells[second]) &&
	    enact(dentry, v, &row->cells[second], second, order >> 16))
		return -EACCES;
	return 0;
}

/* Whether a valid entry says that nothing is decided about these kinds of
 * access: most accesses end here. */
static __always_inline bool undecided(struct view *v, struct cached *c, __u32 kinds)
{
	if (!(c->kinds & kinds))
		return true;
	return c->label & LABEL_BY_PROGRAM && !(c->base_kinds & kinds) && !current_program(v);
}

/* Judges one file for every kind in the mask `kinds`; `inode` is the dentry's,
 * by the pointers that the verifier likes best, and `c` its valid entry or 0. */
static __always_inline int judge(struct dentry *dentry, struct inode *inode, struct path *path,
				 __u32 kinds, __u32 order, struct view *v, struct cached *c)
{
	__u32 label;

	kinds &= v->generation->kinds;
	if (!kinds)
		return 0;
	if (c) {
		if (undecided(v, c, kinds))
			return 0;
		label = c->label;
	} else {
		label = label_by_walk(dentry, inode, path, v);
		if (!label && !(v->generation->flags & GENERATION_DEFAULTS))
			return 0;
	}
	return judge_label(dentry, label, kinds, order, v);
}

static __noinline int judge_one(struct dentry *dentry, struct inode *inode, struct path *path,
				__u32 kind, __u32 hook)
{
	struct view v;

	if (!look(&v))
		return 0;
	return judge(dentry, inode, path, 1 << kind, ORDER(kind, kind, hook), &v,
		     entry_of(dentry, inode, v.control, v.word));
}

/* A file that is about to get another name: who may not use it in every way
 * may not take it out of the rule's reach. */
static __noinline int judge_renamed(struct dentry *dentry, struct path *path, __u32 hook)
{
	struct view v;

	if (!look(&v))
		return 0;
	return judge(dentry, dentry->d_inode, path, 1 << KIND_WRITE | 1 << KIND_MOVE,
		     ORDER(KIND_WRITE, KIND_MOVE, hook), &v, 0);
}

/*
 * The same for what lies beneath a directory: `from` and `to` are its names.
 * `below` leaves out the rules that hold everywhere; to a place that the host's
 * mount table does not show, those are lost too.
 */
static __noinline int judge_moved(struct dentry *from, struct dentry *to, struct path *path,
				  __u32 hook)
{
	struct inode *inode = from->d_inode;
	__u32 before, after, label = UNJUDGED;
	bool everywhere; /* a rule begins with a double star */
	struct view v;
	struct state *s;
	void *in;

	if (!inode || (inode->i_mode & S_IFMT) != S_IFDIR)
		return 0;
	if (!look(&v) || !(v.generation->kinds & (1 << KIND_MOVE)))
		return 0;
	before = state_by_walk(from, inode, path, &v);
	after = state_by_walk(to, to->d_inode, path, &v);
	if (before == after && before < RETRY)
		return 0;
	if (before < RETRY && after < RETRY) {
		in = inner(&states, v.slot);
		s = in ? bpf_map_lookup_elem(in, &v.generation->start) : 0;
		everywhere = s && s->otherwise;
		s = in ? bpf_map_lookup_elem(in, &before) : 0;
		if (s && s->below)
			label = s->below;
		else if (after || !everywhere)
			return 0;
	}
	return judge_label(from, label, 1 << KIND_MOVE, ORDER(KIND_MOVE, KIND_MOVE, hook), &v);
}

#endif
