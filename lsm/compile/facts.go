package compile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// facts adds to a ruleset what rules take from their policies: the places and
// users that these name, each different one once.
func (n *nfa) facts(rs *lsm.Ruleset, policies []hostpolicy.Policy, limits limits) []hostpolicy.Problem {
	byRule := make(map[string]*hostpolicy.Policy, len(rs.Rules))
	for i := range policies {
		for j := range policies[i].Rules {
			byRule[policies[i].Rules[j].ID()] = &policies[i]
		}
	}
	rows := make(map[*hostpolicy.Policy]uint32)
	var used []*hostpolicy.Policy // in the order of their first rules
	for i := range n.rules {
		p := byRule[rs.Rules[i].ID()]
		row, ok := rows[p]
		if !ok {
			row = uint32(len(used))
			rows[p] = row
			used = append(used, p)
		}
		n.rules[i].facts.Policy = row
		rs.Facts = append(rs.Facts, n.rules[i].facts)
	}
	rs.Facts = slices.Clip(rs.Facts)
	places, users := newPlaceTable(used), newUserTable(used)
	rs.Places = places.rows
	rs.Policies = make([]lsm.PolicyRow, len(used))
	for i, p := range used {
		row := &rs.Policies[i]
		row.Place, row.Dangerous, row.Self = places.ids[placeText(&p.AppliesTo)], p.Dangerous, p.Self
		for c := hostpolicy.Process; c <= hostpolicy.System; c++ {
			row.Otherwise[c] = p.OtherwiseIn(c)
		}
	}
	if problems := users.tooMany(used, limits.users); len(problems) > 0 {
		return problems
	}
	for i, p := range used {
		rs.Policies[i].Users = users.bits(&p.AppliesTo)
	}
	var err error
	if rs.Users, err = users.table(limits.roles); err != nil {
		return []hostpolicy.Problem{{
			Position: used[0].Position, Code: CodeTooLarge, Severity: hostpolicy.Error, Field: "applies_to",
			Message: "the policy set " + err.Error(), Fix: "name fewer different lists of users",
		}}
	}
	return nil
}

// placeTable numbers the places of policies in the order of their texts.
type placeTable struct {
	ids  map[string]uint32
	rows []lsm.Place
}

func newPlaceTable(policies []*hostpolicy.Policy) placeTable {
	t := placeTable{ids: make(map[string]uint32)}
	byText := make(map[string]lsm.Place)
	for _, p := range policies {
		byText[placeText(&p.AppliesTo)] = placeOf(&p.AppliesTo)
	}
	for _, text := range sortedKeys(byText) {
		t.ids[text] = uint32(len(t.rows))
		t.rows = append(t.rows, byText[text])
	}
	return t
}

// placeOf reads the selector in the order in which Selector.Matches does.
func placeOf(s *hostpolicy.Selector) lsm.Place {
	switch {
	case s.Host:
		return lsm.Place{Host: true}
	case s.Everything:
		return lsm.Place{Everything: true}
	case s.Container != nil:
		return lsm.Place{Container: s.Container}
	}
	return lsm.Place{Unit: s.Unit}
}

// placeText is equal for places that are written alike.
func placeText(s *hostpolicy.Selector) string {
	p := placeOf(s)
	if p.Container == nil {
		return fmt.Sprintf("%t %t %s", p.Host, p.Everything, globText(p.Unit))
	}
	c := p.Container
	return fmt.Sprintf("container %s %s %s %s %s", globText(c.Name), globText(c.Image), globText(c.Namespace), labelText(c.Labels), labelText(c.ExceptLabels))
}

func globText(globs []hostpolicy.Glob) string {
	texts := make([]string, len(globs))
	for i, g := range globs {
		texts[i] = g.String()
	}
	return fmt.Sprintf("%q", texts)
}

func labelText(list []hostpolicy.LabelMatch) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%q=%s", m.Key, globText(m.Values))
	}
	return fmt.Sprintf("%q", b.String())
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// userTable gives each different list of users a bit: first those of uids,
// then those of login uids, each in the order of their texts.
type userTable struct {
	ids, logins map[string]int // bit, by text
	lists       [][]hostpolicy.IDs
}

func newUserTable(policies []*hostpolicy.Policy) userTable {
	t := userTable{ids: make(map[string]int), logins: make(map[string]int)}
	number := func(bits map[string]int, of func(s *hostpolicy.Selector) []hostpolicy.IDs) {
		lists := make(map[string][]hostpolicy.IDs)
		for _, p := range policies {
			if list := merged(of(&p.AppliesTo)); len(list) > 0 {
				lists[idText(list)] = list
			}
		}
		for _, text := range sortedKeys(lists) {
			bits[text] = len(t.lists)
			t.lists = append(t.lists, lists[text])
		}
	}
	number(t.ids, func(s *hostpolicy.Selector) []hostpolicy.IDs { return s.User })
	number(t.logins, func(s *hostpolicy.Selector) []hostpolicy.IDs { return s.LoginUser })
	return t
}

// merged is the ids of a list as intervals that neither overlap nor touch.
func merged(list []hostpolicy.IDs) []hostpolicy.IDs {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b hostpolicy.IDs) int { return cmp.Compare(a.First, b.First) })
	var out []hostpolicy.IDs
	for _, ids := range list {
		ids.Name = ""
		if last := len(out) - 1; last >= 0 && uint64(ids.First) <= uint64(out[last].Last)+1 {
			out[last].Last = max(out[last].Last, ids.Last)
		} else if ids.First <= ids.Last {
			out = append(out, ids)
		}
	}
	return out
}

func idText(list []hostpolicy.IDs) string { return fmt.Sprint(list) }

// bits is what a user class needs for the selector.
func (t *userTable) bits(s *hostpolicy.Selector) uint64 {
	var bits uint64
	if list := merged(s.User); len(list) > 0 {
		bits |= 1 << t.ids[idText(list)]
	}
	if list := merged(s.LoginUser); len(list) > 0 {
		bits |= 1 << t.logins[idText(list)]
	}
	return bits
}

// tooMany reports each policy whose users find no bit.
func (t *userTable) tooMany(policies []*hostpolicy.Policy, limit int) []hostpolicy.Problem {
	var problems []hostpolicy.Problem
	if len(t.lists) <= limit {
		return nil
	}
	over := func(bits map[string]int, list []hostpolicy.IDs) bool {
		list = merged(list)
		return len(list) > 0 && bits[idText(list)] >= limit
	}
	for _, p := range policies {
		if over(t.ids, p.AppliesTo.User) || over(t.logins, p.AppliesTo.LoginUser) {
			problems = append(problems, hostpolicy.Problem{
				Position: p.Position, Code: CodeTooLarge, Severity: hostpolicy.Error, Field: "applies_to",
				Message: fmt.Sprintf("policy %q names one more list of users than the %d that the kernel's tables tell apart", p.Name, limit),
				Fix:     "give several policies the same users, in ranges where that is possible",
			})
		}
	}
	return problems
}

// table is the rows by which the kernel finds a process's class.
func (t *userTable) table(limit int) (lsm.Users, error) {
	u := lsm.Users{IDs: t.rows(t.ids), Logins: t.rows(t.logins)}
	sets := map[uint64]bool{0: true}
	for _, row := range u.IDs {
		sets[row.Bits] = true
	}
	pairs := make(map[uint64]bool)
	for a := range sets {
		for b := range sets {
			pairs[a|b] = true
		}
	}
	logins := map[uint64]bool{0: true}
	for _, row := range u.Logins {
		logins[row.Bits] = true
	}
	if len(pairs)*len(logins) > limit {
		return lsm.Users{}, &tooLarge{what: "classes of users", limit: limit}
	}
	for ids := range pairs {
		for login := range logins {
			u.Classes = append(u.Classes, ids|login)
		}
	}
	slices.Sort(u.Classes)
	return u, nil
}

// rows cuts the ids where a list begins or ends.
func (t *userTable) rows(bits map[string]int) []lsm.UserRow {
	changes := make(map[uint32]uint64) // bits that flip, by id
	for _, bit := range bits {
		for _, ids := range t.lists[bit] {
			changes[ids.First] ^= 1 << bit
			if ids.Last < math.MaxUint32 {
				changes[ids.Last+1] ^= 1 << bit
			}
		}
	}
	firsts := make([]uint32, 0, len(changes))
	for first := range changes {
		firsts = append(firsts, first)
	}
	slices.Sort(firsts)
	var rows []lsm.UserRow
	var now uint64
	for _, first := range firsts {
		now ^= changes[first]
		rows = append(rows, lsm.UserRow{First: first, Bits: now})
	}
	return rows
}
