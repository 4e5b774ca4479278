/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_EXEC_H
#define HOSTARMOR_EXEC_H

/*
 * The command that a multi-call program is called as. At the check its
 * arguments are read where the caller has them, which another thread may
 * change meanwhile. So they are read again from the new program's own memory,
 * when nobody else can reach it; who cheated is killed there, before its first
 * instruction.
 */

enum source {
	FROM_POINTERS,	 /* of the caller, 8 bytes each */
	FROM_POINTERS32, /* ... 4 bytes each */
	FROM_STACK,	 /* the strings, one after another */
	FROM_KERNEL,	 /* one string, of the kernel's */
};

struct scan {
	__u64 at;
	__u32 n; /* length of the name so far */
	__u8 hyphen;
	__u8 bad;
	__u8 option; /* the name may be the value of one */
	__u8 source;
	struct applet key;
};

/* With zeros that the verifier does not know: see `unknown`. */
static __always_inline void forget_name(struct scan *s)
{
	__u32 zero = unknown, i;

	for (i = 0; i < APPLET_NAME / 4; i++)
		*(__u32 *)&s->key.name[i * 4] = zero;
	s->n = zero;
	s->hyphen = zero;
}

/* Four characters at a time. */
#define CHARS(a, b, c, d) ((__u32)(a) | (b) << 8 | (c) << 16 | (__u32)(d) << 24)

static __always_inline __u32 chars(struct scan *s, __u32 at)
{
	return *(__u32 *)&s->key.name[at];
}

/* coreutils --coreutils-prog=NAME, or --coreutils-prog-shebang=NAME: of two
 * hyphens the first was skipped. */
static __always_inline bool names_program(struct scan *s)
{
	return (s->n == 15 || s->n == 23) && chars(s, 0) == CHARS('-', 'c', 'o', 'r') &&
	       chars(s, 4) == CHARS('e', 'u', 't', 'i') && chars(s, 8) == CHARS('l', 's', '-', 'p') &&
	       (chars(s, 12) & 0xffffff) == CHARS('r', 'o', 'g', 0);
}

/* A character at a time: the verifier takes each iteration for the same. */
static long scan_one(__u32 i, struct scan *s)
{
	__u32 n = s->n;
	char c = 0;

	if (s->source == FROM_KERNEL ? bpf_probe_read_kernel(&c, 1, (void *)s->at) :
				       bpf_probe_read_user(&c, 1, (void *)s->at)) {
		s->bad = 1;
		return 1;
	}
	if (!c)
		return 1;
	s->at++;
	if (c == '/') {
		forget_name(s);
	} else if (c == '-' && !n && !s->hyphen) {
		s->hyphen = 1;
	} else if (c == '=' && s->option && names_program(s)) {
		forget_name(s);
		s->option = 0;
	} else if (n < APPLET_NAME) {
		s->key.name[n] = c;
		s->n = n + 1;
	}
	return 0;
}

static __always_inline bool multi_call(struct scan *s)
{
	__u32 a = chars(s, 0), b = chars(s, 4);

	if (a == CHARS('b', 'u', 's', 'y'))
		return (b & 0xffffff) == CHARS('b', 'o', 'x', 0);
	if (a == CHARS('t', 'o', 'y', 'b'))
		return (b & 0xffff) == CHARS('o', 'x', 0, 0);
	return a == CHARS('c', 'o', 'r', 'e') && b == CHARS('u', 't', 'i', 'l') &&
	       chars(s, 8) == CHARS('s', 0, 0, 0);
}

struct calling {
	struct scan scan;
	__u64 from;
	__u32 label;
	__u32 slot;
	__u32 options;
};

static long called_one(__u32 i, struct calling *c)
{
	void *in = inner(&applets, c->slot);
	struct scan *s = &c->scan;
	__u32 *to;

	if (s->source == FROM_POINTERS) {
		if (bpf_probe_read_user(&s->at, sizeof(s->at), (void *)(c->from + i * 8)))
			goto bad;
	} else if (s->source == FROM_POINTERS32) {
		__u32 short_pointer;

		if (bpf_probe_read_user(&short_pointer, sizeof(short_pointer), (void *)(c->from + i * 4)))
			goto bad;
		s->at = short_pointer;
	}
	if (!s->at)
		return 1;
	forget_name(s);
	s->option = c->options;
	bpf_loop(1 << 17, scan_one, s, 0);
	if (s->bad)
		goto bad;
	s->at++; /* over the NUL */
	s->key.label = c->label & ~LABEL_BY_PROGRAM;
	to = in && s->n < APPLET_NAME ? bpf_map_lookup_elem(in, &s->key) : 0;
	if (to)
		c->label = *to;
	c->options = s->key.name[0] == 'c';
	return s->source == FROM_KERNEL || !multi_call(s);
bad:
	c->label = UNJUDGED;
	return 1;
}

/* The label for the command; UNJUDGED where the arguments cannot be read. A
 * global function: the verifier looks at it once. */
__noinline __u32 called(__u64 from, __u32 label, __u32 source, __u32 slot)
{
	struct calling c = {.from = from, .label = label, .slot = slot};

	c.scan.source = source;
	c.scan.at = from;
	c.scan.n = unknown;
	c.scan.hyphen = unknown;
	c.scan.bad = unknown;
	c.options = unknown;
	bpf_loop(64, called_one, &c, 0);
	return c.label;
}

/* ... as the caller of execve has its arguments. What cannot be read, or is
 * the kernel's own doing, is seen when the new program has them. */
static __noinline __u32 called_by_caller(struct linux_binprm *bprm, __u32 label, struct generation *g)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;
	__u64 call, from;
	__u32 source = FROM_POINTERS, to;

	if (number(bprm->interp) != number(bprm->filename))
		return called((__u64)BPF_CORE_READ(bprm, interp), label, FROM_KERNEL, SLOT(g));
	if (!task->mm)
		return label;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	call = regs->orig_ax;
	from = regs->si;
	if (task->thread_info.status & TS_COMPAT) {
		source = FROM_POINTERS32;
		from = call == 11 ? regs->cx : regs->dx;
	} else if (call & 0x40000000) {
		source = FROM_POINTERS32;
		from = (call & 0xffff) == 520 ? regs->si : regs->dx;
	} else if (call == 322) {
		from = regs->dx;
	}
	to = called(from, label, source, SLOT(g));
	return to == UNJUDGED ? label : to;
}

/* One of a program's labels, for the owner and the command. */
static __noinline __u32 exec_label(struct linux_binprm *bprm, __u32 label, bool committed,
				   struct generation *g)
{
	__u8 flags = flags_of(label, g);

	if (flags & LABEL_OWNED) {
		label = owned_label(bprm->file->f_path.dentry->d_inode, label, g);
		flags = flags_of(label, g);
	}
	if (!(flags & LABEL_APPLETS))
		return label;
	return committed ? called(bprm->p, label, FROM_STACK, SLOT(g)) : called_by_caller(bprm, label, g);
}

/* What decides about an exec: of all the names of the program the strictest. */
static __noinline struct cell *exec_cell(struct linux_binprm *bprm, __u32 label, bool committed,
					 struct generation *g)
{
	struct inode *inode = bprm->file->f_path.dentry->d_inode;
	struct cell *best, *cell;
	__u32 i, linked;
	__u64 who;

	label = exec_label(bprm, label, committed, g);
	if (label == UNJUDGED)
		return 0;
	who = own_roles(g);
	best = &find_row(g, ROLE(who), BASE(who), label)->cells[KIND_EXEC];
	if (!may_be_linked(inode))
		return best;
	for (i = 0; i < MAX_LINKS; i++) {
		linked = linked_label(inode, i, g);
		if (!linked)
			break;
		linked = exec_label(bprm, linked, committed, g);
		if (linked == UNJUDGED)
			return 0;
		cell = &find_row(g, ROLE(who), BASE(who), linked)->cells[KIND_EXEC];
		if (rank(packed(cell)) < rank(packed(best)))
			best = cell;
	}
	return best;
}

static __noinline __u32 plain_label(struct dentry *dentry, struct inode *inode, struct path *path,
				    __u64 word, struct generation *g)
{
	struct cached *c = entry_of(dentry, inode, word);

	return c ? c->label : label_by_walk(dentry, inode, path, word, g);
}

/* Files that no directory holds. */
static __always_inline bool nameless(struct inode *inode)
{
	return inode->i_sb->s_flags & SB_NOUSER || !inode->i_nlink;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(bprm_check_security, struct linux_binprm *bprm)
{
	struct file *file = bprm->file;
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file->f_inode;
	struct subject *s;
	struct cached *c;
	struct cell *cell;
	__u64 word = current_word();
	struct generation *g = generation_of(word);
	__u32 label;
	int err;

	if (!g)
		return 0;
	if (g->acts & ACT_BIT(ACT_FILELESS_EXEC) && nameless(inode)) {
		err = act(number(dentry), WHAT(ACT_FILELESS_EXEC, HOOK_bprm_check_security), 0);
		if (err)
			return err;
	}
	if (!(g->kinds & 1 << KIND_EXEC))
		return 0;
	c = entry_of(dentry, inode, word);
	if (c && undecided(c, 1 << KIND_EXEC, g))
		return 0;
	label = c ? c->label : label_by_walk(dentry, inode, &file->f_path, word, g);
	if (label == UNJUDGED)
		return unjudged(number(dentry), 1 << KIND_EXEC,
				ORDER(KIND_EXEC, KIND_EXEC, HOOK_bprm_check_security), g, false);
	if (!label && !may_be_linked(inode) && !(g->flags & GENERATION_DEFAULTS))
		return 0;
	cell = exec_cell(bprm, label, false, g);
	s = bpf_task_storage_get(&subjects, bpf_get_current_task_btf(), 0, 0);
	if (s)
		s->called = cell ? cell->rule + 1 : 0;
	if (!cell || !DECIDES(cell))
		return 0;
	return enact(number(dentry), g, cell, WHAT(KIND_EXEC, HOOK_bprm_check_security), 0);
}

/* Whether the arguments that the new program has are those that were judged. */
static __noinline void judge_again(struct linux_binprm *bprm, struct generation *g)
{
	struct file *file = bprm->file;
	struct dentry *dentry = file->f_path.dentry;
	struct subject *s;
	struct cell *cell;
	__u32 label;

	label = plain_label(dentry, file->f_inode, &file->f_path, current_word(), g);
	if (!label || label == UNJUDGED)
		return;
	s = bpf_task_storage_get(&subjects, bpf_get_current_task_btf(), 0, 0);
	cell = exec_cell(bprm, label, true, g);
	if (cell && (!DECIDES(cell) || (s && s->called == cell->rule + 1)))
		return;
	if (!cell ? unjudged(number(dentry), 1 << KIND_EXEC,
			     ORDER(KIND_EXEC, KIND_EXEC, HOOK_bprm_committed_creds), g, false) :
		    enact(number(dentry), g, cell, WHAT(KIND_EXEC, HOOK_bprm_committed_creds), 0))
		bpf_send_signal(SIGKILL);
}

SEC("lsm/bprm_committed_creds")
int BPF_PROG(bprm_committed_creds, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = bprm->file;
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = dentry->d_inode;
	struct subject *s;
	struct generation *g = in_force();

	if (!g)
		return 0;
	if (g->flags & GENERATION_APPLETS)
		judge_again(bprm, g);
	s = bpf_task_storage_get(&subjects, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		return 0; /* found from the executable when it is needed */
	s->generation = 0;
	s->exe_inode = inode->i_ino;
	s->exe_device = inode->i_sb->s_dev;
	return 0;
}

/* The verdict on reaching into a process of a class of programs. */
static __noinline struct cell *trace_cell(struct generation *g, __u32 role, __u32 base, __u32 program)
{
	struct trace_key key = {.role = role, .program = program};
	void *in = inner(&traces, SLOT(g));
	struct cell *cell;

	if (!in || !program)
		return 0;
	cell = bpf_map_lookup_elem(in, &key);
	if (!cell) {
		key.role = base;
		cell = bpf_map_lookup_elem(in, &key);
	}
	return cell && DECIDES(cell) ? cell : 0;
}

static __noinline __u64 roles_of(struct task_struct *task, struct generation *g)
{
	struct identity who;

	find_identity(task, false, g, &who);
	return (__u64)who.role << 32 | who.base;
}

#define LSM_UNSAFE_PTRACE 2

/* A program that is trusted with more than who starts it begins as if it were
 * setuid: the loader ignores LD_PRELOAD and the like. Nobody traces it. */
SEC("lsm/bprm_creds_from_file")
int BPF_PROG(bprm_creds_from_file, struct linux_binprm *bprm, struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct dentry *dentry = file->f_path.dentry;
	struct cell *cell;
	struct generation *g = in_force();
	__u32 program;
	__u64 who;

	if (!g || !(g->flags & GENERATION_TRACES))
		return 0;
	program = program_of(dentry, g);
	if (!program)
		return 0;
	if (bprm->unsafe & LSM_UNSAFE_PTRACE) {
		who = roles_of(task->parent, g);
		cell = trace_cell(g, ROLE(who), BASE(who), program);
		if (cell) {
			int err = enact(number(dentry), g, cell,
					WHAT(ACT_PTRACE, HOOK_bprm_creds_from_file), task->tgid);

			if (err)
				return err;
		}
	}
	who = own_roles(g);
	cell = trace_cell(g, ROLE(who), BASE(who), program);
	if (cell && cell->action == ACTION_BLOCK && !(g->flags & GENERATION_AUDIT) && !exempt())
		bpf_bprm_opts_set(bprm, BPF_F_BPRM_SECUREEXEC);
	return 0;
}

/* ld.so PROGRAM maps the program instead of executing it. */
static __always_inline int judge_mapping(struct file *file, __u32 hook)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct dentry *dentry = file->f_path.dentry;
	struct mm_struct *mm = task->mm;
	struct file *exe;
	struct generation *g = in_force();
	int err;

	/* The program's own text: judged at its exec. */
	if (mm) {
		exe = mm->exe_file;
		if (exe && exe->f_inode == file->f_inode)
			return 0;
	}
	if (!g)
		return 0;
	if (g->acts & ACT_BIT(ACT_FILELESS_EXEC) && nameless(file->f_inode)) {
		err = act(number(dentry), WHAT(ACT_FILELESS_EXEC, hook), 0);
		if (err)
			return err;
	}
	return judge_one(dentry, file->f_inode, &file->f_path, KIND_MAP, hook);
}

/* Memory that may hold what somebody wrote there: of no file, or of one that
 * has no name, but for the program's own text. */
static __always_inline bool anonymous(struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	struct file *exe;

	if (ABSENT(file))
		return true;
	if (!nameless(file->f_inode))
		return false;
	exe = mm ? mm->exe_file : 0;
	return !exe || exe->f_inode != file->f_inode;
}

SEC("lsm/mmap_file")
int BPF_PROG(mmap_file, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	int err;

	if (!(prot & PROT_EXEC))
		return 0;
	if (anonymous(file) || (prot & PROT_WRITE && !(flags & MAP_SHARED))) {
		err = act(0, WHAT(ACT_ANONYMOUS_EXEC, HOOK_mmap_file), 0);
		if (err)
			return err;
	}
	return ABSENT(file) ? 0 : judge_mapping(file, HOOK_mmap_file);
}

SEC("lsm/file_mprotect")
int BPF_PROG(file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
{
	unsigned long flags = vma->vm_flags;
	struct file *file = vma->vm_file;
	bool private = !(flags & VM_SHARED), new = !(flags & VM_EXEC);
	int err;

	if (!(prot & PROT_EXEC))
		return 0;
	if ((new && (anonymous(file) || (private && vma->anon_vma))) || (private && prot & PROT_WRITE)) {
		err = act(0, WHAT(ACT_ANONYMOUS_EXEC, HOOK_file_mprotect), 0);
		if (err)
			return err;
	}
	return !ABSENT(file) && new ? judge_mapping(file, HOOK_file_mprotect) : 0;
}

#endif
