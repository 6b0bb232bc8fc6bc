package overflow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// appendEvery is the least time between two writes of what a stream brings: enough for those
	// who follow it, and few enough for a disk.
	appendEvery = 25 * time.Millisecond
	// maxBehind bounds what has arrived and is not stored, in bytes; beyond, the
	// provider has to wait.
	maxBehind = 4 << 20
)

// tail is what has arrived of a stream and is not yet stored.
type tail struct {
	mu      sync.Mutex
	events  []byte
	err     error         // how the stream ended
	arrived chan struct{} // gets a value when there is something new
	taken   chan struct{} // gets a value when there is room again
}

// follow stores a stream while it arrives: what comes while a write is under way goes
// with the next one. The last events are left in pending, to be stored with the end.
func (o *output) follow(body Body) error {
	t := &tail{arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { t.fill(body, stop) })
	err := o.drain(t)
	if err != nil {
		o.run.cancel(err) // which ends the reader, unless it has ended by itself
	}
	close(stop)
	reader.Wait()
	if p, ok := errors.AsType[*readerPanic](err); ok {
		panic(p) // here, where the run survives it
	}
	return err
}

// drain stores what arrives, to the end.
func (o *output) drain(t *tail) error {
	var last time.Time
	for {
		<-t.arrived
		if wait := appendEvery - time.Since(last); wait > 0 {
			t.linger(wait)
		}
		events, err := t.take()
		if o.size += len(events); o.size > maxOutput {
			return errTooLong
		}
		switch {
		case err == io.EOF:
			o.pending = events
			return nil
		case err != nil:
			return err
		}
		last = time.Now()
		if err := o.store(events); err != nil {
			return err
		}
	}
}

// readerPanic is a panic of what reads a stream.
type readerPanic struct{ text string }

// Error implements error.
func (p *readerPanic) Error() string { return p.text }

// fill reads the stream to its end.
func (t *tail) fill(body Body, stop <-chan struct{}) {
	defer func() {
		if v := recover(); v != nil {
			t.add(nil, &readerPanic{"reading the stream: " + harmless(v)})
		}
	}()
	for {
		p, err := body.Next()
		full := t.add(p, err)
		if err != nil {
			return
		}
		if full {
			select {
			case <-t.taken:
			case <-stop:
				return
			}
		}
	}
}

// add notes what has arrived, and reports whether that is a lot by now.
func (t *tail) add(p []byte, err error) (full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, p...)
	t.err = err
	nudge(t.arrived)
	return len(t.events) > maxBehind
}

func (t *tail) take() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := t.events
	t.events = nil
	nudge(t.taken)
	return events, t.err
}

// linger waits a little for more to arrive, or for the end.
func (t *tail) linger(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		t.mu.Lock()
		over := t.err != nil
		t.mu.Unlock()
		if over {
			return
		}
		select {
		case <-timer.C:
			return
		case <-t.arrived:
		}
	}
}

// store appends to what the run has put out.
func (o *output) store(events []byte) error {
	if len(events) == 0 {
		return nil
	}
	number := o.chunks // not in one statement with seal, which changes it
	sealed := o.seal(events)
	r := o.run
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		ctx, cancel := context.WithTimeout(r.ctx, recordLimit)
		err := r.engine.queue.Append(ctx, r.ref(), number, sealed)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrLost), errors.Is(err, ErrNotFound), errors.Is(err, ErrState):
			return errLost
		case errors.Is(err, ErrClosed):
			return errStopping
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case errors.Is(err, ErrFull):
			return &Failure{Status: http.StatusInsufficientStorage, Message: "there is no room for the answer in the queue"}
		}
		r.engine.quarrels.log("what a job puts out cannot be stored yet", err)
		if !r.pause(jitter(wait)) {
			return context.Cause(r.ctx)
		}
	}
}

// pause waits, and reports false if the run's work is to end.
func (r *run) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}
