// Package arch tests that imports point one way, as docs/architecture.md draws
// them: cmd -> daemon -> lsm/{compile,plan} -> lsm -> hostpolicy.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hostarmor/hostarmor/"

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Standard     bool
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages", len(all))
	}
	return all
}

// under reports whether path is one of the trees or below it.
func under(path string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(t string) bool {
		return path == t || strings.HasPrefix(path, t+"/")
	})
}

// layer says what the packages of a tree may import of this module; the first
// tree that fits counts. Tests may import more, but not what is above them.
var layers = []struct {
	trees []string
	may   []string
}{
	{[]string{"hostpolicy"}, []string{"hostpolicy"}},
	{[]string{"lsm/compile", "lsm/plan"}, []string{"lsm/compile", "lsm/plan", "lsm", "hostpolicy"}},
	{[]string{"lsm/bpflsm", "lsm/apparmor", "lsm/lsmtest"}, []string{"lsm", "hostpolicy"}},
	{[]string{"lsm"}, []string{"lsm", "hostpolicy"}},
	{[]string{"daemon"}, []string{"daemon", "lsm", "hostpolicy"}},
	{[]string{"cmd"}, []string{"daemon", "lsm", "hostpolicy"}},
	{[]string{"test", "packaging", "docs"}, []string{""}},
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		i := slices.IndexFunc(layers, func(l struct{ trees, may []string }) bool { return under(p.ImportPath, l.trees...) })
		if i < 0 {
			t.Errorf("%s is in no layer: the top level is fixed", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if inside, ok := strings.CutPrefix(imp, module); ok && layers[i].may[0] != "" && !under(inside, layers[i].may...) {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, inside)
			}
		}
	}
}

// backends are named by the daemon's command alone.
func TestOnlyTheDaemonsCommandNamesABackend(t *testing.T) {
	backends := []string{"lsm/bpflsm", "lsm/apparmor"}
	for _, p := range packages(t) {
		if p.ImportPath == "cmd/hostarmord" || under(p.ImportPath, append(backends, "test")...) {
			continue
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if under(strings.TrimPrefix(imp, module), backends...) {
				t.Errorf("%s imports the backend %s", p.ImportPath, imp)
			}
		}
	}
}

// Libraries stay where they are needed, so that each can be replaced.
func TestLibrariesStayInTheirPlace(t *testing.T) {
	places := map[string][]string{
		"github.com/BurntSushi/toml":   {"hostpolicy/policyfile", "daemon/settings"},
		"github.com/goccy/go-yaml":     {"hostpolicy/policyfile/kubearmor"},
		"github.com/cilium/ebpf":       {"lsm/bpflsm", "test"},
		"github.com/fsnotify/fsnotify": {"daemon/watch"},
		"github.com/coreos/go-systemd": {"daemon/systemd", "daemon/event"},
		"github.com/spf13/cobra":       {"cmd/hostarmor"},
		"github.com/godbus/dbus":       {},
		"log/slog":                     {"daemon", "cmd/hostarmord", "lsm/bpflsm", "test"},
		"net/http":                     {"daemon/control", "test"},
		"testing":                      {"test"},
		"github.com/google/go-cmp/cmp": {},
		"rsc.io/script":                {},
	}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for library, where := range places {
				if under(imp, library) && !under(p.ImportPath, where...) {
					t.Errorf("%s imports %s, which belongs into %v", p.ImportPath, imp, where)
				}
			}
		}
	}
}

// hostpolicy is the language itself: no I/O, nothing but the standard library.
// The compiler is as pure.
func TestThePureStayPure(t *testing.T) {
	impure := []string{"os", "net", "syscall", "io/ioutil", "path/filepath", "time", "math/rand", "golang.org/x/sys"}
	for _, p := range packages(t) {
		if p.ImportPath != "hostpolicy" && !under(p.ImportPath, "lsm/compile", "lsm/plan") {
			continue
		}
		for _, imp := range p.Imports {
			if imp != "net/netip" && under(imp, impure...) || strings.Contains(strings.Split(imp, "/")[0], ".") && !strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}
