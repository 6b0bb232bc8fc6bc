package dashboard

// What is kept of each scope: five minutes by the second and a day by the minute.
const (
	windowSize  = 60 // seconds that the figures of "now" are taken over
	shortWindow = 10 // seconds that the latencies of one second are taken over
	secondsKept = 300
	minutesKept = 24 * 60
)

// Kinds of scopes.
const (
	kindAll      = "all"
	kindProvider = "provider"
	kindModel    = "model"
	kindPair     = "pair"
	kindKey      = "key" // a client's API key, by its name
)

// scopeID says what a scope is of. Of a pair, name is its provider and model its model.
type scopeID struct{ kind, name, model string }

// Bounds of the number of scopes. One takes 165 KB, or 50 KB if it is a pair's, so that they take
// 33 MB at most.
const (
	maxProviders = 32
	maxModels    = 64
	maxKeys      = 64
)

// gauges are what was there at one moment, of the whole gateway.
type gauges struct{ open, waiting, queued float32 }

func (g *gauges) raise(o gauges) {
	g.open, g.waiting, g.queued = max(g.open, o.open), max(g.waiting, o.waiting), max(g.queued, o.queued)
}

// point is what is drawn: a second or a minute. Counts are per second.
type point struct {
	at                                             int64 // seconds since 1970, its end
	requests, errors, refused, input, output, cost float32
	calls, failed                                  float32
	firstToken, whole                              percentiles
	gauges
}

// ring keeps the latest points.
type ring struct {
	points []point
	next   int
	size   int
}

func (r *ring) push(p point) {
	if len(r.points) < r.size {
		r.points = append(r.points, p)
		return
	}
	r.points[r.next] = p
	r.next = (r.next + 1) % r.size
}

// latest returns up to n points, the oldest first.
func (r *ring) latest(n int) []point {
	all := append(append(make([]point, 0, len(r.points)), r.points[r.next:]...), r.points[:r.next]...)
	return all[max(0, len(all)-n):]
}

// scope is what is known of all requests, or of those of one provider or model. It belongs
// to whoever holds the collector's lock.
type scope struct {
	id      scopeID
	current growth             // of the second that is being counted
	window  [windowSize]growth // of the latest seconds, in turn
	at      int                // in window, of the next
	sum     growth             // of the window
	total   counts             // since the collector began
	last    point
	seconds *ring // nil of a pair
	minutes *ring
	highest gauges // of this minute
}

func newScope(id scopeID) *scope {
	s := &scope{id: id}
	if id.kind != kindPair {
		s.seconds, s.minutes = &ring{size: secondsKept}, &ring{size: minutesKept}
	}
	return s
}

// tick ends the second that is being counted, at a time in seconds since 1970.
func (s *scope) tick(at int64, now gauges) {
	s.sum.subtract(&s.window[s.at])
	s.window[s.at] = s.current
	s.at = (s.at + 1) % windowSize
	s.sum.add(&s.current)
	s.total.add(&s.current.counts)
	short := s.recent()
	previous := s.last.at
	s.last = newPoint(at, &s.current.counts, 1)
	s.last.firstToken, s.last.whole, s.last.gauges = short.firstToken.percentiles(), short.whole.percentiles(), now
	s.current = growth{}
	if s.seconds == nil {
		return
	}
	s.seconds.push(s.last)
	s.highest.raise(now)
	if previous != 0 && previous/60 != at/60 {
		p := newPoint(at, &s.sum.counts, windowSize)
		p.firstToken, p.whole, p.gauges = s.sum.firstToken.percentiles(), s.sum.whole.percentiles(), s.highest
		s.minutes.push(p)
		s.highest = gauges{}
	}
}

// recent returns the latencies of the last few seconds: of one alone they say little.
func (s *scope) recent() (g growth) {
	for i := range shortWindow {
		second := &s.window[(s.at+windowSize-1-i)%windowSize]
		if second.requests == 0 && second.firstToken == (durations{}) {
			continue
		}
		g.firstToken.add(&second.firstToken)
		g.whole.add(&second.whole)
	}
	return g
}

// newPoint returns counts as they are per second.
func newPoint(at int64, c *counts, seconds float32) point {
	per := func(n uint64) float32 { return float32(n) / seconds }
	return point{
		at: at, requests: per(c.requests), errors: per(c.errors), refused: per(c.refused),
		input: per(c.input), output: per(c.output), cost: per(c.cost) / 1e9,
		calls: per(c.calls), failed: per(c.failed),
	}
}
