package compile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// world is a ruleset with a host and a container's mount table placed on it,
// and workloads bound as they appear.
type world struct {
	t        testing.TB
	r        random.Source
	policies []hostpolicy.Policy
	patterns []hostpolicy.Pattern
	rules    *lsm.Ruleset // bound, all of it
	placed   *lsm.Ruleset
	host     view
	inside   view
	numbers  map[string]uint32 // of workloads, by places
}

// view is a mount table and the states of its superblocks.
type view struct {
	mounts []lsm.Mount
	starts map[uint32]lsm.State
}

func newWorld(t testing.TB, r random.Source, policies []hostpolicy.Policy, limits limits) *world {
	rs, problems := compile(policies, limits)
	if len(problems) > 0 {
		t.Fatalf("problems: %v\n%s", problems, describe(policies))
	}
	w := &world{t: t, r: r, policies: policies, patterns: random.Patterns(policies)}
	rs, w.host = w.place(rs)
	rs, w.inside = w.place(rs)
	w.placed, w.rules = rs, rs
	w.numbers = map[string]uint32{placesKey(rs.PlacesOf(nil, nil)): 0}
	return w
}

func placesKey(places []uint32) string { return fmt.Sprint(places) }

func (w *world) place(rs *lsm.Ruleset) (*lsm.Ruleset, view) {
	v := view{w.r.Mounts(w.patterns), make(map[uint32]lsm.State)}
	p, err := Place(rs, v.mounts)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, describe(w.policies))
	}
	for _, s := range p.Starts {
		v.starts[s.Device] = s.State
	}
	return p.Join(rs), v
}

// workload is the number of where a subject runs, which is bound if need be.
func (w *world) workload(s hostpolicy.Subject) uint32 {
	places := w.placed.PlacesOf(s.Container, s.Units)
	key := placesKey(places)
	number, ok := w.numbers[key]
	if !ok {
		number = uint32(len(w.numbers))
		w.numbers[key] = number
		b, err := Bind(w.placed, number, places)
		if err != nil {
			w.t.Fatalf("%v\n%s", err, describe(w.policies))
		}
		w.rules = b.Join(w.rules)
	}
	return number
}

func (w *world) row(v view, f random.File) lsm.StateRow {
	from := *w.rules
	from.Start = v.starts[f.Device]
	return from.States[from.Walk(f.Path)]
}

// actor is a subject and its role.
type actor struct {
	hostpolicy.Subject
	view view
	role lsm.RoleRow
}

func (w *world) actor() actor {
	a := actor{Subject: w.r.Subject(), view: w.host}
	if a.Container != nil {
		a.view = w.inside
	}
	program := w.r.File(a.view.mounts, w.patterns)
	a.Programs = program.Names(a.view.mounts)
	number := w.workload(a.Subject)
	a.role = w.rules.Role(lsm.RoleKey{
		Workload: number, User: w.rules.User(a.UID, a.EUID, a.LoginUID),
		Program: w.rules.Labels[w.row(a.view, program).Label.Index()].Program,
	})
	if a.role.Role == 0 {
		w.t.Fatalf("no role for %+v in workload %d", a.Subject, number)
	}
	return a
}

// file is the verdict of the tables on one use of a file.
func (w *world) file(a actor, label lsm.Label, k lsm.Kind, o hostpolicy.Object) lsm.Cell {
	if owned := w.rules.Labels[label.Index()].Owned; owned != 0 && o.Owned {
		label = owned
	}
	if k == lsm.KindExec {
		for _, name := range hostpolicy.Applets(o.Args) {
			label = w.rules.Applet(label, name)
		}
	}
	return w.rules.Judge(a.role, label)[k]
}

// compare holds one decision of the tables against the reference.
func (w *world) compare(seed uint64, a actor, got lsm.Cell, op hostpolicy.Operation, o hostpolicy.Object) {
	want := hostpolicy.Decide(w.policies, a.Subject, op, o)
	if diff := disagreement(w.rules, got, want); diff != "" {
		w.t.Fatalf("seed %d: %s %+v socket %+v by %+v (container %+v): %s\n%s",
			seed, op, o, o.Socket, a.Subject, a.Container, diff, describe(w.policies))
	}
}

// Tables and reference agree on the whole language, for the host, units and
// containers with mount tables of their own.
func TestLanguageAgreesWithDecide(t *testing.T) {
	folding := defaultLimits
	folding.unfolded = -1 << 30
	sets, actors := 1250, 20
	if testing.Short() {
		sets = 150
	}
	accesses, decided := 0, make(map[hostpolicy.Class]int)
	for seed := range uint64(sets) {
		limits := defaultLimits
		if seed%4 == 0 {
			limits = folding
		}
		r := random.New(seed, lsm.Support{})
		w := newWorld(t, r, r.Policies(), limits)
		for range actors {
			a := w.actor()
			check := func(got lsm.Cell, op hostpolicy.Operation, o hostpolicy.Object) {
				accesses++
				if got.Action.Valid() {
					decided[op.Class()]++
				}
				w.compare(seed, a, got, op, o)
			}
			for range 4 {
				f := r.File(a.view.mounts, w.patterns)
				label := w.row(a.view, f).Label
				o := hostpolicy.Object{Names: f.Names(a.view.mounts), Owned: r.Chance(40), Args: r.Args()}
				for _, use := range operations {
					check(w.file(a, label, use.kind, o), use.op, o)
				}
			}
			for range 2 {
				s := r.Socket()
				for _, op := range hostpolicy.Operations(hostpolicy.Network) {
					check(w.rules.Network.Verdict(a.role, op, s), op, hostpolicy.Object{Socket: s})
				}
			}
			for range 4 {
				c := r.Capability()
				check(w.rules.Act(a.role, lsm.ActOf(hostpolicy.OpCapability, c)), hostpolicy.OpCapability, hostpolicy.Object{Capability: c})
			}
			for _, op := range hostpolicy.Operations(hostpolicy.System) {
				check(w.rules.Act(a.role, lsm.ActOf(op, 0)), op, hostpolicy.Object{})
			}
		}
	}
	t.Logf("%d accesses, decided by a rule or a list: %v", accesses, decided)
	if !testing.Short() && accesses < 1_000_000 {
		t.Errorf("%d accesses are fewer than a million", accesses)
	}
	for class := hostpolicy.Process; class <= hostpolicy.System; class++ {
		if decided[class] < accesses/200 {
			t.Errorf("class %s decided about %d accesses only", class, decided[class])
		}
	}
}

// Neither the order of policies, rules nor lists of users shows in the result.
func TestLanguageOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(200) {
		policies := random.New(seed, lsm.Support{}).Policies()
		want := mustCompile(t, policies)
		shuffled := slices.Clone(policies)
		slices.Reverse(shuffled)
		for i := range shuffled {
			shuffled[i].Rules = slices.Clone(shuffled[i].Rules)
			slices.Reverse(shuffled[i].Rules)
			shuffled[i].AppliesTo.User = slices.Clone(shuffled[i].AppliesTo.User)
			slices.Reverse(shuffled[i].AppliesTo.User)
		}
		if got := mustCompile(t, shuffled); got.Digest != want.Digest {
			t.Fatalf("seed %d: the digest depends on the order\n%s", seed, describe(policies))
		}
	}
}
