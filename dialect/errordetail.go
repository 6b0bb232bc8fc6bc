package dialect

import (
	"encoding/json"
	"fmt"
	"strings"
)

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
