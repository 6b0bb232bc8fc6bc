package dashboard

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// frame is a part of what viewers see, encoded once for all of them.
type frame struct {
	kind    int    // one of the kinds below
	version uint64 // grows when it changes
	event   []byte // as a server-sent event
}

// The kinds of frames, which are also the order that they are sent in.
const (
	frameTick = iota
	frameErrors
	frameBreakers
	frameJobs
	frameKinds
)

var frameNames = [frameKinds]string{"tick", "errors", "breakers", "jobs"}

// tick is what changes each second.
type tick struct {
	Now   int64 `json:"now"`   // milliseconds since 1970
	Began int64 `json:"began"` // since when it has been counted
	// Columns are what the numbers of a point are; see point.
	Columns   []string                 `json:"columns"`
	Scopes    []scopeJSON              `json:"scopes"`
	Health    gateway.HealthState      `json:"health,omitempty"`
	Open      int64                    `json:"open"`
	Line      gateway.LineStatus       `json:"line"`
	Providers []gateway.ProviderStatus `json:"providers"`
	Targets   []gateway.TargetStatus   `json:"targets"`
	Queue     *gateway.QueueStatus     `json:"queue"`
}

// scopeJSON is a scope as viewers get it.
type scopeJSON struct {
	Kind   string     `json:"kind"`
	Name   string     `json:"name"`
	Model  string     `json:"model,omitempty"` // of a pair
	Point  []*float64 `json:"point,omitempty"` // the latest second
	Minute minuteJSON `json:"minute"`
	Total  totalJSON  `json:"total"`
}

// minuteJSON is what the last minute was like.
type minuteJSON struct {
	Requests   uint64     `json:"requests"`
	Errors     uint64     `json:"errors"`
	Refused    uint64     `json:"refused"` // errors that are the client's
	Input      uint64     `json:"input"`
	Output     uint64     `json:"output"`
	CostUSD    float64    `json:"cost"`
	Calls      uint64     `json:"calls"`
	Failed     uint64     `json:"failed"`
	FirstToken []*float64 `json:"first_token"` // p50, p95, p99 in seconds
	Whole      []*float64 `json:"whole"`
}

// totalJSON is what there has been since the beginning.
type totalJSON struct {
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`
	Input    uint64  `json:"input"`
	Output   uint64  `json:"output"`
	CostUSD  float64 `json:"cost"`
	Calls    uint64  `json:"calls"`
	Failed   uint64  `json:"failed"`
}

var columns = []string{
	"at", "requests", "errors", "refused", "input", "output", "cost", "calls", "failed",
	"first50", "first95", "first99", "whole50", "whole95", "whole99", "open", "waiting", "queued",
}

// numbers returns a point in the order of columns. A latency that is not known is null.
func (p *point) numbers() []*float64 {
	all := []float32{p.requests, p.errors, p.refused, p.input, p.output, p.cost, p.calls, p.failed}
	at := float64(p.at)
	out := []*float64{&at}
	for _, v := range all {
		out = append(out, short(float64(v)))
	}
	out = append(append(out, known(p.firstToken)...), known(p.whole)...)
	return append(out, short(float64(p.open)), short(float64(p.waiting)), short(float64(p.queued)))
}

func known(p percentiles) []*float64 {
	out := make([]*float64, len(p))
	for i, v := range p {
		if v > 0 {
			out[i] = short(float64(v))
		}
	}
	return out
}

// short returns a number with no more than five digits that count.
func short(v float64) *float64 {
	if v != 0 {
		scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
		v = math.Round(v*scale) / scale
	}
	return &v
}

func usd(nano uint64) float64 { return float64(nano) / 1e9 }

func (s *scope) json() scopeJSON {
	c := &s.sum
	j := scopeJSON{
		Kind: s.id.kind, Name: s.id.name, Model: s.id.model,
		Minute: minuteJSON{
			Requests: c.requests, Errors: c.errors, Refused: c.refused, Input: c.input, Output: c.output,
			CostUSD: usd(c.cost), Calls: c.calls, Failed: c.failed,
			FirstToken: known(c.firstToken.percentiles()), Whole: known(c.whole.percentiles()),
		},
		Total: totalJSON{
			Requests: s.total.requests, Errors: s.total.errors, Input: s.total.input, Output: s.total.output,
			CostUSD: usd(s.total.cost), Calls: s.total.calls, Failed: s.total.failed,
		},
	}
	if s.seconds != nil && s.last.at != 0 {
		j.Point = s.last.numbers()
	}
	return j
}

// snapshot returns the tick. The caller holds the lock.
func (c *collector) snapshot(now time.Time) *tick {
	t := &tick{
		Now: now.UnixMilli(), Began: c.began.UnixMilli(), Columns: columns, Queue: c.queue,
		Providers: []gateway.ProviderStatus{}, Targets: []gateway.TargetStatus{},
	}
	for _, s := range c.scopes {
		t.Scopes = append(t.Scopes, s.json())
	}
	slices.SortFunc(t.Scopes, func(a, b scopeJSON) int {
		return strings.Compare(a.Kind+"\x00"+a.Name+"\x00"+a.Model, b.Kind+"\x00"+b.Name+"\x00"+b.Model)
	})
	if c.status != nil {
		t.Open, t.Line = c.status.OpenRequests, c.status.Line
		t.Providers, t.Targets = append(t.Providers, c.status.Providers...), append(t.Targets, c.status.Targets...)
	}
	if c.health != nil {
		t.Health = c.health.Status
	}
	return t
}

// frames returns the parts of what viewers see. Those that have not changed are not encoded
// anew. The caller holds the lock.
func (c *collector) frames(now time.Time) [frameKinds]frame {
	f := &c.hub.frames
	if !c.hub.fresh {
		c.hub.fresh = true
		c.hub.ticks++
		f[frameTick] = newFrame(frameTick, c.hub.ticks, c.snapshot(now))
	}
	if n := c.errors.count(); f[frameErrors].event == nil || f[frameErrors].version != n+1 {
		entries, number := c.errors.latest()
		f[frameErrors] = newFrame(frameErrors, number+1, entries)
	}
	if n := c.breakers.count(); f[frameBreakers].event == nil || f[frameBreakers].version != n+1 {
		entries, number := c.breakers.latest()
		f[frameBreakers] = newFrame(frameBreakers, number+1, entries)
	}
	if c.jobs != nil && f[frameJobs].version != c.jobsNumber {
		f[frameJobs] = newFrame(frameJobs, c.jobsNumber, c.jobs)
	}
	return *f
}

func newFrame(kind int, version uint64, content any) frame {
	data, err := json.Marshal(content)
	if err != nil { // nothing in it can fail; a NaN would
		data = []byte("null")
	}
	event := make([]byte, 0, len(data)+32)
	event = append(append(event, "event: "...), frameNames[kind]...)
	event = append(append(event, "\ndata: "...), data...)
	return frame{kind, version, append(event, "\n\n"...)}
}

// jobLists are the jobs that are listed one by one.
type jobLists struct {
	Pending []*overflow.Job `json:"pending"` // those that have not ended
	Failed  []*overflow.Job `json:"failed"`  // given up or cancelled
	Error   string          `json:"error,omitempty"`
}

const (
	jobsListed = 25              // of each list
	listEvery  = 2 * time.Second // while anybody looks
	listLimit  = 2 * time.Second // what the queue gets for it
)

// pending returns how many jobs have not ended.
func pending(q *gateway.QueueStatus) (n int) {
	for _, states := range q.Jobs {
		for state, count := range states {
			if !state.Final() {
				n += count
			}
		}
	}
	return n
}

// list has the jobs listed anew, unless that was done just now. The caller holds the lock.
func (c *collector) list(app *gateway.App, now time.Time) {
	if app == nil || c.listing || now.Sub(c.listed) < listEvery || c.ctx.Err() != nil {
		return
	}
	c.listing, c.listed = true, now
	c.finished.Go(func() {
		lists := listJobs(c.ctx, app)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.jobs, c.listing = lists, false
		c.jobsNumber++
	})
}

func listJobs(ctx context.Context, app *gateway.App) *jobLists {
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	l := &jobLists{Pending: []*overflow.Job{}, Failed: []*overflow.Job{}}
	pending, err := app.LatestJobs(ctx, jobsListed, overflow.Available, overflow.Waiting, overflow.Scheduled, overflow.Executing)
	if err == nil {
		l.Pending = append(l.Pending, pending...)
		pending, err = app.LatestJobs(ctx, jobsListed, overflow.Discarded, overflow.Cancelled)
		l.Failed = append(l.Failed, pending...)
	}
	if err != nil {
		l.Error = "The queue cannot be reached." // why is in the log of whoever uses it
	}
	return l
}

// history returns the points of a scope: of so many seconds, or minutes.
func (c *collector) history(id scopeID, minutes bool, n int) [][]*float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := [][]*float64{}
	s := c.scopes[id]
	if s == nil || s.seconds == nil {
		return out
	}
	from := s.seconds
	if minutes {
		from = s.minutes
	}
	for _, p := range from.latest(n) {
		out = append(out, p.numbers())
	}
	return out
}
