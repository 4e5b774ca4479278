package policyfile

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLoadHostile: what costs time for its size is answered soon all the same,
// whether it is refused or not.
func TestLoadHostile(t *testing.T) {
	list := func(item func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < largeText; i++ {
			b.WriteString(item(i))
		}
		return b.String()
	}
	quoted := func(format string) string {
		return list(func(i int) string { return fmt.Sprintf("%q,", fmt.Sprintf(format, i)) })
	}
	container := "applies_to = { container = { name = \"x\" } }\n"
	braces := strings.Repeat("{a,b}", 5) + strings.Repeat("c", 90)
	long := "/" + strings.Repeat("a/", 1900)
	var alternatives []string
	for i := range 200 {
		alternatives = append(alternatives, fmt.Sprintf("**/a*a*a*b%d", i))
	}
	heavy := "/{" + strings.Join(alternatives, ",") + "}"
	for name, text := range map[string]string{
		"unknown users":        "[applies_to]\nuser = [" + quoted("u%dser") + "]\n[file.a]\npath = \"/a\"\n",
		"unknown protocols":    container + "[network.a]\nprotocol = [" + quoted("netlnk%d") + "]\n",
		"unknown capabilities": container + "[capability.a]\nname = [" + quoted("CAP_CHECKPOINT_RESTOR%d") + "]\n",
		"unknown operations":   container + "[system.a]\noperation = [" + quoted("read-proc-enviro%d") + "]\n",
		"ports":                container + "[network.a]\nports = [" + list(func(i int) string { return fmt.Sprint(i%65535+1) + "," }) + "]\n",
		"addresses":            container + "[network.a]\naddress = [" + quoted("a%d.example") + "]\n",
		"labels":               "[applies_to.container.labels]\n" + list(func(i int) string { return fmt.Sprintf("k%d = \"v\"\n", i) }) + "[file.a]\npath = \"/a\"\n",
		"dotted labels":        "[applies_to.container.labels]\n" + list(func(i int) string { return fmt.Sprintf("a.b.c%d.d = \"v\"\n", i) }) + "[file.a]\npath = \"/a\"\n",
		"units":                "[applies_to]\nunit = [" + quoted("x%d.service") + "]\n[file.a]\npath = \"/a\"\n",
		"braces in units":      "[applies_to]\nunit = [" + quoted(braces+"%d.service") + "]\n[file.a]\npath = \"/usr/sbin/sshd\"\n",
		"braces in names":      "[applies_to.container]\nname = [" + quoted(braces+"%d") + "]\n[file.a]\npath = \"/a\"\n",
		"brace bomb in a name": "[applies_to.container]\nname = [" + quoted(strings.Repeat("{a,b}", 60)+"%d") + "]\n[file.a]\npath = \"/a\"\n",
		"block trees": container + list(func(i int) string {
			return fmt.Sprintf("[file.r%d]\npath = \"/a/b/%d/\"\nexcept = \"/a/b/%d/x\"\n", i, i%7, i%7)
		}),
		"block globs":     container + list(func(i int) string { return fmt.Sprintf("[file.r%d]\npath = \"/a/*b*b*b*b%d\"\n", i, i) }) + "[file.z]\naction = \"allow\"\npath = \"/a/" + strings.Repeat("b", 200) + "\"\n",
		"one path in all": container + list(func(i int) string { return fmt.Sprintf("[file.r%d]\npath = \"/a\"\naccess = \"read\"\n", i) }) + "[file.z]\naction = \"audit\"\npath = \"/a\"\n",
		"deep paths":      container + "[file.a]\npath = \"/\"\n[file.b]\naction = \"audit\"\npath = [" + quoted("/"+strings.Repeat("a/", 500)+"%d") + "]\n",
		"network rules": container + list(func(i int) string {
			return fmt.Sprintf("[network.r%d]\naction = \"%s\"\nports = %d\n", i, []string{"block", "audit"}[i%2], i%60000+1)
		}),
		"network addresses": container + "[network.a]\naddress = [" + list(func(i int) string { return fmt.Sprintf("\"10.%d.%d.%d\",", i>>16&255, i>>8&255, i&255) }) + "]\n" +
			"[network.b]\naction = \"audit\"\naddress = [" + list(func(i int) string { return fmt.Sprintf("\"11.%d.%d.%d\",", i>>16&255, i>>8&255, i&255) }) + "\"10.0.0.0\"]\n",
		"exceptions":       container + "[file.a]\npath = [" + quoted("/a/%d") + "]\nexcept = [" + quoted("/a/%d/*x*") + "]\n",
		"capabilities":     container + list(func(i int) string { return fmt.Sprintf("[capability.r%d]\nname = \"CAP_CHOWN\"\n", i) }),
		"host rules":       "applies_to = { host = true }\n" + list(func(i int) string { return fmt.Sprintf("[process.r%d]\npath = \"/usr/lib/x%d*\"\n", i, i) }),
		"host lists":       "applies_to = { host = true }\nmessage = \"m\"\n" + list(func(i int) string { return fmt.Sprintf("[file.r%d]\naction = \"allow\"\npath = \"/srv/x%d*\"\n", i, i) }),
		"heavy exceptions": container + "[file.a]\npath = [" + quoted(long+"%d") + "]\nexcept = [" + quoted(heavy+"%d") + "]\n",
		"some exceptions":  container + "[file.a]\npath = [" + quoted(long+"%d") + "]\nexcept = [\"" + heavy + "\", \"" + heavy + "/\"]\n",
		"heavy blocks":     container + "[file.a]\npath = [\"" + heavy + "1\", \"" + heavy + "/\"]\n[file.b]\naction = \"allow\"\npath = [" + quoted(long+"%d") + "]\n",
		"heavy programs":   container + "[file.a]\npath = \"/a\"\nfrom = [" + quoted(long+"%d") + "]\nexcept_from = [" + quoted(heavy+"%d/") + "]\n",
		"heavy host rules": "applies_to = { host = true }\n[process.a]\npath = [" + quoted("/**"+strings.Repeat("{a*,*a}", 9)+"*z%d") + "]\n",
		"heavy root list":  "applies_to = { user = \"root\" }\n[process.a]\naction = \"allow\"\npath = [" + quoted("/**"+strings.Repeat("{a*,*a}", 9)+"*z%d") + "]\n",
		"shared subtree": container + "within = [" + quoted("/a/{b*,c}/%d/") + "]\n" +
			list(func(i int) string { return fmt.Sprintf("[file.r%d]\naction = \"allow\"\npath = \"/a/b/%d/x\"\n", i, i) }),
		"root's list": "applies_to = { user = \"root\" }\n" + list(func(i int) string { return fmt.Sprintf("[file.r%d]\naction = \"allow\"\npath = \"/srv/x%d*\"\n", i, i) }),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			policies, problems := Load("x.toml", []byte(text), fixedUsers)
			if (len(policies) == 0) != hasError(problems) {
				t.Errorf("%d policies with %d problems", len(policies), len(problems))
			}
			d := time.Since(start)
			t.Logf("%s, %d problems", d, len(problems))
			if d > 30*time.Second {
				t.Errorf("took %s", d)
			}
			checkPositions(t, []byte(text), problems[:min(len(problems), 100)])
		})
	}
}

// TestBracesTogether: patterns that are each within their limits are refused
// where they are too much together, and a list that rules share counts once.
func TestBracesTogether(t *testing.T) {
	pattern := func(i int) string {
		return fmt.Sprintf("%q", fmt.Sprintf("/**"+strings.Repeat("{a*,*a}", 9)+"*z%d", i))
	}
	var many, rules strings.Builder
	for i := range 120 {
		fmt.Fprintf(&many, "%s,\n", pattern(i))
		fmt.Fprintf(&rules, "[file.r%d]\naction = \"allow\"\npath = \"/srv/%d\"\n", i, i)
	}
	const container = "applies_to = { container = { name = \"x\" } }\n"
	policies, problems := Load("x.toml", []byte(container+"[file.a]\npath = [\n"+many.String()+"]\n"), Options{})
	if len(policies) != 0 || len(problems) != 1 || problems[0].Code != codePattern || problems[0].Field != "file.a.path" || problems[0].Position.Line < 80 {
		t.Errorf("%d policies, %v", len(policies), problems)
	}
	policies, problems = Load("x.toml", []byte(container+"within = "+pattern(1)+"\n"+rules.String()), Options{})
	if len(policies) != 1 || hasError(problems) {
		t.Errorf("%d policies, %v", len(policies), problems)
	}
}
