/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_JUDGE_H
#define HOSTARMOR_JUDGE_H

/* `word` is what was read at first: by it, moves since then are seen. */
static __always_inline __u32 state_by_walk(struct dentry *dentry, struct inode *inode,
					   struct path *path, __u64 word, struct generation *g)
{
	__u32 state = RETRY;
	int try;

	for (try = 0; try < 3; try++) {
		state = state_caching(dentry, inode, path, word, g);
		if (state != RETRY)
			return state;
		word = g->id << TREE_BITS | TREE(current_word());
	}
	return UNJUDGED;
}

static __noinline __u32 label_by_walk(struct dentry *dentry, struct inode *inode, struct path *path,
				      __u64 word, struct generation *g)
{
	__u32 state = state_by_walk(dentry, inode, path, word, g);

	return state >= RETRY ? UNJUDGED : label_of_state(SLOT(g), state);
}

/* Two kinds of access to judge, the one to report first below, and the hook. */
#define ORDER(first, second, hook) ((first) | (second) << 8 | (hook) << 16)
#define WHAT(kind, hook) ((kind) | (hook) << 8)

/* Counts and reports a decision, unless another build does. Global functions,
 * of numbers: the verifier looks at each once. */
__noinline __u32 tell(__u64 resource, __u64 word, __u32 rule, __u32 about, __u32 target)
{
	__u32 zero = 0, slot = word >> TREE_BITS & (SLOTS - 1);
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	__u64 *hit;
	void *in;

	if (!daemon || daemon->owner != owner)
		return 0;
	in = inner(&hits, slot);
	hit = in ? bpf_map_lookup_elem(in, &rule) : 0;
	if (hit)
		__sync_fetch_and_add(hit, 1);
	report(resource, word >> TREE_BITS, rule, about, target);
	return 0;
}

/* PID 1 and the daemon: a machine without its init, or a daemon that locks
 * itself out, cannot be put right. */
static __noinline bool exempt(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);

	return tgid == 1 || (daemon && tgid == daemon->tgid);
}

/* A cell as a number. */
static __always_inline __u64 packed(struct cell *c)
{
	return c->rule | (__u64)c->action << 32 | (__u64)c->flags << 40;
}

/* Carries out a cell that blocks or audits: whether it is denied. `what` is a
 * kind or an act, and the hook. */
__noinline __u32 decide(__u64 resource, __u64 word, __u64 cell, __u32 what, __u32 target)
{
	__u32 slot = word >> TREE_BITS & (SLOTS - 1), action = cell >> 32 & 0xff;
	struct generation *g = bpf_map_lookup_elem(&generations, &slot);
	__u32 flags = 0, kind = what & 0xff, cell_flags = cell >> 40;
	bool deny = action == ACTION_BLOCK;

	if (cell_flags & CELL_OTHERWISE)
		flags = EVENT_OTHERWISE;
	if (deny && !(cell_flags & CELL_DANGEROUS) && exempt()) {
		if (cell_flags & CELL_SELF)
			return 0;
		deny = false;
		flags |= EVENT_EXEMPT | EVENT_PERMITTED;
	}
	if (deny && g && g->flags & GENERATION_AUDIT) {
		deny = false;
		flags |= EVENT_PERMITTED;
	}
	tell(resource, word, cell, ABOUT(kind, action, flags, what >> 8), target);
	return deny;
}

/* Whether a cell, as a number, blocks or audits. */
#define DECIDED(cell)                                       \
	(((cell) >> 32 & 0xff) == ACTION_BLOCK || ((cell) >> 32 & 0xff) == ACTION_AUDIT)
#define DECIDES(cell) ((cell)->action == ACTION_BLOCK || (cell)->action == ACTION_AUDIT)

/* Errors are constants, as the verifier wants them. */
static __always_inline int enact_number(__u64 resource, struct generation *g, __u64 cell,
					__u32 what, __u32 target)
{
	if (!decide(resource, g->id << TREE_BITS, cell, what, target))
		return 0;
	if (cell >> 40 & CELL_SELF || (what & 0xff) >= FIRST_ACT)
		return -EPERM;
	return -EACCES;
}

static __always_inline int enact(__u64 resource, struct generation *g, struct cell *cell, __u32 what,
				 __u32 target)
{
	return enact_number(resource, g, packed(cell), what, target);
}

static __noinline struct role *row_of(struct generation *g, __u32 role)
{
	void *in = inner(&rows, SLOT(g));
	struct role *row = in ? bpf_map_lookup_elem(in, &role) : 0;

	return row ? row : &g->base;
}

/* An access of which nobody can tell which rules would match. It is refused to
 * a subject that some rule refuses this kind of access. `raw` is for devices:
 * what protects HostArmor does not count there. */
static __always_inline int unjudged(__u64 resource, __u32 kinds, __u32 order,
				    struct generation *g, bool raw)
{
	struct role *role;
	__u32 flags = EVENT_UNJUDGED, kind;
	bool deny, permitted;

	role = row_of(g, ROLE(own_roles(g)));
	deny = (raw ? role->raw_blocks : role->blocks) & kinds;
	if (raw && !deny)
		return 0;
	permitted = deny && (g->flags & GENERATION_AUDIT || exempt());
	if (permitted)
		flags |= EVENT_PERMITTED;
	kind = kinds & 1 << (order & 7) ? order & 7 : order >> 8 & 7;
	tell(resource, g->id << TREE_BITS, 0,
	     ABOUT(kind, deny ? ACTION_BLOCK : ACTION_AUDIT, flags, order >> 16), 0);
	return deny && !permitted ? -EACCES : 0;
}

/* The verdicts of a role on a label. */
static __noinline struct verdict *find_row(struct generation *g, __u32 role, __u32 base, __u32 label)
{
	struct verdict_key key = {.role = role, .label = label};
	struct verdict *row = 0;
	void *in;

	if (label) {
		in = inner(&verdicts, SLOT(g));
		if (in && label & LABEL_BY_PROGRAM && role != base)
			row = bpf_map_lookup_elem(in, &key);
		key.role = base;
		if (in && !row)
			row = bpf_map_lookup_elem(in, &key);
		if (row)
			return row;
	}
	if (!(g->flags & GENERATION_DEFAULTS))
		return &g->base.otherwise;
	return &row_of(g, role)->otherwise;
}

/* Who acts, as far as the label's verdict depends on it. */
static __always_inline __u64 roles_for(__u32 label, struct generation *g)
{
	if (label & LABEL_BY_PROGRAM || g->flags & GENERATION_DEFAULTS)
		return own_roles(g);
	return (__u64)g->base.id << 32 | g->base.id;
}

static __noinline int judge_label(__u64 resource, __u32 label, __u32 kinds, __u32 order,
				  struct generation *g)
{
	__u32 first = order & 7, second = order >> 8 & 7;
	struct verdict *row;
	__u64 who;
	int err;

	if (label == UNJUDGED)
		return unjudged(resource, kinds, order, g, false);
	who = roles_for(label, g);
	row = find_row(g, ROLE(who), BASE(who), label);
	if (kinds & (1 << first) && DECIDES(&row->cells[first])) {
		err = enact(resource, g, &row->cells[first], WHAT(first, order >> 16), 0);
		if (err)
			return err;
	}
	if (second != first && kinds & (1 << second) && DECIDES(&row->cells[second]))
		return enact(resource, g, &row->cells[second], WHAT(second, order >> 16), 0);
	return 0;
}

/* Of the verdicts on a file's names: explicit rules before the lists, and the
 * strictest first. Of a cell as a number. */
static __always_inline __u32 rank(__u64 cell)
{
	__u32 r = cell >> 32 & 0xff;

	if (r == ACTION_NONE)
		return 8;
	return cell >> 40 & CELL_OTHERWISE ? r + 4 : r;
}

static __always_inline __u32 link_label(__u64 inode, __u32 device, __u32 index, __u32 slot)
{
	struct link_key key = {.inode = inode, .device = device, .index = index};
	void *in = inner(&links, slot);
	__u32 *label = in ? bpf_map_lookup_elem(in, &key) : 0;

	return label ? *label : 0;
}

static __noinline __u32 linked_label(struct inode *inode, __u32 index, struct generation *g)
{
	return link_label(inode->i_ino, inode->i_sb->s_dev, index, SLOT(g));
}

static __always_inline bool may_be_linked(struct inode *inode)
{
	return !ABSENT(inode) && inode->i_nlink > 1 && (inode->i_mode & S_IFMT) != S_IFDIR;
}

/* The strictest of a cell and those of a file's other names; `about` is the
 * slot, and above it the kind. Global: the verifier looks at it once. */
__noinline __u64 strictest(__u64 inode, __u32 device, __u64 best, __u64 who, __u32 about)
{
	__u32 slot = about & (SLOTS - 1), kind = about >> 8 & 7, i, label;
	struct generation *g = bpf_map_lookup_elem(&generations, &slot);

	for (i = 0; g && i < MAX_LINKS; i++) {
		__u64 cell;

		label = link_label(inode, device, i, slot);
		if (!label)
			break;
		cell = packed(&find_row(g, ROLE(who), BASE(who), label)->cells[kind]);
		if (rank(cell) < rank(best))
			best = cell;
	}
	return best;
}

/* A file that has other names that rules name; `about` is the kind, and the
 * hook as in ORDER. */
static __noinline int judge_linked(struct dentry *dentry, struct inode *inode, __u32 label,
				   __u32 about, struct generation *g)
{
	__u64 who = own_roles(g), cell;

	cell = packed(&find_row(g, ROLE(who), BASE(who), label)->cells[about & 7]);
	cell = strictest(inode->i_ino, inode->i_sb->s_dev, cell, who, SLOT(g) | (about & 7) << 8);
	if (!DECIDED(cell))
		return 0;
	return enact_number(number(dentry), g, cell, WHAT(about & 7, about >> 16), 0);
}

/* Whether a valid entry says that nothing is decided about these kinds of
 * access, or only for roles that this is not: most accesses end here. */
static __always_inline bool undecided(struct cached *c, __u32 kinds, struct generation *g)
{
	if (!(c->kinds & kinds))
		return true;
	return c->label & LABEL_BY_PROGRAM && !(c->base_kinds & kinds) && of_base_role(g);
}

/* The label for a subject that owns the file. Who makes one will own it. */
static __noinline __u32 owned_label(struct inode *inode, __u32 label, struct generation *g)
{
	const struct cred *cred = ((struct task_struct *)bpf_get_current_task_btf())->real_cred;
	struct label *row;

	if (!ABSENT(inode) && inode->i_uid.val != cred->euid.val)
		return label;
	row = label_row(SLOT(g), label);
	return row && row->owned ? row->owned : label;
}

static __always_inline __u8 flags_of(__u32 label, struct generation *g)
{
	struct label *row = label && label != UNJUDGED ? label_row(SLOT(g), label) : 0;

	return row ? row->flags : 0;
}

/* Judges one file for every kind in the mask `kinds`; `inode` is the dentry's,
 * by the pointers that the verifier likes best, and `c` its valid entry or 0. */
static __always_inline int judge(struct dentry *dentry, struct inode *inode, struct path *path,
				 __u32 kinds, __u32 order, __u64 word,
				 struct generation *g, struct cached *c)
{
	__u32 label;
	__u8 flags;

	kinds &= g->kinds;
	if (!kinds)
		return 0;
	if (c) {
		if (undecided(c, kinds, g))
			return 0;
		label = c->label;
		flags = c->flags;
	} else {
		label = label_by_walk(dentry, inode, path, word, g);
		if (label != UNJUDGED && may_be_linked(inode) && linked_label(inode, 0, g)) {
			__u32 first = order & 7, second = order >> 8 & 7;
			int err = 0;

			if (kinds & (1 << first))
				err = judge_linked(dentry, inode, label,
						   first | (order & 0xff0000), g);
			if (!err && second != first && kinds & (1 << second))
				err = judge_linked(dentry, inode, label,
						   second | (order & 0xff0000), g);
			return err;
		}
		if (!label && !(g->flags & GENERATION_DEFAULTS))
			return 0;
		flags = flags_of(label, g);
	}
	if (flags & LABEL_OWNED)
		label = owned_label(inode, label, g);
	return judge_label(number(dentry), label, kinds, order, g);
}

static __noinline int judge_one(struct dentry *dentry, struct inode *inode, struct path *path,
				__u32 kind, __u32 hook)
{
	__u64 word = current_word();
	struct generation *g = generation_of(word);

	if (!g)
		return 0;
	return judge(dentry, inode, path, 1 << kind, ORDER(kind, kind, hook), word, g,
		     entry_of(dentry, inode, word));
}

#endif
