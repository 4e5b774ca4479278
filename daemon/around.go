package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostarmor/hostarmor/daemon/links"
	"github.com/hostarmor/hostarmor/daemon/mounts"
	"github.com/hostarmor/hostarmor/lsm"
)

// surroundings are what a set was placed on, and what was not searched yet.
type surroundings struct {
	targets *links.Targets // nil where nothing is in force
	host    lsm.Host
	rest    []string // patterns whose hard links are not all known
}

// lookAround reads the mount table and looks for hard links, no longer than
// somebody who waits for policies can bear.
func (d *Daemon) lookAround(t *links.Targets) (surroundings, error) {
	moment := d.conf.Enforcer.Moment()
	table, err := mounts.ReadLayered(d.conf.Mounts, d.conf.Root, d.log)
	if err != nil {
		return surroundings{}, err
	}
	found, rest, err := t.Find(context.Background(), d.conf.Root, table, d.conf.LinkBudget)
	if err != nil {
		// No reason to leave rules out: they hold for the names they name.
		rest = []string{err.Error()}
	}
	return surroundings{t, lsm.Host{Mounts: table.Mounts, Links: found, Moment: moment}, rest}, nil
}

// settle notes what the kernel was given, and goes on in the background with
// what there was no time for.
func (d *Daemon) settle(s surroundings) {
	if d.hunt.stop != nil {
		d.hunt.stop()
	}
	d.hunt = hunt{run: d.hunt.run, number: d.hunt.number}
	d.around = s
	d.unbound = false
	if len(s.rest) == 0 {
		d.restore("links")
		return
	}
	d.huntNow()
}

// lookAgain looks whether there are other hard links now than the kernel knows:
// one may have been made between the search and the commit.
func (d *Daemon) lookAgain() {
	switch {
	case d.unbound || d.around.targets == nil:
	case len(d.around.rest) > 0:
		d.hunt.due = true // that one searches everything anyway
	default:
		d.renew(false)
	}
}

// bind tells the kernel of the host's new mount table.
func (d *Daemon) bind() {
	if !d.enforces() || d.kernel.Generation == 0 || d.around.targets == nil {
		d.unbound = false
		return
	}
	d.unbound = true
	d.renew(true)
}

// renew binds what the host looks like now; unless always, only if its links
// changed.
func (d *Daemon) renew(always bool) {
	s, err := d.lookAround(d.around.targets)
	if err != nil {
		d.tellUnbound(err)
		return
	}
	d.alive()
	if len(s.rest) > 0 {
		// What was found with more time may still be there.
		s.host.Links = links.Merge(d.around.host.Links, s.host.Links)
	}
	d.around.rest = s.rest
	if always || !links.Equal(s.host.Links, d.around.host.Links) {
		d.give(s.host)
	}
	switch {
	case len(s.rest) == 0:
		d.restore("links")
	case d.hunt.stop == nil:
		d.hunt.due = true
		d.huntWhenDue()
	}
}

// give binds the host to what is in force.
func (d *Daemon) give(host lsm.Host) {
	before := d.kernel.Generation
	// Where mounts give directories several names it is a new generation of
	// the same rules, whose first event may come at once.
	d.rules.carry(before, before+1)
	stale := false
	if err := d.conf.Enforcer.Bind(host); errors.Is(err, lsm.ErrStale) {
		stale = true
	} else if err != nil {
		d.unbound = true
		d.tellUnbound(err)
		return
	}
	if err := d.readKernel(); err == nil {
		d.rules.carry(before, d.kernel.Generation)
	}
	d.around.host = host
	d.unbound = stale // the loop's timer looks again
	d.restore("mounts")
}

func (d *Daemon) tellUnbound(err error) {
	d.degrade("mounts", fmt.Sprintf("A change of the mount table or of hard links is not taken into account yet, files may be judged by former names: %v", err))
}

// huntPause lies between two searches of everything for one set: mounts may
// change all the time.
const huntPause = 30 * time.Minute

// hunt is the search for hard links in the background.
type hunt struct {
	run    func(func(context.Context)) (stop func()) // beside the loop
	number int                                       // of the latest
	stop   func()                                    // of the one that runs, else nil
	due    bool                                      // there is something to search
	ended  time.Time                                 // the latest for this set
}

// linked is what such a search found.
type linked struct {
	number int
	links  []lsm.Link
	rest   []string
	err    error
}

func (d *Daemon) huntWhenDue() {
	h := &d.hunt
	if h.due && h.stop == nil && (h.ended.IsZero() || time.Since(h.ended) >= huntPause) {
		d.huntNow()
	}
}

func (d *Daemon) huntNow() {
	h := &d.hunt
	const what = "Not every hard link to the files that rules name is known yet; they are looked for. A file may be used by a name that no rule names, if it has several: %s"
	text := fmt.Sprintf(what, listPatterns(d.around.rest))
	if h.ended.IsZero() {
		d.degrade("links", text)
	} else {
		d.degraded.note("links", text) // told once for each set
	}
	h.number++
	h.due = false
	number, targets, file, root := h.number, d.around.targets, d.conf.Mounts, d.conf.Root
	log := d.log
	h.stop = h.run(func(ctx context.Context) {
		out := linked{number: number}
		table, err := mounts.ReadLayered(file, root, log)
		if err == nil {
			out.links, out.rest, err = targets.Find(ctx, root, table, links.Limit)
		}
		out.err = err
		select {
		case d.linked <- out:
		case <-ctx.Done():
		}
	})
}

// take binds what a search in the background found.
func (d *Daemon) take(l linked) {
	h := &d.hunt
	if l.number != h.number || h.stop == nil {
		return // of a set that is not in force any more
	}
	h.stop()
	h.stop, h.ended = nil, time.Now()
	switch {
	case l.err != nil:
		d.degrade("links", fmt.Sprintf("The hard links to the files that rules name could not all be looked for: %v", l.err))
		return
	case len(l.rest) > 0:
		d.degrade("links", fmt.Sprintf("Not every hard link to the files that rules name is known: there are too many directories, or some cannot be read. Name them more narrowly: %s", listPatterns(l.rest)))
	default:
		d.restore("links")
	}
	d.around.rest = l.rest
	if all := links.Merge(l.links, nil); !links.Equal(all, d.around.host.Links) {
		d.give(lsm.Host{Mounts: d.around.host.Mounts, Links: all, Moment: d.around.host.Moment})
	}
}

// listPatterns names some.
func listPatterns(patterns []string) string {
	const most = 10
	if len(patterns) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(patterns[:most], ", "), len(patterns)-most)
	}
	return strings.Join(patterns, ", ")
}
