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
	g := &d.degraded
	was, known := g.texts[key]
	if known && was == text {
		return
	}
	if !known {
		g.keys = append(g.keys, key)
	}
	g.texts[key] = text
	d.poster.post(event.Event{Kind: event.Degraded, Priority: event.Warning, Message: text, Problems: problems})
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
