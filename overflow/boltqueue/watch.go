package boltqueue

import "sync"

// watches are who wants to know of changes, by job. The zero value is usable.
type watches struct {
	mu sync.RWMutex
	by map[string]map[*watch]struct{}
}

type watch struct {
	changed chan struct{}
	output  bool
}

func (w *watch) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Watch implements [overflow.Reader]. The channel also gets a value when the queue is closed.
func (q *Queue) Watch(id string, output bool) (changed <-chan struct{}, stop func()) {
	w := &watch{changed: make(chan struct{}, 1), output: output}
	q.watches.mu.Lock()
	defer q.watches.mu.Unlock()
	if q.watches.by == nil {
		q.watches.by = make(map[string]map[*watch]struct{})
	}
	if q.watches.by[id] == nil {
		q.watches.by[id] = make(map[*watch]struct{})
	}
	q.watches.by[id][w] = struct{}{}
	select {
	case <-q.stopped: // nothing will change any more
		w.tell()
	default:
	}
	return w.changed, func() { q.watches.remove(id, w) }
}

func (ws *watches) remove(id string, w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.by[id], w)
	if len(ws.by[id]) == 0 {
		delete(ws.by, id)
	}
}

// tell tells those who watch a job; if only its output has changed, those who want to know that.
func (ws *watches) tell(id string, output bool) {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for w := range ws.by[id] {
		if w.output || !output {
			w.tell()
		}
	}
}

func (ws *watches) tellAll() {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for _, all := range ws.by {
		for w := range all {
			w.tell()
		}
	}
}
