/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_EVENT_H
#define HOSTARMOR_EVENT_H

/* What an event says about the decision, in the shape that a global function
 * can take: kind, action, flags and hook, a byte each. */
#define ABOUT(kind, action, flags, hook)                                              \
	((kind) | (__u32)(action) << 8 | (__u32)(flags) << 16 | (__u32)(hook) << 24)

struct small_event {
	struct event header;
	char names[NAMES_SMALL];
};

struct large_event {
	struct event header;
	char names[NAMES_LARGE];
};

struct writing {
	void *record;
	__u64 at;
	__u32 offset;
	__u32 limit; /* of this name */
	__u32 cut;
};

/* Components from the leaf up; the daemon turns them round. */
#define DEFINE_PUT(size, type, capacity)                                              \
	static long put_##size(__u32 i, struct writing *w)                            \
	{                                                                             \
		struct type *e = w->record;                                           \
		struct dentry *d = (void *)w->at;                                     \
		__u64 parent = (__u64)BPF_CORE_READ(d, d_parent);                     \
		__u32 offset = w->offset;                                             \
		long n;                                                               \
                                                                                      \
		if (parent == w->at)                                                  \
			return 1;                                                     \
		if (offset > w->limit || offset >= (capacity)-256) {                  \
			w->cut = 1;                                                   \
			return 1;                                                     \
		}                                                                     \
		n = bpf_probe_read_kernel_str(&e->names[offset], 256,                 \
					      BPF_CORE_READ(d, d_name.name));         \
		if (n <= 0) {                                                         \
			w->cut = 1;                                                   \
			return 1;                                                     \
		}                                                                     \
		w->offset = offset + n;                                               \
		w->at = parent;                                                       \
		return 0;                                                             \
	}                                                                             \
                                                                                      \
	static long put_cgroup_##size(__u32 i, struct writing *w)                     \
	{                                                                             \
		struct type *e = w->record;                                           \
		struct kernfs_node *kn = (void *)w->at;                               \
		__u64 parent = kernfs_parent(kn);                                     \
		__u32 offset = w->offset;                                             \
		long n;                                                               \
                                                                                      \
		if (!parent)                                                          \
			return 1;                                                     \
		if (offset >= (capacity)-256) {                                       \
			w->cut = 1;                                                   \
			return 1;                                                     \
		}                                                                     \
		n = bpf_probe_read_kernel_str(&e->names[offset], 256,                 \
					      BPF_CORE_READ(kn, name));               \
		if (n <= 0)                                                           \
			return 1;                                                     \
		w->offset = offset + n;                                               \
		w->at = parent;                                                       \
		return 0;                                                             \
	}

static __always_inline __u64 kernfs_parent(struct kernfs_node *kn)
{
	struct kernfs_node___renamed *renamed = (void *)kn;

	if (bpf_core_field_exists(renamed->__parent))
		return (__u64)BPF_CORE_READ(renamed, __parent);
	return (__u64)BPF_CORE_READ(kn, parent);
}

DEFINE_PUT(small, small_event, NAMES_SMALL)
DEFINE_PUT(large, large_event, NAMES_LARGE)

static __always_inline void fill(struct event *e, struct task_struct *task, __u64 generation,
				 __u32 rule, __u32 about, __u32 target)
{
	struct task_struct *parent = task->real_parent;

	e->time = bpf_ktime_get_boot_ns();
	e->generation = generation;
	e->cgroup = bpf_get_current_cgroup_id();
	e->rule = rule;
	e->tgid = task->tgid;
	e->parent_tgid = parent->tgid;
	e->uid = bpf_get_current_uid_gid();
	e->loginuid = task->loginuid.val;
	e->resource_device = 0;
	e->exe_device = 0;
	e->parent_device = 0;
	e->resource_length = 0;
	e->exe_length = 0;
	e->parent_length = 0;
	e->cgroup_length = 0;
	e->kind = about;
	e->action = about >> 8;
	e->flags = about >> 16;
	e->hook = about >> 24;
	e->target = target;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
}

static __always_inline __u64 exe_of(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	struct file *exe;

	if (!mm)
		return 0;
	exe = BPF_CORE_READ(mm, exe_file);
	return exe ? (__u64)BPF_CORE_READ(exe, f_path.dentry) : 0;
}

#define PUT_NAME(size, e, w, which, device, length, flag, longest)                   \
	do {                                                                          \
		struct dentry *named = (void *)(which);                              \
		__u32 from = (w).offset;                                              \
                                                                                      \
		(w).at = (which);                                                    \
		(w).cut = unknown;                                                    \
		(w).limit = from + (longest);                                         \
		if (named) {                                                          \
			(e)->header.device = BPF_CORE_READ(named, d_sb, s_dev);       \
			bpf_loop(MAX_DEPTH, put_##size, &(w), 0);                     \
			(e)->header.length = (w).offset - from;                       \
			if ((w).cut) {                                                \
				cut = 1;                                              \
				(e)->header.flags |= (flag);                          \
			}                                                             \
		}                                                                     \
	} while (0)

#define WRITE_EVENT(size, e, task)                                                    \
	do {                                                                          \
		struct writing w = {.record = (e), .offset = unknown};                \
		__u32 from;                                                           \
                                                                                      \
		fill(&(e)->header, task, generation, rule, about, target);                    \
		PUT_NAME(size, e, w, resource, resource_device,                       \
			 resource_length, EVENT_CUT_RESOURCE, 4096);                  \
		PUT_NAME(size, e, w, exe_of(task), exe_device, exe_length,            \
			 EVENT_CUT_EXE, 4096);                                        \
		PUT_NAME(size, e, w, exe_of((task)->real_parent), parent_device,      \
			 parent_length, EVENT_CUT_PARENT, 4096);                      \
		from = w.offset;                                                      \
		w.at = (__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);             \
		w.cut = unknown;                                                      \
		bpf_loop(64, put_cgroup_##size, &w, 0);                               \
		if (w.cut)                                                            \
			cut = 1;                                                      \
		(e)->header.cgroup_length = w.offset - from;                          \
	} while (0)

/* A global function: the verifier looks at it once. Returns what it lost. */
__noinline __u32 report(__u64 resource, __u64 generation, __u32 rule, __u32 about, __u32 target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct small_event *small;
	struct large_event *large;
	__u32 zero = 0, cut = 0;
	__u64 *lost;

	small = bpf_ringbuf_reserve(&events, sizeof(*small), 0);
	if (!small)
		goto lose;
	WRITE_EVENT(small, small, task);
	if (!cut) {
		bpf_ringbuf_submit(small, 0);
		return 0;
	}
	bpf_ringbuf_discard(small, 0);
	large = bpf_ringbuf_reserve(&events, sizeof(*large), 0);
	if (!large)
		goto lose;
	WRITE_EVENT(large, large, task);
	bpf_ringbuf_submit(large, 0);
	return 0;
lose:
	lost = bpf_map_lookup_elem(&losses, &zero);
	if (lost)
		__sync_fetch_and_add(lost, 1);
	return 1;
}

#endif
