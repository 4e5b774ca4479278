package hostpolicy

import (
	"cmp"
	"slices"
)

// LockOut is a rule that would stop something the machine cannot be repaired
// without.
type LockOut struct {
	Rule *Rule
	// Key is the list of the rule that holds the item: path, name or operation.
	// It is "" where the rule is in the way as a whole.
	Key   string
	Index int // in that list
	// Names is what it stops, the most important first: files for the classes
	// process and file, else programs.
	Names []string
	What  string // what the first name is, or whose it is
	Why   string // what it is needed for, where Names does not tell
	// Excepted is true where except_from lets one of the programs through
	// that need what the rule stops, so that the author has thought of them.
	Excepted bool
	// Unlisted: the rule makes an allow-list that lacks the names.
	Unlisted bool
	// Mild: the machine stays reachable, but somebody will miss it.
	Mild bool
}

// LockOuts are the block rules and blocking allow-lists of a policy that would
// stop PID 1, udevd, dbus, a login, the package manager or the daemon, one for
// each item of a rule that does. A rule with `from` counts only where it names
// one of the programs that need what it stops, and so does a selector: no rule
// for containers is a lock-out. The check knows names, not files: run it again
// on canonical names.
func (p *Policy) LockOuts() []LockOut {
	here := p.present()
	if len(here) == 0 {
		return nil
	}
	var found []LockOut
	for i := range p.Rules {
		if r := &p.Rules[i]; r.Action == Block {
			for _, item := range r.items() {
				found = append(found, here.inTheWay(r, item)...)
			}
		}
	}
	return append(found, here.unlisted(p)...)
}

// present is which actors a policy confines.
type present map[*actor]bool

func (p *Policy) present() present {
	selector := p.AppliesTo
	if selector.empty() {
		// It confines nobody; say what it would do where it is completed.
		selector.Host = true
	}
	here := make(present)
	for _, place := range places {
		if selector.Matches(place.subject) {
			for _, a := range place.actors {
				here[a] = true
			}
		}
	}
	return here
}

func (s *Selector) empty() bool {
	return !s.Host && !s.Everything && s.Container == nil && len(s.Unit)+len(s.User)+len(s.LoginUser) == 0
}

// item is a rule with one item of the list that says what it is about.
type item struct {
	rule  Rule
	key   string
	index int
}

func (r *Rule) items() []item {
	var list []item
	switch r.Class {
	case Process, File:
		for i := range r.Path {
			one := *r
			one.Path = r.Path[i : i+1]
			list = append(list, item{one, "path", i})
		}
	case Network:
		list = append(list, item{rule: *r})
	case Capability:
		for i := range r.Capabilities {
			one := *r
			one.Capabilities = r.Capabilities[i : i+1]
			list = append(list, item{one, "name", i})
		}
	case System:
		for i := range r.Operations {
			one := *r
			one.Operations = r.Operations[i : i+1]
			list = append(list, item{one, "operation", i})
		}
	}
	return list
}

// inTheWay is what one item of a block rule stops: first what matters most,
// and apart from it what is merely missed.
func (here present) inTheWay(r *Rule, it item) []LockOut {
	grave := LockOut{Rule: r, Key: it.key, Index: it.index}
	var mild []LockOut
	covers := func(Object) bool { return true }
	if len(it.rule.Path) == 1 {
		begins := literalPrefix(it.rule.Path[0])
		covers = func(o Object) bool { return begins(o.Names[0]) }
	}
	every := false
	for i := range needs {
		n := &needs[i]
		if n.op.Class() != r.Class {
			continue
		}
		var names []string
		matched := 0
		for _, o := range n.objects {
			if covers(o) && it.rule.Matches(n.op, o) {
				matched++
				names = append(names, n.name(o))
			}
		}
		if matched == 0 || n.all && matched < len(n.objects) {
			continue
		}
		stopped, excepted := here.stops(&it.rule, n)
		if !stopped {
			continue
		}
		if n.mild {
			mild = append(mild, LockOut{Rule: r, Key: it.key, Index: it.index, Names: names[:1], What: n.what, Why: n.why, Excepted: excepted, Mild: true})
			continue
		}
		if len(grave.Names) == 0 {
			grave.What, grave.Why = n.what, n.why
		}
		every = every || n.what == everyProgram
		grave.Excepted = grave.Excepted || excepted
		for _, name := range names {
			if !slices.Contains(grave.Names, name) {
				grave.Names = append(grave.Names, name)
			}
		}
	}
	grave.Excepted = grave.Excepted && !every
	if len(grave.Names) > 0 {
		return append([]LockOut{grave}, mild...)
	}
	return mild
}

// name is what a need is called in LockOut.Names.
func (n *need) name(o Object) string {
	if len(o.Names) > 0 {
		return o.Names[0]
	}
	return n.what
}

// stops reports whether the rule counts for one of the actors with this need,
// and whether except_from leaves one of them out.
func (here present) stops(r *Rule, n *need) (stopped, excepted bool) {
	for _, a := range n.by {
		if !here[a] {
			continue
		}
		if n.mild && len(r.From) > 0 {
			continue // its author knows whom it is for
		}
		for _, program := range a.programs {
			if r.Admits(Subject{Programs: []string{program}}) {
				stopped = true
			} else if matchAny(r.ExceptFrom, program) {
				excepted = true
			}
		}
	}
	return stopped, excepted
}

// unlisted is what the policy's blocking allow-lists lack.
func (here present) unlisted(p *Policy) []LockOut {
	if p.AppliesTo.Wide() && !p.Dangerous {
		return nil // no blocking list is accepted there
	}
	found := make(map[*Rule]*LockOut)
	var order []*Rule
	for i := range needs {
		n := &needs[i]
		if !n.listed || p.OtherwiseIn(n.op.Class()) != Block {
			continue
		}
		r := here.listing(p, n)
		if r == nil {
			continue
		}
		l := found[r]
		if l == nil {
			l = &LockOut{Rule: r, What: n.what, Why: n.why, Unlisted: true}
			found[r], order = l, append(order, r)
		}
		name := n.name(n.objects[0])
		if n.op == OpCapability {
			name = n.objects[0].Capability.String()
		} else if n.op.Class() == System {
			name = n.op.String()
		}
		if !slices.Contains(l.Names, name) {
			l.Names = append(l.Names, name)
		}
	}
	slices.SortFunc(order, func(a, b *Rule) int { return cmp.Compare(a.ID(), b.ID()) })
	var list []LockOut
	for _, r := range order {
		list = append(list, *found[r])
	}
	return list
}

// listing is the rule of an allow-list that refuses a need, or nil.
func (here present) listing(p *Policy, n *need) *Rule {
	var list *Rule
	for _, a := range n.by {
		if !here[a] {
			continue
		}
		for _, program := range a.programs {
			s := Subject{Programs: []string{program}}
			for i := range p.Rules {
				r := &p.Rules[i]
				if r.Class != n.op.Class() || r.Action == Block || !r.Admits(s) {
					continue
				}
				for _, o := range n.objects {
					if r.Matches(n.op, o) {
						return nil
					}
					if r.Action == Allow && r.Lists(n.op, o) && (list == nil || r.ID() < list.ID()) {
						list = r
					}
				}
			}
		}
	}
	return list
}
