package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runestone-gateway/runestone/bench/proc"
)

// sampleEvery is the distance of two memory samples.
const sampleEvery = 200 * time.Millisecond

// warmUpConnections are those of Open's warm-up. It warms the request path
// with few of them, so as not to leave memory behind that open streams would
// then take without its showing.
const warmUpConnections = 8

// Run carries out a plan. measuring, if not nil, is called when the measured
// part begins; for Open, when all streams are open.
func Run(ctx context.Context, plan Plan, measuring func()) (Result, error) {
	if measuring == nil {
		measuring = func() {}
	}
	if plan.Connections < 1 || plan.Timeout <= 0 {
		return Result{}, fmt.Errorf("load: plan with %d connections and timeout %v", plan.Connections, plan.Timeout)
	}
	// The first failure ends all connections at once.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		result Result
		err    error
	)
	switch plan.Kind {
	case Requests, Streams:
		result, err = plan.saturate(ctx, cancel, measuring)
	case Open:
		result, err = plan.holdOpen(ctx, cancel, measuring)
	default:
		err = fmt.Errorf("load: unknown kind %q", plan.Kind)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause // not the consequences of closing the connections
	}
	return result, err
}

// fleet is the clients of one plan.
type fleet struct {
	clients []*client
	cancel  context.CancelCauseFunc
}

func newFleet(plan *Plan, size int, streamed bool, cancel context.CancelCauseFunc) (*fleet, error) {
	request, err := newRequest(plan, streamed)
	if err != nil {
		return nil, err
	}
	f := &fleet{clients: make([]*client, size), cancel: cancel}
	for i := range f.clients {
		f.clients[i] = &client{plan: plan, request: request}
	}
	return f, nil
}

func (f *fleet) close() {
	for _, c := range f.clients {
		c.close()
	}
}

// each runs do for all clients at once. After stagger, all have begun.
func (f *fleet) each(ctx context.Context, stagger time.Duration, do func(*client) error) error {
	var (
		all   sync.WaitGroup
		began = time.Now()
	)
	for i, c := range f.clients {
		all.Go(func() {
			offset := stagger * time.Duration(i) / time.Duration(len(f.clients))
			if err := sleep(ctx, offset-time.Since(began)); err != nil {
				return
			}
			if err := do(c); err != nil {
				f.cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// repeat shares total exchanges among the clients.
func (f *fleet) repeat(ctx context.Context, plan *Plan, total int, strict bool) error {
	var begun atomic.Int64
	stagger := plan.Stagger
	if strict {
		stagger = 0 // the warm-up has no figures to spoil
	}
	return f.each(ctx, stagger, func(c *client) error {
		c.strict = strict
		for begun.Add(1) <= int64(total) {
			var err error
			if plan.Kind == Streams {
				err = c.stream(ctx, nil)
			} else {
				err = c.complete(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// saturate measures the CPU of exchanges made as fast as answers come.
func (p *Plan) saturate(ctx context.Context, cancel context.CancelCauseFunc, measuring func()) (Result, error) {
	f, err := newFleet(p, p.Connections, p.Kind == Streams, cancel)
	if err != nil {
		return Result{}, err
	}
	defer f.close()
	if err := f.repeat(ctx, p, p.WarmUp, true); err != nil {
		return Result{}, fmt.Errorf("warm-up: %w", err)
	}
	for _, c := range f.clients {
		c.chunks = 0
		c.latencies = make([]time.Duration, 0, 2*p.Total/p.Connections+1)
		c.chunkDelays = make([]time.Duration, 0, cap(c.latencies)*p.Chunks)
	}
	measuring()
	before, err := p.usage()
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	if err := f.repeat(ctx, p, p.Total, false); err != nil {
		return Result{}, err
	}
	result := Result{Elapsed: time.Since(began)}
	after, err := p.usage()
	if err != nil {
		return Result{}, err
	}
	result.CPU = after.Sub(before)
	f.collect(&result)
	if result.Done != p.Total {
		return Result{}, fmt.Errorf("%d exchanges were done, not %d", result.Done, p.Total)
	}
	return result, nil
}

func (p *Plan) usage() (proc.Usage, error) {
	if p.UpstreamPID == 0 {
		return proc.Usage{}, nil // a test, which runs everything in one process
	}
	return proc.ReadUsage(p.GatewayPID, p.UpstreamPID, os.Getpid())
}

func (f *fleet) collect(into *Result) {
	var latencies, chunkDelays []time.Duration
	for _, c := range f.clients {
		into.Chunks += c.chunks
		latencies = append(latencies, c.latencies...)
		chunkDelays = append(chunkDelays, c.chunkDelays...)
	}
	into.Done = len(latencies)
	into.Latency = summarise(latencies)
	into.ChunkDelay = summarise(chunkDelays)
}

// holdOpen measures the memory of streams that are open at the same time.
func (p *Plan) holdOpen(ctx context.Context, cancel context.CancelCauseFunc, measuring func()) (Result, error) {
	if err := p.warmUpOpen(ctx, cancel); err != nil {
		return Result{}, fmt.Errorf("warm-up: %w", err)
	}
	if err := sleep(ctx, p.Settle); err != nil {
		return Result{}, err
	}
	idle, err := p.sampleMemory(ctx)
	if err != nil {
		return Result{}, err
	}
	f, err := newFleet(p, p.Connections, true, cancel)
	if err != nil {
		return Result{}, err
	}
	defer f.close()
	var (
		opened, ended atomic.Int64
		allOpen       = make(chan struct{})
		streams       = make(chan error, 1)
	)
	go func() {
		streams <- f.each(ctx, p.Stagger, func(c *client) error {
			defer ended.Add(1)
			return c.stream(ctx, func() {
				if opened.Add(1) == int64(p.Connections) {
					close(allOpen)
				}
			})
		})
	}()
	open, err := p.sampleOpen(ctx, allOpen, measuring)
	if err == nil && ended.Load() > 0 {
		err = errors.New("streams ended while they were to be held open; they need more chunks")
	}
	if err != nil {
		cancel(err)
	}
	// Also after sampling every stream must run to its end and be complete.
	if err := <-streams; err != nil {
		return Result{}, err
	}
	result := Result{IdleKiB: idle, OpenKiB: open}
	f.collect(&result)
	return result, nil
}

func (p *Plan) warmUpOpen(ctx context.Context, cancel context.CancelCauseFunc) error {
	requests := *p
	requests.Kind = Requests
	f, err := newFleet(&requests, warmUpConnections, false, cancel)
	if err != nil {
		return err
	}
	defer f.close()
	return f.repeat(ctx, &requests, p.WarmUp, true)
}

func (p *Plan) sampleOpen(ctx context.Context, allOpen <-chan struct{}, measuring func()) ([]int64, error) {
	select {
	case <-allOpen:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	measuring()
	if err := sleep(ctx, p.Hold); err != nil {
		return nil, err
	}
	return p.sampleMemory(ctx)
}

func (p *Plan) sampleMemory(ctx context.Context) ([]int64, error) {
	if p.GatewayPID == 0 {
		return nil, nil
	}
	var samples []int64
	for range max(1, int(p.Sample/sampleEvery)) {
		if err := sleep(ctx, sampleEvery); err != nil {
			return nil, err
		}
		kib, err := proc.AnonymousKiB(p.GatewayPID)
		if err != nil {
			return nil, err
		}
		samples = append(samples, kib)
	}
	return samples, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
