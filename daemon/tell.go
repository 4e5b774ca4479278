package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// reject reports a refusal once: the same problems are told again only to one
// who asks.
func (d *Daemon) reject(refused *refusal, r request) {
	before := d.refused
	d.refused = refused
	if refused == nil || before != nil && !r.explicit && before.same(refused) {
		return
	}
	if refused.set != nil {
		refused.set.Forget()
	}
	n := countErrors(refused.problems)
	text := fmt.Sprintf("The policies were not loaded, %s: %s", d.standing(), refused.summary)
	if n > 0 {
		text = fmt.Sprintf("%s (%s). Mend them; they are loaded at once. The same list without the daemon: hostarmor check", text, plural(n, "problem"))
	}
	d.poster.post(event.Event{
		Kind: event.PolicyRejected, Priority: event.Err, Message: text,
		Generation: d.kernel.Generation, Problems: refused.problems,
	})
}

// standing says what goes on meanwhile.
func (d *Daemon) standing() string {
	if d.kernel.Generation == 0 {
		return "nothing is in force"
	}
	return "the previous ones stay in force"
}

func (f *refusal) same(g *refusal) bool {
	return f.summary == g.summary && slices.Equal(f.problems, g.problems)
}

func (d *Daemon) tellLoaded(mode lsm.Mode) {
	d.force.loadedAt = time.Now()
	d.force.adopted = false
	set := d.force.set
	how := "in force"
	if mode == lsm.AuditOnly {
		how = "in AUDIT ONLY mode (nothing is blocked)"
	}
	text := fmt.Sprintf("%s with %s now %s, generation %d", plural(len(set.Policies()), "policy"), plural(set.RuleCount(), "rule"), how, d.kernel.Generation)
	if len(set.Policies()) == 0 {
		text = fmt.Sprintf("No policy; HostArmor's own protection alone is now %s, generation %d", how, d.kernel.Generation)
	}
	if n := len(set.Problems); n > 0 {
		text += fmt.Sprintf(", with %s. See: hostarmor status", plural(n, "warning"))
	}
	d.poster.post(event.Event{
		Kind: event.PolicyLoaded, Priority: event.Info, Message: text,
		Generation: d.kernel.Generation, Policies: set.Policies(), Problems: set.Problems,
	})
}

// tellAdopted says that a new daemon found everything as it should be.
func (d *Daemon) tellAdopted(mode lsm.Mode) {
	set := d.force.set
	d.force.adopted, d.force.loadedAt = true, time.Time{}
	d.poster.post(event.Event{
		Kind: event.PolicyLoaded, Priority: event.Info,
		Message: fmt.Sprintf("%s with %s stay in force (%s, generation %d): taken over from an earlier daemon",
			plural(len(set.Policies()), "policy"), plural(set.RuleCount(), "rule"), mode, d.kernel.Generation),
		Generation: d.kernel.Generation, Policies: set.Policies(),
	})
}

// tellGaps lists the rules that this machine cannot enforce.
func (d *Daemon) tellGaps(set *reload.Set) {
	if len(set.Gaps) == 0 || !d.enforces() {
		d.restore("gaps")
		return
	}
	d.degradeWith("gaps", fmt.Sprintf("%s NOT ENFORCED on this machine. See: hostarmor status", plural(len(set.Gaps), "rule")),
		set.Unsupported(hostpolicy.Warning))
}

func countErrors(problems []hostpolicy.Problem) int {
	n := 0
	for _, p := range problems {
		if p.Severity == hostpolicy.Error {
			n++
		}
	}
	return n
}

func plural(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case strings.HasSuffix(word, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
