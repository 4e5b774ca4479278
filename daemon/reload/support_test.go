package reload

import (
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

func TestUnsupported(t *testing.T) {
	at := hostpolicy.Position{File: "web.toml", Line: 4, Column: 1}
	s := Set{Gaps: []compile.Gap{{Rule: "web/file.certs", Position: at, Reason: "applies_to.unit, class network: not in this version"}}}
	for _, severity := range []hostpolicy.Severity{hostpolicy.Error, hostpolicy.Warning} {
		problems := s.Unsupported(severity)
		if len(problems) != 1 || problems[0].Severity != severity || problems[0].Code != CodeUnsupported {
			t.Fatalf("%+v", problems)
		}
		want := `web.toml:4:1: web/file.certs: not enforced on this machine: applies_to.unit, class network: not in this version ` +
			`(remove the rule, or set unsupported = "warn" in hostarmor.toml to load the rest)`
		if got := problems[0].String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if c := Codes[CodeUnsupported]; len(Codes) != 2 || c.Title == "" || c.Why == "" || c.Fix == "" {
		t.Errorf("%+v", Codes)
	}
}
