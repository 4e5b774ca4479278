/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_MOVE_H
#define HOSTARMOR_MOVE_H

/* Renames and hard links: whether a file leaves what rules say of its name, and
 * what is kept of the names that it has afterwards. */

/* The label of a name, for a subject that owns the file. */
static __noinline __u32 label_for(struct dentry *dentry, struct inode *inode, struct path *path,
				  __u64 word, struct generation *g)
{
	__u32 label = label_by_walk(dentry, inode, path, word, g);

	return flags_of(label, g) & LABEL_OWNED ? owned_label(inode, label, g) : label;
}

/* Whether a list refuses less than another did, or only logs what that refused. */
static __always_inline bool weaker(struct cell *was, struct cell *is)
{
	return was->action && (!is->action || is->action > was->action);
}

/* Whether a rename takes something out of what allow-lists refuse: of the name
 * itself, or of what is beneath a directory. lsm.Ruleset.Leaves in Go. */
static __noinline bool leaves(struct verdict *was, struct verdict *is, bool beneath)
{
	__u32 k;

	if (beneath)
		return weaker(&was->cells[KIND_EXEC], &is->cells[KIND_HOLD_EXEC]) ||
		       weaker(&was->cells[KIND_READ], &is->cells[KIND_HOLD_FILE]);
	for (k = KIND_EXEC; k <= KIND_WRITE; k++) {
		struct cell *w = &was->cells[k], *i = &is->cells[k];

		if (w->flags & CELL_OTHERWISE && !(i->action && !(i->flags & CELL_OTHERWISE)) &&
		    weaker(w, i))
			return true;
	}
	return false;
}

#define BENEATH 0x100

/* The verdict on a move from one label to another. */
static __noinline int judge_leaving(__u64 resource, struct generation *g, __u32 from, __u32 to,
				    __u32 hook)
{
	__u32 order = ORDER(KIND_MOVE, KIND_MOVE, hook & 0xff);
	struct verdict *was;
	struct cell *cell;
	__u64 who;

	if (!(g->kinds & 1 << KIND_MOVE))
		return 0;
	if (from == UNJUDGED)
		return unjudged(resource, 1 << KIND_MOVE, order, g, false);
	who = roles_for(from | (to == UNJUDGED ? 0 : to), g);
	was = find_row(g, ROLE(who), BASE(who), from);
	cell = &was->cells[KIND_MOVE];
	if (!DECIDES(cell))
		return 0;
	if (cell->flags & CELL_OTHERWISE && to != UNJUDGED &&
	    !leaves(was, find_row(g, ROLE(who), BASE(who), to), hook & BENEATH))
		return 0;
	return enact(resource, g, cell, WHAT(KIND_MOVE, hook & 0xff), 0);
}

/* A directory that comes to stand where rules name what is beneath. */
static __noinline int judge_arriving(__u64 resource, struct generation *g, __u32 label, __u32 hook)
{
	__u64 who = roles_for(label, g);
	struct cell *cell = &find_row(g, ROLE(who), BASE(who), label)->cells[KIND_WRITE];

	if (!DECIDES(cell) || cell->flags & CELL_OTHERWISE)
		return 0;
	return enact(resource, g, cell, WHAT(KIND_WRITE, hook), 0);
}

/* A file that is about to get another name: who may not use it in every way
 * may not take it out of the rule's reach. */
static __noinline int judge_renamed(struct dentry *dentry, struct dentry *to, struct path *path,
				    __u32 hook)
{
	struct inode *inode = dentry->d_inode;
	__u32 from, kinds;
	__u64 word = current_word();
	struct generation *g = generation_of(word);
	int err;

	if (!g)
		return 0;
	kinds = g->kinds & (1 << KIND_WRITE | 1 << KIND_MOVE);
	if (!kinds)
		return 0;
	from = label_for(dentry, inode, path, word, g);
	if (may_be_linked(inode) && from != UNJUDGED && linked_label(inode, 0, g)) {
		err = judge_linked(dentry, inode, from, KIND_WRITE | hook << 16, g);
		return err ? err : judge_linked(dentry, inode, from, KIND_MOVE | hook << 16, g);
	}
	if (!from && !(g->flags & GENERATION_DEFAULTS))
		return 0;
	err = judge_label(number(dentry), from, kinds & 1 << KIND_WRITE,
			  ORDER(KIND_WRITE, KIND_WRITE, hook), g);
	if (err || from == UNJUDGED)
		return err;
	return judge_leaving(number(dentry), g, from, label_for(to, inode, path, word, g), hook);
}

static __always_inline struct state *state_row(struct generation *g, __u32 state)
{
	void *in = inner(&states, SLOT(g));

	return in ? bpf_map_lookup_elem(in, &state) : 0;
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
	__u32 before, after, label = UNJUDGED, beyond = 0;
	__u64 word = current_word();
	struct generation *g = generation_of(word);
	struct state *s;
	int err;

	if (ABSENT(inode) || !S_ISDIR(inode->i_mode))
		return 0;
	if (!g || !(g->kinds & (1 << KIND_MOVE)))
		return 0;
	before = state_by_walk(from, inode, path, word, g);
	after = state_by_walk(to, to->d_inode, path, word, g);
	if (before == after && before < RETRY)
		return 0;
	if (before < RETRY && after < RETRY) {
		bool everywhere; /* a rule begins with a double star */

		s = state_row(g, g->start);
		everywhere = s && s->otherwise;
		s = state_row(g, after);
		if (s)
			beyond = s->below;
		s = state_row(g, before);
		if (s && s->below)
			label = s->below;
		else if (after || !everywhere)
			label = 0;
	}
	err = judge_leaving(number(from), g, label, beyond, hook | BENEATH);
	/* What the directory holds may be something that may not be made there. */
	return err || !beyond ? err : judge_arriving(number(to), g, beyond, hook);
}

/* Who may link a file makes a name for everybody. The names whose rules differ
 * are kept, and judged together from now on: false where there is no room. */
static __noinline bool keep_label(struct inode *inode, __u32 label, struct generation *g)
{
	struct link_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
	void *in = inner(&links, SLOT(g));
	__u32 i;

	if (!label)
		return true;
	if (!in)
		return false;
	for (i = 0; i < MAX_LINKS; i++) {
		__u32 *have;

		key.index = i;
		have = bpf_map_lookup_elem(in, &key);
		if (have && *have == label)
			return true;
		if (!have)
			return !bpf_map_update_elem(in, &key, &label, BPF_ANY);
	}
	return false;
}

static __noinline void forget_labels(struct inode *inode, struct generation *g)
{
	struct link_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
	void *in = inner(&links, SLOT(g));
	__u32 i;

	for (i = 0; in && i < MAX_LINKS; i++) {
		key.index = i;
		if (bpf_map_delete_elem(in, &key))
			return;
	}
}

static __noinline int keep_link(struct dentry *old, struct dentry *new, struct path *path)
{
	struct inode *inode = old->d_inode;
	__u32 from, to;
	__u64 word = current_word();
	struct generation *g = generation_of(word);

	if (ABSENT(inode) || !g)
		return 0;
	from = label_by_walk(old, inode, path, word, g);
	to = label_by_walk(new, 0, path, word, g);
	if (from == to || from == UNJUDGED || to == UNJUDGED)
		return 0; /* what is not judged was refused, or no rule refuses */
	/* The only name that it has: others of that number are gone. */
	if (inode->i_nlink == 1)
		forget_labels(inode, g);
	if (!keep_label(inode, from, g) || !keep_label(inode, to, g))
		return unjudged(number(old), 1 << KIND_WRITE,
				ORDER(KIND_WRITE, KIND_WRITE, HOOK_path_link), g, false);
	bpf_inode_storage_delete(&inodes, inode);
	return 0;
}

#endif
