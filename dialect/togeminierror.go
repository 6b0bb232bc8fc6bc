package dialect

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// unreadable returns the error for an answer that makes no sense.
func unreadable(message string) *Error {
	return &Error{Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error", Message: message}
}

// geminiError returns the error that an answer of Gemini's or an event is, in an array or not, with the
// status that it names, or the one for what cannot be read.
func geminiError(data []byte) *Error {
	e := ErrorIn(data)
	if e == nil {
		return unreadable("The provider's answer could not be read.")
	}
	status, err := strconv.Atoi(e.Code)
	if err != nil || status < 400 || status > 599 {
		status = http.StatusBadGateway
	}
	if e = UpstreamError(status, data); e.Code == "invalid_api_key" {
		status = http.StatusUnauthorized
	}
	return e.inAnswer(status)
}

// googleDetails are the details of an error of Google's, of which two matter.
type googleDetails []struct {
	Type       string `json:"@type"`
	RetryDelay string `json:"retryDelay"`
	Reason     string `json:"reason"`
}

// readGoogleDetails reads how long to wait (RetryInfo), and whether it was the key that was wrong, which Google answers
// with status 400 (ErrorInfo).
func readGoogleDetails(data json.RawMessage, e *Error) {
	var details googleDetails
	if len(data) == 0 || data[0] != '[' || json.Unmarshal(data, &details) != nil {
		return
	}
	for _, d := range details {
		switch kind := d.Type[strings.LastIndexByte(d.Type, '.')+1:]; {
		case kind == "RetryInfo":
			if after, err := time.ParseDuration(d.RetryDelay); err == nil && after > 0 {
				e.RetryAfter = after
			}
		case kind == "ErrorInfo" && d.Reason == "API_KEY_INVALID":
			e.Code = "invalid_api_key"
		}
	}
}
