package compile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/lsm"
)

// Dump writes a ruleset for people. Labels are L1, L2, ... with a "*" where
// the verdict depends on the program; states S0 (dead), S1, ...; rows of byte
// automata G1, G2, ... where bytes that are not listed lead to the default.
func Dump(rs *lsm.Ruleset) string {
	d := dumper{rs: rs}
	d.printf("rules\n")
	for i := range rs.Rules {
		r := &rs.Rules[i]
		d.printf("  %d %s %s %s\n", i+1, r.ID(), r.Action, r.Access)
	}
	d.subjects()
	d.printf("start S%d\n", rs.Start)
	edges := rs.Edges
	for s := range rs.States {
		row := &rs.States[s]
		d.printf("S%d", s)
		if row.Label != 0 {
			d.printf(" label %s", dumpLabel(row.Label))
		}
		if row.Below != 0 {
			d.printf(" below %s", dumpLabel(row.Below))
		}
		d.printf("\n")
		for len(edges) > 0 && edges[0].From == lsm.State(s) {
			d.printf("  %q -> S%d\n", edges[0].Name, edges[0].To)
			edges = edges[1:]
		}
		if row.Glob != 0 {
			d.printf("  glob -> G%d\n", row.Glob)
		}
		d.printf("  default -> S%d\n", row.Default)
	}
	for i := 1; i < len(rs.Globs); i++ {
		d.glob(i)
	}
	for i := range rs.Labels {
		d.label(i)
	}
	for i := range rs.Applets {
		a := &rs.Applets[i]
		d.printf("L%d called %q is %s\n", a.Label, a.Name, dumpLabel(a.To))
	}
	for i := range rs.Roles {
		d.role(&rs.Roles[i])
	}
	for i := range rs.Verdicts {
		v := &rs.Verdicts[i]
		d.printf("role %d on %s\n", v.Role, dumpLabel(v.Label))
		d.verdict(&v.Verdict)
	}
	for i := range rs.Acts {
		a := &rs.Acts[i]
		d.printf("role %d", a.Role)
		d.cell(a.Act.String(), a.Cell)
	}
	for i := range rs.Traces {
		t := &rs.Traces[i]
		d.printf("role %d", t.Role)
		d.cell(fmt.Sprintf("into program %d", t.Program), t.Cell)
	}
	d.network()
	return d.String()
}

type dumper struct {
	strings.Builder
	rs *lsm.Ruleset
}

func (d *dumper) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func dumpLabel(l lsm.Label) string {
	mark := ""
	if l&lsm.ByProgram != 0 {
		mark = "*"
	}
	return fmt.Sprintf("L%d%s", l.Index(), mark)
}

func (d *dumper) glob(row int) {
	g := &d.rs.Globs[row]
	d.printf("G%d end -> S%d\n", row, g.End)
	for b := 0; b < 256; {
		first := b
		for b < 256 && g.Next[b] == g.Next[first] {
			b++
		}
		if g.Next[first] == 0 {
			continue
		}
		if first == b-1 {
			d.printf("  %q -> G%d\n", []byte{byte(first)}, g.Next[first])
		} else {
			d.printf("  %q-%q -> G%d\n", []byte{byte(first)}, []byte{byte(b - 1)}, g.Next[first])
		}
	}
}

func (d *dumper) role(r *lsm.RoleRow) {
	d.printf("role %d workload %d user %d program %d base %d\n", r.Role, r.Key.Workload, r.Key.User, r.Key.Program, r.Base)
	d.verdict(&r.Default)
	for _, c := range []struct {
		name string
		cell lsm.Cell
	}{{"network", r.Network}, {"capability", r.Capability}, {"system", r.System}} {
		if c.cell != (lsm.Cell{}) {
			d.printf(" ")
			d.cell(c.name, c.cell)
		}
	}
	if len(r.Sockets) > 0 {
		d.printf("  network rules%s\n", d.bits(r.Sockets))
	}
}

func (d *dumper) verdict(v *lsm.Verdict) {
	names := [...]string{lsm.KindExec: "exec", lsm.KindRead: "read", lsm.KindWrite: "write", lsm.KindMap: "map", lsm.KindMove: "move", lsm.KindHoldExec: "hold programs", lsm.KindHoldFile: "hold files"}
	for k, name := range names {
		if v[k] != (lsm.Cell{}) {
			d.printf(" ")
			d.cell(name, v[k])
		}
	}
}

func (d *dumper) cell(name string, c lsm.Cell) {
	if c == (lsm.Cell{}) {
		d.printf(" %s permitted\n", name)
		return
	}
	d.printf(" %s %s %d", name, c.Action, c.Rule)
	if c.Otherwise {
		d.printf(" otherwise")
	}
	if c.Dangerous {
		d.printf(" dangerous")
	}
	d.printf("\n")
}
