package kubearmor_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
)

// TestConvert compares the texts of some files with the .toml file beside them.
func TestConvert(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	files, err := filepath.Glob("testdata/convert/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts, problems, ok := kubearmor.Convert(file, content, kubearmor.Options{Posture: kubearmor.Posture{Network: hostpolicy.Block}})
			var b strings.Builder
			for _, p := range problems {
				fmt.Fprintf(&b, "#! %s %s\n", p.Severity, p.Code)
			}
			fmt.Fprintf(&b, "#! ok %t\n", ok)
			for _, c := range texts {
				fmt.Fprintf(&b, "#! %s.toml\n%s", c.Name, c.TOML)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".toml"
			if update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got, -update rewrites the file:\n%s", diff)
			}
			if ok != (filepath.Base(file) != "lost.yaml") {
				t.Errorf("ok is %t", ok)
			}
		})
	}
}

// TestConvertDecidesAlike: for random documents and random accesses, the
// policies of the YAML and those of the converted texts decide alike.
func TestConvertDecidesAlike(t *testing.T) {
	var decided [hostpolicy.Allow + 1]int
	for seed := range uint64(600) {
		g := documents{rand.New(rand.NewPCG(seed, 5))}
		content := g.document()
		o := kubearmor.Options{AnyNode: true, Posture: kubearmor.Posture{File: g.posture(), Network: g.posture(), Capabilities: g.posture()}}
		r := kubearmor.Load("x.yaml", []byte(content), o)
		texts, problems, ok := kubearmor.Convert("x.yaml", []byte(content), o)
		if !ok || len(r.Policies) == 0 {
			t.Fatalf("seed %d: %d policies, problems %v of\n%s", seed, len(r.Policies), problems, content)
		}
		var converted []hostpolicy.Policy
		for _, c := range texts {
			// The lock-out of a random policy for hosts is nobody's.
			text := string(c.TOML)
			if strings.Contains(text, "\nhost = true") && !strings.Contains(text, "\ndangerous") {
				text = "dangerous = true\n" + text
			}
			policies, problems := policyfile.Load(c.Name+".toml", []byte(text), policyfile.Options{})
			if len(policies) != 1 {
				t.Fatalf("seed %d: %v of\n%s\nfrom\n%s", seed, problems, text, content)
			}
			converted = append(converted, policies...)
		}
		for range 300 {
			s, op, object := g.access()
			yaml, toml := hostpolicy.Decide(r.Policies, s, op, object), hostpolicy.Decide(converted, s, op, object)
			if yaml.Action != toml.Action || yaml.Otherwise != toml.Otherwise {
				t.Fatalf("seed %d: %s by %+v on %+v: %s (%s), converted %s (%s)\n%s\n%s", seed, op, s, object, yaml.Action, yaml.Reason, toml.Action, toml.Reason, content, texts[0].TOML)
			}
			if yaml.Rule != nil {
				decided[yaml.Action]++
			}
		}
	}
	for a := hostpolicy.Block; a <= hostpolicy.Allow; a++ {
		if decided[a] < 1000 {
			t.Errorf("only %d accesses end in %s by a rule", decided[a], a)
		}
	}
}

// documents makes random policies of every form that loads, and accesses that
// they are about.
type documents struct{ *rand.Rand }

func one[T any](g documents, values ...T) T { return values[g.IntN(len(values))] }

func (g documents) maybe(text string) string {
	if g.IntN(3) == 0 {
		return text
	}
	return ""
}

func (g documents) posture() hostpolicy.Action { return one(g, 0, hostpolicy.Block, hostpolicy.Audit) }

func (g documents) traits(indent string) string {
	return g.maybe(indent+"action: "+one(g, "Block", "Audit", "Allow")+"\n") + g.maybe(indent+"severity: "+fmt.Sprint(1+g.IntN(10))+"\n") +
		g.maybe(indent+"tags: [a, \"b c\"]\n") + g.maybe(indent+"message: it's a \"message\"\n")
}

func (g documents) document() string {
	kind := one(g, "KubeArmorPolicy", "KubeArmorPolicy", "KubeArmorHostPolicy", "KubeArmorClusterPolicy", "KubeArmorNetworkPolicy")
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: security.kubearmor.com/v1\nkind: %s\nmetadata:\n  name: random-1\n%sspec:\n", kind, g.maybe("  namespace: default\n"))
	b.WriteString(g.traits("  "))
	hosts := kind == "KubeArmorHostPolicy" || kind == "KubeArmorNetworkPolicy" && g.IntN(2) == 0
	if hosts {
		b.WriteString("  nodeSelector:\n    matchLabels:\n      kubernetes.io/hostname: \"*\"\n")
	} else {
		b.WriteString("  selector:\n" + g.maybe("    matchLabels:\n      app: shop\n"))
		if g.IntN(2) == 0 {
			b.WriteString("    matchExpressions:\n    - key: label\n      operator: " + one(g, "In", "NotIn") + "\n      values: [tier=a" + g.maybe(", tier=b") + g.maybe(", role=x") + "]\n")
		}
	}
	if kind == "KubeArmorNetworkPolicy" {
		if g.IntN(2) == 0 {
			b.WriteString("  " + one(g, "egress:\n  - to:", "ingress:\n  - from:") + "\n    - ipBlock: {cidr: 192.0.2.0/24}\n    ports:\n    - {protocol: tcp, port: 80, endPort: 90}\n" + g.traits("    "))
			return b.String()
		}
		fmt.Fprintf(&b, "  network:\n    matchProtocols:\n    - protocol: %s\n      port: %d\n%s%s", one(g, "TCP", "udp"), one(g, 80, 443), g.from("      "), g.traits("      "))
		return b.String()
	}
	for _, class := range []string{"process", "file"} {
		if g.IntN(3) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  %s:\n%s", class, g.traits("    "))
		readOnly := func() string {
			if class == "process" {
				return ""
			}
			return g.maybe("      readOnly: true\n")
		}
		rest := func() string {
			return g.maybe("      ownerOnly: true\n") + readOnly() + g.from("      ") + g.traits("      ")
		}
		b.WriteString("    matchPaths:\n")
		for range 1 + g.IntN(3) {
			fmt.Fprintf(&b, "    - path: \"%s\"\n%s", one(g, names...), rest())
		}
		if class == "process" {
			b.WriteString(g.maybe("    - execname: nc\n" + rest()))
		}
		if g.IntN(2) == 0 {
			fmt.Fprintf(&b, "    matchDirectories:\n    - dir: %s\n%s%s", one(g, "/srv/", "/srv/dir/", "/"), g.maybe("      recursive: true\n"), rest())
		}
		if g.IntN(2) == 0 {
			fmt.Fprintf(&b, "    matchPatterns:\n    - pattern: \"%s\"\n%s", one(g, "/srv/**", "/srv/*/nc", "/**/nc", "/srv/[a-c]", "/srv/{a,dir}/*", `/srv/\\[`), rest())
		}
	}
	if g.IntN(2) == 0 {
		fmt.Fprintf(&b, "  network:\n%s    matchProtocols:\n    - protocol: %s\n%s%s", g.traits("    "), one(g, "tcp", "UDP", "icmp", "raw", "all", "tcp,udp", "packet"), g.from("      "), g.traits("      "))
	}
	if g.IntN(2) == 0 {
		fmt.Fprintf(&b, "  capabilities:\n%s    matchCapabilities:\n", g.traits("    "))
		for range 1 + g.IntN(2) {
			fmt.Fprintf(&b, "    - capability: %s\n%s%s", one(g, "net_raw", "net_admin", "net_admin,chown"), g.from("      "), g.traits("      "))
		}
	}
	b.WriteString(g.maybe("  presets:\n  - name: " + one(g, "filelessExec", "anonMapExec", "protectEnv") + "\n    action: Audit\n"))
	if !strings.Contains(b.String(), "  - ") {
		b.WriteString("  presets:\n  - {name: protectEnv, action: Block}\n")
	}
	return b.String()
}

func (g documents) from(indent string) string {
	return g.maybe(indent + "fromSource:\n" + indent + "- path: " + one(g, programs...) + "\n" + g.maybe(indent+"- dir: /srv/dir/\n"))
}

var (
	names    = []string{"/srv/a", "/srv/b", "/srv/dir/x", "/srv/dir/nc", "/srv/["}
	programs = []string{"/srv/a", "/usr/bin/curl", "/srv/dir/nc"}
	objects  = slices.Concat(names, []string{"/", "/srv", "/srv/dir", "/srv/dir/deep/nc", "/nc", "/etc/other", "/dev/shm/x"})
)

func (g documents) access() (hostpolicy.Subject, hostpolicy.Operation, hostpolicy.Object) {
	s := hostpolicy.Subject{Programs: []string{one(g, slices.Concat(programs, []string{"/bin/other"})...)}, LoginUID: hostpolicy.NoLogin}
	if g.IntN(3) > 0 {
		s.Container = &hostpolicy.Container{ID: "1", Name: "web", Labels: make(map[string]string)}
		for _, l := range [][2]string{{"app", "shop"}, {"tier", "a"}, {"tier", "b"}, {"role", "x"}, {hostpolicy.NamespaceLabel, "default"}} {
			if g.IntN(2) == 0 {
				s.Container.Labels[l[0]] = l[1]
			}
		}
	}
	o := hostpolicy.Object{Names: []string{one(g, objects...)}, Owned: g.IntN(2) == 0, Capability: hostpolicy.Cap(g.IntN(hostpolicy.Caps))}
	end := hostpolicy.Endpoint{Addr: netip.MustParseAddr(one(g, "192.0.2.7", "127.0.0.1", "198.51.100.1")), Port: one[uint16](g, 80, 85, 443, 22)}
	o.Socket = &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{one(g, hostpolicy.TCP, hostpolicy.UDP, hostpolicy.ICMP, hostpolicy.Raw, hostpolicy.Unix, hostpolicy.Packet)}, Remote: end, Local: end}
	// All classes alike, whatever their number of operations.
	ops := hostpolicy.Operations(one(g, hostpolicy.Process, hostpolicy.File, hostpolicy.Network, hostpolicy.Capability, hostpolicy.System))
	return s, one(g, ops...), o
}
