/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_DEVICE_H
#define HOSTARMOR_DEVICE_H

/* Raw devices, through which files are read without being opened. */

/* udev looks at every device, and must. */
static __noinline bool is_component(__u64 *dentry, const char *want, __u32 size)
{
	struct dentry *d = (void *)*dentry;
	char name[16] = {};
	__u32 i;

	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(d, d_name.name)) != size)
		return false;
	for (i = 0; i < sizeof(name) && i < size; i++)
		if (name[i] != want[i])
			return false;
	*dentry = (__u64)BPF_CORE_READ(d, d_parent);
	return true;
}

static __noinline bool is_udev(void)
{
	char udevadm[] = "udevadm", udevd[] = "systemd-udevd", bin[] = "bin", systemd[] = "systemd";
	char usr[] = "usr", lib[] = "lib";
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 exe = exe_of(task), at = exe;
	__u32 zero = 0;
	struct daemon *daemon = bpf_map_lookup_elem(&daemons, &zero);
	struct dentry *d;

	if (!exe || !daemon)
		return false;
	if (is_component(&at, udevadm, sizeof(udevadm))) {
		if (!is_component(&at, bin, sizeof(bin)))
			return false;
	} else if (!is_component(&at, udevd, sizeof(udevd)) ||
		   !is_component(&at, systemd, sizeof(systemd)) ||
		   !is_component(&at, lib, sizeof(lib))) {
		return false;
	}
	if (!is_component(&at, usr, sizeof(usr)))
		return false;
	d = (void *)at;
	return (__u64)BPF_CORE_READ(d, d_parent) == at &&
	       BPF_CORE_READ(d, d_sb, s_dev) == daemon->host_root;
}

/* A device that holds a mounted file system: nobody can tell which of its
 * files are read or written through it. */
static __noinline int judge_device(struct dentry *dentry, struct inode *inode, __u32 kinds,
				   struct generation *g)
{
	struct root key = {.view = VIEW_CARRIERS, .device = inode->i_rdev};
	void *in = inner(&roots, SLOT(g));

	kinds &= g->kinds;
	if (!kinds || !in || !bpf_map_lookup_elem(in, &key) || is_udev())
		return 0;
	return unjudged(number(dentry), kinds, ORDER(KIND_WRITE, KIND_READ, HOOK_file_open), g, true);
}

#endif
