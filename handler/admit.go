package handler

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
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
	route := x.api
	if route == dialect.Chat && x.r.Method != http.MethodPost { // answers that are stored, whoever has asked for them
		route = dialect.Other
	}
	if !caller.MayCall(string(route)) {
		return &dialect.Error{
			Status: http.StatusForbidden, Type: "permission_error", Code: "route_not_allowed", Final: true,
			Message: "This API key may not be used for " + x.r.URL.Path + ".",
		}
	}
	return nil
}

// allowed refuses a model that the caller may not ask for, as if there were none of the name.
func (x *exchange) allowed() *dialect.Error {
	if x.caller == nil {
		return nil
	}
	switch {
	case x.req.Background && x.caller.Metered():
		return dialect.Invalid("background", "unsupported_parameter",
			"This API key has a limit of tokens or a budget, and what is answered in the background cannot be counted: leave 'background' out, or send the header Prefer: respond-async to have the gateway queue the request.")
	case x.req.Fallbacks && x.caller.Restricted():
		return dialect.Invalid("models", "unsupported_parameter", "This API key is bound to models: ask for one of them as 'model', and leave 'models' out.")
	case x.req.Model == "" && x.api == dialect.Other && x.caller.Restricted():
		return x.unnamed()
	}
	return x.app.Allowed(x.caller, x.req.Model)
}

// unnamed refuses a call of a key that is bound to models in which the gateway has found none, unless the key may make such
// calls in so many words.
func (x *exchange) unnamed() *dialect.Error {
	if told := x.unread(); told != nil {
		return told
	}
	if !x.caller.Lists(string(dialect.Other)) {
		return &dialect.Error{
			Status: http.StatusForbidden, Type: "permission_error", Code: "route_not_allowed", Final: true,
			Message: "This API key is bound to models, and " + x.r.URL.Path + " names none: it may be used for such calls only if its routes list 'other'.",
		}
	}
	if name, ok := strings.CutPrefix(x.r.URL.Path, "/v1/models/"); ok {
		return x.app.Allowed(x.caller, name)
	}
	return nil
}

// unread refuses a body that may name a model which only its provider would find.
func (x *exchange) unread() *dialect.Error {
	switch media, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type")); {
	case x.req.Body == nil && x.req.Upload == nil:
		return nil // there is none
	case x.req.Body == nil:
		told := dialect.Invalid("", "unsupported_media_type", "This API key is bound to models, and the model of such a body cannot be read: send JSON or a form.")
		told.Status = http.StatusUnsupportedMediaType
		return told
	case media != "multipart/form-data":
		return hiddenModel(x.req.Body.Bytes())
	case modelForms[x.r.URL.Path]:
		return dialect.Invalid("model", "missing_required_parameter", "You must provide a model parameter.")
	}
	return nil
}

// hiddenModel returns what is wrong with a JSON text in which the gateway has found no model, and a provider might.
func hiddenModel(text []byte) *dialect.Error {
	var bad *dialect.Error
	if _, err := dialect.ScanOpenAI(text); errors.As(err, &bad) {
		return bad
	}
	var anyCase struct{ Model json.RawMessage } // as servers that are written in Go read it
	if json.Unmarshal(text, &anyCase) == nil && anyCase.Model != nil {
		return dialect.Invalid("model", "invalid_value", "The name of the parameter 'model' must be written in small letters.")
	}
	return nil
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
		if x.deferrable && !refusal.Never {
			x.notRefused()
			x.postpone(refusal.RetryAfter)
			return false
		}
		x.stood = time.Since(start)
		stood, failure := x.waitForLimit(&refusal)
		switch {
		case stood:
			x.stood = time.Since(start)
			x.notRefused()
		case failure != nil:
			x.notRefused()
			x.refuse(failure.Told, failure.Outcome)
			return false
		default:
			telemetry.RateLimitBlock.Emit(telemetry.RateLimitBlocked{Limit: refusal.Limit})
			x.refuse(limited(&refusal), telemetry.OutcomeUnavailable)
			return false
		}
	}
}

// notRefused takes back what the client was to be told of when to try again.
func (x *exchange) notRefused() {
	if !x.begun {
		x.w.Header().Del("Retry-After")
		x.w.Header().Del("X-Should-Retry")
	}
}

// waitForLimit waits in line until the limit may have room, and reports whether it may. Who asks for a wait
// waits as long as that, others as long as the line lets them.
func (x *exchange) waitForLimit(refusal *keys.Refusal) (stood bool, failure *gateway.Failure) {
	patience := x.patience()
	if refusal.Never || refusal.Unavailable || refusal.RetryAfter > patience.Wait {
		return false, nil
	}
	return x.app.AwaitLimit(x.r.Context(), x.r.Header, x.req.Model, refusal.RetryAfter, patience.Beat)
}

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

// dropLimits removes what a provider says of its own limits: they are the gateway's, and where a client has limits
// of its own it would take them for these.
func dropLimits(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-") || name == "Ratelimit" || name == "Ratelimit-Policy" {
			delete(h, name)
		}
	}
}

// settle ends the request for its limits.
func (x *exchange) settle() {
	if x.attempts == 0 {
		x.lease.Return() // no provider has seen it
		return
	}
	gateway.Settle(&x.lease, x.outcome, x.req.Needs, x.usage, x.owed)
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
