package hostpolicy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRemedy(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	file := func(name string, a Action, path ...string) Rule {
		return Rule{Policy: "p", Class: File, Name: name, Action: a, Access: Read | Write, Path: at(path...)}
	}
	bash := Subject{Programs: []string{"/opt/[x]/bash"}}
	for _, tt := range []struct {
		name    string
		other   Action
		rules   []Rule
		subject Subject
		op      Operation
		object  Object
		want    string
	}{
		{"block", Audit, []Rule{file("a", Block, "/x*")}, bash, OpRead, Object{Names: []string{"/y", "/x{"}},
			`in p/file.a: except_from = ["/opt/\\[x\\]/bash"] lets this program through, except = ["/x\\{"] everybody, action = "audit" only logs it`},
		{"two that block", Audit, []Rule{file("a", Block, "/x"), file("b", Block, "/x"), file("c", Audit, "/x")}, Subject{}, OpRead, Object{Names: []string{"/x"}},
			`in p/file.a: except = ["/x"] lets it through, action = "audit" only logs it; and in one more rule that says block as well`},
		{"audit", Audit, []Rule{file("a", Audit, "/x")}, Subject{}, OpRead, Object{Names: []string{"/x"}}, `in p/file.a: except = ["/x"] lets it through`},
		{"an allow-list", Block, []Rule{file("a", Allow, "/x")}, Subject{}, OpRead, Object{Names: []string{"/y"}},
			`an allow rule of class file that names it lets it through; otherwise = "audit" in p, and in every other policy whose list refuses it, only logs it`},
		{"allowed", Block, []Rule{file("a", Allow, "/x")}, Subject{}, OpRead, Object{Names: []string{"/x"}},
			"a block rule of class file that names it denies it, whatever other rules say"},
		{"nothing", Block, nil, Subject{}, OpMount, Object{}, "a block rule of class system that names it denies it, whatever other rules say"},
		{"capability", Audit, []Rule{{Policy: "p", Class: Capability, Name: "a", Action: Block, Capabilities: []Cap{13}}}, Subject{}, OpCapability, Object{Capability: 13},
			`in p/capability.a: without CAP_NET_RAW in name it is permitted, action = "audit" only logs it`},
		{"system", Audit, []Rule{{Policy: "p", Class: System, Name: "a", Action: Block, Operations: []Operation{OpMount}}}, Subject{}, OpMount, Object{},
			`in p/system.a: without mount in operation it is permitted, action = "audit" only logs it`},
		{"network", Audit, []Rule{{Policy: "p", Class: Network, Name: "a", Action: Block, Direction: Out}}, Subject{}, OpConnect, Object{Socket: &Socket{Protocols: []Protocol{TCP}}},
			`in p/network.a: narrower protocol, address or ports leave it out, action = "audit" only logs it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Explain([]Policy{{Name: "p", AppliesTo: Selector{Host: true}, Otherwise: tt.other, Rules: tt.rules}}, tt.subject, tt.op, tt.object)
			if diff := cmp.Diff(tt.want, e.Remedy(tt.subject, tt.op, tt.object)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the remedy says to write does let the access through.
func TestRemedyHelps(t *testing.T) {
	r := Rule{Policy: "p", Class: File, Name: "a", Action: Block, Access: Read, Path: patterns(t, "/srv/")}
	s, o := Subject{Programs: []string{"/opt/a b*/{x}"}}, Object{Names: []string{`/srv/[odd]*\name`}}
	decide := func(r Rule) Action {
		return Decide([]Policy{{Name: "p", AppliesTo: Selector{Host: true}, Otherwise: Audit, Rules: []Rule{r}}}, s, OpRead, o).Action
	}
	if decide(r) != Block {
		t.Fatal("nothing to remedy")
	}
	byFile, byProgram := r, r
	byFile.Except, byProgram.ExceptFrom = patterns(t, Escape(o.Names[0])), patterns(t, Escape(s.Programs[0]))
	if decide(byFile) != Allow || decide(byProgram) != Allow {
		t.Error("the remedy does not help")
	}
}
