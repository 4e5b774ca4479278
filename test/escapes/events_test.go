//go:build e2e

package escapes

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// events are HostArmor's records, once that of the last refusal is among them:
// they are written in order.
func events(t *testing.T, canary string) []record {
	t.Helper()
	if fd, err := unix.Open(canary, unix.O_WRONLY, 0); err == nil {
		unix.Close(fd)
		t.Errorf("%s can be written", canary)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if len(journal(t, "HOSTARMOR_RESOURCE="+canary, "HOSTARMOR_OPERATION=write")) > 0 {
			return journal(t)
		}
	}
	t.Errorf("waited in vain for the record of the last refusal\n%s", state())
	return journal(t)
}

// judgeEvents: what was refused is told, with its policy.
func (x *trial) judgeEvents(found []record) {
	if x.open() || x.event == noEvent {
		return
	}
	var others []string
	for _, r := range found {
		resource := r.get("HOSTARMOR_RESOURCE")
		switch event := r.get("HOSTARMOR_EVENT"); {
		case x.event == accessEvent && event == accessEvent && r.get("HOSTARMOR_POLICY") == x.attack.name:
			return
		case x.event == unjudgedEvent && event == unjudgedEvent && strings.Contains(resource, x.unnamed):
			return
		case strings.HasPrefix(resource, x.c.dir+"/") && len(others) < 3:
			others = append(others, r.get("MESSAGE"))
		}
	}
	x.fail("the journal has no such record of kind %s; about its files there is %.400q", x.event, others)
}
