package policyfile

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// maxUID leaves out 4294967295, which stands for nobody.
const maxUID = hostpolicy.NoLogin - 1

// maxNames bounds what a file can ask of the user database, which may be a
// server that answers slowly.
const maxNames = 256

// users reads names, uids and ranges of them.
func (s *source) users(n *node, field string) []hostpolicy.IDs {
	list := s.numbers(n, field, "a user, a range of uids such as \"1000-1999\", or a list of them")
	type span struct{ first, last uint32 }
	seen := make(map[span]bool)
	var users []hostpolicy.IDs
	names := 0
	for _, t := range list {
		if !numeric(t.value) {
			if names++; names > maxNames {
				s.err(codeUser, t.at, field, fmt.Sprintf("more than %d users are named, and the rest was not looked up", maxNames), `write a range of uids, such as "1000-1999"`)
				break
			}
		}
		ids, ok := s.oneUser(t, field)
		switch key := (span{ids.First, ids.Last}); {
		case !ok:
		case seen[key]:
			s.repeated(t, field)
		default:
			seen[key] = true
			users = append(users, ids)
			s.rootAmong(t, field, ids)
		}
	}
	return users
}

func numeric(v string) bool { return strings.Trim(v, "0123456789- ") == "" }

func (s *source) oneUser(t text, field string) (hostpolicy.IDs, bool) {
	if numeric(t.value) {
		first, last, reason := bounds(t.value, maxUID)
		fix := `write 33, "1000-1999" or a user's name`
		if reason == "" && first > last {
			reason, fix = "runs backwards", fmt.Sprintf(`write "%d-%d"`, last, first)
		}
		if reason != "" {
			s.err(codeUser, t.at, field, quote(t.value)+" "+reason, fix)
			return hostpolicy.IDs{}, false
		}
		return hostpolicy.IDs{First: uint32(first), Last: uint32(last)}, true
	}
	uid, ok := s.lookup(t.value)
	if ok {
		return hostpolicy.IDs{Name: t.value, First: uid, Last: uid}, true
	}
	fix := "create the user first, or write a uid"
	for _, word := range []string{strings.ToLower(t.value), nearest(t.value, wellKnownUsers)} {
		if word != "" && word != t.value {
			if _, ok := s.lookup(word); ok {
				fix = fmt.Sprintf("did you mean %q?", word)
			}
		}
	}
	if strings.ContainsAny(t.value, "*?[{") {
		fix = `users are not patterns; write their names, or a range of uids such as "1000-1999"`
	}
	s.err(codeUser, t.at, field, fmt.Sprintf("this machine has no user %s", quote(t.value)), fix)
	return hostpolicy.IDs{}, false
}

func (s *source) lookup(name string) (uint32, bool) {
	if s.lookupUser != nil {
		return s.lookupUser(name)
	}
	if len(name) > 256 || !printable(name) {
		return 0, false
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(uid), err == nil && uid <= maxUID
}

// wellKnownUsers are names to suggest where they exist.
var wellKnownUsers = []string{
	"root", "daemon", "nobody", "www-data", "nginx", "apache", "http", "httpd", "mysql", "postgres", "redis", "mongodb", "git", "gitlab-runner", "jenkins", "postfix", "dovecot",
	"backup", "mail", "messagebus", "sshd", "proxy", "syslog", "bind", "named", "unbound", "ntp", "chrony", "ubuntu", "debian", "admin", "ec2-user", "grafana", "prometheus", "node", "tomcat",
}

// rootAmong warns of a range that holds root where somebody may have meant
// users of services only.
func (s *source) rootAmong(t text, field string, ids hostpolicy.IDs) {
	if ids.First == 0 && ids.Last > 0 {
		s.warn(codeRootRange, t.at, field, fmt.Sprintf("%s holds uid 0, which is root", quote(t.value)), fmt.Sprintf(`write "1-%d", or root by name beside it where that is meant`, ids.Last))
	}
}
