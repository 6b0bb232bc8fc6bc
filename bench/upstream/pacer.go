package upstream

import (
	"container/heap"
	"net"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/bench/proc"
)

// longestPause bounds how late a stream can be noticed that arrives while the
// pacer sleeps.
const longestPause = time.Millisecond

// stream is one answer being sent, in the hands of the pacer until done.
type stream struct {
	conn  net.Conn
	shape *streaming
	due   time.Duration // since the pacer began
	sent  int
	done  chan error
}

// pacer sends the chunks of all streams from one goroutine, each at its own
// time. One goroutine with a heap costs far less than a timer and a wake-up per
// stream, and it does not bunch streams up on the runtime's timer ticks, which
// would let the gateway relay many chunks for one wake-up.
type pacer struct {
	chunks int
	every  time.Duration
	began  time.Time
	bytes  []byte // the chunk being stamped

	mu     sync.Mutex
	wake   *sync.Cond
	queue  dueHeap
	closed bool
}

func newPacer(chunks int, every time.Duration) *pacer {
	p := &pacer{chunks: chunks, every: every, began: time.Now()}
	p.wake = sync.NewCond(&p.mu)
	return p
}

// add hands a stream over; its first chunk is due after delay.
func (p *pacer) add(s *stream, delay time.Duration) {
	s.due, s.sent = time.Since(p.began)+delay, 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.done <- net.ErrClosed
		return
	}
	heap.Push(&p.queue, s)
	p.wake.Signal()
}

func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake.Signal()
}

// run sends chunks until close; what is then queued is given up.
func (p *pacer) run() {
	for {
		s, pause, ok := p.next()
		if !ok {
			return
		}
		if s == nil {
			proc.Pause(pause)
			continue
		}
		more, err := p.send(s)
		if err != nil || !more {
			s.done <- err
			continue
		}
		// The next chunk is due by the schedule, not by when this one was
		// sent: lateness must not add up over a stream.
		s.due += p.every
		p.mu.Lock()
		heap.Push(&p.queue, s)
		p.mu.Unlock()
	}
}

// next takes the stream that is due, or says how long to wait for one.
func (p *pacer) next() (*stream, time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed {
		p.wake.Wait()
	}
	if p.closed {
		for _, s := range p.queue {
			s.done <- net.ErrClosed
		}
		p.queue = nil
		return nil, 0, false
	}
	wait := p.queue[0].due - time.Since(p.began)
	if wait > 0 {
		return nil, min(wait, longestPause), true
	}
	return heap.Pop(&p.queue).(*stream), 0, true
}

// send writes the next part of a stream and tells whether more follows.
func (p *pacer) send(s *stream) (bool, error) {
	if s.sent == p.chunks {
		_, err := s.conn.Write(s.shape.closing)
		return false, err
	}
	p.bytes = append(p.bytes[:0], s.shape.content...)
	putStamp(p.bytes[s.shape.stamp:], s.sent, time.Now())
	s.sent++
	_, err := s.conn.Write(p.bytes)
	return true, err
}

type dueHeap []*stream

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*stream)) }
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
