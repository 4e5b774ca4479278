package hostpolicy

import (
	"cmp"
	"math/bits"
	"slices"
)

// Explanation is a decision with the rules that had something to say about the
// object and did not decide.
type Explanation struct {
	Decision
	Losers []Loser // the nearest first, at most MaxLosers
	More   int     // losers that were left out
	// Same is how many rules beside the one that decides match and say the
	// same: to change one of them changes nothing.
	Same int
}

// MaxLosers is how many rules an Explanation names.
const MaxLosers = 20

// Loser is a rule that did not decide.
type Loser struct {
	Rule   *Rule
	Policy *Policy
	Why    Obstacle // what kept it from deciding: a set
	// Lists is true for an allow rule that does not name the object, and
	// is here for the allow-list that it makes.
	Lists bool
	// Reasons are a clause for each member of Why, for people.
	Reasons []string
}

// Obstacle is a set of what keeps a rule from deciding. The empty set is that
// of a rule that matched: another one outweighs it, or says the same and stands
// before it in the order of ids.
type Obstacle uint32

// In the order of nearness: the lower one is easier to overlook.
const (
	NotAccess    Obstacle = 1 << iota // it is about another way to use the file
	NotExcept                         // except names the object
	NotOwner                          // owner_only
	NotArgs                           // it is about another command of the program
	NotPort                           // other ports
	NotAddress                        // other addresses
	NotLocal                          // other local addresses
	NotProtocol                       // another protocol
	NotDirection                      // the other direction
	NotStep                           // a socket is judged at another step
	NotProgram                        // from or except_from
	NotSubject                        // the policy is not for this subject
	NotWithin                         // its allow-list is limited to other files
)

// Explain is Decide for people: who decides, who lost, and why. It looks at
// each rule once and again at the few that it names.
func Explain(policies []Policy, s Subject, op Operation, o Object) Explanation {
	e := Explanation{Decision: Decide(policies, s, op, o)}
	var found []Loser
	for i := range policies {
		p := &policies[i]
		selects := p.AppliesTo.Matches(s)
		for j := range p.Rules {
			r := &p.Rules[j]
			if r == e.Rule {
				continue
			}
			l := Loser{Rule: r, Policy: p}
			related := false
			if l.Why, related = r.obstacles(op, o); !related {
				if l.Why, l.Lists = r.listObstacles(op, o); !l.Lists {
					continue
				}
			}
			if !r.Admits(s) {
				l.Why |= NotProgram
			}
			if !selects {
				l.Why |= NotSubject
			}
			if l.Why == 0 && !l.Lists && r.Action == e.Action {
				e.Same++
			}
			found = append(found, l)
		}
	}
	slices.SortFunc(found, nearer)
	e.More = max(len(found)-MaxLosers, 0)
	e.Losers = slices.Clone(found[:len(found)-e.More])
	for i := range e.Losers {
		e.Losers[i].Reasons = e.reasons(&e.Losers[i], s, op, o)
	}
	return e
}

// nearer sorts rules that name the object before mere lists, and then by how
// much keeps them from deciding.
func nearer(a, b Loser) int {
	return cmp.Or(
		cmp.Compare(bit(a.Lists), bit(b.Lists)),
		cmp.Compare(bits.OnesCount32(uint32(a.Why)), bits.OnesCount32(uint32(b.Why))),
		cmp.Compare(a.Why, b.Why),
		cmp.Compare(a.Rule.Action, b.Rule.Action),
		cmp.Compare(a.Rule.Policy, b.Rule.Policy),
		cmp.Compare(a.Rule.Class, b.Rule.Class),
		cmp.Compare(a.Rule.Name, b.Rule.Name),
	)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// obstacles says what keeps the rule from matching, where it is about this
// object at all. For a subject that it admits it matches where there are none.
func (r *Rule) obstacles(op Operation, o Object) (why Obstacle, related bool) {
	switch class := op.Class(); r.Class {
	case Process, File:
		if class != Process && class != File || !slices.ContainsFunc(o.Names, func(name string) bool { return matchAny(r.Path, name) }) {
			return 0, false
		}
		if r.Class != class || r.Access&op.access() == 0 || op == OpMap && r.Action == Allow {
			why |= NotAccess
		}
		if !r.Names(o) {
			why |= NotExcept
		}
		if r.OwnerOnly && o.Owned != (r.Action == Allow) {
			why |= NotOwner
		}
		if r.Class == Process && !r.Runs(op, o) {
			why |= NotArgs
		}
		return why, true
	case Network:
		if class != Network || o.Socket == nil {
			return 0, false
		}
		why = r.networkObstacles(op, o.Socket)
		// With two differences it is a rule about other traffic.
		return why, bits.OnesCount32(uint32(why)) <= 1
	case Capability:
		return 0, class == Capability && slices.Contains(r.Capabilities, o.Capability)
	case System:
		return 0, class == System && slices.Contains(r.Operations, op)
	}
	return 0, false
}

// networkObstacles is Reaches, taken apart.
func (r *Rule) networkObstacles(op Operation, s *Socket) (why Obstacle) {
	if len(r.Protocol) > 0 && !slices.ContainsFunc(s.Protocols, func(p Protocol) bool { return slices.Contains(r.Protocol, p) }) {
		why |= NotProtocol
	}
	named := len(r.Address)+len(r.LocalAddress)+len(r.Ports) > 0
	if named && !slices.ContainsFunc(s.Protocols, Protocol.Internet) ||
		len(r.Ports) > 0 && !slices.ContainsFunc(s.Protocols, Protocol.Ported) {
		return why | NotProtocol
	}
	if op == OpSocket {
		if r.Action != Allow && (named || slices.ContainsFunc(s.Protocols, Protocol.Addressed)) {
			why |= NotStep
		}
		return why
	}
	side, port := In, s.Local.Port
	if op == OpConnect || op == OpSend {
		side, port = Out, s.Remote.Port
	}
	if r.Direction != side {
		why |= NotDirection
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.First <= port && port <= p.Last }) {
		why |= NotPort
	}
	if len(r.LocalAddress) > 0 && !holds(r.LocalAddress, s.Local) {
		why |= NotLocal
	}
	if len(r.Address) > 0 {
		switch early := op == OpBind || op == OpListen; {
		case early && r.Action != Allow:
			why |= NotStep
		case !early && !holds(r.Address, s.Remote):
			why |= NotAddress
		}
	}
	return why
}

// listObstacles says what keeps the allow-list that a rule makes from being
// about this object.
func (r *Rule) listObstacles(op Operation, o Object) (why Obstacle, lists bool) {
	if r.Action != Allow || r.Class != op.Class() || op == OpMap {
		return 0, false
	}
	if !r.Lists(op, o) {
		why |= NotWithin
	}
	return why, true
}
