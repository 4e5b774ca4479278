package daemon

import (
	"slices"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// degradations are the ways in which less is enforced than was asked for, each
// under a key, in the order in which they came.
type degradations struct {
	keys  []string
	texts map[string]string
}

// degrade says once that something is less than it should be, and in status
// until it is restored.
func (d *Daemon) degrade(key, text string) {
	d.degradeWith(key, text, nil)
}

// degradeWith is degrade with a list for the event.
func (d *Daemon) degradeWith(key, text string, problems []hostpolicy.Problem) {
	if d.degraded.note(key, text) {
		d.poster.post(event.Event{Kind: event.Degraded, Priority: event.Warning, Message: text, Problems: problems})
	}
}

// note keeps a text for status, and reports whether it is a new one.
func (g *degradations) note(key, text string) bool {
	was, known := g.texts[key]
	if !known {
		g.keys = append(g.keys, key)
	}
	g.texts[key] = text
	return !known || was != text
}

func (d *Daemon) restore(key string) {
	if _, known := d.degraded.texts[key]; known {
		delete(d.degraded.texts, key)
		d.degraded.keys = slices.DeleteFunc(d.degraded.keys, func(k string) bool { return k == key })
	}
}

func (g *degradations) list() []string {
	out := make([]string, 0, len(g.keys))
	for _, k := range g.keys {
		out = append(out, g.texts[k])
	}
	return out
}
