package daemon

import (
	"sync"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/lsm"
)

// remembered generations: an event can be on its way while the ruleset that
// decided is replaced, and its rule id means something only there.
const remembered = 3

// history knows the rules of the latest generations. It is read by the
// goroutine of events.
type history struct {
	mu    sync.Mutex
	known []generation // the latest last
}

type generation struct {
	number uint64
	rules  []event.Rule
}

func newHistory() *history { return &history{} }

// add is called before the generation can decide anything. A number that was
// used by a generation that never came into force is taken over.
func (h *history) add(number uint64, rules []lsm.Rule) {
	g := generation{number, event.Describe(rules)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.known {
		if h.known[i].number == number {
			h.known[i] = g
			return
		}
	}
	h.known = append(h.known, g)
	h.known = h.known[max(0, len(h.known)-remembered):]
}

// carry makes the rules of one generation those of another as well: the
// enforcer builds the same ruleset anew where mounts ask for it.
func (h *history) carry(from, to uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.known {
		if g.number == to {
			return
		}
	}
	for _, g := range h.known {
		if g.number == from {
			h.known = append(h.known, generation{to, g.rules})
			h.known = h.known[max(0, len(h.known)-remembered):]
			return
		}
	}
}

// only forgets all generations but one, when no event of the others can be on
// its way any more.
func (h *history) only(number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var kept []generation
	for _, g := range h.known {
		if g.number == number {
			kept = append(kept, g)
		}
	}
	h.known = kept
}

func (h *history) find(number uint64, id lsm.RuleID) (event.Rule, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.known {
		if g.number == number && id >= 1 && int(id) <= len(g.rules) {
			return g.rules[id-1], true
		}
	}
	return event.Rule{}, false
}

// explain finds the rule behind a decision. The commit of a generation may be
// decided by before its number is known here, so a number from the future is
// waited for a little.
func (h *history) explain(number uint64, id lsm.RuleID) (event.Rule, bool) {
	for range 20 {
		if h.newest() >= number {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return h.find(number, id)
}

func (h *history) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) == 0 {
		return 0
	}
	return h.known[len(h.known)-1].number
}

// ids maps the rules of a generation to their ids, for the counts that the
// kernel keeps by number.
func (h *history) ids(number uint64) map[string]lsm.RuleID {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.known {
		if g.number == number {
			ids := make(map[string]lsm.RuleID, len(g.rules))
			for i := range g.rules {
				ids[g.rules[i].ID] = lsm.RuleID(i + 1)
			}
			return ids
		}
	}
	return nil
}
