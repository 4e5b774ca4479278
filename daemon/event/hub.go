package event

import "sync"

const (
	recent     = 256 // events that a new client can ask for
	clientRoom = 256 // events that wait for one slow client
)

// Hub hands events to the clients of the control socket and keeps the latest.
type Hub struct {
	mu      sync.Mutex
	last    []Event
	clients map[*Client]struct{}
}

// NewHub is a hub without clients.
func NewHub() *Hub { return &Hub{clients: make(map[*Client]struct{})} }

// Client is one listener. C is never closed.
type Client struct {
	C    <-chan Event
	c    chan Event
	lost uint64
	hub  *Hub
}

// publish never blocks: what a client has no room for it loses, and is told.
func (h *Hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.last) == recent {
		copy(h.last, h.last[1:])
		h.last = h.last[:recent-1]
	}
	h.last = append(h.last, e)
	for c := range h.clients {
		select {
		case c.c <- e:
		default:
			c.lost++
		}
	}
}

// Subscribe returns the latest events, at most n, and a client for those that
// follow; none is missing between the two.
func (h *Hub) Subscribe(n int) ([]Event, *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = min(max(n, 0), len(h.last))
	ch := make(chan Event, clientRoom)
	c := &Client{C: ch, c: ch, hub: h}
	h.clients[c] = struct{}{}
	return append([]Event(nil), h.last[len(h.last)-n:]...), c
}

// Lost is the number of events lost since the last call.
func (c *Client) Lost() uint64 {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	n := c.lost
	c.lost = 0
	return n
}

// Close ends the subscription.
func (c *Client) Close() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	delete(c.hub.clients, c)
}
