package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// failure is an error answer in OpenAI's shape. An empty param or code is null.
type failure struct {
	status                     int
	kind, code, param, message string
	retryAfter                 int // seconds, 0 for none
}

func (f *failure) Error() string { return f.message }

// refuse is the failure of a request that cannot be served as it is.
func refuse(param, format string, args ...any) *failure {
	return &failure{
		status:  http.StatusBadRequest,
		kind:    "invalid_request_error",
		param:   param,
		message: fmt.Sprintf(format, args...),
	}
}

// simulated is the failure that b asks for.
func simulated(b behaviour) *failure {
	kind, code := errorNames(b.status)
	return &failure{
		status:     b.status,
		kind:       kind,
		code:       code,
		message:    fmt.Sprintf("Simulated failure: the mock provider was told to answer %d.", b.status),
		retryAfter: b.retryAfter,
	}
}

// errorNames are the type and code that OpenAI gives to errors of a status.
func errorNames(status int) (kind, code string) {
	switch status {
	case http.StatusUnauthorized:
		return "invalid_request_error", "invalid_api_key"
	case http.StatusPaymentRequired:
		return "insufficient_quota", "insufficient_quota"
	case http.StatusForbidden:
		return "permission_error", ""
	case http.StatusNotFound:
		return "invalid_request_error", "model_not_found"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout", ""
	case http.StatusTooManyRequests:
		return "rate_limit_error", "rate_limit_exceeded"
	case http.StatusServiceUnavailable, 529:
		return "server_error", "overloaded"
	}
	if status >= http.StatusInternalServerError {
		return "server_error", ""
	}
	return "invalid_request_error", ""
}

// body is the error as JSON.
func (f *failure) body() []byte {
	dst := append([]byte(nil), `{"error":{"message":`...)
	dst = appendQuoted(dst, f.message)
	dst = append(dst, `,"type":`...)
	dst = appendQuoted(dst, f.kind)
	dst = append(dst, `,"param":`...)
	dst = appendQuotedOrNull(dst, f.param)
	dst = append(dst, `,"code":`...)
	dst = appendQuotedOrNull(dst, f.code)
	return append(dst, "}}"...)
}

func (f *failure) response() *http.Response {
	resp := wholeResponse(f.status, f.body())
	if f.retryAfter > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	return resp
}

// decode reads a JSON body into v. Its errors are failures.
func decode(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var f *failure
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.As(err, &wrong):
		return refuse(wrong.Field, "Invalid type for '%s': expected %v, but got %s instead.", wrong.Field, wrong.Type, wrong.Value)
	}
	return refuse("", "The body of your request could not be parsed as JSON: %v", err)
}
