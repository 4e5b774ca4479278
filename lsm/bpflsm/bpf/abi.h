/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_ABI_H
#define HOSTARMOR_ABI_H

/*
 * Everything that crosses between kernel and daemon, or outlives a daemon in
 * a pinned map. A change of layout or meaning needs a new ABI number: the pins
 * of another number are left alone until their successor is in force.
 */
#define ABI_VERSION 1

#define KINDS 8
#define SLOTS 4 /* generations that may coexist; a power of two */

/* control.current: generation << TREE_BITS | count of tree changes. One word, so
 * that a cached label is checked by one comparison. */
#define TREE_BITS 40

enum kind {
	KIND_EXEC,
	KIND_READ,
	KIND_WRITE,
	KIND_MAP,
	KIND_MOVE,
};

enum action {
	ACTION_NONE,
	ACTION_BLOCK,
	ACTION_AUDIT,
	ACTION_ALLOW,
};

enum cell_flag {
	CELL_OTHERWISE = 1,
	CELL_DANGEROUS = 2, /* PID 1 and the daemon are not exempt */
};

enum generation_flag {
	GENERATION_DEFAULTS = 1, /* some role decides about label 0 */
	GENERATION_PROGRAMS = 2, /* roles depend on the executable */
	GENERATION_AUDIT = 4,	 /* nothing is denied */
};

enum event_flag {
	EVENT_PERMITTED = 1, /* a block that was let through */
	EVENT_EXEMPT = 2,    /* ... because of who acts */
	EVENT_UNJUDGED = 4,
	EVENT_OTHERWISE = 8,
	EVENT_CUT_RESOURCE = 16, /* the name did not fit */
	EVENT_CUT_EXE = 32,
	EVENT_CUT_PARENT = 64,
};

#define LABEL_BY_PROGRAM (1U << 31)

struct cell {
	__u32 rule;
	__u8 action;
	__u8 flags;
	__u16 unused;
};

struct verdict {
	struct cell cells[KINDS];
};

struct role {
	__u32 id;
	__u32 base;
	struct verdict otherwise; /* for a label without a row */
};

struct control {
	__u64 current; /* only ever added to, atomically, by kernel and daemon */
};

struct daemon {
	__u32 owner;	  /* the build whose programs write events */
	__u32 tgid;	  /* 0 before the first */
	__u32 host_mntns; /* inode number of PID 1's mount namespace */
	__u32 unused;
};

struct generation {
	__u64 id;
	__u32 start; /* state of "/" */
	__u32 flags;
	__u32 kinds;  /* bit per kind that some rule decides */
	__u32 blocks; /* bit per kind that some rule or default blocks */
	__u32 rules;
	__u32 unused;
	__u64 placement; /* hash of the rows that bind mounts added */
	__u8 digest[32];
	struct role base; /* of a host process that no `from` names */
};

struct state {
	__u32 label;
	__u32 below;
	__u32 otherwise;
	__u32 glob;
	__u32 edges; /* 0: no edge leaves here */
	__u32 unused;
};

/*
 * One literal step. A name longer than a chunk is a chain of chunks through
 * nodes of their own (EDGE_NODE), so the bytes are compared and two names
 * never share a key. EDGE_MORE says that the name goes on.
 */
#define CHUNK 16
#define EDGE_MORE (1U << 31)
#define EDGE_NODE (1U << 30)

struct edge {
	__u32 from;
	__u8 name[CHUNK]; /* padded with NUL, which no name holds */
};

#define GLOB_ROW 257 /* 256 bytes, then the state at the name's end */

struct label {
	__u32 program;	 /* class of the executables that carry it */
	__u8 kinds;	 /* bit per kind that some role's row blocks or audits */
	__u8 base_kinds; /* ... the base role's row */
	__u16 unused;
};

struct root {
	__u32 view; /* 0 = the host's mount table */
	__u32 device;
};

struct role_key {
	__u32 workload;
	__u32 user;
	__u32 program;
};

struct verdict_key {
	__u32 role;
	__u32 label;
};

/* Inode storage: what the walk found, and all that it depended on. */
struct cached {
	__u64 word; /* control.current */
	__u64 dentry;
	__u32 hash;
	__u32 seq;
	__u32 state;
	__u32 label;
	__u8 kinds; /* as struct label has them; all where a role has a default */
	__u8 base_kinds;
	__u16 view; /* 0 = the host's names */
};

/* Task storage. */
struct subject {
	__u64 generation; /* that program belongs to; 0: not known yet */
	__u32 program;
	__u32 exe_device; /* of the file that was executed, */
	__u64 exe_inode;  /* whatever /proc/self/exe says later */
	__u64 renames;    /* a bit per vfs_rename in progress, the innermost lowest */
};

/* The names follow the header: components from the leaf up, each ended by a
 * NUL; a name that has no NUL-terminated component is the root itself. */
#define NAMES_SMALL 704
#define NAMES_LARGE (4 * 4608)

struct event {
	__u64 time; /* CLOCK_BOOTTIME, ns */
	__u64 generation;
	__u64 cgroup;
	__u32 rule;
	__u32 tgid;
	__u32 parent_tgid;
	__u32 uid;
	__u32 loginuid;
	__u32 resource_device;
	__u32 exe_device;
	__u32 parent_device;
	__u16 resource_length;
	__u16 exe_length;
	__u16 parent_length;
	__u16 cgroup_length;
	__u8 kind;
	__u8 action;
	__u8 flags;
	__u8 hook; /* index into the table of hooks */
	char comm[16];
	__u32 unused;
};

_Static_assert(sizeof(struct cell) == 8, "cell");
_Static_assert(sizeof(struct verdict) == 64, "verdict");
_Static_assert(sizeof(struct role) == 72, "role");
_Static_assert(sizeof(struct control) == 8, "control");
_Static_assert(sizeof(struct daemon) == 16, "daemon");
_Static_assert(sizeof(struct generation) == 144, "generation");
_Static_assert(sizeof(struct state) == 24, "state");
_Static_assert(sizeof(struct label) == 8, "label");
_Static_assert(sizeof(struct edge) == 20, "edge");
_Static_assert(sizeof(struct cached) == 40, "cached");
_Static_assert(sizeof(struct subject) == 32, "subject");
_Static_assert(sizeof(struct event) == 88, "event");

#endif
