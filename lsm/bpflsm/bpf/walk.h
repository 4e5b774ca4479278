/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_WALK_H
#define HOSTARMOR_WALK_H

/*
 * A file's name is the chain of dentries up to its superblock's root; where
 * that root appears in the host's mount table is in the start state. So a bind
 * mount, a chroot, another mount namespace or a detached mount changes nothing.
 */

#define UNJUDGED 0xffffffffU
#define RETRY 0xfffffffeU
#define CHAIN 4 /* the stack of a call chain holds 512 bytes */
#define MAX_DEPTH 4096

static __always_inline __u32 sequence(struct dentry *d)
{
	return d->d_seq.seqcount.sequence;
}

/* At most a chunk, in a register whose bound the verifier can see. */
static __always_inline __u32 clamp(__u32 n)
{
	asm volatile("if %0 <= %1 goto +1; %0 = %1" : "+r"(n) : "i"(CHUNK));
	return n;
}

/* One component. A global function: the verifier looks at it once. */
__noinline __u32 step(__u32 slot, __u32 from, __u64 name, __u32 len)
{
	struct edge key;
	void *states_in, *edges_in, *globs_in;
	struct state *s;
	__u32 *to = 0, row, i, j;

	states_in = inner(&states, slot);
	if (!states_in)
		return UNJUDGED;
	s = bpf_map_lookup_elem(states_in, &from);
	if (!s)
		return UNJUDGED;
	if (s->edges) {
		__u32 node = from;

		edges_in = inner(&edges, slot);
		if (!edges_in)
			return UNJUDGED;
		for (i = 0; i < 256 / CHUNK; i++) {
			__u32 rest = len - i * CHUNK;
			__u32 n = clamp(rest);

			__builtin_memset(&key, 0, sizeof(key));
			key.from = node | (rest > CHUNK ? EDGE_MORE : 0);
			if (bpf_probe_read_kernel(key.name, n, (void *)(name + i * CHUNK)))
				return UNJUDGED;
			to = bpf_map_lookup_elem(edges_in, &key);
			if (!to || rest <= CHUNK)
				break;
			node = *to;
			to = 0;
		}
		if (to)
			return *to;
	}
	if (len > 255)
		return UNJUDGED; /* no literal, and too long for the loop below */
	if (!s->glob)
		return s->otherwise;

	globs_in = inner(&globs, slot);
	if (!globs_in)
		return UNJUDGED;
	row = s->glob;
	for (i = 0; i < 256 / CHUNK; i++) {
		__u8 bytes[CHUNK] = {};
		__u32 rest = len - i * CHUNK;
		__u32 n = clamp(rest);

		if (bpf_probe_read_kernel(bytes, n, (void *)(name + i * CHUNK)))
			return UNJUDGED;
		for (j = 0; j < CHUNK; j++) {
			__u32 index;
			__u32 *next;

			if (j >= n)
				break;
			index = row * GLOB_ROW + bytes[j];
			next = bpf_map_lookup_elem(globs_in, &index);
			if (!next)
				return UNJUDGED;
			row = *next;
			if (!row)
				return s->otherwise;
		}
		if (rest <= CHUNK)
			break;
	}
	row = row * GLOB_ROW + 256;
	to = bpf_map_lookup_elem(globs_in, &row);
	return to ? *to : UNJUDGED;
}

/*
 * The walk from a superblock's root, by raw pointers so that its loops are
 * verified once: the topmost levels that are not stepped yet, a chain at a
 * time, however deep the tree. It runs once per directory.
 */
struct walk {
	__u64 leaf;
	__u64 base; /* resolved so far: state belongs to it */
	__u64 at;
	__u64 chain[CHAIN];
	__u64 sum; /* of what a rename changes */
	__u32 n;
	__u32 slot;
	__u32 state;
	__u32 done;
};

static long climb_one(__u32 i, struct walk *w)
{
	struct dentry *d = (void *)w->at;
	__u64 parent = (__u64)BPF_CORE_READ(d, d_parent);

	if (w->at == w->base || parent == w->at) {
		w->done = 1;
		return 1;
	}
	w->chain[w->n % CHAIN] = w->at;
	w->sum += BPF_CORE_READ(d, d_seq.seqcount.sequence) + (parent >> 3);
	w->n++;
	w->at = parent;
	return 0;
}

static __always_inline void climb(struct walk *w)
{
	w->at = w->leaf;
	w->n = unknown;
	w->done = unknown;
	w->sum = unknown;
	bpf_loop(MAX_DEPTH, climb_one, w, 0);
}

static long step_chain(__u32 i, struct walk *w)
{
	__u32 k;

	climb(w);
	if (!w->done) {
		w->state = UNJUDGED;
		return 1;
	}
	for (k = 1; k <= CHAIN; k++) {
		struct dentry *d;

		if (k > w->n)
			break;
		d = (void *)w->chain[(w->n - k) % CHAIN];
		w->base = (__u64)d;
		w->state = step(w->slot, w->state, (__u64)BPF_CORE_READ(d, d_name.name),
				BPF_CORE_READ(d, d_name.len));
		if (!w->state || w->state >= RETRY)
			return 1;
	}
	return w->n <= CHAIN;
}

/* State of a dentry, from the state of its superblock's root. */
__noinline __u32 walk_from_root(__u64 leaf, __u32 slot, __u32 start)
{
	struct walk w = {.leaf = leaf, .slot = slot, .state = start, .base = unknown};
	struct dentry *top;
	__u64 before;

	climb(&w);
	if (!w.done)
		return UNJUDGED;
	/* NFS mounts roots of its own, not the superblock's. What was opened by
	 * file handle, with the way up not known, ends somewhere below. */
	top = (void *)w.at;
	if (top != BPF_CORE_READ(top, d_sb, s_root) &&
	    BPF_CORE_READ(top, d_flags) & DCACHE_DISCONNECTED)
		return UNJUDGED;
	before = w.sum;
	bpf_loop(MAX_DEPTH / CHAIN, step_chain, &w, 0);
	w.base = unknown;
	climb(&w);
	return w.sum == before ? w.state : RETRY;
}

static __always_inline __u32 *root_state(__u32 slot, __u32 device)
{
	struct root key = {.device = device};
	void *roots_in = inner(&roots, slot);

	return roots_in ? bpf_map_lookup_elem(roots_in, &key) : 0;
}

/*
 * A superblock that the mount table does not hold. Either it was mounted a
 * moment ago: then its name is where its mount stands, if that is in PID 1's
 * namespace; that dentry is returned. Or it is mounted nowhere there (0): then
 * it is named from its own root.
 */
__noinline __u64 mount_point(__u64 mnt)
{
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	struct mount *m;

	if (!daemon || !mnt)
		return 0;
	m = (void *)(mnt - bpf_core_field_offset(struct mount, mnt));
	if (BPF_CORE_READ(m, mnt_ns, ns.inum) != daemon->host_mntns)
		return 0;
	if (BPF_CORE_READ(m, mnt.mnt_root) != BPF_CORE_READ(m, mnt.mnt_root, d_sb, s_root))
		return 0;
	return (__u64)BPF_CORE_READ(m, mnt_mountpoint);
}

/* A pointer that the verifier knows by type, as the number that a global
 * function takes. */
static __always_inline __u64 number(const void *pointer)
{
	__u64 typed = (__u64)pointer, plain = 0;

	bpf_probe_read_kernel(&plain, sizeof(plain), &typed);
	return plain;
}

/*
 * Whether a pointer is 0. Linux 6.4 to 6.13 believe that an argument of a hook,
 * and the inode of a dentry, is there: their verifier takes a plain check for
 * dead code and removes it, and what follows reads address 0.
 */
#define ABSENT(pointer) (!(pointer) || !number(pointer))

/*
 * An entry never changes after it was stored: it is deleted and made anew, so
 * that no reader sees half of it. A dentry that is renamed counts its sequence
 * up; that of another name, come to stand at the same address, has another
 * hash, which the kernel keys by the parent's address.
 */
static __always_inline bool current_entry(struct cached *c, struct dentry *d, __u64 word)
{
	return c->word == word && c->dentry == (__u64)d && c->seq == sequence(d) &&
	       c->hash == d->d_name.hash;
}

static __always_inline __u32 label_of_state(__u32 slot, __u32 state)
{
	void *in = inner(&states, slot);
	struct state *s = in ? bpf_map_lookup_elem(in, &state) : 0;

	return s ? s->label : UNJUDGED;
}

static __always_inline struct label *label_row(__u32 slot, __u32 label)
{
	__u32 index = label & ~LABEL_BY_PROGRAM;
	void *in = inner(&labels, slot);

	return in ? bpf_map_lookup_elem(in, &index) : 0;
}

/* Where the tables of a generation are. */
#define SLOT(g) ((__u32)(g)->id & (SLOTS - 1))

/*
 * What is in force, or 0: one look, and the whole decision keeps to it. It and
 * the control word are handed on as they are and never on the stack: the
 * verifier of Linux 7.2 loses track of a pointer to it that is handed on twice.
 */
static __always_inline struct generation *generation_of(__u64 word)
{
	__u32 slot = word >> TREE_BITS & (SLOTS - 1);

	return word >> TREE_BITS ? bpf_map_lookup_elem(&generations, &slot) : 0;
}

static __always_inline __u64 current_word(void)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);

	return control ? control->current : 0;
}

static __always_inline struct generation *in_force(void)
{
	return generation_of(current_word());
}

#define TREE(word) ((word) & ((1ULL << TREE_BITS) - 1))

/* `found` is the state, and above it the dentry's sequence count then. */
static __noinline void store(struct dentry *d, struct inode *inode, __u64 found, __u64 word,
			     struct generation *g)
{
	__u32 seq = found >> 32;
	struct cached *have;
	struct label *row;
	struct cached value = {
		.word = word,
		.dentry = (__u64)d,
		.hash = d->d_name.hash,
		.seq = seq,
		.state = found,
	};

	if (ABSENT(inode) || inode != d->d_inode || seq & 1 || sequence(d) != seq)
		return;
	value.label = label_of_state(SLOT(g), found);
	row = label_row(SLOT(g), value.label);
	if (!row)
		return;
	value.kinds = row->kinds;
	value.base_kinds = row->base_kinds;
	value.flags = row->flags;
	if (g->flags & GENERATION_DEFAULTS)
		value.kinds = value.base_kinds = 0xff; /* an allow-list decides about all */
	/* A device may hold a file system of which each file is judged. */
	if ((inode->i_mode & S_IFMT) == S_IFBLK)
		value.kinds = 0xff;
	/* A file with other names is judged by all of them, each time. */
	if (inode->i_nlink > 1 && !S_ISDIR(inode->i_mode)) {
		struct link_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
		void *in = inner(&links, SLOT(g));

		if (in && bpf_map_lookup_elem(in, &key))
			return;
	}
	/* Names that a remote end changes, or that are not known yet. */
	if (d->d_flags & (DCACHE_OP_REVALIDATE | DCACHE_DISCONNECTED))
		return;
	have = bpf_inode_storage_get(&inodes, inode, &value, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!have || current_entry(have, d, word))
		return;
	bpf_inode_storage_delete(&inodes, inode);
	bpf_inode_storage_get(&inodes, inode, &value, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/*
 * The state of a dentry: one step from its directory's, which is cached or
 * walked to. Nothing read here is locked; at the end everything is read again
 * that a rename could have changed. Where another generation came into force
 * meanwhile, this decision still keeps to its own.
 */
static __always_inline __u32 state_of(struct dentry *dentry, struct inode *inode, struct path *path,
				      __u64 word, struct generation *g, bool caching)
{
	__u32 slot = SLOT(g);
	struct dentry *parent = dentry->d_parent;
	struct super_block *sb = dentry->d_sb;
	__u32 *root = root_state(slot, sb->s_dev);
	__u32 first, state, own, above;
	bool walked = true;
	__u64 now;

	if (root && !*root)
		return 0;
	if (sb->s_flags & SB_NOUSER)
		return 0; /* pipes, sockets, memfd: files without a name */
	if (moving)
		caching = false;
	own = sequence(dentry);
	above = sequence(parent);
	first = root ? *root : g->start;
	if (!root) {
		__u64 point = path ? mount_point(number(path->mnt)) : 0;

		root = point ? root_state(slot, BPF_CORE_READ((struct dentry *)point, d_sb, s_dev)) : 0;
		if (root)
			first = *root ? walk_from_root(point, slot, *root) : 0;
		if (first >= RETRY)
			return first;
		root = 0;
	}
	if (parent == dentry)
		return walk_from_root(number(parent), slot, first);
	state = RETRY;
	if (caching && !arguments_only) {
		struct cached *c = bpf_inode_storage_get(&inodes, parent->d_inode, 0, 0);

		if (c && current_entry(c, parent, word)) {
			state = c->state;
			walked = false;
		}
	}
	if (walked)
		state = walk_from_root(number(parent), slot, first);
	if (state >= RETRY)
		return state;
	first = state;
	if (state) {
		__u64 name = arguments_only ? number(dentry->d_name.name) :
					      (__u64)dentry->d_name.name;

		state = step(slot, state, name, dentry->d_name.len);
	}
	if (state >= RETRY)
		return state;

	now = current_word();
	if (TREE(now) != TREE(word) || own & 1 || above & 1 || sequence(dentry) != own ||
	    sequence(parent) != above || dentry->d_parent != parent)
		return RETRY;
	if (moving)
		return caching ? RETRY : state;
	if (caching && root && now == word) {
		if (walked && !arguments_only)
			store(parent, parent->d_inode, (__u64)above << 32 | first, word, g);
		store(dentry, inode, (__u64)own << 32 | state, word, g);
	}
	return state;
}

static __noinline __u32 state_caching(struct dentry *dentry, struct inode *inode, struct path *path,
				      __u64 word, struct generation *g)
{
	return state_of(dentry, inode, path, word, g, true);
}

static __noinline __u32 state_plain(struct dentry *dentry, __u64 word, struct generation *g)
{
	return state_of(dentry, 0, 0, word, g, false);
}

/* What the inode's storage holds for this name, if that is valid now. */
static __always_inline struct cached *entry_of(struct dentry *dentry, struct inode *inode, __u64 word)
{
	struct cached *c = bpf_inode_storage_get(&inodes, inode, 0, 0);

	if (!c || !current_entry(c, dentry, word))
		return 0;
	/* Read last: a move that began before the entry was read shows here.
	 * The entry itself never changes. */
	if (moving || current_word() != word)
		return 0;
	return c;
}

#endif
