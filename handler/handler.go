// Package handler is the HTTP surface: it reads what clients send, has the
// gateway answer, and relays the answer as it arrives.
package handler

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler serves OpenAI's API and Anthropic's under /v1/ through the app runestone, and
// says under /health, /health/live and /health/ready how the gateway is. Every other path goes
// to the next handler.
type Handler struct {
	// Overflow, unless it is "", queues what arrives here without asking a provider:
	// "always" every request, "opt_in" those that ask for it with Prefer:
	// respond-async, while others get 429. It is for routes that only see what
	// was refused elsewhere, such as by a rate limit. Default "".
	Overflow string `json:"overflow,omitempty"`

	app *gateway.App
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.runestone",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision gets the app, which need not be configured.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("runestone")
	if err != nil {
		return err
	}
	h.app = app.(*gateway.App)
	switch h.Overflow {
	case "", divertAlways, divertOptIn:
	default:
		return fmt.Errorf("overflow is %q; write %s or %s, or leave it out", h.Overflow, divertAlways, divertOptIn)
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		server.RegisterConnContext(connContext)
		if h.Overflow == "" {
			warnIfOpen(ctx.Logger(), h.app, server.Listen)
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		if healthPaths[r.URL.Path] && h.Overflow == "" {
			h.serveHealth(w, r)
			return nil
		}
		return next.ServeHTTP(w, r)
	}
	defer gateway.Enter()()
	x := &exchange{
		app: h.app, diverts: h.Overflow, w: w, r: r, start: time.Now(),
		api: gateway.APIOf(r.URL.Path), id: requestID(r),
	}
	if fields, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		fields.Add(zap.Object("runestone", x))
	}
	header := w.Header()
	header["X-Request-Id"] = []string{x.id}
	if x.api.Anthropic() {
		header["Request-Id"] = []string{x.id} // an answer of Anthropic's own has its own
	}
	r.Header["X-Request-Id"] = []string{x.id} // for errors that the gateway puts into the client's dialect
	telemetry.RequestStart.Emit(telemetry.RequestStarted{Route: string(x.api)})
	defer x.stop()
	x.serve()
	if x.broken {
		// Nothing else tells the client that what it has got is not all.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// exchange is one request and its answer.
type exchange struct {
	app        *gateway.App
	diverts    string        // Handler.Overflow
	refusedFor time.Duration // the Retry-After of whoever has refused what is diverted
	w          http.ResponseWriter
	r          *http.Request
	start      time.Time
	api        dialect.API
	id         string

	caller     *keys.Caller // nil without a key, where none is needed
	lease      keys.Lease   // by which the request counts
	req        provider.Request
	prefers    preferences
	deferrable bool          // a job would do as an answer
	waited     string        // the preference "wait" as it was applied, "" if it was not
	stood      time.Duration // how long it has waited for its limit
	asked      time.Time     // when the provider was asked
	firstByte  time.Time

	status     int
	outcome    string
	provider   string
	model      string // for metrics: bounded
	target     string // the model that the provider was asked for
	inLine     time.Duration
	attempts   int
	stream     bool // the answer is a stream
	client     *streamWriter
	broken     bool // the answer broke off and nothing could be said about it
	usage      dialect.Usage
	cost       float64
	priced     bool    // cost is known
	owed       float64 // what counts for budgets
	begun      bool    // the head of a stream was sent while the request stood in line
	upstreamID string
	cause      string
	job        string // the ID of the job that the request is about, or has become
}

func (x *exchange) serve() {
	if gateway.Exiting() {
		x.w.Header().Set("Connection", "close")
		x.refuse(gateway.ShuttingDown(), telemetry.OutcomeShuttingDown)
		return
	}
	if told := x.identify(); told != nil {
		x.refuse(told, telemetry.OutcomeInvalid)
		return
	}
	if told := x.check(); told != nil {
		x.refuse(told, telemetry.OutcomeInvalid)
		return
	}
	if x.diverts != "" {
		x.refusedFor = takeRetryAfter(x.w.Header())
	}
	if x.serveJobs() || x.diverts == "" && x.serveModels() {
		return
	}
	told := x.read()
	if x.req.Body != nil {
		defer x.req.Body.Release()
	}
	if told == nil {
		told = x.allowed()
	}
	if told != nil {
		outcome := telemetry.OutcomeInvalid
		if x.r.Context().Err() != nil {
			outcome = telemetry.OutcomeCanceled
		}
		x.refuse(told, outcome)
		return
	}
	if !x.estimate() && !x.divert() && x.admit() {
		defer x.settle()
		x.relay(&x.req)
	}
}

// estimate answers how many tokens a message has if nobody else counts them, and reports
// whether it has answered.
func (x *exchange) estimate() bool {
	if x.api != dialect.CountTokens || x.diverts != "" {
		return false
	}
	counts, told := x.app.CountsTokens(&x.req)
	switch {
	case counts:
		return false
	case told != nil:
		x.refuse(told, telemetry.OutcomeInvalid)
	default:
		x.w.Header()["Runestone-Estimated"] = []string{"input_tokens"}
		x.writeJSON(struct {
			InputTokens int `json:"input_tokens"`
		}{x.req.Needs.InputTokens})
	}
	return true
}

// check refuses what is wrong whatever the body says.
func (x *exchange) check() *dialect.Error {
	p := x.r.URL.Path
	if told := checkPath(p); told != nil {
		return told
	}
	allowed := ""
	switch x.api {
	case dialect.Completions, dialect.Embeddings, dialect.Responses, dialect.Messages, dialect.CountTokens:
		allowed = http.MethodPost
	case dialect.Chat: // GET lists the stored ones
		allowed = "POST, GET"
	case gateway.Jobs:
		allowed = "GET, HEAD"
		if _, what := jobPath(p); what == "" {
			allowed += ", DELETE"
		}
	default:
		allowed = "GET, HEAD"
		if p != "/v1/models" {
			allowed += ", POST, PUT, PATCH, DELETE"
		}
	}
	if slices.Contains(strings.Split(allowed, ", "), x.r.Method) {
		return nil
	}
	x.w.Header().Set("Allow", allowed)
	told := dialect.Invalid("", "method_not_allowed", "The method "+x.r.Method+" is not allowed for "+p+": use "+allowed+".")
	told.Status = http.StatusMethodNotAllowed
	return told
}

// relay has the gateway answer and passes the answer on.
func (x *exchange) relay(req *provider.Request) {
	x.asked = time.Now()
	resp, err := x.app.Do(x.r.Context(), req, x.patience())
	if err != nil {
		var failure *gateway.Failure
		errors.As(err, &failure)
		if x.deferrable && postponable(failure) {
			x.attempts, x.inLine = failure.Attempts, failure.Waited
			x.postpone(failure.Told.RetryAfter)
			return
		}
		x.provider, x.model, x.attempts = failure.Provider, failure.Model, failure.Attempts
		x.target, x.inLine = failure.Target, failure.Waited
		x.cause = failure.Told.Code
		if x.attempts > 0 && !x.begun {
			x.w.Header()["Runestone-Attempts"] = []string{strconv.Itoa(x.attempts)}
			x.w.Header()["Runestone-Provider"] = []string{x.provider}
		}
		x.refuse(failure.Told, failure.Outcome)
		return
	}
	answer := resp.Body.(*gateway.Answer)
	if after, ok := x.postponed(resp); ok {
		x.attempts, x.inLine = answer.Attempts, answer.Waited
		_ = answer.Close()
		x.postpone(after)
		return
	}
	defer func() {
		x.usage = answer.Usage()
		x.cost, x.priced = answer.Cost()
		x.owed = answer.Owed(req.Needs)
		_ = answer.Close()
	}()
	x.provider, x.model, x.attempts = answer.Provider, answer.Model, answer.Attempts
	x.target, x.inLine = answer.Target, answer.Waited
	x.respond(resp, answer)
}

// stop reports what came of the request.
func (x *exchange) stop() {
	now := time.Now()
	if x.client != nil {
		x.client.end()
	}
	if v := recover(); v != nil {
		if v != http.ErrAbortHandler { // which is no more than how an answer is cut off
			telemetry.RequestException.Emit(telemetry.RequestRaised{Duration: now.Sub(x.start), Route: string(x.api)})
		}
		defer panic(v)
	}
	e := telemetry.RequestStopped{
		Duration:    now.Sub(x.start),
		InputTokens: x.usage.Input, CachedInputTokens: x.usage.CachedInput,
		CacheWriteTokens: x.usage.CacheWrite, OutputTokens: x.usage.Output, ReasoningTokens: x.usage.Reasoning,
		Attempts: x.attempts, CostUSD: x.cost, Route: string(x.api), Provider: x.provider, Model: x.model,
		Status: x.status, Outcome: x.outcome, Code: x.cause, Stream: x.stream, Key: x.keyName(),
		TraceID: telemetry.TraceIDOf(x.r.Context()),
	}
	if !x.asked.IsZero() {
		e.Overhead = x.asked.Sub(x.start) - x.stood
	}
	if !x.firstByte.IsZero() {
		e.FirstByte = x.firstByte.Sub(x.start)
	}
	telemetry.RequestStop.Emit(e)
	x.logUsage(&e)
}

// gone reports whether the client has left.
func (x *exchange) gone() bool { return x.r.Context().Err() != nil }

// refuse answers with an error.
func (x *exchange) refuse(told *dialect.Error, outcome string) {
	x.outcome, x.status = outcome, told.Status
	if x.cause == "" {
		x.cause = told.Code
	}
	if x.r.ProtoMajor == 1 && x.r.ContentLength != 0 && (x.req.Body == nil || x.req.Upload != nil) {
		// Do not wait for the rest of a body that nobody will read.
		_ = http.NewResponseController(x.w).EnableFullDuplex()
		x.w.Header().Set("Connection", "close")
	}
	if x.begun {
		x.sendError(told)
		return
	}
	writeError(x.w, told, x.api, x.id)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
