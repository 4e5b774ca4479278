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
