package dashboard

import (
	"net/http"
	"time"

	"github.com/runestone-gateway/runestone/gateway"
)

// writeLimit is how long a viewer may take to read an update.
const writeLimit = 5 * time.Second

// watch adds a viewer, which has the present state at once; nil if there are too many.
func (c *collector) watch(now time.Time) *viewer {
	app := c.app()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.hub.join()
	if v == nil {
		return nil
	}
	c.list(app, now)
	v.updates <- c.frames(now)
	return v
}

func (c *collector) unwatch(v *viewer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hub.leave(v)
}

// serveEvents sends what changes, each second, until the viewer leaves, reads too slowly, or its
// configuration ends or the process does. A browser then connects again by itself.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	v := h.collector.watch(time.Now())
	if v == nil {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "As many pages watch as may. Close one.")
		return
	}
	defer h.collector.unwatch(v)
	ctx, leave := gateway.UntilExit(r.Context())
	defer leave()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform") // the directive encode would hold events back
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // of what the connection is used for next
	if !send(w, out, []byte("retry: 1000\n\n")) {
		return
	}
	var seen [frameKinds]uint64
	for {
		select {
		case frames, ok := <-v.updates:
			if !ok {
				return
			}
			for i := range frames {
				f := &frames[i]
				if f.event == nil || f.version == seen[i] {
					continue
				}
				seen[i] = f.version
				if !send(w, out, f.event) {
					return
				}
			}
		case <-ctx.Done():
			return
		case <-h.ended:
			return
		}
	}
}

// send writes an event, and reports whether that could be done in time.
func send(w http.ResponseWriter, out *http.ResponseController, event []byte) bool {
	_ = out.SetWriteDeadline(time.Now().Add(writeLimit)) // where there is none, Caddy's own bounds it
	if _, err := w.Write(event); err != nil {
		return false
	}
	return out.Flush() == nil
}
