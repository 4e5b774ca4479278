package hostpolicy

import (
	"testing"
)

func TestSelectorMatches(t *testing.T) {
	host := Subject{LoginUID: NoLogin}
	www := Subject{UID: 33, EUID: 33, LoginUID: NoLogin, Units: []string{"system.slice", "nginx.service"}}
	web := Subject{LoginUID: NoLogin, Container: &Container{Name: "/web-1", Image: "docker.io/library/nginx:1.27", Labels: map[string]string{"app": "web", "empty": ""}}}
	web33 := web
	web33.EUID = 33
	admin := Subject{UID: 0, EUID: 0, LoginUID: 1000, Units: []string{"user.slice", "user-1000.slice", "session-4.scope"}}
	container := func(c ContainerSelector) Selector { return Selector{Container: &c} }
	users := func(list ...IDs) []IDs { return list }
	for _, tt := range []struct {
		quote    string
		selector Selector
		yes, no  []Subject
	}{
		{"host = true: every process that is not in a container", Selector{Host: true}, []Subject{host, www, admin}, []Subject{web}},
		{"everything = true: host and all containers", Selector{Everything: true}, []Subject{host, www, web}, nil},
		{"an empty selector selects nobody", Selector{}, nil, []Subject{host, www, web, admin}},
		{"systemd units, their whole cgroup subtree", Selector{Unit: ParseGlobs("nginx.service", "user-*.slice")}, []Subject{www, admin}, []Subject{host, web}},
		{"real or effective uid in the initial user namespace", Selector{User: users(IDs{First: 33, Last: 40})}, []Subject{www, web33}, []Subject{host, admin, web}},
		{"login_user = loginuid", Selector{LoginUser: users(IDs{First: 1000, Last: 1999})}, []Subject{admin}, []Subject{host, www, web}},
		{"nobody logged in", Selector{LoginUser: users(IDs{First: 0, Last: NoLogin})}, []Subject{admin}, []Subject{host, www, web}},
		{"user narrows host", Selector{Host: true, User: users(IDs{First: 33, Last: 33})}, []Subject{www}, []Subject{host, web33}},
		{"user narrows container", Selector{Container: &ContainerSelector{}, User: users(IDs{First: 33, Last: 33})}, []Subject{web33}, []Subject{www, web}},
		{"user and login_user: all that is given must match", Selector{User: users(IDs{First: 0, Last: 0}), LoginUser: users(IDs{First: 1000, Last: 1000})}, []Subject{admin}, []Subject{host, www}},
		{"one without any selects every container", container(ContainerSelector{}), []Subject{web}, []Subject{host, www}},
		{"container name, also as Docker writes it", container(ContainerSelector{Name: ParseGlobs("web-*")}), []Subject{web}, []Subject{host}},
		{"container name", container(ContainerSelector{Name: ParseGlobs("db-*")}), nil, []Subject{web}},
		{"image", container(ContainerSelector{Image: ParseGlobs("nginx:*")}), []Subject{web}, nil},
		{"all given keys must match", container(ContainerSelector{Name: ParseGlobs("web-*"), Image: ParseGlobs("httpd")}), nil, []Subject{web}},
		{"labels", container(ContainerSelector{Labels: []LabelMatch{{"app", ParseGlobs("db", "w?b")}}}), []Subject{web}, nil},
		{"all labels must match", container(ContainerSelector{Labels: []LabelMatch{{"app", ParseGlobs("web")}, {"tier", ParseGlobs("*")}}}), nil, []Subject{web}},
		{"a label without a value", container(ContainerSelector{Labels: []LabelMatch{{"empty", ParseGlobs("")}}}), []Subject{web}, nil},
		{"except_labels: none may match", container(ContainerSelector{ExceptLabels: []LabelMatch{{"x", ParseGlobs("*")}, {"app", ParseGlobs("web")}}}), nil, []Subject{web}},
		{"except_labels of another value", container(ContainerSelector{ExceptLabels: []LabelMatch{{"app", ParseGlobs("db")}}}), []Subject{web}, nil},
		{"a container that is in no namespace matches", container(ContainerSelector{Namespace: ParseGlobs("shop")}), []Subject{web}, nil},
	} {
		t.Run(tt.quote, func(t *testing.T) {
			for _, s := range tt.yes {
				if !tt.selector.Matches(s) {
					t.Errorf("does not match %+v", s)
				}
			}
			for _, s := range tt.no {
				if tt.selector.Matches(s) {
					t.Errorf("matches %+v", s)
				}
			}
		})
	}
	in := Container{Labels: map[string]string{NamespaceLabel: "shop"}}
	for namespace, want := range map[string]bool{"shop": true, "sh*": true, "blog": false} {
		c := ContainerSelector{Namespace: ParseGlobs(namespace)}
		if c.Matches(&in) != want {
			t.Errorf("namespace %q: %t", namespace, !want)
		}
	}
}

func TestSelectorWide(t *testing.T) {
	root := []IDs{{Name: "root"}}
	for _, tt := range []struct {
		selector Selector
		want     bool
	}{
		{Selector{Host: true}, true}, {Selector{Everything: true}, true}, {Selector{Host: true, User: root}, false}, {Selector{Everything: true, LoginUser: root}, false},
		{Selector{Container: &ContainerSelector{}}, false}, {Selector{Unit: ParseGlobs("*")}, false}, {Selector{User: root}, false},
	} {
		if got := tt.selector.Wide(); got != tt.want {
			t.Errorf("%+v: %t", tt.selector, got)
		}
	}
}

func TestMatchImage(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, tt := range []struct {
		pattern, image string
		want           bool
	}{
		{"nginx", "nginx", true}, {"nginx", "nginx:1.27", true}, {"nginx", "nginx:1.27" + digest, true}, {"nginx", "docker.io/library/nginx:1.27", true},
		{"nginx:*", "nginx", true}, {"nginx:*", "nginx:1.27", true}, {"nginx:1.*", "nginx:1.27", true}, {"nginx:1.27", "docker.io/library/nginx:1.27", true},
		{"nginx:latest", "nginx", true}, {"nginx:latest", "nginx:1.27", false},
		{"docker.io/library/nginx", "docker.io/library/nginx:1.27", true},
		{"nginx", "nginx-proxy", false}, {"nginx", "evil/nginx", false}, {"nginx", "registry.example/nginx", false}, {"*/nginx", "registry.example:5000/nginx:1", true},
		{"registry.example:5000/nginx", "registry.example:5000/nginx:1", true}, {"registry.example:5000/nginx", "registry.example:5001/nginx:1", false},
		{"grafana/*", "docker.io/grafana/grafana:11", true}, {"nginx", "", false}, {"*", "", true},
		{"*", "anything:1" + digest, true}, {"library/nginx", "docker.io/library/nginx", false},
		{"nginx:1.27", "nginx:1.27" + digest, true}, {"nginx:1.27", "docker.io/library/nginx:1.27" + digest, true}, {"nginx:1.26", "nginx:1.27" + digest, false},
		{"nginx:1.27" + digest, "nginx:1.27", false}, {"nginx:latest", "nginx" + digest, false}, {"nginx" + digest, "nginx" + digest, true},
		{"docker.io/library/nginx", "nginx:1.27", true}, {"docker.io/library/nginx:1.27", "library/nginx:1.27", true}, {"docker.io/library/nginx:latest", "nginx", true},
		{"docker.io/grafana/*", "grafana/grafana:11", true}, {"docker.io/grafana/*", "quay.io/grafana/grafana:11", false}, {"docker.io/*", "localhost/nginx", false},
		{"docker.io/*", "registry:5000/nginx", false}, {"docker.io/*", "sha256:0123456789ab", false},
	} {
		if got := MatchImage(ParseGlobs(tt.pattern)[0], tt.image); got != tt.want {
			t.Errorf("MatchImage(%q, %q) = %t", tt.pattern, tt.image, got)
		}
	}
}

func TestIDsString(t *testing.T) {
	for want, ids := range map[string]IDs{"root": {Name: "root"}, "33": {First: 33, Last: 33}, "1000-1999": {First: 1000, Last: 1999}} {
		if got := ids.String(); got != want {
			t.Errorf("%+v is %q", ids, got)
		}
	}
}

func TestCapabilities(t *testing.T) {
	for c := range Caps {
		name := Cap(c).String()
		if got, ok := ParseCap(name); !ok || int(got) != c {
			t.Errorf("ParseCap(%s) = %v, %t", name, got, ok)
		}
	}
	for name, want := range map[string]int{"CAP_CHOWN": 0, "CAP_SETUID": 7, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_CHECKPOINT_RESTORE": 40} {
		if c, ok := ParseCap(name); !ok || int(c) != want {
			t.Errorf("%s is %d in the kernel, not %d", name, want, c)
		}
	}
	for _, name := range []string{"", "cap_chown", "CHOWN", "CAP_", "CAP_CHOWN "} {
		if c, ok := ParseCap(name); ok {
			t.Errorf("ParseCap(%q) = %s", name, c)
		}
	}
	for _, name := range []string{"CAP_NET_RAW", "cap_net_raw", "net_raw", "NET_RAW", "Net_Raw"} {
		if c, ok := ParseCapLoosely(name); !ok || c.String() != "CAP_NET_RAW" {
			t.Errorf("ParseCapLoosely(%q) = %s, %t", name, c, ok)
		}
	}
	for _, name := range []string{"", "cap_", "CAP_CAP_CHOWN", "netraw", "net-raw"} {
		if c, ok := ParseCapLoosely(name); ok {
			t.Errorf("ParseCapLoosely(%q) = %s", name, c)
		}
	}
}
