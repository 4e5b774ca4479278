package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// Each code has one meaning, and says it.
func TestCodes(t *testing.T) {
	all := codes()
	n := 0
	for _, m := range []int{
		len(policyfile.Codes), len(policytest.Codes), len(kubearmor.Codes), len(compile.Codes), len(reload.Codes), len(settings.Codes),
	} {
		n += m
	}
	if len(all) != n {
		t.Errorf("%d codes of %d: two packages use one for different things", len(all), n)
	}
	form := regexp.MustCompile(`^HA[0-9]{3}$`)
	for name, code := range all {
		if !form.MatchString(name) || code.Title == "" || code.Why == "" || code.Fix == "" || strings.ContainsAny(code.Title, ".\n") || len(code.Title)+len(code.Why)+len(code.Fix) < 20 {
			t.Errorf("%s: %+v", name, code)
		}
		var out strings.Builder
		if err := explainCode(&out, name, "text"); err != nil || strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && unprintable(r) }) {
			t.Errorf("%s: %v %q", name, err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 100 && !strings.HasPrefix(line, name) {
				t.Errorf("%s: a line of %d bytes: %s", name, len(line), line)
			}
		}
	}
}
