package policyfile

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// FuzzPorts: what is accepted are ports, and the same when it is written again.
func FuzzPorts(f *testing.F) {
	for _, seed := range []string{"80", "8000-8100", "0", "1-", "-1", "65535", "65536", "99999999999999999999", " 1 - 2 ", "+1", "1_0", "0x10", "1-2-3", "١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, reason, fix := parsePorts(text)
		if reason != "" {
			if fix == "" {
				t.Fatalf("%q %s, and nothing to do about it", text, reason)
			}
			return
		}
		if r.First == 0 || r.First > r.Last {
			t.Fatalf("%q is %v", text, r)
		}
		if again, reason, _ := parsePorts(r.String()); reason != "" || again != r {
			t.Fatalf("%q is %s, which is %v (%s)", text, r, again, reason)
		}
		from, to, isRange := strings.Cut(text, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(strings.TrimSpace(from))
		last, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err1 != nil || err2 != nil || fmt.Sprint(first, last) != fmt.Sprint(r.First, r.Last) {
			t.Fatalf("%q is %v", text, r)
		}
	})
}

// The user database is asked for at most so many names, because it may be a
// slow server.
func TestUsersAreBounded(t *testing.T) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("%q", "nobody-"+strings.Repeat("x", 50)+strconv.Itoa(i)))
	}
	asked := 0
	o := Options{LookupUser: func(string) (uint32, bool) { asked++; return 0, false }}
	_, problems := Load("x.toml", []byte("applies_to = { user = ["+strings.Join(names, ",")+"] }\n[file.a]\npath = \"/a\"\n"), o)
	if len(problems) != maxNames+1 || asked > 3*maxNames {
		t.Errorf("%d problems, asked %d times", len(problems), asked)
	}
}

// This machine's users, which is what the daemon asks for.
func TestLookupUser(t *testing.T) {
	policies, problems := Load("x.toml", []byte("applies_to = { host = true, user = [\"root\", \"no such user\", \"a\\u0000b\"] }\n[file.a]\npath = \"/a\"\n"), Options{})
	if len(policies) != 0 || len(problems) != 2 || problems[0].Code != codeUser || problems[1].Code != codeUser {
		t.Errorf("%v", problems)
	}
	policies, problems = Load("x.toml", []byte("applies_to = { host = true, user = \"root\" }\n[file.a]\npath = \"/a\"\n"), Options{})
	if len(policies) != 1 || len(problems) != 0 || policies[0].AppliesTo.User[0].Last != 0 {
		t.Errorf("%v %v", policies, problems)
	}
}
