/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_ABI_H
#define HOSTARMOR_ABI_H

/*
 * Everything that crosses between kernel and daemon, or outlives a daemon in
 * a pinned map. A change of layout or meaning needs a new ABI number: the pins
 * of another number are left alone until their successor is in force.
 */
#define ABI_VERSION 2

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
	/* What allow-lists refuse of everything beneath a directory. */
	KIND_HOLD_EXEC,
	KIND_HOLD_FILE,
	/* From here on an event's kind is an act: an operation of class system,
	 * numbered as lsm.Act has it. */
	FIRST_ACT = 64,
	ACT_LOAD_MODULE = FIRST_ACT + 12,
	ACT_PTRACE,
	ACT_MOUNT,
	ACT_BPF,
	ACT_CREATE_USERNS,
	ACT_KEXEC,
	ACT_IO_URING,
	ACT_FILELESS_EXEC,
	ACT_ANONYMOUS_EXEC,
	ACT_SIGNAL_OUTSIDE,
	ACT_SET_TIME,
	ACT_READ_PROC_ENVIRON,
	ACT_TAMPER,
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
	CELL_SELF = 4,	    /* of the policy that protects HostArmor */
};

enum generation_flag {
	GENERATION_DEFAULTS = 1, /* some role decides about label 0 */
	GENERATION_PROGRAMS = 2, /* roles depend on the executable */
	GENERATION_AUDIT = 4,	 /* nothing is denied */
	GENERATION_USERS = 8,	 /* roles depend on the user */
	GENERATION_UNITS = 16,	 /* ... on the cgroup: `units` is set */
	GENERATION_TRACES = 32,	 /* some programs are trusted with more */
	GENERATION_APPLETS = 64, /* rules tell commands of programs apart */
};

enum label_flag {
	LABEL_OWNED = 1,   /* its owner fares differently */
	LABEL_APPLETS = 2, /* commands of the program do */
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
	__u8 blocks;	 /* bit per kind that some row or default of it blocks */
	__u8 raw_blocks; /* ... leaving out the policy that protects HostArmor */
	__u16 unused;
	__u32 unused2;
	struct cell system;	  /* for an act without a row */
	struct verdict otherwise; /* for a label without a row */
};

struct control {
	__u64 current; /* only ever added to, atomically, by kernel and daemon */
	__u64 deaths;  /* file systems that are gone, ever */
	__u64 lost;	/* the latest of them that `gone` has no room for */
};

struct daemon {
	__u32 owner;	  /* the build whose programs write events */
	__u32 tgid;	  /* 0 before the first */
	__u32 host_mntns; /* inode number of PID 1's mount namespace */
	__u32 host_root;  /* device of PID 1's root */
	__u32 pins;	  /* device of the BPF file system that holds the pins */
	__u32 unused;
};

struct generation {
	__u64 id;
	__u32 start; /* state of "/" */
	__u32 flags;
	__u32 kinds;  /* bit per kind that some rule decides */
	__u32 unused;
	__u32 rules;
	__u32 units;	 /* state of the root cgroup, 0: no unit is told apart */
	__u64 acts;	 /* bit per act from FIRST_ACT on that some rule decides */
	__u32 user_rows; /* rows of `users` about uids; those about login uids follow */
	__u32 login_rows;
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
	__u32 owned;	 /* the label for the file's owner, with LABEL_OWNED */
	__u8 kinds;	 /* bit per kind that some role's row blocks or audits */
	__u8 base_kinds; /* ... the base role's row */
	__u8 flags;
	__u8 unused;
};

/* The label of a program that is called by a name; one is kept for longer
 * names too, and matches none. */
#define APPLET_NAME 60

struct applet {
	__u32 label;
	char name[APPLET_NAME]; /* padded with NUL */
};

/* From `first` up to the next row's. */
struct user_row {
	__u64 bits;
	__u32 first;
	__u32 unused;
};

struct act_key {
	__u32 role;
	__u32 act;
};

struct trace_key {
	__u32 role;
	__u32 program;
};

/* A file that has several hard links, and the labels of those of its names
 * that differ: as many rows as there are, from index 0. */
#define MAX_LINKS 8

struct link_key {
	__u64 inode;
	__u32 device;
	__u32 index;
};

#define VIEW_CARRIERS 4294967295U /* block devices that hold what is mounted */

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
	__u8 flags;
	__u8 unused;
};

/* Task storage. */
#define HOME 192

struct identity {
	__u64 cgroup; /* this and the three ids are what the rest was found for */
	__u64 unit;   /* the outermost cgroup that a policy names, 0: the host */
	__u32 uid;
	__u32 euid;
	__u32 login;
	__u32 program;
	__u32 user;
	__u32 workload;
	__u32 role;
	__u32 base;
};

struct subject {
	__u64 generation; /* that the identity belongs to; 0: none yet */
	struct identity now;
	__u64 exe_inode;  /* of the file that was executed, */
	__u32 exe_device; /* whatever /proc/self/exe says later */
	__u32 called;	  /* label of the exec in progress, by its command */
	__u64 moved_to;	  /* the cgroup that somebody moved the task to */
	__u64 renames;	  /* a bit per vfs_rename in progress, the innermost lowest */
	__u64 home_unit;
	__u8 moved_by;	/* enum mover */
	__u8 forked_by; /* enum mover, of the parent */
	__u8 held;	/* moved by somebody who may not: `home` counts */
	__u8 home_levels;
	__u8 alien;	/* put into its cgroup at its birth, and not by PID 1 */
	__u8 unused[3];
	/* The names of the cgroups that confine it, from the top, each ended by a
	 * NUL: a cgroup that it left may be gone. */
	char home[HOME];
};

enum mover {
	MOVER_UNKNOWN, /* before this was looked at */
	MOVER_INIT,    /* PID 1 */
	MOVER_FREE,    /* somebody whom no unit's policy confines */
	MOVER_CONFINED,
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
	__u32 target; /* tgid of the process that is acted upon */
};

_Static_assert(sizeof(struct cell) == 8, "cell");
_Static_assert(sizeof(struct verdict) == 64, "verdict");
_Static_assert(sizeof(struct role) == 88, "role");
_Static_assert(sizeof(struct control) == 24, "control");
_Static_assert(sizeof(struct daemon) == 24, "daemon");
_Static_assert(sizeof(struct generation) == 176, "generation");
_Static_assert(sizeof(struct state) == 24, "state");
_Static_assert(sizeof(struct label) == 12, "label");
_Static_assert(sizeof(struct edge) == 20, "edge");
_Static_assert(sizeof(struct cached) == 40, "cached");
_Static_assert(sizeof(struct subject) == 296, "subject");
_Static_assert(sizeof(struct event) == 88, "event");

#endif
