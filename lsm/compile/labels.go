package compile

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// A label set holds, each numbered on from the last of those before: rules, as
// their RuleID; the program lists that the same name belongs to, as an
// executable; the scopes that hold it; the scopes that hold something beneath,
// and those that hold everything beneath.

func (n *nfa) programMember(list uint32) uint32 { return uint32(len(n.rules)) + list }

func (n *nfa) scopeMember(scope uint32) uint32 {
	return n.programMember(uint32(len(n.programs.lists))-1) + scope
}

func (n *nfa) beneathMember(scope uint32) uint32 {
	return n.scopeMember(uint32(len(n.scopes.lists))-1) + scope
}

func (n *nfa) heldMember(scope uint32) uint32 {
	return n.beneathMember(uint32(len(n.scopes.lists))-1) + scope
}

// labelOf is the label set of a name that ends at these nodes.
func (d *dfa) labelOf(nodes []uint32) []uint32 {
	var label []uint32
	var excepted []uint32
	for _, id := range nodes {
		if !d.nodes[id].accept {
			continue
		}
		switch o := d.owners[d.nodes[id].owner]; o.kind {
		case ownsExcept:
			excepted = append(excepted, o.index+1)
		case ownsPath:
			label = append(label, o.index+1)
		case ownsProgram:
			label = append(label, d.programMember(o.index))
		case ownsScope:
			label = append(label, d.scopeMember(o.index))
		}
	}
	label, excepted = sortSet(label), sortSet(excepted)
	return slices.DeleteFunc(label, func(v uint32) bool {
		_, found := slices.BinarySearch(excepted, v)
		return found
	})
}

// belowOf is the rules, and the scopes of allow-lists, that files beneath a
// directory in this state could lose when it is moved: those of positions that
// lead on and that not every directory holds. A rule that another of its
// policy outweighs in every way is left out.
func (d *dfa) belowOf(nodes []uint32) []uint32 {
	var below, scopes, held []uint32
	for _, id := range nodes {
		n := &d.nodes[id]
		o := d.owners[n.owner]
		if n.kind == leadsNowhere && !n.self {
			continue // what ends here is judged as itself
		}
		switch {
		case o.kind == ownsScope && !n.core:
			scopes = append(scopes, d.beneathMember(o.index))
			if n.universal() || n.kind == leadsByAny && d.nodes[n.to].universal() {
				held = append(held, d.heldMember(o.index))
			}
		case o.kind == ownsPath && restricts(d.rules[o.index].Action) && !(n.core && d.rules[o.index].steady):
			below = append(below, o.index+1)
		}
	}
	return slices.Concat(d.strongest(sortSet(below)), sortSet(scopes), sortSet(held))
}

// strongest keeps, of each policy and condition, the rule that decides a move.
func (d *dfa) strongest(rules []uint32) []uint32 {
	type kind struct {
		policy           uint32
		action           hostpolicy.Action
		from, exceptFrom uint32
	}
	if len(rules) < 2 {
		return rules
	}
	seen := make(map[kind]bool)
	keep := rules[:0]
	for _, v := range rules {
		r := &d.rules[v-1]
		f := &r.facts
		if seen[kind{f.Policy, r.Action, 0, 0}] || seen[kind{f.Policy, r.Action, f.From, f.ExceptFrom}] {
			continue
		}
		seen[kind{f.Policy, r.Action, f.From, f.ExceptFrom}] = true
		keep = append(keep, v)
	}
	return keep
}

// members is a label set taken apart.
type members struct {
	rules                          []lsm.RuleID
	programs, scope, beneath, held []uint32
}

// rulesIn counts the rules in a label set.
func (n *nfa) rulesIn(label []uint32) int {
	count, _ := slices.BinarySearch(label, n.programMember(0)+1)
	return count
}

// split takes a label set apart. The rules are put behind those in store,
// which is to have room for them.
func (n *nfa) split(label []uint32, store []lsm.RuleID) (members, []lsm.RuleID) {
	var m members
	firstProgram, firstScope, firstBeneath, firstHeld := n.programMember(0), n.scopeMember(0), n.beneathMember(0), n.heldMember(0)
	begin := len(store)
	for _, v := range label {
		switch {
		case v <= firstProgram:
			store = append(store, lsm.RuleID(v))
		case v <= firstScope:
			m.programs = append(m.programs, v-firstProgram)
		case v <= firstBeneath:
			m.scope = append(m.scope, v-firstScope)
		case v <= firstHeld:
			m.beneath = append(m.beneath, v-firstBeneath)
		default:
			m.held = append(m.held, v-firstHeld)
		}
	}
	if len(store) > begin {
		m.rules = store[begin:len(store):len(store)]
	}
	return m, store
}
