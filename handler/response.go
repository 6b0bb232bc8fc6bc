package handler

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/telemetry"
)

// respond passes an answer on.
func (x *exchange) respond(resp *http.Response, answer *gateway.Answer) {
	if id := resp.Header["X-Request-Id"]; len(id) > 0 {
		x.upstreamID = id[0]
	}
	if x.begun && !answer.Streams() {
		x.respondLate(answer)
		return
	}
	header := x.w.Header()
	gateway.CopyAnswerHeader(header, resp.Header)
	if x.lease.Limited() {
		dropLimits(header)
		x.lease.AppendHeaders(header, x.style())
	}
	x.status, x.outcome = resp.StatusCode, telemetry.OutcomeOK
	if resp.StatusCode >= http.StatusBadRequest {
		x.outcome = telemetry.OutcomeError
	}
	if answer.Streams() {
		x.respondStream(answer)
		return
	}
	if resp.ContentLength >= 0 {
		header["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	}
	x.firstByte = time.Now()
	x.w.WriteHeader(resp.StatusCode)
	flush := resp.ContentLength < 0 // it may be arriving little by little
	for {
		p, err := answer.Next()
		if err != nil {
			x.finish(answer, err)
			x.broken = err != io.EOF
			return
		}
		if !x.write(p, flush) {
			return
		}
	}
}

// noStore is for what must be neither kept nor changed: an encoder would hold tokens back.
const noStore = "no-cache, no-transform"

// openStream sends the head of a stream, or has it sent with the first event.
func (x *exchange) openStream() {
	header := x.w.Header()
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = []string{"text/event-stream"}
	}
	values := []string{noStore, "no"} // not shared: Caddy's directive header changes values where they are
	header["Cache-Control"], header["X-Accel-Buffering"] = values[:1:1], values[1:]
	x.stream, x.status = true, http.StatusOK
	x.client = newStreamWriter(x.w, x.r)
	x.w.WriteHeader(x.status)
}

// respondStream passes a stream on, event by event.
func (x *exchange) respondStream(answer *gateway.Answer) {
	if !x.begun {
		x.openStream()
	}
	x.firstByte = time.Now()
	telemetry.StreamFirstToken.Emit(telemetry.StreamFirstTokenSeen{
		Duration: x.firstByte.Sub(x.start), Provider: x.provider, Model: x.model,
		TraceID: telemetry.TraceIDOf(x.r.Context()),
	})
	defer func() {
		telemetry.StreamStop.Emit(telemetry.StreamStopped{
			Duration: time.Since(x.firstByte), Provider: x.provider, Outcome: x.outcome,
		})
	}()
	for {
		p, err := answer.Next()
		if err != nil {
			if x.finish(answer, err); err != io.EOF && !x.gone() {
				_, told := answer.Told()
				_ = x.client.send(told.AppendEvent(nil, x.api, x.id))
			}
			return
		}
		if err := x.client.send(p); err != nil {
			x.outcome = telemetry.OutcomeCanceled
			return
		}
	}
}

// write sends p to the client and reports whether it is still there.
func (x *exchange) write(p []byte, flush bool) bool {
	_, err := x.w.Write(p)
	if x.r.Method == http.MethodHead && errors.Is(err, http.ErrBodyNotAllowed) {
		return true
	}
	if err == nil && flush {
		err = http.NewResponseController(x.w).Flush()
	}
	if err != nil {
		x.outcome = telemetry.OutcomeCanceled
		return false
	}
	return true
}

// finish notes how an answer ended.
func (x *exchange) finish(answer *gateway.Answer, err error) {
	if outcome := answer.Outcome(); outcome != telemetry.OutcomeOK {
		x.outcome = outcome
	}
	if err != io.EOF {
		_, told := answer.Told()
		x.cause = told.Code
	}
}

// serveModels answers what the gateway itself knows about models, and reports
// whether it did.
func (x *exchange) serveModels() bool {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return false
	}
	if x.r.URL.Path == "/v1/models" {
		messages := len(x.r.Header["Anthropic-Version"]) > 0 // which only its clients send
		if !x.app.ListsItself(x.caller, messages) {
			return false
		}
		list := x.app.ModelList(x.r.Context(), x.r.Header, x.caller)
		if messages {
			x.writeJSON(gateway.AsMessages(list))
		} else {
			x.writeJSON(map[string]any{"object": "list", "data": list})
		}
		return true
	}
	name, ok := strings.CutPrefix(x.r.URL.Path, "/v1/models/")
	if !ok {
		return false
	}
	if told := x.app.Allowed(x.caller, name); told != nil {
		x.refuse(told, telemetry.OutcomeInvalid)
		return true
	}
	if model, ok := x.app.Model(name); ok {
		x.writeJSON(model)
		return true
	}
	_ = x.read() // a GET has no body to refuse
	if told := x.app.ModelPath(&x.req, name); told != nil {
		x.refuse(told, telemetry.OutcomeInvalid)
		return true
	}
	x.relay(&x.req)
	return true
}

func (x *exchange) writeJSON(v any) {
	x.writeJSONStatus(http.StatusOK, v)
}

func (x *exchange) writeJSONStatus(status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		x.refuse(&dialect.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "The answer could not be written."}, telemetry.OutcomeError)
		return
	}
	x.status, x.outcome = status, telemetry.OutcomeOK
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	x.write(body, false)
}

// MarshalLogObject adds what the access log should say of the request. It is
// called when the line is written, if it is.
func (x *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("request_id", x.id)
	enc.AddString("route", string(x.api))
	enc.AddString("outcome", x.outcome)
	text := func(key, value string) {
		if value != "" {
			enc.AddString(key, value)
		}
	}
	text("error", x.cause)
	text("key", x.keyName())
	if x.caller != nil && len(x.caller.Metadata) > 0 {
		_ = enc.AddReflected("metadata", x.caller.Metadata)
	}
	text("provider", x.provider)
	text("model", x.req.Model)
	text("upstream_request_id", x.upstreamID)
	text("job", x.job)
	if x.priced {
		enc.AddFloat64("cost_usd", x.cost)
	}
	if x.attempts > 0 {
		enc.AddInt("attempts", x.attempts)
		enc.AddBool("stream", x.stream)
		enc.AddInt64("input_tokens", x.usage.Input)
		enc.AddInt64("cached_input_tokens", x.usage.CachedInput)
		if x.usage.CacheWrite > 0 {
			enc.AddInt64("cache_write_tokens", x.usage.CacheWrite)
		}
		enc.AddInt64("output_tokens", x.usage.Output)
		enc.AddInt64("reasoning_tokens", x.usage.Reasoning)
	}
	if !x.firstByte.IsZero() {
		enc.AddDuration("first_byte", x.firstByte.Sub(x.start))
	}
	return nil
}
