package dialect

import (
	"encoding/json"
	"net/http"
	"time"
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

func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendJSON(dst, s)
}

// Quote returns s as a JSON string.
func Quote(s string) string { return string(appendJSON(nil, s)) }

func appendJSON(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			b, _ := json.Marshal(s) // a string cannot fail
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
