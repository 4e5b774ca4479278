package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// tables are the rows of one workload. They stay sparse: one row for each
// label that means something to the base role, and rows for other roles only
// where those fare differently.
type tables struct {
	*judge
	number uint32 // of the workload
	held   []bool // by policy: whether its place holds the workload
	// base is the subject of the base role. ownBase is false where that is
	// the host's, and this another workload.
	base    *subject
	ownBase bool
	// Rows are made for labels from firstLabel on; for the program classes
	// from firstProgram on, which are roles to add, for all labels.
	firstLabel, firstProgram int
	role                     func(user, program uint32) lsm.Role
	limits                   limits
	marked                   []bool // by label: what carries ByProgram

	roles    []lsm.RoleRow
	verdicts []lsm.VerdictRow // labels without marks
	acts     []lsm.ActRow
	traces   []lsm.TraceRow

	lists    openLists
	changes  changes
	known    []baseRow // by label
	actRules map[lsm.Act][]lsm.RuleID
	trusts   trusts

	baseSockets lsm.Bits
}

// baseRow is what the base role finds on a label.
type baseRow struct {
	seen, has bool
	verdict   lsm.Verdict
}

func (t *tables) build() error {
	t.lists = t.openLists(t.held)
	t.known = make([]baseRow, len(t.labels))
	t.actRules = t.rulesByAct()
	t.changes = t.findChanges()
	t.trusts = t.findTrusts()
	users := uint32(1)
	if t.namesUsers() {
		users = uint32(len(t.rs.Users.Classes))
	}
	if n := int(users) * len(t.rs.Programs); n > t.limits.roles {
		return t.tooManyRoles()
	}
	for user := range users {
		for program := range uint32(len(t.rs.Programs)) {
			if t.number != 0 && program != 0 && !t.tellsApart(program) {
				continue // fares like program 0
			}
			t.add(user, program)
			if len(t.verdicts) > t.limits.verdicts {
				return t.tooManyVerdicts()
			}
			if len(t.traces) > t.limits.verdicts {
				return t.tooManyTraces()
			}
		}
	}
	t.finish()
	return nil
}

// finish orders the rows, and marks the labels in them.
func (t *tables) finish() {
	for i := range t.verdicts {
		t.verdicts[i].Label = t.mark(t.verdicts[i].Label)
	}
	sortVerdicts(t.verdicts)
	sortActs(t.acts)
	sortTraces(t.traces)
	t.verdicts, t.acts, t.traces, t.roles = slices.Clip(t.verdicts), slices.Clip(t.acts), slices.Clip(t.traces), slices.Clip(t.roles)
}

// mark sets ByProgram on a label that has to carry it.
func (t *tables) mark(l lsm.Label) lsm.Label {
	if t.marked[l.Index()] {
		return l | lsm.ByProgram
	}
	return l
}

// add makes the rows of one role.
func (t *tables) add(user, program uint32) {
	s := t.subject(t.held, t.lists, user, program)
	base := t.base
	isBase := t.ownBase && user == 0 && program == 0
	if isBase {
		base, t.base = s, s
	}
	id := t.role(user, program)
	from := t.firstLabel
	if int(program) >= t.firstProgram {
		from = 0
	}
	role := lsm.RoleRow{
		Key: lsm.RoleKey{Workload: t.number, User: user, Program: program}, Role: id, Base: t.baseRole(),
		Default: defaults(s),
		Network: s.open[hostpolicy.Network].otherwise(), Capability: s.open[hostpolicy.Capability].otherwise(), System: s.open[hostpolicy.System].otherwise(),
	}
	var changed []lsm.RuleID
	if isBase {
		t.baseRows(id, from)
	} else {
		changed = t.changed(s, base)
		t.differences(id, from, s, changed)
	}
	t.traceRows(id, s, isBase, int(program) >= t.firstProgram)
	if int(program) < t.firstProgram {
		return
	}
	role.Sockets = t.sockets(s, isBase, changed)
	if isBase {
		t.baseActs(id, s)
	} else {
		t.changedActs(id, s, changed)
	}
	t.roles = append(t.roles, role)
}

func (t *tables) baseRole() lsm.Role {
	if t.ownBase {
		return t.role(0, 0)
	}
	return hostBase
}

// hostBase is the role of the key that is all zero.
const hostBase lsm.Role = 1

// defaults is the verdict for names that no rule matches.
func defaults(s *subject) (v lsm.Verdict) {
	v[lsm.KindExec] = s.open[hostpolicy.Process].otherwise()
	v[lsm.KindRead] = s.open[hostpolicy.File].otherwise()
	v[lsm.KindWrite] = v[lsm.KindRead]
	return v
}

// basis is the base role's verdict on a label.
func (t *tables) basis(label uint32) *baseRow {
	b := &t.known[label]
	if !b.seen {
		b.seen = true
		b.verdict, b.has = t.verdict(label, t.base)
	}
	return b
}

func (t *tables) baseRows(id lsm.Role, from int) {
	for label := from; label < len(t.labels); label++ {
		if b := t.basis(uint32(label)); b.has {
			t.verdicts = append(t.verdicts, lsm.VerdictRow{Role: id, Label: lsm.Label(label), Verdict: b.verdict})
		}
	}
}

// differences adds the rows where a role differs from its base.
func (t *tables) differences(id lsm.Role, from int, s *subject, changed []lsm.RuleID) {
	var labels []uint32
	for _, rule := range changed {
		labels = append(labels, t.changes.labels[rule]...)
	}
	labels = sortSet(labels)
	own, base := defaults(s), defaults(t.base)
	look := func(label uint32) {
		if int(label) < from {
			return
		}
		b := t.basis(label)
		fallback := own
		if b.has {
			fallback = b.verdict
		}
		if v, _ := t.verdict(label, s); v != fallback {
			t.verdicts = append(t.verdicts, lsm.VerdictRow{Role: id, Label: lsm.Label(label), Verdict: v})
			t.marked[label] = true
		}
	}
	for _, label := range labels {
		look(label)
	}
	if own == base {
		return
	}
	for label := from; label < len(t.labels) && len(t.verdicts) <= t.limits.verdicts; label++ {
		b := t.basis(uint32(label))
		if !b.has || !t.shows(uint32(label), &b.verdict, &own, &base) {
			continue
		}
		if _, done := slices.BinarySearch(labels, uint32(label)); !done {
			look(uint32(label))
		}
	}
}

// shows reports whether a change of the default can show on a label: where
// rules decide it does not, and allow-lists with a scope may add to it.
func (t *tables) shows(label uint32, v, own, base *lsm.Verdict) bool {
	if t.labels[label].Scope|t.labels[label].Beneath != 0 {
		return true
	}
	for k := range v {
		if own[k] != base[k] && (!v[k].Action.Valid() || v[k].Otherwise) {
			return true
		}
	}
	return false
}

func (t *tables) baseActs(id lsm.Role, s *subject) {
	for act := range t.actRules {
		if cell, ok := t.act(act, s); ok {
			t.acts = append(t.acts, lsm.ActRow{Role: id, Act: act, Cell: cell})
		}
	}
}

func (t *tables) changedActs(id lsm.Role, s *subject, changed []lsm.RuleID) {
	acts := make(map[lsm.Act]bool)
	for _, rule := range changed {
		for _, act := range t.rs.Rules[rule-1].Acts {
			acts[act] = true
		}
	}
	for _, c := range []hostpolicy.Class{hostpolicy.Capability, hostpolicy.System} {
		if s.open[c] == t.base.open[c] {
			continue
		}
		for act := range t.actRules {
			acts[act] = true
		}
	}
	for act := range acts {
		cell, _ := t.act(act, s)
		fallback := s.open[classOf(act)].otherwise()
		if before, ok := t.act(act, t.base); ok {
			fallback = before
		}
		if cell != fallback {
			t.acts = append(t.acts, lsm.ActRow{Role: id, Act: act, Cell: cell})
		}
	}
}

// act is the verdict on an act; ok is false where no rule matches.
func (t *tables) act(act lsm.Act, s *subject) (lsm.Cell, bool) {
	var matched tiers
	for _, id := range t.actRules[act] {
		if t.admits(s, id) {
			matched[t.rs.Rules[id-1].Action].add(id, t.policy(id).Dangerous)
		}
	}
	if cell := matched.matched(); cell.Action.Valid() {
		return cell, true
	}
	return s.open[classOf(act)].otherwise(), false
}

func classOf(act lsm.Act) hostpolicy.Class {
	if act < lsm.ActOf(0, 0) {
		return hostpolicy.Capability
	}
	return hostpolicy.System
}

func actsOf(r *hostpolicy.Rule) []lsm.Act {
	var list []lsm.Act
	if r.Class == hostpolicy.Capability {
		for _, c := range r.Capabilities {
			list = append(list, lsm.ActOf(hostpolicy.OpCapability, c))
		}
	}
	if r.Class == hostpolicy.System {
		for _, op := range r.Operations {
			list = append(list, lsm.ActOf(op, 0))
		}
	}
	return list
}

func (t *tables) rulesByAct() map[lsm.Act][]lsm.RuleID {
	byAct := make(map[lsm.Act][]lsm.RuleID)
	for i := range t.rs.Rules {
		for _, act := range t.rs.Rules[i].Acts {
			if list := byAct[act]; len(list) == 0 || list[len(list)-1] != lsm.RuleID(i+1) {
				byAct[act] = append(list, lsm.RuleID(i+1))
			}
		}
	}
	return byAct
}

// sockets is the network rules that count for a role.
func (t *tables) sockets(s *subject, isBase bool, changed []lsm.RuleID) lsm.Bits {
	rules := t.rs.Network.Rules
	if len(rules) == 0 {
		return nil
	}
	if !isBase {
		changes := func(id lsm.RuleID) bool { return t.rs.Rules[id-1].Class == hostpolicy.Network }
		if !slices.ContainsFunc(changed, changes) && t.baseSockets != nil {
			return t.baseSockets
		}
	}
	set := make(lsm.Bits, (len(rules)+63)/64)
	for bit, id := range rules {
		if t.admits(s, id) {
			set.Set(bit)
		}
	}
	if isBase {
		t.baseSockets = set
	}
	return set
}

func sortVerdicts(rows []lsm.VerdictRow) {
	slices.SortFunc(rows, func(a, b lsm.VerdictRow) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Label, b.Label))
	})
}

func sortActs(rows []lsm.ActRow) {
	slices.SortFunc(rows, func(a, b lsm.ActRow) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Act, b.Act)) })
}

func sortRoles(rows []lsm.RoleRow) {
	slices.SortFunc(rows, func(a, b lsm.RoleRow) int { return a.Key.Compare(b.Key) })
}
