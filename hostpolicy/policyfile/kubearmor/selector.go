package kubearmor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

const containerName = "kubearmor.io/container.name"

// maxAlternatives bounds the policies that a selector of several keys makes.
const maxAlternatives = 16

// maxValues bounds the names or values of one condition.
const maxValues = 1000

// selectors reads who is confined.
func (b *builder) selectors(spec, metadata object) {
	switch {
	case b.kind == kindHost, b.kind == kindNetwork && !spec.has("selector"):
		b.nodeSelector(spec)
		if metadata.has("namespace") {
			b.warn(codeNamespace, metadata.fields["namespace"].at, "metadata.namespace", "a host is in no namespace; this is ignored", "remove it")
		}
		return
	case b.kind == kindNetwork && spec.has("nodeSelector"):
		b.err(codeSelector, spec.fields["nodeSelector"].at, spec.field("nodeSelector"), "the policy selects containers and machines at once", "write two policies")
	}
	b.alternatives = []hostpolicy.ContainerSelector{{}}
	b.namespace(metadata)
	known := []string{"matchLabels", "matchExpressions"}
	n, direct := b.directLabels(spec.value("selector"), known)
	s, _ := b.object(n, "spec.selector", known...)
	labels := append(b.labels(s, "matchLabels"), direct...)
	for _, f := range labels {
		if f.name == containerName {
			b.containerNames(f.value, s.field("matchLabels"))
			continue
		}
		b.require(hostpolicy.LabelMatch{Key: f.name, Values: literals(f.value.text)}, f.at, s.field("matchLabels"))
	}
	expressions := s.list("matchExpressions")
	for i, n := range expressions {
		b.expression(n, fmt.Sprintf("%s[%d]", s.field("matchExpressions"), i))
	}
	if len(labels)+len(expressions) == 0 {
		at := spec.at
		if f, ok := spec.fields["selector"]; ok {
			at = f.at
		}
		what := "every container"
		if len(b.alternatives[0].Namespace) > 0 {
			what = "every container, in Kubernetes those of its namespace"
		}
		b.warn(codeEverywhere, at, "spec.selector", "the policy selects "+what, "write matchLabels if only some are meant")
	}
	for i := range b.alternatives {
		c := &b.alternatives[i]
		byKey := func(x, y hostpolicy.LabelMatch) int { return cmp.Compare(x.Key, y.Key) }
		slices.SortFunc(c.Labels, byKey)
		slices.SortFunc(c.ExceptLabels, byKey)
	}
}

// directLabels takes out of a selector the labels that stand in it without
// matchLabels.
func (b *builder) directLabels(n *node, known []string) (*node, []field) {
	if n == nil || n.kind != mapping {
		return n, nil
	}
	rest, direct := *n, []field(nil)
	rest.fields = nil
	for _, f := range n.fields {
		if slices.Contains(known, f.name) || !f.value.plain() || nearest(f.name, known) != "" {
			rest.fields = append(rest.fields, f)
			continue
		}
		if !b.labelKey(f.name, f.at, "spec.selector") || !b.literal(f.value.text, f.value.at, "spec.selector") {
			continue
		}
		b.warn(codeUnderstood, f.at, join("spec.selector", f.name), fmt.Sprintf("understood as the label %s with the value %s", quote(f.name), quote(f.value.text)), "write it under matchLabels")
		direct = append(direct, f)
	}
	return &rest, direct
}

// namespace reads the namespace of a policy. For containers outside Kubernetes
// it says nothing, and "default" is what people write who think of none.
func (b *builder) namespace(metadata object) {
	text, at, ok := metadata.text("namespace")
	switch {
	case !ok, text == "", !b.literal(text, at, "metadata.namespace"):
	case b.kind == kindCluster:
		b.warn(codeNamespace, at, "metadata.namespace", "a cluster policy is for all namespaces; this is ignored, as in KubeArmor", "remove it, or write a matchExpression with key: namespace")
	default:
		if text != "default" {
			b.warn(codeNamespace, at, "metadata.namespace",
				fmt.Sprintf("only Kubernetes has namespaces: containers of Docker and containerd are selected whatever their project, those of Kubernetes where they are in %s", quote(text)),
				"select by label or name if that is too wide")
		}
		b.alternatives[0].Namespace = literals(text)
	}
}

// labels reads a mapping of labels and their values.
func (l *loader) labels(o object, name string) []field {
	n := o.value(name)
	if n == nil || n.kind == null || n.kind == mapping && len(n.fields) == 0 {
		return nil
	}
	if n.kind != mapping {
		l.wrongType(n, o.field(name), "a mapping of labels")
		return nil
	}
	var out []field
	for _, f := range n.fields {
		switch {
		case !l.labelKey(f.name, f.at, o.field(name)):
		case f.value.kind == sequence && f.name == containerName:
			out = append(out, f)
		case f.value.plain():
			if l.literal(f.value.text, f.value.at, o.field(name)) {
				out = append(out, f)
			}
		case f.value.kind == null:
			l.err(codeSelector, f.at, o.field(name), fmt.Sprintf("the label %s has no value", quote(f.name)), `write one, or "" for the empty value`)
		default:
			l.err(codeSelector, f.value.at, o.field(name), fmt.Sprintf("the value of label %s is %s, not a string", quote(f.name), f.value), "")
		}
	}
	return out
}

// labelKey and literal refuse what no label holds, and what no file of policies
// could hold either.
func (l *loader) labelKey(key string, at pos, path string) bool {
	if key != "" && printable(key) && !strings.ContainsAny(key, "*?") {
		return true
	}
	l.err(codeSelector, at, path, fmt.Sprintf("%s is not the key of a label", quote(key)), "write the key that docker inspect or kubectl shows")
	return false
}

func (l *loader) literal(value string, at pos, path string) bool {
	if _, err := hostpolicy.ParseGlob(hostpolicy.Escape(value)); err == nil {
		return true
	}
	l.err(codeSelector, at, path, fmt.Sprintf("%s is too long or not plain text", quote(value)), "write the value that docker inspect or kubectl shows")
	return false
}

// realLabel refuses the key that stands for a container's name: no container has
// such a label, so as one it would select nothing.
func (l *loader) realLabel(key string, at pos, path string) bool {
	if key != containerName {
		return true
	}
	l.err(codeSelector, at, path, containerName+" is a container's name, which an expression does not select by", "write it under matchLabels")
	return false
}

func literals(values ...string) []hostpolicy.Glob {
	var globs []hostpolicy.Glob
	for _, v := range values {
		if g := hostpolicy.LiteralGlob(v); !slices.Contains(globs, g) {
			globs = append(globs, g)
		}
	}
	return globs
}

// containerNames reads the value of the label for the container's name: "[a,
// b]" in KubeArmor, a list in YAML, or one name. Machines without Kubernetes
// have it as a regular expression, of which .* has a meaning here.
func (b *builder) containerNames(n *node, path string) {
	path = join(path, containerName)
	var names []*node
	if n.kind == sequence {
		names = n.items
	} else {
		inner := n.text
		if strings.HasPrefix(inner, "[") && strings.HasSuffix(inner, "]") {
			inner = inner[1 : len(inner)-1]
		}
		for name := range strings.SplitSeq(inner, ",") {
			names = append(names, &node{at: n.at, kind: scalar, text: name})
		}
	}
	if len(names) > maxValues {
		b.err(codeTooLarge, n.at, path, fmt.Sprintf("more than %d names", maxValues), "select by label")
		return
	}
	var globs []hostpolicy.Glob
	for _, item := range names {
		name := strings.TrimSpace(item.text)
		g := hostpolicy.LiteralGlob(name)
		switch {
		case !item.plain():
			b.wrongType(item, path, "a name")
			continue
		case name == "" || !b.literal(name, item.at, path):
			continue
		case strings.ContainsAny(name, `*?[](){}|+^$\ `):
			meant := strings.ReplaceAll(name, ".*", "*")
			if strings.ContainsAny(meant, `?[](){}|+^$\ `) {
				b.err(codeSelector, item.at, path, fmt.Sprintf("%s is neither a container's name nor one with .* in it", quote(name)), "write [name-1, name-2]")
				continue
			}
			b.warn(codeUnderstood, item.at, path, fmt.Sprintf("%s is understood as %s, where the asterisk is any text", quote(name), quote(meant)), "write the names of the containers")
			g = hostpolicy.ParseGlobs(meant)[0]
		}
		if !slices.Contains(globs, g) {
			globs = append(globs, g)
		}
	}
	if len(globs) == 0 {
		b.err(codeSelector, n.at, path, "no container is named", "write [name-1, name-2]")
		return
	}
	for i := range b.alternatives {
		b.alternatives[i].Name = globs
	}
}

// require adds a label that a container has to have.
func (b *builder) require(m hostpolicy.LabelMatch, at pos, path string) {
	for i := range b.alternatives {
		c := &b.alternatives[i]
		c.Labels = slices.Clone(c.Labels)
		j := slices.IndexFunc(c.Labels, func(have hostpolicy.LabelMatch) bool { return have.Key == m.Key })
		if j < 0 {
			c.Labels = append(c.Labels, m)
			continue
		}
		// Both have to hold, and their values are literal unless any will do.
		both := common(c.Labels[j].Values, m.Values)
		if len(both) == 0 {
			b.err(codeSelector, at, path, fmt.Sprintf("no value of label %s is what the whole selector asks for, so it selects nothing", quote(m.Key)), "remove one of both conditions")
			return
		}
		c.Labels[j].Values = both
	}
}

var anyValue = hostpolicy.ParseGlobs("*")[0]

func common(a, b []hostpolicy.Glob) []hostpolicy.Glob {
	if slices.Contains(a, anyValue) {
		return b
	}
	if slices.Contains(b, anyValue) {
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(g hostpolicy.Glob) bool { return !slices.Contains(b, g) })
}

// exclude adds a label that a container must not have.
func (b *builder) exclude(m hostpolicy.LabelMatch) {
	for i := range b.alternatives {
		c := &b.alternatives[i]
		c.ExceptLabels = slices.Clone(c.ExceptLabels)
		j := slices.IndexFunc(c.ExceptLabels, func(have hostpolicy.LabelMatch) bool { return have.Key == m.Key })
		if j < 0 {
			c.ExceptLabels = append(c.ExceptLabels, m)
			continue
		}
		values := slices.Clone(c.ExceptLabels[j].Values)
		for _, g := range m.Values {
			if !slices.Contains(values, g) {
				values = append(values, g)
			}
		}
		c.ExceptLabels[j].Values = values
	}
}

// expression reads one of matchExpressions.
func (b *builder) expression(n *node, path string) {
	if n.kind != mapping {
		b.wrongType(n, path, "a mapping of key, operator and values")
		return
	}
	o, _ := b.object(n, path, "key", "operator", "values")
	key, _, ok := o.text("key")
	operator, operatorAt, ok2 := o.text("operator")
	if !ok || !ok2 {
		if !o.has("key") || !o.has("operator") {
			b.err(codeSelector, n.at, path, "an expression has a key, an operator and values", "write key: label, operator: In and values: with entries LABEL=VALUE")
		}
		return
	}
	operators := []string{"In", "NotIn", "Exists", "DoesNotExist"}
	at := slices.IndexFunc(operators, func(s string) bool { return strings.EqualFold(s, operator) })
	if at < 0 {
		b.err(codeSelector, operatorAt, o.field("operator"), fmt.Sprintf("unknown operator %s", quote(operator)), "write In or NotIn")
		return
	}
	in := at%2 == 0
	if at >= 2 {
		b.existence(o, key, in, n.at)
		return
	}
	if n := o.value("values"); n == nil || n.kind == null || n.kind == sequence && len(n.items) == 0 {
		b.err(codeSelector, o.at, o.field("values"), "the expression has no values, so it selects nothing", "list some, or remove the expression")
		return
	}
	if n := o.value("values"); len(n.items) > maxValues {
		b.err(codeTooLarge, n.at, o.field("values"), fmt.Sprintf("more than %d values", maxValues), "give the containers a label of their own")
		return
	}
	if key == "namespace" {
		b.namespaces(o, in)
		return
	}
	var pairs [][2]string
	if key == "label" {
		pairs = b.labelValues(o)
	} else {
		values := o.strings("values")
		for _, v := range values {
			pairs = append(pairs, [2]string{key, v.text})
		}
		if len(values) > 0 {
			b.warn(codeUnderstood, o.fields["key"].value.at, o.field("key"), fmt.Sprintf("understood as the label %s", quote(key)), "write key: label, and values as "+quote(key+"="+values[0].text))
		}
	}
	b.anyOf(pairs, in, n.at, path)
}

func (b *builder) existence(o object, key string, in bool, at pos) {
	if !b.labelKey(key, at, o.path) || !b.realLabel(key, at, o.path) {
		return
	}
	if key == "label" || key == "namespace" {
		b.err(codeSelector, at, o.path, fmt.Sprintf("the operator %s is about a label, and %s is none", o.value("operator").text, quote(key)), "write In or NotIn")
		return
	}
	m := hostpolicy.LabelMatch{Key: key, Values: []hostpolicy.Glob{anyValue}}
	meaning := "has no label %s"
	if in {
		meaning = "has a label %s, with any value"
	}
	b.warn(codeUnderstood, at, o.path, fmt.Sprintf("understood as: the container "+meaning, quote(key)), "KubeArmor knows In and NotIn only")
	if in {
		b.require(m, at, o.path)
	} else {
		b.exclude(m)
	}
}

func (b *builder) namespaces(o object, in bool) {
	if b.kind != kindCluster {
		b.warn(codeUnderstood, o.fields["key"].at, o.field("key"), "only cluster policies select by namespace; understood as such", "write kind: "+kindCluster)
	}
	var names []string
	for _, v := range o.strings("values") {
		switch {
		case v.text == "":
			b.err(codeSelector, v.at, o.field("values"), "the name of a namespace is empty", "remove it")
		case b.literal(v.text, v.at, o.field("values")):
			names = append(names, v.text)
		}
	}
	b.warn(codeNamespace, o.fields["values"].at, o.field("values"), "only Kubernetes has namespaces: containers of Docker and containerd are selected whatever stands here", "select by label if that is too wide")
	switch {
	case len(names) == 0:
	case in:
		for i := range b.alternatives {
			c := &b.alternatives[i]
			if c.Namespace == nil {
				c.Namespace = literals(names...)
			} else if c.Namespace = common(c.Namespace, literals(names...)); len(c.Namespace) == 0 {
				b.err(codeSelector, o.at, o.path, "no namespace is what the whole selector asks for, so it selects nothing", "remove one of both conditions")
			}
		}
	default:
		b.exclude(hostpolicy.LabelMatch{Key: hostpolicy.NamespaceLabel, Values: literals(names...)})
	}
}

// labelValues reads the values of an expression with key: label, which are
// LABEL=VALUE.
func (b *builder) labelValues(o object) [][2]string {
	values := o.value("values")
	var pairs [][2]string
	pair := func(f field) {
		if !f.value.plain() {
			b.err(codeSelector, f.at, o.field("values"), fmt.Sprintf("the value of label %s is %s, not a string", quote(f.name), f.value), "")
			return
		}
		b.warn(codeUnderstood, f.at, o.field("values"), fmt.Sprintf("understood as the label %s with the value %s", quote(f.name), quote(f.value.text)), "write "+quote(f.name+"="+f.value.text)+" as an entry of a list")
		pairs = append(pairs, [2]string{f.name, f.value.text})
	}
	if values.kind == mapping {
		if len(values.fields) > 1 {
			b.err(codeSelector, values.at, o.field("values"), "it is not clear whether all of these labels are meant or any of them", `write a list of "LABEL=VALUE" for any, or matchLabels for all`)
			return nil
		}
		for _, f := range values.fields {
			pair(f)
		}
		return pairs
	}
	for _, item := range o.list("values") {
		switch {
		case item.kind == mapping && len(item.fields) == 1:
			pair(item.fields[0])
		case !item.plain():
			b.wrongType(item, o.field("values"), `a string "LABEL=VALUE"`)
		default:
			name, value, ok := strings.Cut(item.text, "=")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if !ok || name == "" || strings.HasPrefix(value, "=") {
				b.err(codeSelector, item.at, o.field("values"), fmt.Sprintf("%s is not LABEL=VALUE", quote(item.text)), `write "app=web"`)
				continue
			}
			pairs = append(pairs, [2]string{name, value})
		}
	}
	return pairs
}

// anyOf takes containers that have one of the labels, or none of them. Labels
// of different keys need a selector each.
func (b *builder) anyOf(pairs [][2]string, in bool, at pos, path string) {
	var keys []string
	values := make(map[string][]string)
	for _, p := range pairs {
		if !b.labelKey(p[0], at, path) || !b.literal(p[1], at, path) || !b.realLabel(p[0], at, path) {
			continue
		}
		if values[p[0]] == nil {
			keys = append(keys, p[0])
		}
		values[p[0]] = append(values[p[0]], p[1])
	}
	if !in {
		for _, key := range keys {
			b.exclude(hostpolicy.LabelMatch{Key: key, Values: literals(values[key]...)})
		}
		return
	}
	if len(b.alternatives)*len(keys) > maxAlternatives {
		b.err(codeSelector, at, path, fmt.Sprintf("the labels make more than %d different selections", maxAlternatives), "write several policies")
		return
	}
	var all []hostpolicy.ContainerSelector
	before := b.alternatives
	for _, key := range keys {
		b.alternatives = slices.Clone(before)
		b.require(hostpolicy.LabelMatch{Key: key, Values: literals(values[key]...)}, at, path)
		all = append(all, b.alternatives...)
	}
	if b.alternatives = before; len(all) > 0 {
		b.alternatives = all
	}
}
