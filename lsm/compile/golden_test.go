package compile

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// ruleText reads a rule from its fields: "file.keys block rw /etc/x -/etc/x/y
// <from !except_from", with the policy in front: "p/file.keys".
func ruleText(t *testing.T, text string) hostpolicy.Rule {
	t.Helper()
	fields := strings.Fields(text)
	var r hostpolicy.Rule
	policy, rest, _ := strings.Cut(fields[0], "/")
	class, name, _ := strings.Cut(rest, ".")
	r.Policy, r.Name = policy, name
	r.Class, _ = hostpolicy.ParseClass(class)
	if err := r.Action.UnmarshalText([]byte(fields[1])); err != nil {
		t.Fatal(err)
	}
	for _, c := range fields[2] {
		r.Access |= map[rune]hostpolicy.Access{'r': hostpolicy.Read, 'w': hostpolicy.Write, 'x': hostpolicy.Exec}[c]
	}
	for _, field := range fields[3:] {
		list := &r.Path
		switch field[0] {
		case '-':
			list = &r.Except
		case '<':
			list = &r.From
		case '!':
			list = &r.ExceptFrom
		}
		p, err := hostpolicy.ParsePattern(strings.TrimLeft(field, "-<!"))
		if err != nil {
			t.Fatal(err)
		}
		*list = append(*list, p)
	}
	return r
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name      string
		otherwise hostpolicy.Action
		dangerous bool
		rules     []string
	}{
		{name: "empty"},
		{name: "literals", rules: []string{
			"p/process.shells block x /bin/sh /bin/bash",
			"p/file.shadow block rw /etc/shadow",
			"p/file.log audit r /etc/shadow /etc/passwd",
		}},
		{name: "directory", rules: []string{
			"p/file.certs block w /etc/ssl/ -/etc/ssl/README",
		}},
		{name: "globs", rules: []string{
			"p/process.lib block x /usr/lib/**.so",
			"p/file.python block r /usr/bin/python[23]*",
			"p/file.home block rw /home/*/.ssh/",
		}},
		{name: "floating", rules: []string{
			"p/file.key block r /**/id_rsa",
			"p/file.tmp block w /tmp/**",
		}},
		{name: "from", rules: []string{
			"p/file.host-keys block r /etc/ssh/*_key !/usr/sbin/sshd",
			"p/file.python block w /srv/ </usr/bin/python3*",
		}},
		{name: "allow-list", otherwise: hostpolicy.Audit, dangerous: true, rules: []string{
			"p/process.programs allow x /usr/bin/* /usr/sbin/",
			"p/file.web allow r /srv/www/ </usr/sbin/nginx",
			"p/file.secret block r /srv/www/.git/",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := hostpolicy.Policy{
				Name: "p", AppliesTo: hostpolicy.Selector{Host: true},
				Otherwise: max(test.otherwise, hostpolicy.Block), Dangerous: test.dangerous,
			}
			for _, text := range test.rules {
				p.Rules = append(p.Rules, ruleText(t, text))
			}
			got := Dump(mustCompile(t, []hostpolicy.Policy{p}))
			file := filepath.Join("testdata", test.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("Dump (-want +got):\n%s", diff)
			}
		})
	}
}
