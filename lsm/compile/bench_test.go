package compile

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// literalRules is n block rules with a path each, spread over dirs directories
// beneath a few common ones.
func literalRules(n, dirs int) []hostpolicy.Policy {
	p := hostpolicy.Policy{Name: "bench", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Block}
	for i := range n {
		dir := i % dirs
		p.Rules = append(p.Rules, fileRule(p.Name, fmt.Sprintf("r%06d", i),
			fmt.Sprintf("/srv/data/%02d/%d/file-%d", dir%40, dir, i)))
	}
	return []hostpolicy.Policy{p}
}

func fileRule(policy, name string, paths ...string) hostpolicy.Rule {
	r := hostpolicy.Rule{
		Policy: policy, Name: name, Class: hostpolicy.File, Action: hostpolicy.Block,
		Access: hostpolicy.Read | hostpolicy.Write,
	}
	for _, text := range paths {
		p, err := hostpolicy.ParsePattern(text)
		if err != nil {
			panic(err)
		}
		r.Path = append(r.Path, p)
	}
	return r
}

// globRules is a policy of n globs that hold in many directories.
func globRules(n int) hostpolicy.Policy {
	p := hostpolicy.Policy{Name: "globs", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Block}
	for i := range n {
		forms := []string{"/**/id_%d", "/**/*.k%d", "/srv/**/secret-%d", "/srv/data/*/*/f*-%d", "/home/*/.x%d/"}
		p.Rules = append(p.Rules, fileRule(p.Name, fmt.Sprintf("g%03d", i), fmt.Sprintf(forms[i%len(forms)], i)))
	}
	return p
}

func BenchmarkCompile(b *testing.B) {
	for _, c := range []struct {
		name               string
		rules, dirs, globs int
	}{
		{"10k", 10_000, 500, 0},
		{"10k-in-one-directory", 10_000, 1, 0},
		{"100k", 100_000, 5000, 0},
		{"100k-in-one-directory", 100_000, 1, 0},
		{"100k-in-100k-directories", 100_000, 100_000, 0},
		{"100k-and-50-globs", 100_000, 5000, 50},
	} {
		b.Run(c.name, func(b *testing.B) {
			policies := literalRules(c.rules, c.dirs)
			if c.globs > 0 {
				policies = append(policies, globRules(c.globs))
			}
			b.ReportAllocs()
			for b.Loop() {
				rs := mustCompile(b, policies)
				b.ReportMetric(float64(len(rs.States)), "states")
				b.ReportMetric(float64(len(rs.Edges)), "edges")
				b.ReportMetric(float64(len(rs.Globs)), "globrows")
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys-m.HeapReleased)/(1<<20), "MB-heap")
		})
	}
}

// largeSet is 10,000 policies of 10 rules each, as a large fleet writes them:
// host, containers, units and users, all classes, mostly literal paths.
func largeSet(policies int) []hostpolicy.Policy {
	list := make([]hostpolicy.Policy, policies)
	port := uint16(0)
	for i := range list {
		p := &list[i]
		p.Name, p.Otherwise = fmt.Sprintf("p%05d", i), hostpolicy.Block
		switch name := fmt.Sprintf("app-%d", i); {
		case i%10 < 4:
			p.AppliesTo.Host = true
		case i%10 < 8:
			p.AppliesTo.Container = &hostpolicy.ContainerSelector{Name: hostpolicy.ParseGlobs(name + "-*")}
		default:
			p.AppliesTo.Unit = hostpolicy.ParseGlobs(name + ".service")
		}
		if i%100 == 5 {
			first := uint32(1000 + i%2000)
			p.AppliesTo.User = []hostpolicy.IDs{{First: first, Last: first}}
		}
		for j := range 10 {
			name := fmt.Sprintf("r%d", j)
			r := fileRule(p.Name, name, fmt.Sprintf("/srv/%d/%d/file-%d", i%500, i, j))
			switch {
			case j == 8 && i%20 == 0:
				port++
				r = hostpolicy.Rule{Policy: p.Name, Name: name, Class: hostpolicy.Network, Action: hostpolicy.Block, Direction: hostpolicy.Out, Ports: []hostpolicy.PortRange{{First: port, Last: port}}}
			case j == 9 && i%2 == 0:
				r = hostpolicy.Rule{Policy: p.Name, Name: name, Class: hostpolicy.Capability, Action: hostpolicy.Block, Capabilities: []hostpolicy.Cap{hostpolicy.Cap(i % 40)}}
			case j == 7 && i%10 == 0:
				r.From = fileRule("", "", fmt.Sprintf("/usr/bin/tool-%d", i)).Path
			case j == 6 && i%50 == 0:
				r.Path = fileRule("", "", fmt.Sprintf("/srv/%d/*.k%d", i%500, i)).Path
			case j == 5 && i%4 == 1:
				r.Action, r.Within = hostpolicy.Allow, fileRule("", "", fmt.Sprintf("/srv/%d/%d/", i%500, i)).Path
			case j < 2:
				r.Class, r.Access = hostpolicy.Process, hostpolicy.Exec
			}
			p.Rules = append(p.Rules, r)
		}
	}
	return list
}

func BenchmarkCompileLanguage(b *testing.B) {
	for _, policies := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("%d-policies-of-10-rules", policies), func(b *testing.B) {
			set := largeSet(policies)
			b.ReportAllocs()
			for b.Loop() {
				rs := mustCompile(b, set)
				b.ReportMetric(float64(len(rs.States)), "states")
				b.ReportMetric(float64(len(rs.Labels)), "labels")
				b.ReportMetric(float64(len(rs.Roles)), "roles")
				b.ReportMetric(float64(len(rs.Verdicts)), "verdicts")
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys-m.HeapReleased)/(1<<20), "MB-heap")
		})
	}
}

func BenchmarkBind(b *testing.B) {
	for _, policies := range []int{1000, 10_000} {
		rs := mustCompile(b, largeSet(policies))
		for name, places := range map[string][]uint32{
			"container": rs.PlacesOf(&hostpolicy.Container{Name: "app-14-1"}, nil),
			"unit":      rs.PlacesOf(nil, []string{"app-18.service"}),
		} {
			b.Run(fmt.Sprintf("%s-at-%d-rules", name, 10*policies), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					bound, err := Bind(rs, 1, places)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(len(bound.Verdicts)), "verdicts")
				}
			})
		}
	}
}
