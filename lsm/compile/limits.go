package compile

import (
	"fmt"
	"slices"
	"strings"
)

// limits bound what a compilation may build, so that a hostile or unlucky set
// of globs ends in a problem and not in an exhausted machine.
type limits struct {
	states   int // of the automaton, before it is minimised
	members  int // nodes of all states together
	edges    int
	globRows int // a kilobyte each, in the kernel
	verdicts int
	roles    int
	applets  int // labels for the commands of programs
	users    int // lists of users
	sockets  int // network rules
	rows     int // of a network table
	unfolded int // edges that the names of one set of floating patterns may cost
}

var defaultLimits = limits{
	states:   1 << 20,
	members:  64 << 20,
	edges:    4 << 20,
	globRows: 64 << 10,
	verdicts: 2 << 20,
	roles:    256 << 10,
	applets:  64 << 10,
	users:    64, // bits of a user class
	sockets:  1024,
	rows:     64 << 10,
	unfolded: 4 << 10,
}

// tooLarge is a limit that was hit, and the rules that are most to blame.
type tooLarge struct {
	what  string
	limit int
	rules []uint32 // indexes, the worst first
	fix   string   // what to write in them; "" is about globs
}

func (e *tooLarge) Error() string { return fmt.Sprintf("needs more than %d %s", e.limit, e.what) }

// blame counts, by rule, how often rules take part in what grew too large.
type blame []int

func (n *nfa) newBlame() blame { return make(blame, len(n.rules)) }

// few is how many rules a message names.
const few = 3

// worst is the few rules that are counted most.
func (b blame) worst() []uint32 {
	var rules []uint32
	for r, count := range b {
		if count > 0 {
			rules = append(rules, uint32(r))
		}
	}
	slices.SortStableFunc(rules, func(x, y uint32) int { return b[y] - b[x] })
	return rules[:min(few, len(rules))]
}

// rule is the rule that an owner belongs to; a list of programs or scopes
// belongs to the first rule that has it.
func (n *nfa) rule(ownerID uint32) uint32 {
	o := n.owners[ownerID]
	switch o.kind {
	case ownsProgram:
		return n.programs.rules[o.index]
	case ownsScope:
		return n.scopes.rules[o.index]
	}
	return o.index
}

// ruleList names rules for a message.
func (n *nfa) ruleList(rules []uint32) string {
	ids := make([]string, len(rules))
	for i, r := range rules {
		ids[i] = n.rules[r].ID()
	}
	return strings.Join(ids, ", ")
}
