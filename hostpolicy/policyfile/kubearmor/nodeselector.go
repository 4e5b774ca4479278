package kubearmor

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// nodeSelector decides whether a host policy is for this machine. Whatever it
// holds is checked, also where the answer is clear already.
func (b *builder) nodeSelector(spec object) {
	n := spec.value("nodeSelector")
	at := spec.at
	if n != nil {
		at = spec.fields["nodeSelector"].at
	}
	s, ok := b.object(n, "spec.nodeSelector", "matchLabels")
	labels := b.labels(s, "matchLabels")
	if ok && len(labels) == 0 && len(s.fields) == len(slices.DeleteFunc([]string{"matchLabels"}, func(k string) bool { return !s.has(k) })) {
		if v := s.value("matchLabels"); v == nil || v.kind == null || v.kind == mapping && len(v.fields) == 0 {
			b.warn(codeNode, at, "spec.nodeSelector", "no machine is named; understood as this one", `write matchLabels: and in it kubernetes.io/hostname: "*"`)
		}
	}
	for _, f := range labels {
		path := join(s.field("matchLabels"), f.name)
		matches, have := b.nodeLabel(f, path)
		if matches || b.o.AnyNode || b.nowhere != "" {
			continue
		}
		b.nowhere = fmt.Sprintf("the policy is for machines with %s=%s, and this one has %s", f.name, f.value.text, have)
	}
	if len(labels) > 0 && b.o.AnyNode {
		var wants []string
		for _, f := range labels {
			wants = append(wants, f.name+"="+f.value.text)
		}
		b.notes = append(b.notes, remark{text: "nodeSelector " + strings.Join(wants, ", ") + ": the original is for such machines only, this file for the one where it lies"})
	}
}

// nodeLabel compares one label with this machine, and says what it has.
func (b *builder) nodeLabel(f field, path string) (matches bool, have string) {
	want := f.value.text
	if strings.TrimSpace(want) != want || want == "" {
		b.err(codeSelector, f.value.at, path, fmt.Sprintf("the value %s is empty or begins or ends with a space", quote(want)), "write the name of a machine, or a star in quotes for all")
		return false, ""
	}
	hostname := b.o.Node.Hostname
	switch f.name {
	case "kubernetes.io/hostname", "kubearmor.io/hostname":
		names := strings.Split(want, ",")
		for _, name := range names {
			if strings.ContainsAny(name, "*?[") && strings.TrimSpace(name) != "*" {
				b.err(codeSelector, f.value.at, path, fmt.Sprintf("%s is not the name of a machine", quote(name)), "write kubearmor.io/hostnamereg: for names with a star")
			}
		}
		return slices.ContainsFunc(names, func(name string) bool {
			name = strings.TrimSpace(name)
			return name == "*" || name == hostname
		}), "the name " + quote(hostname)
	case "kubernetes.io/hostnamereg", "kubearmor.io/hostnamereg":
		// A star is any text, the rest a regular expression, as in KubeArmor;
		// but the whole name has to match.
		if len(want) > 1000 {
			b.err(codeSelector, f.value.at, path, "the expression is longer than any name", "")
			return false, ""
		}
		re, err := regexp.Compile(`^(?:` + strings.ReplaceAll(strings.ReplaceAll(want, ".*", "*"), "*", ".*") + `)$`)
		if err != nil {
			b.err(codeSelector, f.value.at, path, fmt.Sprintf("%s is not a regular expression", quote(want)), "write node-* for every name that begins with node-")
			return false, ""
		}
		return re.MatchString(hostname), "the name " + quote(hostname)
	}
	value, ok := b.o.Node.Labels[f.name]
	if !ok {
		value, ok = map[string]string{
			"kubernetes.io/os": runtime.GOOS, "beta.kubernetes.io/os": runtime.GOOS,
			"kubernetes.io/arch": runtime.GOARCH, "beta.kubernetes.io/arch": runtime.GOARCH,
		}[f.name]
	}
	if !ok {
		return false, "no such label (see [node] labels in hostarmor.toml)"
	}
	return value == want, quote(value)
}
