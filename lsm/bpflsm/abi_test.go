//go:build !kernel

package bpflsm

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// The structures in Go are made from C by bpf2go, and abi.h asserts their sizes.
// Constants are written twice; here they are held together.
func TestConstantsMatchTheHeader(t *testing.T) {
	text, err := os.ReadFile("bpf/abi.h")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:#define )?([A-Z][A-Z_]+)(?: = | )\(?(\d+)U?(?: << (\d+))?`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[2])
		shift, _ := strconv.Atoi(m[3])
		in[m[1]] = n << shift
	}
	// Enumerations that count from 0.
	comment := regexp.MustCompile(`(?s)/\*.*?\*/`)
	for _, block := range regexp.MustCompile(`(?s)enum (?:kind|action) \{(.*?)\n\}`).FindAllStringSubmatch(string(text), -1) {
		next := 0
		for line := range strings.SplitSeq(comment.ReplaceAllString(block[1], ""), ",") {
			m := regexp.MustCompile(`([A-Z_]+)(?: = (?:FIRST_ACT \+ )?(\d+))?`).FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if m[2] != "" {
				next, _ = strconv.Atoi(m[2])
				if strings.Contains(line, "FIRST_ACT +") {
					next += firstAct
				}
			}
			in[m[1]] = next
			next++
		}
	}
	for name, want := range map[string]int{
		"ABI_VERSION": abiVersion, "KINDS": lsm.Kinds, "SLOTS": slots, "TREE_BITS": treeBits, "CHUNK": chunk, "GLOB_ROW": globRow,
		"EDGE_MORE": edgeMore, "EDGE_NODE": edgeNode, "CELL_OTHERWISE": cellOtherwise, "CELL_DANGEROUS": cellDangerous, "CELL_SELF": cellSelf,
		"GENERATION_DEFAULTS": generationDefaults, "GENERATION_PROGRAMS": generationPrograms, "GENERATION_AUDIT": generationAudit,
		"GENERATION_USERS": generationUsers, "GENERATION_UNITS": generationUnits, "GENERATION_TRACES": generationTraces,
		"GENERATION_APPLETS": generationApplets, "LABEL_OWNED": labelOwned, "LABEL_APPLETS": labelApplets,
		"APPLET_NAME": appletName, "MAX_LINKS": maxLinks, "FIRST_ACT": firstAct, "VIEW_CARRIERS": viewCarriers,
		"ACT_LOAD_MODULE": int(lsm.ActOf(hostpolicy.OpLoadModule, 0)), "ACT_PTRACE": int(lsm.ActOf(hostpolicy.OpPtrace, 0)),
		"ACT_TAMPER": int(lsm.ActOf(hostpolicy.OpTamper, 0)), "KIND_HOLD_EXEC": int(lsm.KindHoldExec), "KIND_HOLD_FILE": int(lsm.KindHoldFile),
		"EVENT_PERMITTED": eventPermitted, "EVENT_EXEMPT": eventExempt, "EVENT_UNJUDGED": eventUnjudged, "EVENT_OTHERWISE": eventOtherwise,
		"EVENT_CUT_RESOURCE": eventCutResource, "EVENT_CUT_EXE": eventCutExe, "EVENT_CUT_PARENT": eventCutParent,
		"KIND_EXEC": int(lsm.KindExec), "KIND_READ": int(lsm.KindRead), "KIND_WRITE": int(lsm.KindWrite),
		"KIND_MAP": int(lsm.KindMap), "KIND_MOVE": int(lsm.KindMove), "LABEL_BY_PROGRAM": int(lsm.ByProgram),
		"ACTION_BLOCK": int(hostpolicy.Block), "ACTION_AUDIT": int(hostpolicy.Audit), "ACTION_ALLOW": int(hostpolicy.Allow),
	} {
		if got, ok := in[name]; !ok || got != want {
			t.Errorf("%s is %d (found %v) in abi.h, %d in Go", name, got, ok, want)
		}
	}
}

// Events name their hook by its place in the table.
func TestHooksMatchThePrograms(t *testing.T) {
	text, err := os.ReadFile("bpf/hooks.h")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)enum hook \{(.*?)\}`).FindStringSubmatch(string(text))
	var inC, inGo []string
	for _, m := range regexp.MustCompile(`HOOK_(\w+)`).FindAllStringSubmatch(block[1], -1) {
		inC = append(inC, m[1])
	}
	for _, h := range hooks[:len(inC)] {
		inGo = append(inGo, h.name)
	}
	if diff := cmp.Diff(inC, inGo); diff != "" {
		t.Errorf("hooks.h (-) and hooks.go (+):\n%s", diff)
	}
	spec, err := loadEngine()
	if err != nil {
		t.Fatal(err)
	}
	for i := range hooks {
		if spec.Programs[hooks[i].name] == nil {
			t.Errorf("no program for the hook %s", hooks[i].name)
		}
	}
	for name := range spec.Programs {
		if name != "advance" && name != probeParent && !slices.ContainsFunc(hooks, func(h hook) bool { return h.name == name }) {
			t.Errorf("the program %s is in no table", name)
		}
	}
}

func TestLongNamesAreChains(t *testing.T) {
	long := strings.Repeat("a", 33)
	rows, nodes := chunkEdges([]lsm.Edge{{From: 1, Name: long, To: 2}, {From: 1, Name: long + "b", To: 3}, {From: 1, Name: "a", To: 4}})
	if nodes != 2 || len(rows) != 5 {
		t.Errorf("%d nodes, rows %+v", nodes, rows)
	}
	seen := map[engineEdge]bool{}
	for _, r := range rows {
		if seen[r.key] {
			t.Errorf("the key %+v twice", r.key)
		}
		seen[r.key] = true
	}
}

func TestNames(t *testing.T) {
	n := newNames([]lsm.Mount{
		{Device: 1, Root: "/", Point: "/"}, {Device: 1, Root: "/srv/data", Point: "/mnt/x"}, {Device: 2, Root: "/", Point: "/home"},
		{Device: 3, Root: "/@root", Point: "/vol"},
	})
	for _, c := range []struct {
		device uint32
		path   string
		want   []string
	}{
		{1, "/etc/passwd", []string{"/etc/passwd"}},
		{1, "/srv/data/f", []string{"/srv/data/f", "/mnt/x/f"}},
		{1, "/srv/database", []string{"/srv/database"}},
		{1, "/", []string{"/"}},
		{2, "/u/f", []string{"/home/u/f"}},
		{2, "/", []string{"/home"}},
		{3, "/@root/f", []string{"/vol/f"}},
		{3, "/@other/f", []string{"/@other/f"}},
		{9, "/f", []string{"/f"}},
	} {
		if diff := cmp.Diff(c.want, n.all(c.device, c.path)); diff != "" {
			t.Errorf("%d %s:\n%s", c.device, c.path, diff)
		}
	}
}

// The ring may hold what an older daemon's programs wrote.
func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, 88))
	f.Add(append(make([]byte, 88), "passwd\x00etc\x00"...))
	f.Add([]byte{})
	e := New(Config{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := e.decode(raw)
		if err == nil && (len(d.Resources) == 0 || d.Resource == "") {
			t.Errorf("an event without a resource: %+v", d)
		}
	})
}
