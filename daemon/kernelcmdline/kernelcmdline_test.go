package kernelcmdline

import "testing"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line    string
		want    Switch
		unknown string
	}{
		{"", None, ""},
		{"root=/dev/vda1 ro quiet", None, ""},
		{"ro hostarmor=off quiet", Off, ""},
		{"hostarmor=audit", Audit, ""},
		{"hostarmor=off hostarmor=audit\n", Audit, ""},
		{"hostarmor=audit hostarmor=off", Off, ""},
		{"xhostarmor=off", None, ""},
		{"hostarmor=offline", None, "hostarmor=offline"},
		{"hostarmor=off hostarmor=on", None, "hostarmor=on"},
		{"hostarmor=of hostarmor=off", Off, ""},
		{"module.hostarmor=off hostarmor", None, ""},
	} {
		got, unknown := Parse(c.line)
		if got != c.want || unknown != c.unknown {
			t.Errorf("Parse(%q) = %v, %q; want %v, %q", c.line, got, unknown, c.want, c.unknown)
		}
	}
}
