package dashboard

// maxViewers is how many may watch at a time.
const maxViewers = 64

// hub hands frames to those who watch. It belongs to whoever holds the collector's lock.
type hub struct {
	viewers map[*viewer]struct{}
	frames  [frameKinds]frame
	fresh   bool // the tick in frames is of this second
	ticks   uint64
}

// viewer is one page that is open somewhere.
type viewer struct {
	// updates has what is to be sent. It is closed when the viewer reads too slowly: what it
	// has missed is not kept for it.
	updates chan [frameKinds]frame
}

// behind is how many seconds a viewer may be late.
const behind = 3

func (h *hub) stale() { h.fresh = false }

func (h *hub) watched() bool { return len(h.viewers) > 0 }

// join adds a viewer, nil if there are too many.
func (h *hub) join() *viewer {
	if len(h.viewers) >= maxViewers {
		return nil
	}
	if h.viewers == nil {
		h.viewers = make(map[*viewer]struct{})
	}
	v := &viewer{make(chan [frameKinds]frame, behind)}
	h.viewers[v] = struct{}{}
	return v
}

func (h *hub) leave(v *viewer) { delete(h.viewers, v) }

// publish hands the frames to every viewer, and lets go of those who are behind.
func (h *hub) publish(frames [frameKinds]frame) {
	for v := range h.viewers {
		select {
		case v.updates <- frames:
		default:
			h.leave(v)
			close(v.updates)
		}
	}
}
