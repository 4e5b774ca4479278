package compile

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// openLists are the allow-lists without a scope that can hold in a workload:
// those that always do, and rules to look at one by one.
type openLists struct {
	always     [hostpolicy.System + 1]tiers
	byProgram  map[uint32][]lsm.RuleID // with `from`, by program list
	byUser     []lsm.RuleID            // of policies that name users
	exceptFrom []lsm.RuleID            // with that alone
}

func (j *judge) openLists(held []bool) openLists {
	l := openLists{byProgram: make(map[uint32][]lsm.RuleID)}
	for i := range j.rs.Rules {
		id, f := lsm.RuleID(i+1), &j.rs.Facts[i]
		r := &j.rs.Rules[i]
		if !held[f.Policy] || r.Action != hostpolicy.Allow || r.Limited {
			continue // what is within names is listed by label
		}
		switch {
		case j.policy(id).Users != 0:
			l.byUser = append(l.byUser, id)
		case f.From != 0:
			l.byProgram[f.From] = append(l.byProgram[f.From], id)
		case f.ExceptFrom != 0:
			l.exceptFrom = append(l.exceptFrom, id)
		default:
			j.list(&l.always[r.Class], id)
		}
	}
	return l
}

// subject is the subjects of these classes where `held` holds.
func (j *judge) subject(held []bool, l openLists, user, program uint32) *subject {
	s := &subject{
		held: held, users: j.rs.Users.Classes[user], programs: j.rs.Programs[program],
		lists: make([]bool, j.lists+1), open: l.always,
	}
	for _, list := range s.programs {
		s.lists[list] = true
	}
	add := func(rules []lsm.RuleID) {
		for _, id := range rules {
			if j.admits(s, id) {
				j.list(&s.open[j.rs.Rules[id-1].Class], id)
			}
		}
	}
	for _, list := range s.programs {
		add(l.byProgram[list])
	}
	if s.users != 0 {
		add(l.byUser)
	}
	add(l.exceptFrom)
	return s
}

// held is by policy whether its place is among those of a workload.
func (j *judge) held(places []uint32) []bool {
	held := make([]bool, len(j.rs.Policies))
	for i := range held {
		_, held[i] = slices.BinarySearch(places, j.rs.Policies[i].Place)
	}
	return held
}

// changes are the rules that do not count for all roles of a workload alike,
// and what they are about.
type changes struct {
	byPlace   []lsm.RuleID            // of policies that are not the base's
	byUser    [64][]lsm.RuleID        // by bit
	byProgram [][]lsm.RuleID          // by program list
	labels    map[lsm.RuleID][]uint32 // where they can change a verdict
}

func (t *tables) findChanges() changes {
	c := changes{byProgram: make([][]lsm.RuleID, t.judge.lists+1), labels: make(map[lsm.RuleID][]uint32)}
	for i := range t.rs.Rules {
		id, f := lsm.RuleID(i+1), &t.rs.Facts[i]
		if !t.held[f.Policy] {
			continue
		}
		users := t.policy(id).Users
		foreign := !t.ownBase && !t.base.held[f.Policy]
		if foreign {
			c.byPlace = append(c.byPlace, id)
		}
		for bit := range 64 {
			if users&(1<<bit) != 0 {
				c.byUser[bit] = append(c.byUser[bit], id)
			}
		}
		for _, list := range []uint32{f.From, f.ExceptFrom} {
			if list != 0 {
				c.byProgram[list] = append(c.byProgram[list], id)
			}
		}
		if foreign || users != 0 || f.From|f.ExceptFrom != 0 {
			c.labels[id] = nil
		}
	}
	if len(c.labels) == 0 {
		return c
	}
	from := t.firstLabel
	if t.firstProgram < len(t.rs.Programs) {
		from = 0
	}
	about := func(id lsm.RuleID, label int) {
		if list, ok := c.labels[id]; ok {
			c.labels[id] = append(list, uint32(label))
		}
	}
	for label := from; label < len(t.labels); label++ {
		row := &t.labels[label]
		for _, id := range row.Rules {
			about(id, label)
		}
		for _, class := range []uint32{row.Scope, row.Beneath} {
			for _, scope := range t.rs.Scopes[class] {
				for _, id := range t.scoped[scope] {
					about(id, label)
				}
			}
		}
	}
	return c
}

// changed is the rules that count for the subject and not for the base, or the
// other way round.
func (t *tables) changed(s, base *subject) []lsm.RuleID {
	candidates := slices.Clone(t.changes.byPlace)
	for bit := range 64 {
		if s.users&(1<<bit) != 0 {
			candidates = append(candidates, t.changes.byUser[bit]...)
		}
	}
	for _, list := range s.programs {
		candidates = append(candidates, t.changes.byProgram[list]...)
	}
	slices.Sort(candidates)
	return slices.DeleteFunc(slices.Compact(candidates), func(id lsm.RuleID) bool { return t.admits(s, id) == t.admits(base, id) })
}

// namesUsers reports whether a policy of the workload names users.
func (t *tables) namesUsers() bool {
	for i := range t.rs.Policies {
		if t.held[i] && t.rs.Policies[i].Users != 0 {
			return true
		}
	}
	return false
}

// tellsApart reports whether a rule of the workload names one of the program
// lists of a class.
func (t *tables) tellsApart(program uint32) bool {
	return slices.ContainsFunc(t.rs.Programs[program], func(list uint32) bool { return len(t.changes.byProgram[list]) > 0 })
}

// conditional reports whether a rule does not count for every role of its
// workload, or of those that share the host's base.
func (j *judge) conditional(id lsm.RuleID) bool {
	f, p := &j.rs.Facts[id-1], j.policy(id)
	return f.From|f.ExceptFrom != 0 || p.Users != 0 || len(j.rs.Places[p.Place].Unit) > 0
}

// marks are the labels that carry ByProgram whatever the host's rows say: a
// label is in force before the workloads are known that look at it.
func (j *judge) marks(from int) []bool {
	marked := make([]bool, len(j.labels))
	wide := false // some role has a default of its own
	for i := range j.rs.Rules {
		r := &j.rs.Rules[i]
		wide = wide || r.Action == hostpolicy.Allow && namesFiles(r.Class) && !r.Limited && j.conditional(lsm.RuleID(i+1))
	}
	wide = wide && !j.hostOnly()
	for label := max(from, 1); label < len(marked); label++ {
		row := &j.labels[label]
		marked[label] = slices.ContainsFunc(row.Rules, j.conditional) || wide && len(row.Rules)+int(row.Scope|row.Beneath) > 0
		for _, class := range []uint32{row.Scope, row.Beneath} {
			for _, scope := range j.rs.Scopes[class] {
				marked[label] = marked[label] || slices.ContainsFunc(j.scoped[scope], j.conditional)
			}
		}
	}
	return marked
}

// hostOnly reports whether the host is the only workload that rules tell
// anything about: then its own rows show which labels need a mark.
func (j *judge) hostOnly() bool {
	for i := range j.rs.Policies {
		if p := &j.rs.Policies[i]; p.Users != 0 || !j.rs.Places[p.Place].Host {
			return false
		}
	}
	return true
}

// programLists is how many lists of programs a rule names.
func (t *tables) programLists(id lsm.RuleID) int {
	f, n := &t.rs.Facts[id-1], 0
	if f.From != 0 {
		n++
	}
	if f.ExceptFrom != 0 {
		n++
	}
	return n
}

func (t *tables) tooManyRoles() error {
	counts := make(blame, len(t.rs.Rules))
	for i := range counts {
		if t.conditional(lsm.RuleID(i + 1)) {
			counts[i] = 1 + t.programLists(lsm.RuleID(i+1))
		}
	}
	return &tooLarge{"classes of users and programs", t.limits.roles, counts.worst(), "fewer different users, from and except_from in"}
}

// tooManyVerdicts blames the allow rules with conditions: they give a class of
// programs its own default, and so its own row for almost every label.
func (t *tables) tooManyVerdicts() error {
	counts := make(blame, len(t.rs.Rules))
	for i := range counts {
		r := &t.rs.Rules[i]
		if t.conditional(lsm.RuleID(i + 1)) {
			counts[i] += 1 + t.programLists(lsm.RuleID(i+1))
			if r.Action == hostpolicy.Allow {
				counts[i] += len(t.rs.Rules)
			}
		}
	}
	return &tooLarge{what: "verdicts for single programs", limit: t.limits.verdicts, rules: counts.worst()}
}
