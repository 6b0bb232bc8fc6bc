package handler

import (
	"net/http"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/telemetry"
)

// identify finds out who asks, before anything of the body is read, and refuses those who may not. Who has no
// key, one that is not known, and one that has ended are told the same.
func (x *exchange) identify() *dialect.Error {
	caller, ok := x.app.Caller(x.r.Header)
	if !ok {
		if x.api.Anthropic() {
			return &dialect.Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Final: true, Message: "invalid x-api-key"}
		}
		x.w.Header()["Www-Authenticate"] = []string{`Bearer realm="runestone"`}
		return &dialect.Error{
			Status: http.StatusUnauthorized, Type: "invalid_request_error", Code: "invalid_api_key", Final: true,
			Message: "Incorrect API key provided. Give a key of this gateway's as Authorization: Bearer, or as x-api-key.",
		}
	}
	x.caller = caller
	if !caller.MayCall(string(x.api)) {
		return &dialect.Error{
			Status: http.StatusForbidden, Type: "permission_error", Code: "route_not_allowed", Final: true,
			Message: "This API key may not be used for " + x.r.URL.Path + ".",
		}
	}
	return nil
}

// allowed refuses a model that the caller may not ask for, as if there were none of the name.
func (x *exchange) allowed() *dialect.Error {
	if x.caller == nil || x.req.Model == "" && x.api == dialect.Other {
		return nil
	}
	return x.app.Allowed(x.caller, x.req.Model)
}

// style is in whose names the client is told of its limits.
func (x *exchange) style() keys.Style {
	if x.api.Anthropic() {
		return keys.Anthropic
	}
	return keys.OpenAI
}

// admit counts the request by the limits of its caller and its model. One that is over them waits, is queued, or is
// refused, as its client and the configuration have it; then it has been answered, and admit is false.
func (x *exchange) admit() bool {
	if !x.app.HasLimits(x.caller, x.req.Model) {
		return true
	}
	start := time.Now()
	for {
		refusal, admitted := x.app.Admit(x.r.Context(), &x.lease, x.caller, &x.req)
		telemetry.RateLimitCheck.Emit(telemetry.RateLimitChecked{Admitted: admitted})
		if !x.begun {
			x.lease.AppendHeaders(x.w.Header(), x.style())
		}
		if admitted {
			return true
		}
		queued := x.deferrable && !refusal.Never
		waited := !queued && x.waitForLimit(&refusal, time.Since(start))
		if queued || waited { // it is not refused after all
			x.w.Header().Del("Retry-After")
			x.w.Header().Del("X-Should-Retry")
		}
		if queued {
			x.postpone(refusal.RetryAfter)
			return false
		}
		if !waited {
			telemetry.RateLimitBlock.Emit(telemetry.RateLimitBlocked{Limit: refusal.Limit})
			x.refuse(limited(&refusal), telemetry.OutcomeUnavailable)
			return false
		}
	}
}

// waitForLimit waits in line until the limit may have room, and reports whether it may. Who asks for a wait
// waits as long as that, others as long as the line lets them.
func (x *exchange) waitForLimit(refusal *keys.Refusal, waited time.Duration) bool {
	patience := x.patience()
	after := refusal.RetryAfter
	if refusal.Never || refusal.Unavailable || after > patience.Wait-waited {
		return false
	}
	left := time.NewTimer(after)
	defer left.Stop()
	beat := time.NewTicker(limitBeat)
	defer beat.Stop()
	for {
		select {
		case <-left.C:
			return true
		case <-beat.C:
			if patience.Beat != nil {
				patience.Beat()
			}
		case <-x.r.Context().Done():
			return false
		}
	}
}

// limitBeat is how often a client that waits for its limit is told so, as those in line are.
const limitBeat = 5 * time.Second

// limited is what the client is told of a limit. When to try again is in the headers, exactly.
func limited(r *keys.Refusal) *dialect.Error {
	told := &dialect.Error{
		Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded", Param: r.Limit, Message: r.Error(),
	}
	switch {
	case r.Unavailable:
		told.Status, told.Type, told.Code = http.StatusServiceUnavailable, "server_error", "limits_unavailable"
	case r.Kind == keys.Spend:
		told.Type, told.Code = "insufficient_quota", "insufficient_quota"
	case r.Never:
		told.Code = "request_too_large"
	}
	return told
}

// settle ends the request for its limits.
func (x *exchange) settle() {
	gateway.Settle(&x.lease, x.outcome == telemetry.OutcomeOK, x.usage, x.cost)
}

// owner is by what name the jobs of whoever asks are kept.
func (x *exchange) owner() string { return x.app.Owner(x.caller, x.r.Header) }

// keyName is the name of the caller's key, "" without one.
func (x *exchange) keyName() string {
	if x.caller == nil {
		return ""
	}
	return x.caller.Name
}
