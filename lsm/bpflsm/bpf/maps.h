/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_MAPS_H
#define HOSTARMOR_MAPS_H

/* Live state: one instance, whatever the generation. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct daemon);
} daemons SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cached);
} inodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct subject);
} subjects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 21);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

/* The devices of file systems that are gone, and when: their number is used
 * again at once, and a row that was made for the one before must not name it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} gone SEC(".maps");

/* What others may not open for change, by id: 1, or for the program that
 * switches the generation, which others may not even open. */
#define GUARDED_SWITCH 2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} guarded_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} guarded_programs SEC(".maps");

/* One slot per generation; the inner maps are built beside the live ones. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct generation);
} generations SEC(".maps");

#define PER_GENERATION(plural, kind, flags, key_type, value_type)                   \
	struct plural##_of_one {                                                    \
		__uint(type, kind);                                                 \
		__uint(map_flags, flags);                                           \
		__uint(max_entries, 1);                                             \
		__type(key, key_type);                                              \
		__type(value, value_type);                                          \
	};                                                                          \
	struct {                                                                    \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                           \
		__uint(max_entries, SLOTS);                                         \
		__type(key, __u32);                                                 \
		__array(values, struct plural##_of_one);                            \
	} plural SEC(".maps")

PER_GENERATION(edges, BPF_MAP_TYPE_HASH, 0, struct edge, __u32);
PER_GENERATION(states, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, __u32, struct state);
PER_GENERATION(globs, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, __u32, __u32);
PER_GENERATION(labels, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, __u32, struct label);
PER_GENERATION(roles, BPF_MAP_TYPE_HASH, 0, struct role_key, __u32);
PER_GENERATION(rows, BPF_MAP_TYPE_HASH, 0, __u32, struct role);
PER_GENERATION(users, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, __u32, struct user_row);
PER_GENERATION(classes, BPF_MAP_TYPE_HASH, 0, __u64, __u32);
PER_GENERATION(acts, BPF_MAP_TYPE_HASH, 0, struct act_key, struct cell);
PER_GENERATION(traces, BPF_MAP_TYPE_HASH, 0, struct trace_key, struct cell);
PER_GENERATION(applets, BPF_MAP_TYPE_HASH, 0, struct applet, __u32);
PER_GENERATION(links, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, struct link_key, __u32);
PER_GENERATION(verdicts, BPF_MAP_TYPE_HASH, 0, struct verdict_key, struct verdict);
PER_GENERATION(hits, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, __u32, __u64);
PER_GENERATION(roots, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, struct root, __u32);

/* Keys and values of inner maps reach BTF only through a declaration. */
const struct verdict_key *verdict_key_type __attribute__((unused));
const struct role_key *role_key_type __attribute__((unused));
const struct edge *edge_type __attribute__((unused));
const struct root *root_type __attribute__((unused));
const struct state *state_type __attribute__((unused));
const struct role *role_type __attribute__((unused));
const struct verdict *verdict_type __attribute__((unused));
const struct label *label_type __attribute__((unused));
const struct applet *applet_type __attribute__((unused));
const struct user_row *user_row_type __attribute__((unused));
const struct act_key *act_key_type __attribute__((unused));
const struct trace_key *trace_key_type __attribute__((unused));
const struct link_key *link_key_type __attribute__((unused));
const struct event *event_type __attribute__((unused));

static __always_inline void *inner(void *outer, __u32 slot)
{
	return bpf_map_lookup_elem(outer, &slot);
}

/* Which build's programs write events and count hits: during an upgrade two
 * builds are attached to each hook. */
const volatile __u32 owner;

/*
 * Linux 7.2 lends the storage of an inode only to who came to it by pointers
 * that it vouches for: a hook's argument and what that names. Up to another
 * directory, or over to a task's executable, there is no such way. There they
 * are walked to each time instead of found in the cache.
 */
const volatile bool arguments_only;

/* Whether inode_setattr gets an idmap first. */
const volatile bool setattr_idmap;

/*
 * Always 0, and not known to the verifier to be. Linux 6.1 verifies a callback
 * of bpf_loop for one iteration: of a counter that begins with a constant it
 * believes that it is never more than one, and removes the code for the rest,
 * bounds checks included. What a callback changes has to begin unknown.
 */
volatile __u64 unknown;

/* Renames that change what a directory's files are called, between their
 * start and their end: nothing cached may be believed meanwhile. */
volatile __u64 moving;

#endif
