package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// ErrorIn returns what an event or a body reports as an error, nil when
// it reports none. Providers write it as an object, a string, an array of either or, with
// "object":"error", beside the other members; Gemini's server puts it all into an array.
func ErrorIn(data []byte) *Error {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Object  json.RawMessage `json:"object"`
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(first(data), &body) != nil {
		return nil
	}
	e := &Error{Type: "server_error"}
	switch reported := first(body.Error); {
	case len(reported) > 0 && reported[0] == '{':
		readErrorObject(reported, e)
	case len(reported) > 2 && reported[0] == '"':
		_ = json.Unmarshal(reported, &e.Message)
	case string(body.Object) == `"error"` && len(body.Message) > 2:
		readErrorObject(first(data), e)
	default:
		return nil
	}
	return e
}

// first returns the first element of an array, and anything else as it is.
func first(data []byte) []byte {
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '[' {
		return data
	}
	var all []json.RawMessage
	if json.Unmarshal(data, &all) != nil || len(all) == 0 {
		return nil
	}
	return all[0]
}

func readErrorObject(data []byte, e *Error) {
	var o struct {
		Message any `json:"message"`
		Type    any `json:"type"`
		Code    any `json:"code"`
		Param   any `json:"param"`

		Details json.RawMessage `json:"details"`
	}
	_ = json.Unmarshal(data, &o)
	text := func(v any, or string) string {
		switch v := v.(type) {
		case string:
			return v
		case float64:
			return fmt.Sprint(int64(v))
		default:
			return or
		}
	}
	if e.Message = text(o.Message, ""); e.Message == "" {
		e.readNested(data)
	}
	e.Type = text(o.Type, e.Type)
	e.Code = text(o.Code, "")
	e.Param = text(o.Param, e.Param)
	readGoogleDetails(o.Details, e)
}

// bareError returns what an error answer says in which there is no error as [ErrorIn] knows it, nil if it says nothing:
// Cohere's, Cerebras's and AWS's have a message, and servers that are built with FastAPI, such as Mistral's and vLLM's, a detail.
func bareError(body []byte) *Error {
	var said struct {
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
		Code    any             `json:"code"`
	}
	if json.Unmarshal(body, &said) != nil {
		return nil
	}
	e := &Error{Type: "server_error"}
	if e.readDetail(said.Message); e.Message == "" {
		e.readDetail(said.Detail)
	}
	if e.Message == "" {
		return nil
	}
	e.Code, _ = said.Code.(string)
	return e
}

// readNested reads the message of an error object where that is no text (Mistral's, for parameters that it does not know).
func (e *Error) readNested(object []byte) {
	var nested struct{ Message json.RawMessage }
	if json.Unmarshal(object, &nested) == nil {
		e.readDetail(nested.Message)
	}
}

// readDetail reads a message that is a text or, in FastAPI's form, a list of what is wrong where. Of the list the
// first counts. What was sent, which is in it as well, is not repeated.
func (e *Error) readDetail(said []byte) {
	if len(said) > 0 && said[0] == '"' {
		_ = json.Unmarshal(said, &e.Message)
		return
	}
	var nested struct{ Detail json.RawMessage }
	if json.Unmarshal(said, &nested) == nil && len(nested.Detail) > 0 && nested.Detail[0] != '{' {
		e.readDetail(nested.Detail)
		return
	}
	var wrong []struct {
		Msg string
		Loc []any
	}
	if json.Unmarshal(said, &wrong) != nil || len(wrong) == 0 {
		return
	}
	var at strings.Builder
	for _, step := range wrong[0].Loc {
		switch step := step.(type) {
		case float64:
			fmt.Fprintf(&at, "[%d]", int(step))
		case string:
			if step != "body" {
				at.WriteString("." + step)
			}
		}
	}
	e.Param = strings.TrimPrefix(at.String(), ".")
	if e.Message = wrong[0].Msg; e.Param != "" && e.Message != "" {
		e.Message = "'" + e.Param + "': " + e.Message
	}
}
