package compile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

func (r source) mounts(patterns []hostpolicy.Pattern) []lsm.Mount {
	list := []lsm.Mount{{Device: 1, Root: "/", Point: "/"}}
	if r.chance(10) {
		list = nil
	}
	for range r.IntN(5) {
		m := lsm.Mount{Device: uint32(1 + r.IntN(3)), Root: "/", Point: r.path(patterns)}
		if r.chance(60) {
			m.Root = r.path(patterns)
		}
		list = append(list, m)
	}
	return list
}

// namesOf is the names of a file of a superblock, each once.
func namesOf(mounts []lsm.Mount, device uint32, path string) []string {
	var names []string
	for _, m := range mounts {
		root := strings.TrimSuffix(m.Root, "/")
		if m.Device == device && (path == m.Root || strings.HasPrefix(path, root+"/")) {
			names = append(names, clean(m.Point+"/"+strings.TrimPrefix(path, root)))
		}
	}
	return names
}

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
	sets, accesses := 1000, 50
	if testing.Short() {
		sets = 200
	}
	several, unions := 0, 0
	for seed := range uint64(sets) {
		r := newSource(seed + 1<<20)
		policies := r.policies()
		rs := mustCompile(t, policies)
		patterns := allPatterns(policies)
		mounts := r.mounts(patterns)
		host := mustPlace(t, rs, mounts)
		for range accesses {
			program, object := r.file(mounts, patterns), r.file(mounts, patterns)
			programs, names := namesOf(mounts, program.device, program.path), namesOf(mounts, object.device, object.path)
			label := host.row(object.device, object.path).Label
			key := lsm.RoleKey{Program: host.Labels[host.row(program.device, program.path).Label.Index()].Program}
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
				if int(key.Program) >= len(rs.Roles) {
					// A ruleset does not hold what these need of policies.
					got.Dangerous, want.Dangerous = false, false
					if got.Otherwise && want.Otherwise && got.Action == hostpolicy.Block {
						continue
					}
				}
				if diff := disagreement(rs, got, want); diff != "" {
					t.Fatalf("seed %d: %s %q by %q: %s\nmounts %v\n%s", seed, o.op, names, programs, diff, mounts, describe(policies))
				}
			}
		}
	}
	t.Logf("%d files with several names, %d with labels of their own", several, unions)
}

type file struct {
	device uint32
	path   string
}

// file is a file of a mounted superblock, mostly one beneath a mount's root.
func (r source) file(mounts []lsm.Mount, patterns []hostpolicy.Pattern) file {
	path := r.path(patterns)
	if len(mounts) == 0 || r.chance(20) {
		return file{uint32(1 + r.IntN(3)), path}
	}
	m := pick(r, mounts...)
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(m.Point, "/")+"/"); ok {
		return file{m.Device, clean(m.Root + "/" + rest)}
	}
	return file{m.Device, clean(m.Root + r.names(r.IntN(3)))}
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
		r := newSource(seed)
		policies := r.policies()
		rs := mustCompile(t, policies)
		mounts := r.mounts(allPatterns(policies))
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
