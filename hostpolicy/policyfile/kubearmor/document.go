package kubearmor

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

const (
	kindPod     = "KubeArmorPolicy"
	kindHost    = "KubeArmorHostPolicy"
	kindCluster = "KubeArmorClusterPolicy"
	kindNetwork = "KubeArmorNetworkPolicy"
)

var kinds = []string{kindPod, kindHost, kindCluster, kindNetwork}

// Fields that Kubernetes' API server adds to what it stores, and that mean
// nothing to a machine.
var metadataFields = []string{"name", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation", "creationTimestamp",
	"managedFields", "ownerReferences", "finalizers", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"}

// document reads one document: a policy, or a list of them as kubectl prints
// it.
func (l *loader) document(root *node) {
	if root.kind != mapping {
		l.err(codeKind, root.at, "", fmt.Sprintf("a policy is expected here, not %s", root), "begin with apiVersion, kind, metadata and spec")
		return
	}
	for _, f := range root.fields {
		if f.name == "kind" && (f.value.text == "List" || slices.Contains(kinds, strings.TrimSuffix(f.value.text, "List")) && strings.HasSuffix(f.value.text, "List")) {
			o, _ := l.object(root, "", "apiVersion", "kind", "metadata", "items")
			for _, item := range o.list("items") {
				if item.kind != mapping {
					l.wrongType(item, "items", "a policy")
					continue
				}
				l.policy(item)
			}
			return
		}
	}
	l.policy(root)
}

// builder makes one policy.
type builder struct {
	*loader
	kind   string
	policy hostpolicy.Policy
	rules  map[string]bool // by class and name
	next   map[string]int  // the number of the last rule of that name
	notes  []remark
	// nowhere is why the policy is not for this machine, "" where it is.
	nowhere string
	// alternatives are the container selectors of which one has to match.
	alternatives []hostpolicy.ContainerSelector
	lost         bool
}

func (b *builder) hosts() bool { return b.alternatives == nil }

func (l *loader) policy(root *node) {
	l.reading++
	o, _ := l.object(root, "", "apiVersion", "kind", "metadata", "spec", "status")
	b := &builder{loader: l, rules: make(map[string]bool), next: make(map[string]int)}
	if b.kind = o.kind(); b.kind == "" {
		return
	}
	o.apiVersion()
	metadata, _ := l.object(o.value("metadata"), "metadata", metadataFields...)
	name, named := b.name(metadata, o)
	b.policy.Name = name
	b.policy.Position = hostpolicy.Position{File: l.file, Line: root.at.line, Column: 1}
	if !o.has("spec") {
		l.err(codeNoRules, root.at, "spec", "the policy has no spec, so it says nothing", "write one")
		return
	}
	known := map[string][]string{
		kindPod:     {"selector", "process", "file", "network", "capabilities", "syscalls", "presets", "apparmor"},
		kindCluster: {"selector", "process", "file", "network", "capabilities", "syscalls", "presets", "apparmor"},
		kindHost:    {"nodeSelector", "process", "file", "network", "capabilities", "syscalls", "device", "presets", "apparmor"},
		kindNetwork: {"nodeSelector", "selector", "network", "ingress", "egress", "level"},
	}[b.kind]
	spec, ok := l.object(o.value("spec"), "spec", with(known...)...)
	if !ok {
		return
	}
	b.selectors(spec, metadata)
	b.sections(spec)
	b.finish(named)
}

func (o object) kind() string {
	text, at, ok := o.text("kind")
	if !ok {
		if !o.has("kind") {
			o.l.err(codeKind, o.at, "kind", "the document does not say what it is", "write kind: KubeArmorPolicy, KubeArmorHostPolicy, KubeArmorClusterPolicy or KubeArmorNetworkPolicy")
		}
		return ""
	}
	for _, k := range kinds {
		if text == k {
			return k
		}
		if strings.EqualFold(text, k) {
			o.l.warn(codeUnderstood, at, "kind", fmt.Sprintf("%s is understood as %s", quote(text), k), "write "+k)
			return k
		}
	}
	fix := "remove the document, or move it elsewhere"
	if near := nearest(text, kinds); near != "" {
		fix = "write " + near
	}
	o.l.err(codeKind, at, "kind", fmt.Sprintf("%s is not a policy of KubeArmor", quote(text)), fix)
	return ""
}

func (o object) apiVersion() {
	const version = "security.kubearmor.com/v1"
	text, at, ok := o.text("apiVersion")
	group, _, _ := strings.Cut(text, "/")
	switch {
	case !ok && o.has("apiVersion"), text == version:
	case !ok:
		o.l.warn(codeVersion, o.at, "apiVersion", "there is no apiVersion; understood as "+version, "write apiVersion: "+version)
	case group == "security.kubearmor.com" || group == "security.accuknox.com" || text == "v1":
		o.l.warn(codeVersion, at, "apiVersion", fmt.Sprintf("%s is understood as %s", quote(text), version), "write "+version)
	default:
		o.l.err(codeVersion, at, "apiVersion", fmt.Sprintf("%s is not the API of KubeArmor's policies", quote(text)), "write "+version)
	}
}

// name reads the policy's name. Kubernetes' may be longer than ours.
func (b *builder) name(metadata, root object) (string, pos) {
	text, at, ok := metadata.text("name")
	if !ok {
		if !metadata.has("name") {
			b.err(codeName, root.at, "metadata.name", "the policy has no name", "write metadata: and in it name: NAME, which events then show")
		}
		return "", at
	}
	if text != "" && strings.Trim(text, nameBytes) == "" && strings.Trim(text[:1], "._-") != "" {
		if len(text) <= maxName {
			return text, at
		}
		short := shorten(text)
		b.warn(codeName, at, "metadata.name", fmt.Sprintf("the name has %d bytes; in events it is %s", len(text), short), fmt.Sprintf("choose one of at most %d", maxName))
		return short, at
	}
	if name := tidy(text); name != "" {
		b.warn(codeName, at, "metadata.name", fmt.Sprintf("%s has more than letters, digits, dots, underscores and hyphens in it; in events it is %s", quote(text), name), "write "+name)
		return name, at
	}
	b.err(codeName, at, "metadata.name", fmt.Sprintf("%s has no letter and no digit", quote(text)), `write "my-policy"`)
	return "", at
}

const (
	nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	maxName   = 63
)

// shorten keeps long names apart that begin alike.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.TrimRight(name[:maxName-9], "._-") + "-" + hex.EncodeToString(sum[:4])
}

// tidy makes a name of any text, or "" where nothing is left of it.
func tidy(text string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(nameBytes, r) {
			return r
		}
		return '-'
	}, text)
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	return shorten(strings.Trim(name, "._-"))
}

func (b *builder) sections(spec object) {
	top := spec.traits(traits{action: hostpolicy.Block})
	b.paths(hostpolicy.Process, spec, top)
	b.paths(hostpolicy.File, spec, top)
	b.network(spec, top)
	b.packets(spec, top)
	b.capabilities(spec, top)
	b.presets(spec, top)
	b.unsupported(spec)
	b.syscalls(spec)
}

// add takes a rule under a name made of the hint, and gives it to whatever was
// reported since the problem with that number.
func (b *builder) add(r hostpolicy.Rule, hint string, at pos, t traits, since int) *hostpolicy.Rule {
	r.Policy, r.Position = b.policy.Name, b.position(at)
	r.Action, r.Severity, r.Tags, r.Message = t.action, t.severity, t.tags, t.message
	// A dot would have to be quoted in the name of a TOML table.
	hint = cmp.Or(tidy(strings.ReplaceAll(hint, ".", "-")), "rule")
	first := ruleKey(&hostpolicy.Rule{Class: r.Class, Name: hint})
	for n := b.next[first] + 1; ; n++ {
		r.Name = hint
		if n > 1 {
			suffix := fmt.Sprintf("-%d", n)
			r.Name = strings.TrimRight(hint[:min(len(hint), maxName-len(suffix))], "._-") + suffix
		}
		if key := ruleKey(&r); !b.rules[key] {
			b.rules[key], b.next[first] = true, n
			break
		}
	}
	for i := since; i < len(b.problems); i++ {
		b.problems[i].rule = ruleKey(&r)
	}
	b.policy.Rules = append(b.policy.Rules, r)
	return &b.policy.Rules[len(b.policy.Rules)-1]
}

func ruleKey(r *hostpolicy.Rule) string { return r.Class.String() + "." + r.Name }

// finish fills in what depends on all rules, and hands the policy over.
func (b *builder) finish(named pos) {
	p := &b.policy
	if len(p.Rules) == 0 && !b.lost && !b.failed() {
		b.warn(codeNoRules, named, "spec", "the policy has no rule, so it does nothing", "add one, or remove the policy")
	}
	b.lists()
	b.overruled()
	slices.SortFunc(p.Rules, func(x, y hostpolicy.Rule) int {
		return cmp.Or(cmp.Compare(x.Class, y.Class), cmp.Compare(x.Name, y.Name))
	})
	if b.nowhere != "" {
		b.inactive = append(b.inactive, Inactive{p.Name, b.position(named), b.nowhere})
		return
	}
	at := b.position(named)
	if b.hosts() {
		p.AppliesTo = hostpolicy.Selector{Host: true}
		b.policies = append(b.policies, loaded{*p, b.reading, at, b.notes})
		return
	}
	for i, container := range b.alternatives {
		q := *p
		if i > 0 {
			q.Name = shorten(fmt.Sprintf("%s-%d", p.Name, i+1))
			q.Rules = slices.Clone(p.Rules)
			for j := range q.Rules {
				q.Rules[j].Policy = q.Name
			}
		}
		q.AppliesTo = hostpolicy.Selector{Container: &container}
		b.policies = append(b.policies, loaded{q, b.reading, at, b.notes})
	}
}

// lists sets what becomes of the rest where there are Allow rules.
func (b *builder) lists() {
	p := &b.policy
	p.Otherwise = hostpolicy.Block
	if b.hosts() {
		p.Otherwise = hostpolicy.Audit
	}
	postures := make(map[hostpolicy.Class]hostpolicy.Action)
	warned := make(map[hostpolicy.Class]bool)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Action != hostpolicy.Allow {
			continue
		}
		postures[r.Class] = b.o.Posture.of(r.Class)
		if b.hosts() && !warned[r.Class] {
			warned[r.Class] = true
			problem := b.report(hostpolicy.Warning, codeHostList, pos{r.Position.Line, r.Position.Column}, "",
				fmt.Sprintf("this Allow rule makes class %s an allow-list for every program of the host: %s", r.Class, map[hostpolicy.Action]string{
					hostpolicy.Audit: "whatever else they do there is logged",
					hostpolicy.Block: "whatever else they do there is refused",
				}[postures[r.Class]]), "write Block or Audit rules for a host, or a policy in TOML for one unit or user")
			problem.rule = ruleKey(r)
		}
	}
	first := true
	for c := hostpolicy.Process; c <= hostpolicy.System; c++ {
		posture, ok := postures[c]
		switch {
		case !ok:
			continue
		case first:
			p.Otherwise, first = posture, false
		case posture != p.Otherwise:
			if p.Postures == nil {
				p.Postures = make(map[hostpolicy.Class]hostpolicy.Action)
			}
			p.Postures[c] = posture
		}
		// The posture is the administrator's own setting, so that he need not
		// say twice that the whole host is meant.
		p.Dangerous = p.Dangerous || b.hosts() && posture == hostpolicy.Block
	}
}

func (p Posture) of(c hostpolicy.Class) hostpolicy.Action {
	a := p.File
	switch c {
	case hostpolicy.Network:
		a = p.Network
	case hostpolicy.Capability:
		a = p.Capabilities
	}
	return cmp.Or(a, hostpolicy.Audit)
}
