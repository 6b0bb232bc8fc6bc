package gateway

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// drainServer serves queued requests as Do serves clients': without a place in line, so that
// whoever is waiting comes first.
type drainServer struct {
	app         *App
	perProvider int // how many calls a provider gets at a time, 0 for any number
}

// Stored returns what is to be kept of a request, so that it can be served later.
func Stored(r *provider.Request) *overflow.StoredRequest {
	s := &overflow.StoredRequest{
		Method: r.Method, Path: r.Path, RawPath: r.RawPath, Query: withoutCredentials(r.Query),
		Header: make(http.Header, len(overflow.StoredHeaders)), Model: r.Model, Stream: r.Stream,
	}
	provider.CopyHeaders(s.Header, r.Header, overflow.StoredHeaders...)
	if r.Body != nil {
		s.Body = r.Body.Bytes()
	}
	return s
}

// credentialParameters are the parameters of a query in which some clients send their key.
var credentialParameters = map[string]bool{"key": true, "api_key": true, "api-key": true, "access_token": true, "token": true}

// withoutCredentials returns a raw query without those parameters, and otherwise as it came.
func withoutCredentials(query string) string {
	if query == "" {
		return ""
	}
	kept := strings.Split(query, "&")
	kept = slices.DeleteFunc(kept, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		return credentialParameters[strings.ToLower(name)]
	})
	return strings.Join(kept, "&")
}

// restored returns a stored request, read again as far as routing needs.
func restored(s *overflow.StoredRequest) (*provider.Request, *dialect.Error) {
	r := &provider.Request{
		API: APIOf(s.Path), Method: s.Method, Path: s.Path, RawPath: s.RawPath, Query: s.Query, Header: s.Header,
		Body: provider.NewBody(s.Body, nil),
	}
	return r, Scan(r.API, r)
}

// Serve implements overflow.Server.
func (d *drainServer) Serve(ctx context.Context, s *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
	r, told := restored(s)
	if told != nil {
		return nil, &overflow.Failure{Status: told.Status, Body: told.Append(nil, r.API, ""), Message: "it is not what it was when it was queued: " + told.Code}
	}
	start, lease, caller := clock(), new(keys.Lease), d.app.callerOf(job.Owner)
	if d.app.HasLimits(caller, r.Model) {
		if refusal, admitted := d.app.Admit(ctx, lease, caller, r); !admitted {
			return nil, overLimit(&refusal, r.API)
		}
	}
	resp, err := d.app.Do(ctx, r, Patience{Background: true, PerProvider: d.perProvider})
	if err != nil {
		var failure *Failure
		if errors.As(err, &failure) && failure.Attempts > 0 && errors.Is(context.Cause(ctx), overflow.ErrCancelled) {
			Settle(lease, telemetry.OutcomeCanceled, r.Needs, dialect.Usage{}, 0) // as of a client that leaves
		} else {
			lease.Return()
		}
		return nil, deferred(err, r.API)
	}
	answer := resp.Body.(*Answer)
	if resp.StatusCode >= http.StatusBadRequest {
		if err := declined(resp, answer); err != nil {
			_ = answer.Close()
			lease.Return()
			return nil, err
		}
	}
	header := make(http.Header, len(resp.Header))
	CopyAnswerHeader(header, resp.Header)
	body := &drained{answer: answer, api: r.API, lease: lease, needs: r.Needs, app: d.app, start: start, usage: UsageRecord{
		RequestID: s.Header.Get("X-Request-Id"), Job: job.ID, Run: job.Run, Caller: caller, API: r.API,
		Model: r.Model, Status: resp.StatusCode, TraceID: telemetry.TraceIDOf(ctx),
	}}
	return &overflow.Answer{Status: resp.StatusCode, Header: header, Stream: answer.Streams(), Body: body}, nil
}

// overLimit returns what a limit means to a queued request: it is run when that has room, and
// given up if it never will.
func overLimit(refusal *keys.Refusal, api dialect.API) error {
	if !refusal.Never {
		return &overflow.Unavailable{After: refusal.RetryAfter, Limited: true}
	}
	told := &dialect.Error{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "request_too_large", Param: refusal.Limit, Message: refusal.Error()}
	return &overflow.Failure{Status: told.Status, Body: told.Append(nil, api, ""), Message: "it is larger than its limit " + refusal.Limit}
}

// deferred returns what an error of Do means to a queued request.
func deferred(err error, api dialect.API) error {
	var failure *Failure
	if !errors.As(err, &failure) {
		return err
	}
	told := failure.Told
	if failure.Overloaded() || failure.Outcome == telemetry.OutcomeShuttingDown {
		return &overflow.Unavailable{After: told.RetryAfter, Refused: failure.Attempts > 0}
	}
	message := told.Code
	if failure.Provider != "" {
		message = "the provider " + failure.Provider + ": " + told.Code
	}
	return &overflow.Failure{
		Status: told.Status, Body: told.Append(nil, api, ""), Message: message, Provider: failure.Provider,
		Again: failure.Outcome != telemetry.OutcomeInvalid && mayPass(told.Status),
	}
}

// Overloaded reports whether nobody is at fault: there is too much to do, so that the request is
// one for later.
func (f *Failure) Overloaded() bool { return f.busy || f.Outcome == telemetry.OutcomeUnavailable }

// mayPass reports whether what a status says may be otherwise in a while.
func mayPass(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// Overloaded reports whether an answer says that a provider has too much to do, and for how long
// that is sure to last, 0 when it does not say.
func Overloaded(resp *http.Response) (after time.Duration, overloaded bool) {
	after, asked := breaker.ParseRetryAfter(resp.Header, time.Now())
	switch resp.StatusCode {
	case http.StatusTooManyRequests, statusOverloaded:
		return after, true
	case http.StatusServiceUnavailable:
		return after, asked
	}
	return 0, false
}

// maxDeclined bounds what is kept of a provider's error, in bytes.
const maxDeclined = 256 << 10

// declined returns the error that an answer means which a further attempt may mend,
// nil for one that it cannot.
func declined(resp *http.Response, answer *Answer) error {
	if after, overloaded := Overloaded(resp); overloaded {
		return &overflow.Unavailable{After: after, Refused: true}
	}
	if !mayPass(resp.StatusCode) {
		return nil
	}
	f := &overflow.Failure{Status: resp.StatusCode, Provider: answer.Provider, Again: true}
	f.Message = "the provider " + answer.Provider + " answered " + strconv.Itoa(resp.StatusCode)
	if body, err := io.ReadAll(io.LimitReader(answer, maxDeclined+1)); err == nil && len(body) <= maxDeclined && dialect.ErrorIn(body) != nil {
		f.Body = body
	}
	return f
}

// drained is the answer to a queued request.
type drained struct {
	answer *Answer
	api    dialect.API
	lease  *keys.Lease
	needs  provider.Needs
	app    *App
	start  time.Duration
	usage  UsageRecord // what of it is known from the beginning
}

// Next implements overflow.Body. A stream that has reported an error has not ended well.
func (d *drained) Next() ([]byte, error) {
	p, err := d.answer.Next()
	switch {
	case err == nil:
		return p, nil
	case err != io.EOF:
		outcome, told := d.answer.Told()
		return nil, deferred(&Failure{Told: told, Outcome: outcome, Provider: d.answer.Provider}, d.api)
	case d.answer.call.status < http.StatusBadRequest && d.answer.Outcome() != telemetry.OutcomeOK:
		told := &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error",
			Message: "The provider " + d.answer.Provider + " reported an error in its stream.",
		}
		return nil, deferred(&Failure{Told: told, Outcome: telemetry.OutcomeError, Provider: d.answer.Provider}, d.api)
	}
	return nil, err
}

// Close implements overflow.Body.
func (d *drained) Close() error {
	if d.app == nil {
		return nil
	}
	u := &d.usage
	u.Outcome, u.Tokens = d.answer.Outcome(), d.answer.Usage()
	u.CostUSD, u.Priced = d.answer.Cost()
	Settle(d.lease, u.Outcome, d.needs, u.Tokens, d.answer.Owed(d.needs))
	u.Stream = d.answer.Streams()
	u.Provider, u.Target, u.Attempts, u.Wait = d.answer.Provider, d.answer.Target, d.answer.Attempts, d.answer.Waited
	err := d.answer.Close()
	u.Duration = clock() - d.start
	d.app.LogUsage(u)
	d.app = nil // once
	return err
}

// Spent implements overflow.Body.
func (d *drained) Spent() overflow.Spent {
	u := d.answer.Usage()
	cost, _ := d.answer.Cost()
	return overflow.Spent{
		Provider: d.answer.Provider, CostUSD: cost,
		Input: u.Input, CachedInput: u.CachedInput, CacheWrite: u.CacheWrite, Output: u.Output, Reasoning: u.Reasoning,
	}
}

// Error implements overflow.Server.
func (d *drainServer) Error(s *overflow.StoredRequest, status int, code, message string) []byte {
	told := dialect.Error{Status: status, Type: "server_error", Code: code, Message: message}
	return told.Append(nil, APIOf(s.Path), "")
}

// Room implements overflow.Server. A name that leads nowhere has room: its requests are to be
// told so.
func (d *drainServer) Room(model string) int {
	route, told := d.app.resolve(&provider.Request{Model: model})
	if told != nil {
		return math.MaxInt32
	}
	room := 0
	for _, t := range route.targets {
		n := t.room()
		if d.perProvider > 0 {
			n = min(n, d.perProvider-int(drainCallsOf(t.Provider).Load()))
		}
		room += max(0, n)
	}
	return room
}

// room returns how many calls a target could take now, apart from those in line for it.
func (t *target) room() int {
	if t.state.waiting.Load() > 0 || t.ready() != nil {
		return 0
	}
	if t.state.breaker.State() != breaker.Closed {
		return 1 // a probe
	}
	if limit := t.state.limit.Limit(); limit > 0 {
		return limit - t.state.limit.InFlight()
	}
	return math.MaxInt32 / 64
}

// drainCalls are how many calls of queued requests each provider has under way, in this
// process, whatever the configuration.
var drainCalls sync.Map // of string to *atomic.Int32

func drainCallsOf(name string) *atomic.Int32 {
	if n, ok := drainCalls.Load(name); ok {
		return n.(*atomic.Int32)
	}
	n, _ := drainCalls.LoadOrStore(name, new(atomic.Int32))
	return n.(*atomic.Int32)
}

// Report implements overflow.Reporter.
func (d *drainServer) Report() []zap.Field {
	s := d.app.status()
	closed, open := 0, []string{}
	for _, t := range s.Targets {
		if t.Breaker.State == breaker.Closed {
			closed++
		} else {
			open = append(open, t.Provider+"/"+t.Model)
		}
	}
	return []zap.Field{
		zap.Int64("open_requests", s.OpenRequests), zap.Int("in_line", s.Line.Waiting),
		zap.Int("targets_closed", closed), zap.Strings("targets_not_closed", open),
	}
}

// Healthy implements overflow.Reporter: each model has a target whose breaker is not open.
func (d *drainServer) Healthy() bool {
	for _, route := range d.app.routes {
		up := false
		for _, t := range route.targets {
			up = up || t.state.breaker.State() != breaker.Open
		}
		if !up {
			return false
		}
	}
	return true
}
