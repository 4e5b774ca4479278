package event

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// MessageID gives the MESSAGE_ID of a kind, for the journal's catalog. They
// are fixed for ever: users filter by them.
var MessageID = map[Kind]string{
	Access:         "3ce79564b79042a090f06bb490348a71",
	Unjudged:       "31173e679fec40df8d78df1cf5645b7e",
	PolicyLoaded:   "ada74172483a434eaee146f3950c229b",
	PolicyRejected: "c500ada8d4224eb196239738306122d3",
	Degraded:       "12557460cf8b4139aed4db08e78b31fc",
	Lost:           "3878220f94da4eb5bbaf29f5efc87be1",
	Tamper:         "994486663d72467c9c65d848891253c3",
}

// fields is the record in journald's names, but for MESSAGE and PRIORITY.
func fields(e *Event) map[string]string {
	f := map[string]string{
		"MESSAGE_ID":        MessageID[e.Kind],
		"SYSLOG_IDENTIFIER": "hostarmor",
		"HOSTARMOR_EVENT":   string(e.Kind),
	}
	set := func(name, value string) {
		if value != "" {
			f[name] = value
		}
	}
	number := func(name string, n uint64) {
		if n != 0 {
			f[name] = strconv.FormatUint(n, 10)
		}
	}
	number("HOSTARMOR_COUNT", e.Count)
	number("HOSTARMOR_GENERATION", e.Generation)
	set("HOSTARMOR_POLICIES", strings.Join(e.Policies, ","))
	d := e.Decision
	if d == nil {
		return f
	}
	set("HOSTARMOR_ACTION", d.Action)
	set("HOSTARMOR_POLICY", d.Policy)
	set("HOSTARMOR_RULE", d.Rule)
	set("HOSTARMOR_SOURCE", d.Source)
	set("HOSTARMOR_CLASS", d.Class)
	set("HOSTARMOR_OPERATION", d.Operation)
	set("HOSTARMOR_HOOK", d.Hook)
	set("HOSTARMOR_RESOURCE", d.Resource)
	set("HOSTARMOR_EXE", d.Exe)
	set("HOSTARMOR_COMM", d.Comm)
	set("HOSTARMOR_PARENT_EXE", d.ParentExe)
	set("HOSTARMOR_UNIT", d.Unit)
	set("HOSTARMOR_USER_UNIT", d.UserUnit)
	// From the kernel's cgroup, not OBJECT_PID: that process may be gone,
	// or its number be another's by the time journald looks.
	set("OBJECT_SYSTEMD_UNIT", d.Unit)
	set("OBJECT_SYSTEMD_USER_UNIT", d.UserUnit)
	set("HOSTARMOR_TAGS", strings.Join(d.Tags, ","))
	number("HOSTARMOR_TARGET_PID", uint64(d.Target))
	number("HOSTARMOR_SEVERITY", uint64(d.Severity))
	// 0 is a pid and a uid like any other.
	f["HOSTARMOR_PID"] = strconv.FormatUint(uint64(d.PID), 10)
	f["HOSTARMOR_PPID"] = strconv.FormatUint(uint64(d.PPID), 10)
	f["HOSTARMOR_UID"] = strconv.FormatUint(uint64(d.UID), 10)
	if d.LoginUID != nil {
		f["HOSTARMOR_LOGIN_UID"] = strconv.FormatUint(uint64(*d.LoginUID), 10)
	}
	return f
}

// maxListed bounds the problems in one MESSAGE: a file of junk has as many as
// it has lines. The rest is counted, and `hostarmor check` shows all.
const maxListed = 100

// listed is the message with the problems below it, a line each.
func listed(message string, problems []hostpolicy.Problem) string {
	if len(problems) == 0 {
		return message
	}
	var b strings.Builder
	b.WriteString(message)
	for i, p := range problems {
		if i == maxListed {
			fmt.Fprintf(&b, "\n... and %d more; see them all with: hostarmor check", len(problems)-i)
			break
		}
		b.WriteString("\n" + showLine(p.String()))
	}
	return b.String()
}

func showLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Journal writes records to journald.
type Journal struct{}

// Write sends one record. It blocks while journald's queue is full.
func (Journal) Write(e Event) error {
	err := journal.Send(listed(e.Message, e.Problems), journal.Priority(e.Priority), fields(&e))
	if err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	return nil
}
