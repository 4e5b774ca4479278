package hostpolicy

import (
	"fmt"
	"slices"
	"strings"
)

// maxListed is how many values of a list a reason shows.
const maxListed = 4

// reasons words what kept a rule from deciding.
func (e *Explanation) reasons(l *Loser, s Subject, op Operation, o Object) []string {
	if l.Why == 0 {
		return []string{e.outweighed(l)}
	}
	var out []string
	for why := Obstacle(1); why <= l.Why; why <<= 1 {
		if l.Why&why != 0 {
			out = append(out, obstacleText(why, l, s, op, o))
		}
	}
	return out
}

// Grounds says more of a decision than its Reason, where there is more: which
// pattern names the object. The arguments are those of Explain.
func (e *Explanation) Grounds(s Subject, o Object) string {
	if e.Rule == nil || e.Otherwise {
		return e.Reason
	}
	r := e.Rule
	text := e.Reason
	for _, name := range o.Names {
		if i := slices.IndexFunc(r.Path, func(p Pattern) bool { return p.Match(name) }); i >= 0 && !matchAny(r.Except, name) {
			text = fmt.Sprintf("its path %s names %s", quoteShort(r.Path[i].String()), quoteShort(name))
			break
		}
	}
	for _, program := range s.Programs {
		if i := slices.IndexFunc(r.From, func(p Pattern) bool { return p.Match(program) }); i >= 0 {
			text += fmt.Sprintf(", and its from %s the program", quoteShort(r.From[i].String()))
			break
		}
	}
	return text
}

func (e *Explanation) outweighed(l *Loser) string {
	switch {
	case l.Lists && !e.Otherwise:
		return fmt.Sprintf("it makes class %s an allow-list, which only counts where no rule matches", l.Rule.Class)
	case l.Lists && l.Policy.OtherwiseIn(l.Rule.Class) == e.Action:
		return fmt.Sprintf("its allow-list says %s as well", e.Action)
	case l.Lists:
		return fmt.Sprintf("its allow-list says %s, and %s of another list outweighs that", l.Policy.OtherwiseIn(l.Rule.Class), e.Action)
	case l.Rule.Action == e.Action:
		return fmt.Sprintf("it matches too and says %s as well", e.Action)
	}
	return fmt.Sprintf("it matches, but %s outweighs %s", e.Action, l.Rule.Action)
}

func obstacleText(why Obstacle, l *Loser, s Subject, op Operation, o Object) string {
	r := l.Rule
	switch why {
	case NotAccess:
		if op == OpMap && r.Action == Allow {
			return "allow rules do not judge what is mapped executable"
		}
		return fmt.Sprintf("it judges %s, not %s", accessText(r.Access), accessText(op.access()))
	case NotExcept:
		for _, name := range o.Names {
			for _, p := range r.Except {
				if p.Match(name) {
					return fmt.Sprintf("its except names it: %s", quoteShort(p.String()))
				}
			}
		}
	case NotOwner:
		if r.Action == Allow {
			return "owner_only: it allows the file's owner, and nobody else"
		}
		return "owner_only: it lets the file's owner through"
	case NotArgs:
		called := quoted(Applets(o.Args))
		if called == "" {
			called = "a program whose arguments are not known"
		}
		return fmt.Sprintf("its args are %s, not %s", quoted(r.Args), called)
	case NotPort:
		port := o.Socket.Remote.Port
		if r.Direction == In {
			port = o.Socket.Local.Port
		}
		return fmt.Sprintf("its ports are %s, not %d", listed(r.Ports), port)
	case NotAddress:
		return addressText("addresses", r.Address, o.Socket.Remote)
	case NotLocal:
		return addressText("local addresses", r.LocalAddress, o.Socket.Local)
	case NotProtocol:
		if len(r.Protocol) == 0 {
			return fmt.Sprintf("it names addresses or ports, which %s has not", listed(o.Socket.Protocols))
		}
		return fmt.Sprintf("its protocol is %s, not %s", listed(r.Protocol), listed(o.Socket.Protocols))
	case NotDirection:
		return fmt.Sprintf("its direction is %q, and this is the other one", r.Direction)
	case NotStep:
		if op == OpSocket {
			return "it judges where such a socket is used, not where it is made"
		}
		return fmt.Sprintf("it judges a peer's address, and %s has no peer yet", op)
	case NotProgram:
		return programText(r, s)
	case NotSubject:
		return "it does not apply here: " + l.Policy.AppliesTo.mismatch(s)
	case NotWithin:
		return "its allow-list is limited to within = " + listed(r.Within)
	}
	return "it is about another access"
}

func accessText(a Access) string {
	var words []string
	for _, w := range []struct {
		access Access
		text   string
	}{{Read, "reading"}, {Write, "writing"}, {Exec, "executing"}} {
		if a&w.access != 0 {
			words = append(words, w.text)
		}
	}
	return strings.Join(words, " and ")
}

func addressText(what string, list []Address, e Endpoint) string {
	who := "one that is not given"
	switch {
	case e.Addr.IsValid():
		who = e.Addr.Unmap().String()
	case len(e.Domains) > 0:
		who = e.Domains[0] + " (a name: its address is not looked up here)"
	}
	return fmt.Sprintf("its %s are %s, not %s", what, listed(list), who)
}

func programText(r *Rule, s Subject) string {
	for _, program := range s.Programs {
		for _, p := range r.ExceptFrom {
			if p.Match(program) {
				return fmt.Sprintf("its except_from names the program: %s", quoteShort(p.String()))
			}
		}
	}
	program := "a program that is not given"
	if len(s.Programs) > 0 {
		program = quoteShort(s.Programs[0])
	}
	return fmt.Sprintf("it is only from %s, not from %s", listed(r.From), program)
}

// mismatch says why a selector does not select the subject.
func (s *Selector) mismatch(subject Subject) string {
	c := subject.Container
	switch {
	case s.Host && c != nil:
		return "it is for the host, and this is a container"
	case s.Container != nil && c == nil:
		return "it is for containers, and this is a process of the host"
	case s.Container != nil && !s.Container.Matches(c):
		return s.Container.mismatch(c)
	case len(s.Unit) > 0 && !s.Host && !s.Everything && s.Container == nil && !slices.ContainsFunc(subject.Units, func(unit string) bool { return MatchAny(s.Unit, unit) }):
		return fmt.Sprintf("it is for unit %s, and this process is in %s", listed(s.Unit), orNone(quoted(subject.Units), "none that is given"))
	case len(s.User) > 0 && !hasID(s.User, subject.UID) && !hasID(s.User, subject.EUID):
		return fmt.Sprintf("it is for user %s, and this is uid %d", listed(s.User), subject.UID)
	case len(s.LoginUser) > 0 && subject.LoginUID == NoLogin:
		return fmt.Sprintf("it is for login_user %s, and nobody logged in for this process", listed(s.LoginUser))
	case len(s.LoginUser) > 0 && !hasID(s.LoginUser, subject.LoginUID):
		return fmt.Sprintf("it is for login_user %s, and this is uid %d", listed(s.LoginUser), subject.LoginUID)
	}
	return "it selects nobody"
}

func (s *ContainerSelector) mismatch(c *Container) string {
	if only := (ContainerSelector{Name: s.Name}); !only.Matches(c) {
		return fmt.Sprintf("it is for containers named %s, and this is %s", listed(s.Name), orNone(quoted([]string{c.Name}), "one without a name"))
	}
	if only := (ContainerSelector{Image: s.Image}); !only.Matches(c) {
		return fmt.Sprintf("it is for image %s, and this is %s", listed(s.Image), orNone(quoted([]string{c.Image}), "one whose image is not given"))
	}
	if only := (ContainerSelector{Namespace: s.Namespace}); !only.Matches(c) {
		return fmt.Sprintf("it is for namespace %s, and this is %q", listed(s.Namespace), c.Labels[NamespaceLabel])
	}
	for _, m := range s.Labels {
		if value, ok := c.Labels[m.Key]; !ok {
			return fmt.Sprintf("it is for containers with label %q, and this has none", m.Key)
		} else if !MatchAny(m.Values, value) {
			return fmt.Sprintf("it is for label %q = %s, and this has %q", m.Key, listed(m.Values), value)
		}
	}
	for _, m := range s.ExceptLabels {
		if m.match(c.Labels) {
			return fmt.Sprintf("it leaves out containers with label %q = %q", m.Key, c.Labels[m.Key])
		}
	}
	return "it is for other containers"
}

func orNone(text, none string) string {
	if text == "" || text == `""` {
		return none
	}
	return text
}

// listed shows the first values of a list.
func listed[T fmt.Stringer](values []T) string {
	var texts []string
	for _, v := range values[:min(len(values), maxListed)] {
		text := v.String()
		if len(text) > 80 {
			text = strings.ToValidUTF8(text[:80], "") + "..."
		}
		texts = append(texts, text)
	}
	if more := len(values) - maxListed; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func quoted(values []string) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, quoteShort(v))
	}
	return strings.Join(texts, ", ")
}
