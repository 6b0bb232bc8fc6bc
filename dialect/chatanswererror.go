package dialect

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// chatError returns the error that an answer is or has in it, nil if it has none, with the status that it would have
// had: the one that it names, or the one for its type or code.
func chatError(data []byte) *Error {
	e := ErrorIn(data)
	if e == nil {
		e = innerError(data)
	}
	if e == nil {
		return nil
	}
	return e.inAnswer(chatStatus(e))
}

// innerError returns an error that is in a choice or in x_groq.
func innerError(data []byte) *Error {
	var body struct {
		Choices []json.RawMessage `json:"choices"`
		Groq    json.RawMessage   `json:"x_groq"`
	}
	if json.Unmarshal(data, &body) != nil {
		return nil
	}
	for _, inner := range append(body.Choices, body.Groq) {
		if e := ErrorIn(inner); e != nil {
			return e
		}
	}
	return nil
}

// chatStatuses are the statuses for the types and codes of errors in a stream, which has had a 200 before.
var chatStatuses = map[string]int{
	"rate_limit_error": http.StatusTooManyRequests, "rate_limit_exceeded": http.StatusTooManyRequests, "insufficient_quota": http.StatusTooManyRequests,
	"requests": http.StatusTooManyRequests, "tokens": http.StatusTooManyRequests, "RateLimitError": http.StatusTooManyRequests,
	"invalid_request_error": http.StatusBadRequest, "BadRequestError": http.StatusBadRequest, "context_length_exceeded": http.StatusBadRequest,
	"invalid_api_key": http.StatusUnauthorized, "authentication_error": http.StatusUnauthorized, "permission_error": http.StatusForbidden,
	"model_not_found": http.StatusNotFound, "NotFoundError": http.StatusNotFound,
	"timeout": http.StatusGatewayTimeout, "timeout_error": http.StatusGatewayTimeout,
	"overloaded": http.StatusServiceUnavailable, "overloaded_error": http.StatusServiceUnavailable, "service_unavailable": http.StatusServiceUnavailable,
	"server_overloaded": http.StatusServiceUnavailable, "engine_overloaded": http.StatusServiceUnavailable,
	"internal_server_error": http.StatusInternalServerError, "InternalServerError": http.StatusInternalServerError,
}

func chatStatus(e *Error) int {
	if n, err := strconv.Atoi(e.Code); err == nil && n >= 400 && n < 600 {
		return n
	}
	if status := chatStatuses[e.Code]; status != 0 {
		return status
	}
	if status := chatStatuses[e.Type]; status != 0 {
		return status
	}
	return http.StatusBadGateway
}
