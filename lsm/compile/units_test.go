package compile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// unitPolicies is a policy with a rule for each list of globs.
func unitPolicies(t testing.TB, lists ...[]string) []hostpolicy.Policy {
	t.Helper()
	var policies []hostpolicy.Policy
	for i, list := range lists {
		name := fmt.Sprintf("p%04d", i)
		p := hostpolicy.Policy{Name: name, AppliesTo: hostpolicy.Selector{Unit: hostpolicy.ParseGlobs(list...)}, Otherwise: hostpolicy.Block}
		p.Rules = []hostpolicy.Rule{fileRule(name, "a", "/etc/a")}
		policies = append(policies, p)
	}
	host := hostpolicy.Policy{Name: "host", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Block}
	host.Rules = []hostpolicy.Rule{fileRule("host", "a", "/etc/b")}
	return append(policies, host)
}

func mustUnits(t testing.TB, rs *lsm.Ruleset) (Units, *lsm.Ruleset) {
	t.Helper()
	u, err := UnitsOf(rs)
	if err != nil {
		t.Fatal(err)
	}
	return u, u.Join(rs)
}

// places are those that a walk finds.
func (u *Units) places(host []uint32, number uint32) []uint32 {
	if number == 0 {
		return host
	}
	return u.Places[number-1]
}

var (
	unitGlobs = []string{
		"a", "b.service", "*", "**", "?", "a*", "*b", "*.service", "a**b", "{a,b}", "{a,b/c}", "{,a}", "{a,{b,c.service}}*", "[ab]*", "[!a]", "[^b-x].service", `\*`, `a\{`,
		`{\,,a}`, "***a", "a,b", "x[*]", `\[a`, "*.slice", "a.slice", "a-b.slice", "/a", "[.-0]", "\xff", "{a,b}.{service,scope}", "-.slice", "system-*.slice",
	}
	unitNames = []string{
		"a", "b", "c", "ab", "aab", "b.service", "a.service", "c.service", "a.slice", "a-b.slice", "system-a.slice", "-.slice", "a.scope", "*", "a{", ",", "a,b", "x*", "x", "[a",
		"\xff", "/a", "user@1.service", "docker-x.scope", ".", "..", "b/c", ".slice",
	}
)

// The states say of every chain of names what PlacesOf says.
func TestUnitsAgreeWithPlaces(t *testing.T) {
	sets, chains := 500, 100
	if testing.Short() {
		sets = 100
	}
	hits, nested := 0, 0
	for seed := range uint64(sets) {
		r := random.New(seed, lsm.Support{})
		var lists [][]string
		for range 1 + r.IntN(4) {
			var list []string
			for range 1 + r.IntN(3) {
				list = append(list, random.Pick(r, unitGlobs...))
			}
			lists = append(lists, list)
		}
		policies := unitPolicies(t, lists...)
		placed := mustPlace(t, mustCompile(t, policies), r.Mounts(random.Patterns(policies)))
		u, rs := mustUnits(t, placed.Ruleset)
		if again, _ := UnitsOf(placed.Ruleset); !reflect.DeepEqual(u, again) {
			t.Fatalf("seed %d: two automata differ", seed)
		}
		if u.Flat {
			t.Fatalf("seed %d: few units are not told apart: %q", seed, lists)
		}
		host := rs.PlacesOf(nil, nil)
		for range chains {
			var names []string
			for range r.IntN(5) {
				if name := random.Pick(r, unitNames...); !strings.Contains(name, "/") {
					names = append(names, name)
				}
			}
			number := u.Walk(rs, names)
			want := rs.PlacesOf(nil, names)
			if got := u.places(host, number); !reflect.DeepEqual(got, want) || (number == 0) != (len(want) == len(host)) {
				t.Fatalf("seed %d: %q in %q has number %d at %v, want %v", seed, names, lists, number, got, want)
			}
			if number != 0 {
				hits++
			}
			if len(want) > len(host)+1 {
				nested++
			}
		}
		seen := make(map[string]bool)
		for _, places := range u.Places {
			if key := fmt.Sprint(places); seen[key] || key == fmt.Sprint(host) {
				t.Fatalf("seed %d: two numbers for %v", seed, places)
			} else {
				seen[key] = true
			}
		}
	}
	t.Logf("%d chains in units, %d at several places", hits, nested)
	if hits < sets || nested < sets {
		t.Error("the test tests nothing")
	}
}

func TestUnitsOfNone(t *testing.T) {
	for _, list := range [][]string{nil, {"{/a,}"}, {strings.Repeat("a", 256)}} {
		policies := unitPolicies(t)
		if list != nil {
			policies = unitPolicies(t, list)
		}
		u, err := UnitsOf(mustCompile(t, policies))
		if diff := cmp.Diff(Units{}, u); err != nil || diff != "" {
			t.Errorf("units %q: %v (-want +got):\n%s", list, err, diff)
		}
	}
}

// Where units are too many to number all that could be nested, slices hold
// services still, and the outermost service counts.
func TestUnitsWithinUnits(t *testing.T) {
	lists := [][]string{{"system.slice"}, {"a*.slice"}}
	for i := range 500 {
		lists = append(lists, []string{fmt.Sprintf("app-%d.service", i)})
	}
	u, rs := mustUnits(t, mustCompile(t, unitPolicies(t, lists...)))
	if !u.Flat {
		t.Error("500 services may nest in any way")
	}
	host := rs.PlacesOf(nil, nil)
	for _, test := range []struct{ names, count []string }{
		{nil, nil},
		{[]string{"system.slice", "app-7.service", "payload"}, []string{"system.slice", "app-7.service"}},
		{[]string{"user.slice", "user@1.service", "ab.slice", "app-8.service"}, []string{"ab.slice", "app-8.service"}},
		{[]string{"app-8.service", "app-9.service", "ab.slice"}, []string{"app-8.service"}},
		{[]string{"ab.slice", "system.slice", "other.service"}, []string{"ab.slice", "system.slice"}},
	} {
		if got, want := u.places(host, u.Walk(rs, test.names)), rs.PlacesOf(nil, test.count); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is at %v, want %v", test.names, got, want)
		}
	}
	t.Logf("%d numbers, %d states, %d edges, %d rows", len(u.Places), len(u.States), len(u.Edges), len(u.Globs))
}

func TestUnitsLimits(t *testing.T) {
	slices := make([][]string, 13)
	for i := range slices {
		slices[i] = []string{fmt.Sprintf("s%d.slice", i)}
	}
	for _, test := range []struct {
		name, want string
		lists      [][]string
	}{
		{"slices", "names of units: the policy set needs more than 4096 numbers for units within units (write fewer or simpler globs for the units of p0000/file.a, p0001/file.a, p0010/file.a)", slices},
		{"bytes", "names of units: the policy set needs more than 8192 rows to match the bytes of names (write fewer or simpler globs for the units of p0000/file.a)", [][]string{{"*a" + strings.Repeat("?", 20)}}},
	} {
		_, err := UnitsOf(mustCompile(t, unitPolicies(t, test.lists...)))
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// What a walk over cgroups finds, bound, fares as the reference evaluator says.
func TestUnitsFareAsDecided(t *testing.T) {
	sets, accesses := 300, 60
	if testing.Short() {
		sets = 60
	}
	bpf, _ := lsm.Offers("bpf")
	decided := 0
	for seed := range uint64(sets) {
		r := random.New(seed+1<<34, bpf)
		policies := r.Policies()
		patterns := random.Patterns(policies)
		mounts := []lsm.Mount{{Device: 1, Root: "/", Point: "/"}}
		host := mustPlace(t, mustCompile(t, policies), mounts)
		u, rs := mustUnits(t, host.Ruleset)
		for i, places := range u.Places {
			b, err := Bind(host.Ruleset, uint32(i+1), places)
			if err != nil {
				t.Fatal(err)
			}
			rs = b.Join(rs)
		}
		w := world{t: t, policies: policies, rules: rs}
		for range accesses {
			program, object := r.Path(patterns), r.Path(patterns)
			use := r.Access([]string{program}, []string{object})
			act, _ := r.Act([]string{program})
			for _, a := range []random.Access{use, act} {
				s := a.Subject
				role := rs.Role(lsm.RoleKey{
					Workload: u.Walk(rs, s.Units), User: rs.User(s.UID, s.EUID, s.LoginUID), Program: rs.Labels[label(rs, program).Index()].Program,
				})
				var got lsm.Cell
				if a.Operation.Class() == hostpolicy.System {
					got = rs.Act(role, lsm.ActOf(a.Operation, 0))
				} else {
					kind := map[hostpolicy.Operation]lsm.Kind{
						hostpolicy.OpExec: lsm.KindExec, hostpolicy.OpRead: lsm.KindRead, hostpolicy.OpWrite: lsm.KindWrite, hostpolicy.OpMap: lsm.KindMap,
					}[a.Operation]
					got = w.file(actor{Subject: s, role: role}, label(rs, object), kind, a.Object)
				}
				w.compare(seed, actor{Subject: s}, got, a.Operation, a.Object)
				if got.Action.Valid() && len(s.Units) > 0 {
					decided++
				}
			}
		}
	}
	t.Logf("%d accesses of units decided", decided)
	if decided < 10*sets {
		t.Error("the test tests too little")
	}
}
