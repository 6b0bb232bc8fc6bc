package overflow

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// lane is what jobs wait for.
type lane struct {
	kind Kind
	name string
}

// lanes are those in which jobs wait, as far as this process knows: those in which
// it has had jobs wait itself, and, once a second, those in which the queue says that some do.
type lanes struct {
	some atomic.Bool
	mu   sync.Mutex
	set  map[lane]int // how often each was added

	timer *time.Timer // nil before the first alarm
	at    time.Time   // when it goes off
}

func (l *lanes) any() bool { return l.some.Load() }

func (l *lanes) add(in lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil {
		l.set = make(map[lane]int)
	}
	l.set[in]++
	l.some.Store(true)
}

// alarm has f called in d, unless that is to happen sooner anyway.
func (l *lanes) alarm(d time.Duration, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch at := now.Add(d); {
	case l.timer == nil:
		l.timer, l.at = time.AfterFunc(d, f), at
	case at.Before(l.at) || !l.at.After(now):
		l.timer.Reset(d)
		l.at = at
	}
}

// silence turns the alarm off.
func (l *lanes) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
}

// remove forgets a lane, unless it was added since list returned it.
func (l *lanes) remove(in lane, added int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set[in] == added {
		delete(l.set, in)
	}
	l.some.Store(len(l.set) > 0)
}

// list returns them, and how often each was added.
func (l *lanes) list() map[lane]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.set)
}

// waits notes that a job waits in a lane, and has it looked at again: it may have got
// room before the job was in it.
func (e *Engine) waits(in lane) {
	e.lanes.add(in)
	e.nudgeLanes()
}

func (e *Engine) nudgeLanes() { nudge(e.room) }

// wakeEvery is the least time between two looks at the lanes.
const wakeEvery = 5 * time.Millisecond

// wakeLanes wakes those that wait when there is room for them.
func (e *Engine) wakeLanes() {
	for {
		select {
		case <-e.room:
		case <-e.closing:
			return
		}
		if s := e.current(); s != nil {
			for in, added := range e.lanes.list() {
				if e.wake(s, in) {
					e.lanes.remove(in, added)
				}
			}
		}
		if !e.sleep(wakeEvery) {
			return
		}
	}
}

// wake wakes as many jobs of a lane as there is room for, and as there are workers for
// here. It reports whether none is left there.
func (e *Engine) wake(s *Setup, in lane) bool {
	w := &e.requests
	if in.kind == Callback {
		w = &e.callbacks
	}
	_, _, workers := e.free(w)
	n := min(workers, e.roomIn(s, in))
	if n <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordLimit)
	defer cancel()
	woken, err := e.queue.Wake(ctx, in.kind, in.name, n)
	if err != nil {
		e.quarrels.log("waiting jobs cannot be woken", err)
		return false
	}
	return woken < n
}

// roomIn returns how many jobs of a lane could be taken now.
func (e *Engine) roomIn(s *Setup, in lane) int {
	if in.kind == Callback {
		return e.callRoom(in.name, s.callbacksOf(in.name))
	}
	return s.server.Room(in.name)
}
