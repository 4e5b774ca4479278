/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef HOSTARMOR_ACT_H
#define HOSTARMOR_ACT_H

/* Operations of class system, and what others may not do to HostArmor. */

#define ACT_BIT(act) (1ULL << ((act) - FIRST_ACT))

static __noinline struct cell *act_cell(struct generation *g, __u32 role, __u32 base, __u32 act)
{
	struct act_key key = {.role = role, .act = act};
	void *in = inner(&acts, SLOT(g));
	struct cell *cell = in ? bpf_map_lookup_elem(in, &key) : 0;

	if (in && !cell) {
		key.role = base;
		cell = bpf_map_lookup_elem(in, &key);
	}
	/* What protects HostArmor is no operation that an allow-list is about. */
	if (!cell && act != ACT_TAMPER)
		cell = &row_of(g, role)->system;
	return cell && DECIDES(cell) ? cell : 0;
}

/* `what` is the act and the hook. */
static __noinline int act(__u64 resource, __u32 what, __u32 target)
{
	struct cell *cell;
	struct generation *g = in_force();
	__u64 who;

	if (!g || !(g->acts & ACT_BIT(what & 0xff)))
		return 0;
	who = own_roles(g);
	cell = act_cell(g, ROLE(who), BASE(who), what & 0xff);
	return cell ? enact(resource, g, cell, what, target) : 0;
}

#endif
