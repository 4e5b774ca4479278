package kubearmor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func (b *builder) capabilities(spec object, top traits) {
	if !spec.has("capabilities") {
		return
	}
	s, ok := b.object(spec.value("capabilities"), "spec.capabilities", with("matchCapabilities")...)
	if !ok {
		return
	}
	t := s.traits(top)
	s.expect(spec.fields["capabilities"].at, "matchCapabilities")
	first := len(b.policy.Rules)
	for i, item := range s.list("matchCapabilities") {
		since := len(b.problems)
		o, ok := b.object(item, fmt.Sprintf("%s[%d]", s.field("matchCapabilities"), i), with("capability", "fromSource")...)
		if item.kind == null {
			b.wrongType(item, o.path, "a mapping")
		}
		if !ok || item.kind == null {
			continue
		}
		own := o.traits(t)
		from, places := b.sources(o)
		text, at, ok := o.text("capability")
		if !ok {
			if !o.has("capability") {
				b.err(codeCapability, o.at, o.field("capability"), "the entry has no capability", "write capability: net_raw")
			}
			continue
		}
		var caps []hostpolicy.Cap
		for name := range strings.SplitSeq(text, ",") {
			if c, ok := b.capability(strings.TrimSpace(name), at, o.field("capability")); ok && !slices.Contains(caps, c) {
				caps = append(caps, c)
			}
		}
		if len(caps) == 0 {
			continue
		}
		r := hostpolicy.Rule{Class: hostpolicy.Capability, Capabilities: caps, From: from}
		r.Places = hostpolicy.Places{From: places, Capabilities: repeat(b.position(at), len(caps))}
		b.add(r, short(caps[0]), item.at, own, since)
	}
	b.overrideCapabilities(first)
	b.capabilityList(first)
}

// short is a capability as KubeArmor writes it.
func short(c hostpolicy.Cap) string {
	return strings.ToLower(strings.TrimPrefix(c.String(), "CAP_"))
}

func (b *builder) capability(name string, at pos, field string) (hostpolicy.Cap, bool) {
	c, ok := hostpolicy.ParseCapLoosely(name)
	if !ok {
		var names []string
		for c := range hostpolicy.Caps {
			names = append(names, short(hostpolicy.Cap(c)))
		}
		fix := "see capabilities(7)"
		if near := nearest(strings.TrimPrefix(strings.ToLower(name), "cap_"), names); near != "" {
			fix = "write " + near
		}
		b.err(codeCapability, at, field, fmt.Sprintf("unknown capability %s", quote(name)), fix)
		return 0, false
	}
	if name != short(c) {
		b.warn(codeSpelling, at, field, fmt.Sprintf("%s is understood as %s", quote(name), c), "write "+short(c))
	}
	return c, true
}

// capabilityList makes an allow-list count for every program, as in KubeArmor,
// where all Allow rules are for some programs only. No rule can be about no
// capability, so the rest is named: to every program but its own each
// capability is what the posture says.
func (b *builder) capabilityList(first int) {
	everyone := false
	var at hostpolicy.Position
	from := make(map[hostpolicy.Cap][]hostpolicy.Pattern)
	places := make(map[hostpolicy.Cap][]hostpolicy.Position)
	for _, r := range b.policy.Rules[first:] {
		if r.Action != hostpolicy.Allow {
			continue
		}
		if at.Line == 0 {
			at = r.Position
		}
		everyone = everyone || len(r.From) == 0
		for _, c := range r.Capabilities {
			for i, p := range r.From {
				if !slices.Contains(from[c], p) {
					from[c] = append(from[c], p)
					places[c] = append(places[c], r.Places.From[i])
				}
			}
		}
	}
	if at.Line == 0 || everyone {
		return
	}
	groups := make(map[string]*hostpolicy.Rule)
	var order []string
	for n := range hostpolicy.Caps {
		c := hostpolicy.Cap(n)
		key := fmt.Sprintf("%q", from[c])
		r := groups[key]
		if r == nil {
			r = &hostpolicy.Rule{Class: hostpolicy.Capability, ExceptFrom: from[c], Places: hostpolicy.Places{ExceptFrom: places[c]}}
			groups[key], order = r, append(order, key)
		}
		r.Capabilities = append(r.Capabilities, c)
	}
	t := traits{action: b.o.Posture.of(hostpolicy.Capability)}
	for _, key := range order {
		rule := b.add(*groups[key], "others", pos{at.Line, at.Column}, t, len(b.problems))
		b.notes = append(b.notes, remark{ruleKey(rule), "what an allow-list of KubeArmor does for the programs that no rule names; rules of other policies that allow them more do not count here"})
	}
}

// presets are KubeArmor's ready rules.
func (b *builder) presets(spec object, top traits) {
	for i, item := range spec.list("presets") {
		since := len(b.problems)
		o, ok := b.object(item, fmt.Sprintf("%s[%d]", spec.field("presets"), i), "name", "action")
		if !ok {
			continue
		}
		own := o.traits(top)
		text, at, ok := o.text("name")
		field := o.field("name")
		if !ok {
			if !o.has("name") {
				b.err(codeNotCarried, o.at, field, "the preset has no name", "write filelessExec, anonMapExec or protectEnv")
			}
			continue
		}
		if own.action == hostpolicy.Allow {
			b.err(codeAction, item.at, o.path, "a preset blocks or audits, and Allow says nothing", "write action: Block or Audit beside the name")
			continue
		}
		operation := func(op hostpolicy.Operation) {
			r := hostpolicy.Rule{Class: hostpolicy.System, Operations: []hostpolicy.Operation{op}}
			r.Places.Operations = repeat(b.position(at), 1)
			b.add(r, text, item.at, own, since)
		}
		names := []string{"filelessExec", "anonMapExec", "protectEnv", "exec", "protectProc"}
		switch i := slices.IndexFunc(names, func(s string) bool { return strings.EqualFold(s, text) }); {
		case i == 0:
			operation(hostpolicy.OpFilelessExec)
			// KubeArmor counts shared memory among what is not a file.
			r := hostpolicy.Rule{Class: hostpolicy.Process, Access: hostpolicy.Exec}
			for _, dir := range []string{"/dev/shm/", "/run/shm/"} {
				p, _ := b.pattern(dir, at, field)
				r.Path = append(r.Path, p)
			}
			r.Places.Path = repeat(b.position(at), len(r.Path))
			b.add(r, text, item.at, own, len(b.problems))
		case i == 1:
			operation(hostpolicy.OpAnonymousExec)
		case i == 2:
			operation(hostpolicy.OpReadProcEnviron)
		case i == 3:
			b.err(codeNotCarried, at, field, "HostArmor does not tell a program that was started from outside the container (kubectl exec) from others", "write process rules for the programs")
		case i == 4:
			b.err(codeNotCarried, at, field, "HostArmor does not judge reading all of /proc of other processes as one", "use protectEnv, and file rules for the files of /proc that matter")
		default:
			fix := "known: filelessExec, anonMapExec, protectEnv"
			if near := nearest(text, names); near != "" {
				fix = "write " + near
			}
			b.err(codeNotCarried, at, field, fmt.Sprintf("unknown preset %s", quote(text)), fix)
		}
	}
}

// unsupported reports whole sections that have no counterpart.
func (b *builder) unsupported(spec object) {
	spec.refuse("apparmor", "profiles of AppArmor are not taken over: HostArmor makes its own", "load the profile with apparmor_parser, and name it to the container's runtime")
	spec.refuse("device", "HostArmor does not judge USB devices", "use usbguard, or a rule of udev")
}

// syscalls are only ever logged by KubeArmor, so a policy without them confines
// as before; but one of nothing else would do nothing.
func (b *builder) syscalls(spec object) {
	if !spec.has("syscalls") {
		return
	}
	s, ok := b.object(spec.value("syscalls"), "spec.syscalls", "matchSyscalls", "matchPaths", "severity", "tags", "message", "action")
	if !ok {
		return
	}
	severity, fix := hostpolicy.Warning, "log them with auditd, and remove them here"
	if len(b.policy.Rules) == 0 {
		severity, fix = hostpolicy.Error, "log them with auditd, or write rules for what they do: file rules with write access for unlink, chmod and the like"
	}
	b.lost = true
	count := 0
	for _, key := range []string{"matchSyscalls", "matchPaths"} {
		for i, item := range s.list(key) {
			count++
			var names []string
			for _, f := range item.fields {
				if f.name == "syscall" {
					for _, call := range f.value.items {
						names = append(names, call.text)
					}
				}
			}
			what := "the rule for system calls"
			if len(names) > 0 {
				what = "the rule for " + quote(strings.Join(names, ", "))
			}
			p := b.report(severity, codeSyscalls, item.at, fmt.Sprintf("%s[%d]", s.field(key), i),
				what+" is not carried over: KubeArmor only logs system calls, and HostArmor judges what is done to files, not by which call", fix)
			p.lost = true
		}
	}
	if count == 0 {
		s.expect(spec.fields["syscalls"].at, "matchSyscalls", "matchPaths")
	}
}
