package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func (s *source) selector(n *node, p *hostpolicy.Policy) {
	const fix = "add applies_to = { host = true } before the first [table], or the table [applies_to] with host, container, unit or user"
	if n == nil {
		s.err(codeNoSelector, 0, "applies_to", "the policy does not say who is confined", fix)
		return
	}
	if !n.table {
		s.wrongType(n, "applies_to", "a table", "write applies_to = { host = true }")
		return
	}
	s.checkKeys(n, "applies_to", selectorKeys)
	if len(n.keys) == 0 {
		s.err(codeEmptySelect, n.at, "applies_to", "the selector is empty", "write host = true in it, or container, unit or user")
		return
	}
	get := func(key string) (*node, string) { return n.children[key], "applies_to." + key }
	a := &p.AppliesTo
	a.Host = s.yes(get("host"))
	a.Everything = s.yes(get("everything"))
	a.Container = s.container(get("container"))
	a.Unit = s.units(get("unit"))
	a.User = s.users(get("user"))
	a.LoginUser = s.users(get("login_user"))

	var first string
	for _, key := range n.keys {
		if !slices.Contains([]string{"host", "everything", "container", "unit"}, key) {
			continue
		}
		if first == "" {
			first = key
			continue
		}
		s.err(codeExclusive, n.children[key].key, "applies_to."+key, fmt.Sprintf("%s and %s exclude each other", first, key), "write two policies, one for each")
	}
}

// yes reads a key that is true or left out.
func (s *source) yes(n *node, field string) bool {
	if n == nil {
		return false
	}
	before := len(s.problems)
	v := s.boolean(n, field)
	if !v && len(s.problems) == before {
		key := field[strings.LastIndexByte(field, '.')+1:]
		s.err(codeEmptySelect, n.at, field, key+" = false selects nobody", "write "+key+" = true, or remove the policy")
	}
	return v
}

func (s *source) container(n *node, field string) *hostpolicy.ContainerSelector {
	if n == nil {
		return nil
	}
	if !n.table {
		s.wrongType(n, field, "a table", `write container = { name = "web-*" }, or container = {} for every container`)
		return nil
	}
	s.checkKeys(n, field, containerKeys)
	get := func(key string) (*node, string) { return n.children[key], join(field, key) }
	c := &hostpolicy.ContainerSelector{}
	c.Name = s.globs(get("name"))
	c.Image = s.globs(get("image"))
	c.Namespace = s.globs(get("namespace"))
	c.Labels = s.labels(get("labels"))
	c.ExceptLabels = s.labels(get("except_labels"))
	if len(n.keys) == 0 {
		s.warn(codeCatchAll, n.at, field, "without a name, image or label this is every container", `name them, as in container = { name = "web-*" }, unless all are meant`)
	}
	return c
}

func (s *source) globs(n *node, field string) []hostpolicy.Glob {
	globs, _ := values(s, s.strings(n, field), field, func(t text) (hostpolicy.Glob, bool) {
		g, ok := s.glob(t, field)
		if ok && onlyStars(t.value) {
			s.warn(codeCatchAll, t.at, field, fmt.Sprintf("%s matches every one, so it does not narrow the selector", quote(t.value)), "remove the key, or name what is meant")
		}
		return g, ok
	})
	return globs
}

func onlyStars(v string) bool { return v != "" && strings.Trim(v, "*") == "" }

func (s *source) glob(t text, field string) (hostpolicy.Glob, bool) {
	g, err := hostpolicy.ParseGlob(t.value)
	if err != nil {
		s.badPattern(codePattern, err, t, field)
		return g, false
	}
	return g, true
}

// labels reads { key = "value" }. A value may be empty, as labels' values are,
// and "*" is any value.
func (s *source) labels(n *node, field string) []hostpolicy.LabelMatch {
	if n == nil {
		return nil
	}
	if !n.table {
		s.wrongType(n, field, "a table of labels", `write { app = "web" }`)
		return nil
	}
	if len(n.keys) == 0 {
		s.err(codeEmpty, n.at, field, "the table is empty", "write a label, or remove the key")
	}
	var labels []hostpolicy.LabelMatch
	for _, key := range n.keys {
		c := n.children[key]
		at := join(field, key)
		switch {
		case c.table:
			dotted := key
			for d := c; d.table && len(d.keys) == 1; {
				dotted += "." + d.keys[0]
				d = d.children[d.keys[0]]
			}
			s.err(codeLabel, c.key, at, "a dot outside quotes begins a table of TOML's", fmt.Sprintf("put the whole key in quotes: %q", dotted))
			continue
		case key == "" || !printable(key):
			s.err(codeLabel, c.key, at, "a label's key is printable text", "write the key that docker inspect shows")
			continue
		case strings.ContainsAny(key, "*?"):
			s.err(codeLabel, c.key, at, "a label's key is not a pattern", "write the whole key; its value may be a pattern")
			continue
		}
		list := s.list(c, at, "a string or a list of strings", false, func(item *node) (text, bool) { return s.string(item, at) })
		m := hostpolicy.LabelMatch{Key: key}
		m.Values, _ = values(s, list, at, func(t text) (hostpolicy.Glob, bool) { return s.glob(t, at) })
		labels = append(labels, m)
	}
	return labels
}

// unitTypes are the units that hold processes, and those that do not.
var (
	unitTypes  = []string{"service", "scope", "slice", "socket", "mount", "swap"}
	emptyTypes = []string{"timer", "target", "path", "device", "automount"}
)

func (s *source) units(n *node, field string) []hostpolicy.Glob {
	list := s.strings(n, field)
	globs, _ := values(s, list, field, func(t text) (hostpolicy.Glob, bool) {
		g, ok := s.glob(t, field)
		if !ok {
			return g, false
		}
		if reason, fix := notAUnit(g); reason != "" {
			s.err(codeUnit, t.at, field, quote(t.value)+" "+reason, fix)
			return g, false
		}
		if onlyStars(t.value) || t.value == "-.slice" {
			s.warn(codeCatchAll, t.at, field, fmt.Sprintf("%s holds every process of the host, and those of containers", quote(t.value)), "write host = true or everything = true, or name the units")
		}
		return g, true
	})
	s.movedSessions(list, globs, field)
	return globs
}

// notAUnit says why a glob can match no unit that holds processes.
func notAUnit(g hostpolicy.Glob) (reason, fix string) {
	v := g.String()
	if strings.Contains(v, "/") {
		return "is not a unit's name", fmt.Sprintf("write %q", v[strings.LastIndexByte(v, '/')+1:])
	}
	name, literal := g.Literal()
	tail := v
	if i := strings.LastIndexAny(v, `*?[]{}\`); i >= 0 && !literal {
		tail = v[i+1:]
	} else {
		tail = name
	}
	dot := strings.LastIndexByte(tail, '.')
	if dot < 0 {
		if !literal {
			return "", ""
		}
		return "names no kind of unit", fmt.Sprintf("write %q", name+".service")
	}
	stem, kind := tail[:dot], tail[dot+1:]
	switch {
	case slices.Contains(emptyTypes, kind):
		return fmt.Sprintf("is a .%s, in which no process runs", kind), "write the .service that it starts"
	case slices.Contains(unitTypes, kind):
		if strings.HasSuffix(stem, "@") {
			return "is a template; its instances have names of their own", fmt.Sprintf("write %q for all of them", strings.TrimSuffix(v, "."+kind)+"*."+kind)
		}
		return "", ""
	case literal:
		return "names no kind of unit", fmt.Sprintf("write %q", name+".service")
	}
	if near := nearest(kind, slices.Concat(unitTypes, emptyTypes)); near != "" {
		return fmt.Sprintf("names no kind of unit, for there is no .%s", kind), fmt.Sprintf("write %q", strings.TrimSuffix(v, kind)+near)
	}
	return fmt.Sprintf("names no kind of unit, for there is no .%s", kind), "write the unit as systemctl shows it"
}

// loginUnits start sessions through PAM, which logind puts into scopes of their
// own below user.slice.
var loginUnits = []string{
	"ssh.service", "sshd.service", "ssh@0.service", "sshd@0.service", "dropbear.service", "getty@tty1.service", "serial-getty@ttyS0.service", "console-getty.service",
	"gdm.service", "gdm3.service", "sddm.service", "lightdm.service", "display-manager.service", "greetd.service", "crond.service", "atd.service", "user@1000.service",
}

func (s *source) movedSessions(list []text, globs []hostpolicy.Glob, field string) {
	if hostpolicy.MatchAny(globs, "user.slice") || hostpolicy.MatchAny(globs, "session-1.scope") {
		return
	}
	for _, t := range list {
		g, err := hostpolicy.ParseGlob(t.value)
		if err != nil {
			continue
		}
		for _, unit := range loginUnits {
			if !g.Match(unit) {
				continue
			}
			message := fmt.Sprintf("logind moves the sessions that %s opens to session-*.scope below user.slice, where this policy does not hold", quote(t.value))
			if unit == "user@1000.service" {
				message = fmt.Sprintf("%s holds the services of a user, but logind keeps logins in session-*.scope beside it, where this policy does not hold", quote(t.value))
			}
			s.warn(codeSessions, t.at, field, message, `add "user.slice" for everybody's sessions, or write a policy with login_user`)
			break
		}
	}
}
