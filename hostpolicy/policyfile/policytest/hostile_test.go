package policytest

import (
	"fmt"
	"strings"
	"testing"
)

// Files of the largest size that is read, made to be slow or deep. Each gives
// an answer; one that took a square of the size would not come back.
func TestHostileFiles(t *testing.T) {
	const size = 1 << 20
	fill := func(piece func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < size-200; i++ {
			b.WriteString(piece(i))
		}
		return b.String()
	}
	const valid = "policies = \"a.toml\"\n[case.a]\nsubject = { host = true }\ndo = \"mount\"\nexpect = \"allow\"\n"
	for name, tt := range map[string]struct {
		text     string
		problems bool
	}{
		"cases": {"policies = \"a.toml\"\n" + fill(func(i int) string {
			return fmt.Sprintf("[case.a%d]\nsubject={host=true}\ndo=\"mount\"\nexpect=\"allow\"\n", i)
		}), false},
		"steps":     {strings.Replace(valid, `"mount"`, "["+fill(func(i int) string { return fmt.Sprintf("\"exec /%d\",", i) })+"]", 1), false},
		"bad steps": {strings.Replace(valid, `"mount"`, "["+fill(func(i int) string { return fmt.Sprintf("\"xeec /%d\",", i) })+"]", 1), true},
		"keys":      {fill(func(i int) string { return fmt.Sprintf("polices%d = 1\n", i) }), true},
		"one key":   {strings.Repeat("k", size-10) + " = 1\n", true},
		"one step":  {strings.Replace(valid, "mount", "exec /"+strings.Repeat("a/../", size/6), 1), true},
		"labels":    {strings.Replace(valid, "host = true", "container = { labels = { "+fill(func(i int) string { return fmt.Sprintf("k%d = \"v\", ", i) })+"z = \"\" } }", 1), false},
		"nested":    {strings.Replace(valid, `"mount"`, strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), 1), true},
		"protocols": {strings.Replace(valid, "mount", "socket "+strings.Repeat("tcp+", size/5)+"tcp", 1), true},
		"dots":      {"[case" + strings.Repeat(".a", 100_000) + "]\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse("x.test.toml", []byte(tt.text))
			if len(problems) > 0 != tt.problems {
				t.Errorf("%d problems", len(problems))
			}
			for _, p := range problems {
				if len(p.String()) > 1000 {
					t.Fatalf("a problem of %d bytes: %.200s", len(p.String()), p)
				}
			}
		})
	}
}
