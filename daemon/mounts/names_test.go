package mounts

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostarmor/hostarmor/lsm"
)

func TestNames(t *testing.T) {
	table := []lsm.Mount{
		{Device: 1, Root: "/", Point: "/"},
		{Device: 2, Root: "/", Point: "/srv"},
		{Device: 1, Root: "/var/www", Point: "/srv/web"}, // a bind mount
		{Device: 2, Root: "/data", Point: "/mnt/data"},
		{Device: 2, Root: "/data/one", Point: "/one"}, // of a single file
		{Device: 3, Root: "/", Point: "/mnt/hidden"},
		{Device: 1, Root: "/etc", Point: "/mnt/hidden"}, // over it
		{Device: 4, Root: "/", Point: "/proc"},
	}
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"/usr/bin/sh", []string{"/usr/bin/sh"}},
		{"/var/www/x", []string{"/var/www/x", "/srv/web/x"}},
		{"/srv/web/x", []string{"/srv/web/x", "/var/www/x"}},
		{"/srv/web", []string{"/srv/web", "/var/www"}},
		{"/srv/data/one", []string{"/srv/data/one", "/mnt/data/one", "/one"}},
		{"/one", []string{"/one", "/srv/data/one", "/mnt/data/one"}},
		{"/srv/data2", []string{"/srv/data2"}},
		{"/etc/passwd", []string{"/etc/passwd", "/mnt/hidden/passwd"}},
		{"/var/wwwroot", []string{"/var/wwwroot"}},
		{"/srv", []string{"/srv"}},
		{"/", []string{"/"}},
	} {
		if diff := cmp.Diff(tt.want, Names(table, tt.name)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if got := Names(nil, "/x"); len(got) != 1 {
		t.Error(got)
	}
	// The file system's own root beneath a mount point is another directory
	// than what it hides.
	hidden := []lsm.Mount{{Device: 1, Root: "/", Point: "/"}, {Device: 2, Root: "/", Point: "/var"}, {Device: 1, Root: "/var/x", Point: "/x"}}
	if diff := cmp.Diff([]string{"/x/a"}, Names(hidden, "/x/a")); diff != "" {
		t.Error(diff)
	}
}
