package compile

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// placed is a ruleset bound to a mount table.
type placed struct {
	*lsm.Ruleset
	starts map[uint32]lsm.State
}

func mustPlace(t testing.TB, rs *lsm.Ruleset, mounts []lsm.Mount) placed {
	t.Helper()
	p, err := Place(rs, mounts)
	if err != nil {
		t.Fatal(err)
	}
	out := placed{p.Join(rs), make(map[uint32]lsm.State)}
	for _, s := range p.Starts {
		out.starts[s.Device] = s.State
	}
	return out
}

func (p placed) row(device uint32, path string) lsm.StateRow {
	start := *p.Ruleset
	start.Start = p.starts[device]
	return start.States[start.Walk(path)]
}

// A file with several names fares as the reference evaluator says, and so does
// a program.
func TestPlaceAgreesWithDecide(t *testing.T) {
	sets, accesses := 600, 50
	if testing.Short() {
		sets = 100
	}
	several, unions := 0, 0
	for seed := range uint64(sets) {
		r := random.New(seed+1<<20, hostFiles)
		policies := r.Policies()
		rs := mustCompile(t, policies)
		patterns := random.Patterns(policies)
		mounts := r.Mounts(patterns)
		host := mustPlace(t, rs, mounts)
		for range accesses {
			program, object := r.File(mounts, patterns), r.File(mounts, patterns)
			programs, names := program.Names(mounts), object.Names(mounts)
			label := host.row(object.Device, object.Path).Label
			key := lsm.RoleKey{Program: host.Labels[host.row(program.Device, program.Path).Label.Index()].Program}
			if len(names) > 1 {
				several++
			}
			if int(label.Index()) >= len(rs.Labels) {
				unions++
			}
			verdict := host.Lookup(key, label)
			for _, o := range operations {
				want := hostpolicy.Decide(policies, hostpolicy.Subject{Programs: programs}, o.op, hostpolicy.Object{Names: names})
				got := verdict[o.kind]
				if diff := disagreement(rs, got, want); diff != "" {
					t.Fatalf("seed %d: %s %q by %q: %s\nmounts %v\n%s", seed, o.op, names, programs, diff, mounts, describe(policies))
				}
			}
		}
	}
	t.Logf("%d files with several names, %d with labels of their own", several, unions)
}

func TestPlacePlainMountsAddNothing(t *testing.T) {
	rs := mustCompile(t, append(literalRules(50, 5), globRules(20)))
	got, err := Place(rs, []lsm.Mount{
		{Device: 9, Root: "/", Point: "/proc"},
		{Device: 1, Root: "/", Point: "/"},
		{Device: 2, Root: "/", Point: "/srv/data"},
		{Device: 4, Root: "net:[4026531840]", Point: "/run/netns/x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Placement{
		Starts:  []Start{{1, rs.Start}, {2, rs.Walk("/srv/data")}, {9, rs.Walk("/proc")}},
		Labels:  []lsm.LabelRow{},
		Unnamed: []lsm.Mount{{Device: 4, Root: "net:[4026531840]", Point: "/run/netns/x"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Placement (-want +got):\n%s", diff)
	}
}

func TestPlaceIsDeterministic(t *testing.T) {
	for seed := range uint64(50) {
		r := random.New(seed, hostFiles)
		policies := r.Policies()
		rs := mustCompile(t, policies)
		mounts := r.Mounts(random.Patterns(policies))
		a, _ := Place(rs, mounts)
		b, _ := Place(rs, mounts)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two placements differ", seed)
		}
	}
}

func TestPlaceNamesTheMountThatExplodes(t *testing.T) {
	rs := mustCompile(t, literalRules(2000, 20))
	_, err := place(rs, []lsm.Mount{
		{Device: 8<<20 | 1, Root: "/", Point: "/"},
		{Device: 8<<20 | 1, Root: "/srv", Point: "/mnt"},
		{Device: 8<<20 | 1, Root: "/", Point: "/srv/data"},
	}, placeLimits{states: 1000, edges: 20, globRows: 10})
	want := "mount /mnt (root /srv of device 8:1): needs more than 20 names in directories with several names"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A file that is mounted over another name is looked for at the old one until
// the mount table is read again: a directory above it may not move meanwhile.
func TestPlaceJudgesMovesAboveMountedFiles(t *testing.T) {
	rs := mustCompile(t, policyOf(fileRule("p", "key", "/run/key")))
	host := mustPlace(t, rs, []lsm.Mount{{Device: 1, Root: "/", Point: "/"}, {Device: 1, Root: "/srv/a/key", Point: "/run/key"}})
	for _, test := range []struct {
		dir string
		id  lsm.RuleID
	}{{"/srv", 1}, {"/srv/a", 1}, {"/run", 1}, {"/srv/b", 0}, {"/opt", 0}} {
		if got := host.Lookup(lsm.RoleKey{}, host.row(1, test.dir).Below)[lsm.KindMove]; got.Rule != test.id {
			t.Errorf("a move of %s is judged %+v, want rule %d", test.dir, got, test.id)
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	policies := append(literalRules(100_000, 5000), globRules(50))
	rs := mustCompile(b, policies)
	mounts := []lsm.Mount{{Device: 1, Root: "/", Point: "/"}, {Device: 1, Root: "/srv/data/01", Point: "/mnt/a"}}
	for i := range 100 {
		mounts = append(mounts, lsm.Mount{Device: uint32(i + 2), Root: "/", Point: fmt.Sprintf("/var/lib/docker/overlay2/%d/merged", i)})
	}
	for b.Loop() {
		p, err := Place(rs, mounts)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(p.States)), "states")
	}
}
