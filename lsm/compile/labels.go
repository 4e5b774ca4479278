package compile

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// A label set holds rules as their RuleID, then the program lists that the
// same name belongs to, as an executable, numbered on from the last rule.

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
			label = append(label, uint32(len(d.rules))+o.index)
		}
	}
	label, excepted = sortSet(label), sortSet(excepted)
	return slices.DeleteFunc(label, func(v uint32) bool {
		_, found := slices.BinarySearch(excepted, v)
		return found
	})
}

// belowOf is the rules that files beneath a directory in this state could lose
// when it is moved: those of positions that lead on and that not every
// directory holds. A rule that another of its policy outweighs in every way is
// left out.
func (d *dfa) belowOf(nodes []uint32) []uint32 {
	var below []uint32
	for _, id := range nodes {
		n := &d.nodes[id]
		o := d.owners[n.owner]
		if n.kind == leadsNowhere && !n.self {
			continue // what ends here is judged as itself
		}
		if o.kind != ownsPath || !d.rules[o.index].restricts() || n.core && d.rules[o.index].steady {
			continue
		}
		below = append(below, o.index+1)
	}
	return d.strongest(sortSet(below))
}

// strongest keeps, of each policy and condition, the rule that decides a move.
func (d *dfa) strongest(rules []uint32) []uint32 {
	type kind struct {
		policy           string
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
		if seen[kind{r.Policy, r.Action, 0, 0}] || seen[kind{r.Policy, r.Action, r.from, r.exceptFrom}] {
			continue
		}
		seen[kind{r.Policy, r.Action, r.from, r.exceptFrom}] = true
		keep = append(keep, v)
	}
	return keep
}

// split divides a label set into rules and program lists.
func (n *nfa) split(label []uint32) (rules, programs []uint32) {
	i, _ := slices.BinarySearch(label, uint32(len(n.rules))+1)
	rules = label[:i]
	for _, v := range label[i:] {
		programs = append(programs, v-uint32(len(n.rules)))
	}
	return rules, programs
}
