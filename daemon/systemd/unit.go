package systemd

import "strings"

// unitSuffixes are the unit types that own a cgroup, but for slices.
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

// Unit is the system unit that a cgroup path ("/system.slice/cron.service/x")
// belongs to, or "" where it is none. As systemd's cg_path_get_unit it skips
// the slices and takes the first component after them: everything below, such
// as a user's own app.service under user@1000.service, is that unit's business.
func Unit(cgroup string) string {
	for part := range strings.SplitSeq(strings.Trim(cgroup, "/"), "/") {
		name := unescape(part)
		if strings.HasSuffix(name, ".slice") && len(name) > len(".slice") {
			continue
		}
		if isUnit(name) {
			return name
		}
		return ""
	}
	return ""
}

// UserUnit is the user unit below Unit, or "": "app.service" of
// "/user.slice/user-1000.slice/user@1000.service/app.slice/app.service".
func UserUnit(cgroup string) string {
	unit := Unit(cgroup)
	if !strings.HasPrefix(unit, "user@") || !strings.HasSuffix(unit, ".service") {
		return ""
	}
	_, below, ok := strings.Cut(cgroup, "/"+unit+"/")
	if !ok {
		return ""
	}
	return Unit(below)
}

// unescape undoes the "_" that systemd puts before names that the cgroup file
// system would take for its own files.
func unescape(part string) string { return strings.TrimPrefix(part, "_") }

func isUnit(name string) bool {
	for _, s := range unitSuffixes {
		if strings.HasSuffix(name, s) && len(name) > len(s) {
			return true
		}
	}
	return false
}
