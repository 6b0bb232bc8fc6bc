package dialect

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/sse"
)

// Error is what a client is told when it gets no answer. Each dialect writes
// it in its own shape.
type Error struct {
	// Status is the HTTP status that goes with it.
	Status int
	// Type and Code are OpenAI's, e.g. "invalid_request_error", "model_not_found".
	Type, Code string
	// Param names the parameter of the request that is at fault, if one is.
	Param string
	// Message is for people. It never holds a secret or a prompt.
	Message string
	// RetryAfter is how long to wait before trying again, 0 when unknown.
	RetryAfter time.Duration
	// Final is whether trying again cannot help.
	Final bool
	// Sequence is the number of the event that reports the error, in a stream whose events are numbered
	// (see [Answers]).
	Sequence int64
}

func (e *Error) Error() string { return e.Message }

// Invalid returns the error for a request that is wrong in itself.
func Invalid(param, code, message string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error",
		Param: param, Code: code, Message: message, Final: true,
	}
}

// AppendOpenAI appends the error as OpenAI writes it: all four members are
// required by OpenAI's OpenAPI description, null where there is nothing to say.
func (e *Error) AppendOpenAI(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = appendJSON(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = appendJSON(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendOptional(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendOptional(dst, e.Code)
	return append(dst, "}}"...)
}

// Append appends the error in the dialect of a call. The ID is that of the request, which Anthropic's errors show.
func (e *Error) Append(dst []byte, api API, requestID string) []byte {
	if api.Anthropic() {
		return e.appendAnthropic(dst, requestID)
	}
	return e.AppendOpenAI(dst)
}

// AppendEvent appends the error as the last event of a stream.
func (e *Error) AppendEvent(dst []byte, api API, requestID string) []byte {
	switch {
	case api.Anthropic(): // its SDKs go by the name of an event
		dst = append(dst, "event: error\n"...)
	case api == Responses:
		return sse.AppendData(append(dst, "event: error\n"...), e.appendResponses(nil))
	}
	return sse.AppendData(dst, e.Append(nil, api, requestID))
}

// appendResponses appends the data of the Responses API's event for an error. OpenAI's description has the members at the
// top, and its server and SDKs know them in error as well: that is what has an SDK raise it.
func (e *Error) appendResponses(dst []byte) []byte {
	dst = append(dst, `{"type":"error","sequence_number":`...)
	dst = strconv.AppendInt(dst, e.Sequence, 10)
	dst = append(dst, `,"code":`...)
	dst = appendOptional(dst, e.Code)
	dst = append(dst, `,"message":`...)
	dst = appendJSON(dst, e.Message)
	dst = append(dst, `,"param":`...)
	dst = appendOptional(dst, e.Param)
	return append(append(dst, ','), e.AppendOpenAI(nil)[1:]...)
}

// appendAnthropic appends the error as Anthropic writes it
// (docs.claude.com/en/api/errors).
func (e *Error) appendAnthropic(dst []byte, requestID string) []byte {
	dst = append(dst, `{"type":"error","error":{"type":`...)
	dst = appendJSON(dst, anthropicType(e.Status))
	dst = append(dst, `,"message":`...)
	dst = appendJSON(dst, e.Message)
	dst = append(dst, `},"request_id":`...)
	dst = appendOptional(dst, requestID)
	return append(dst, '}')
}

// anthropicType returns the type of error that Anthropic has for a status.
func anthropicType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusServiceUnavailable, statusOverloaded:
		return "overloaded_error"
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}

// statusOverloaded is Anthropic's for too much to do.
const statusOverloaded = 529

// UpstreamError returns what a provider's error answer says, for a client of another dialect: the
// status is the provider's, save that of Anthropic's 529, which clients of other APIs do not know, and the
// type and code are OpenAI's for it. Bodies that are no JSON, such as a proxy's page, are not shown.
func UpstreamError(status int, body []byte) *Error {
	e := ErrorIn(body)
	if e == nil {
		e = bareError(body)
	}
	if e == nil || e.Message == "" {
		e = &Error{Message: "The provider answered with status " + strconv.Itoa(status) + "."}
	}
	return e.withStatus(status)
}

// withStatus gives an error a provider's status, and OpenAI's type and code for it.
func (e *Error) withStatus(status int) *Error {
	e.Type, e.Code = openAIType(status, e.Code)
	if e.Status = status; status == statusOverloaded {
		e.Status = http.StatusServiceUnavailable
	}
	return e
}

// inAnswer gives an error that came in an answer of success the status that it would have had otherwise. That the
// gateway's own key is wrong is not the client's fault, nor its to know.
func (e *Error) inAnswer(status int) *Error {
	if status == http.StatusUnauthorized {
		return unreadable("The provider refused the gateway's credentials.")
	}
	if strings.TrimSpace(e.Message) == "" {
		e.Message = "The provider reported an error."
	}
	return e.withStatus(status)
}

// openAIType returns the type and code of error that OpenAI has for a status. A code that is more
// particular is kept.
func openAIType(status int, code string) (kind, known string) {
	kind = "invalid_request_error"
	switch status {
	case http.StatusUnauthorized:
		known = "invalid_api_key"
	case http.StatusPaymentRequired:
		kind, known = "insufficient_quota", "insufficient_quota"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		known = "model_not_found"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		kind, known = "timeout", "timeout"
	case http.StatusTooManyRequests:
		kind, known = "rate_limit_error", "rate_limit_exceeded"
	case http.StatusServiceUnavailable, statusOverloaded:
		kind, known = "server_error", "overloaded"
	default:
		if status >= http.StatusInternalServerError {
			kind = "server_error"
		}
	}
	if _, err := strconv.Atoi(code); code != "" && err != nil { // a number says no more than the status
		known = code
	}
	return kind, known
}

func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendJSON(dst, s)
}

// Quote returns s as a JSON string.
func Quote(s string) string { return string(appendJSON(nil, s)) }
