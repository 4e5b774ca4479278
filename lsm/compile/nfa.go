package compile

import (
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// ownerKind is what a pattern is for.
type ownerKind uint8

const (
	ownsExcept ownerKind = iota
	ownsPath
	ownsProgram // from and except_from
	ownsScope   // within
)

// owner is the list of patterns that a node belongs to.
type owner struct {
	kind  ownerKind
	index uint32 // of the rule, or of the list of programs or scopes
}

type nodeKind uint8

const (
	leadsNowhere nodeKind = iota
	leadsByName           // over names[at] to node `to`
	leadsByAny            // over any name to node `to`
	leadsByGlob           // over the byte positions from `at`
)

// node is a position of a pattern between two components. Nodes count from 1.
type node struct {
	owner  uint32
	at     uint32
	to     uint32
	kind   nodeKind
	accept bool // the pattern matches a name that ends here
	self   bool // any name leads back here as well
	core   bool // every path holds this position, whatever its directory
}

// universal nodes accept everything beneath.
func (n *node) universal() bool { return n.accept && n.self }

// bytePosition is a position within a glob component: it takes a byte of set
// to the next position. At the end of a component it leads to ends.
type bytePosition struct {
	set   byteSet
	owner uint32
	ends  [2]uint32 // nodes, 0 for none
	stays bool      // on any byte
}

// nfa is all patterns of a rule set.
type nfa struct {
	rules     []ruleInfo
	programs  *patternLists
	scopes    *patternLists
	owners    []owner
	nodes     []node
	positions []bytePosition
	names     []string
	nameIDs   map[string]uint32
	start     []uint32 // nodes that hold before the first component
}

// ruleInfo is what the automaton needs of a rule.
type ruleInfo struct {
	*hostpolicy.Rule
	facts  lsm.RuleFacts
	steady bool // core nodes hold in every directory, exceptions included
}

// restricts reports whether a rule with this action can refuse or log an access to a file.
func restricts(a hostpolicy.Action) bool {
	return a == hostpolicy.Block || a == hostpolicy.Audit
}

// namesFiles reports whether rules of a class have paths.
func namesFiles(c hostpolicy.Class) bool { return c == hostpolicy.Process || c == hostpolicy.File }

// patternLists numbers lists of patterns by their content, from 1.
type patternLists struct {
	ids   map[string]uint32
	lists [][]hostpolicy.Pattern
	rules []uint32 // index of the first rule with the list
}

func newPatternLists() *patternLists {
	return &patternLists{make(map[string]uint32), make([][]hostpolicy.Pattern, 1), make([]uint32, 1)}
}

func (l *patternLists) number(rule uint32, patterns []hostpolicy.Pattern) uint32 {
	if len(patterns) == 0 {
		return 0
	}
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.String()
	}
	slices.Sort(texts)
	key := strings.Join(slices.Compact(texts), "\x00")
	id, ok := l.ids[key]
	if !ok {
		id = uint32(len(l.lists))
		l.ids[key] = id
		l.lists = append(l.lists, patterns)
		l.rules = append(l.rules, rule)
	}
	return id
}

// newNFA numbers rules as they come; they are sorted by ID.
func newNFA(rules []*hostpolicy.Rule) *nfa {
	n := &nfa{
		nodes:     make([]node, 1, 1+components(rules)),
		positions: make([]bytePosition, 1),
		nameIDs:   make(map[string]uint32),
		rules:     make([]ruleInfo, len(rules)),
		programs:  newPatternLists(),
		scopes:    newPatternLists(),
	}
	for i := range rules {
		r := &n.rules[i]
		*r = ruleInfo{Rule: rules[i]}
		r.facts.From = n.programs.number(uint32(i), r.From)
		r.facts.ExceptFrom = n.programs.number(uint32(i), r.ExceptFrom)
		if !namesFiles(r.Class) {
			continue
		}
		if r.Action == hostpolicy.Allow {
			r.facts.Within = n.scopes.number(uint32(i), r.Within)
		}
		r.steady = !slices.ContainsFunc(r.Except, unsteady)
		n.add(owner{ownsExcept, uint32(i)}, r.Except)
		n.add(owner{ownsPath, uint32(i)}, r.Path)
	}
	for i := 1; i < len(n.programs.lists); i++ {
		n.add(owner{ownsProgram, uint32(i)}, n.programs.lists[i])
	}
	for i := 1; i < len(n.scopes.lists); i++ {
		n.add(owner{ownsScope, uint32(i)}, n.scopes.lists[i])
	}
	slices.Sort(n.start)
	n.start = slices.Compact(n.start)
	return n
}

// components is about how many nodes the patterns will need.
func components(rules []*hostpolicy.Rule) int {
	n := 0
	for i := range rules {
		for _, p := range rules[i].Path {
			n += 1 + strings.Count(p.String(), "/")
		}
	}
	return n
}

// unsteady exceptions match the same name in one directory and not in another.
func unsteady(p hostpolicy.Pattern) bool {
	for _, text := range p.Expand() {
		list, dir := parseComponents(text)
		if dir || len(list) != 2 || list[0].kind != globstar {
			return true
		}
		if slices.ContainsFunc(list[1].steps, func(s step) bool { return s.loop == loopPath }) {
			return true
		}
	}
	return false
}

func (n *nfa) add(o owner, patterns []hostpolicy.Pattern) {
	var texts []string
	for _, p := range patterns {
		texts = append(texts, p.Expand()...)
	}
	n.addTexts(o, texts)
}

// addTexts adds patterns without braces.
func (n *nfa) addTexts(o owner, texts []string) {
	if len(texts) == 0 {
		return
	}
	b := branch{nfa: n, owner: uint32(len(n.owners))}
	n.owners = append(n.owners, o)
	if len(texts) > 1 {
		b.tails = make(map[string]uint32)
	}
	for _, text := range texts {
		n.start = append(n.start, b.pattern(text))
	}
}

func (n *nfa) name(s string) uint32 {
	id, ok := n.nameIDs[s]
	if !ok {
		id = uint32(len(n.names))
		n.names = append(n.names, s)
		n.nameIDs[s] = id
	}
	return id
}

// branch builds the nodes of one owner, sharing equal tails of its patterns.
type branch struct {
	*nfa
	owner uint32
	tails map[string]uint32 // by text; nil for a single pattern
}

func (b *branch) node(tail string, make func(n *node)) uint32 {
	if id, ok := b.tails[tail]; ok {
		return id
	}
	id := uint32(len(b.nodes))
	b.nodes = append(b.nodes, node{owner: b.owner})
	if b.tails != nil {
		b.tails[tail] = id
	}
	made := node{owner: b.owner}
	make(&made)
	b.nodes[id] = made
	return id
}

// pattern builds a pattern from its end and returns its first node.
func (b *branch) pattern(text string) uint32 {
	list, dir := parseComponents(text)
	last := len(list) - 1
	all := dir || last >= 0 && list[last].kind == globstar
	tail := "."
	if all {
		tail = "/"
	}
	next := b.node(tail, func(n *node) { n.accept, n.self = true, all })
	for i := last; i >= 0; i-- {
		c := &list[i]
		if c.kind == globstar && i != last {
			continue // part of the next one's node
		}
		self := i > 0 && list[i-1].kind == globstar
		start := c.start
		if self {
			start = list[i-1].start
		}
		if c.kind == globstar && dir {
			// beneath any directory beneath: the mark adds nothing
			start = c.start
		}
		to := next
		next = b.component(c, text[start:], self, to)
	}
	b.markCore(next, list)
	return next
}

func (b *branch) component(c *component, tail string, self bool, to uint32) uint32 {
	if c.kind == glob {
		return b.glob(c, tail, self, to)
	}
	return b.node(tail, func(n *node) {
		n.self, n.to = self, to
		switch c.kind {
		case literal:
			n.kind, n.at = leadsByName, b.name(c.name)
		case anyName, globstar:
			n.kind = leadsByAny
		}
	})
}

func (b *branch) glob(c *component, tail string, self bool, to uint32) uint32 {
	if id, ok := b.tails[tail]; ok {
		return id
	}
	first := uint32(len(b.positions))
	for _, s := range c.steps {
		b.positions = append(b.positions, bytePosition{set: s.set, owner: b.owner, stays: s.loop != loopNone})
	}
	id := b.node(tail, func(n *node) {
		n.kind, n.at, n.self = leadsByGlob, first, self
	})
	for i, s := range c.steps {
		p := &b.positions[first+uint32(i)]
		if s.end {
			p.ends[0] = to
		}
		if s.loop != loopPath {
			continue
		}
		// The run may go on in the next component.
		p.ends[1] = id
		if i > 0 {
			p.ends[1] = uint32(len(b.nodes))
			b.nodes = append(b.nodes, node{owner: b.owner, kind: leadsByGlob, at: first + uint32(i)})
		}
	}
	return id
}

// markCore finds the positions that every path reaches.
func (b *branch) markCore(first uint32, list []component) {
	switch {
	case len(list) == 0: // "/"
		b.nodes[first].core = true
	case list[0].kind == globstar && len(list) == 1: // "/**"
		b.nodes[first].core = true
		b.nodes[b.nodes[first].to].core = true
	case list[0].kind == globstar:
		b.nodes[first].core = true
	case list[0].kind == glob && list[0].steps[0].loop == loopPath:
		b.nodes[first].core = true
	}
}
