package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"unicode/utf8"
)

func TestInvalidIsFinal(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("reading: %w", Invalid("model", "invalid_value", "'model' is empty."))
	var told *Error
	if !errors.As(err, &told) {
		t.Fatal("an *Error is not found in what wraps it")
	}
	want := Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "invalid_value",
		Param: "model", Message: "'model' is empty.", Final: true,
	}
	if *told != want || told.Error() != want.Message {
		t.Errorf("got %+v, want %+v", *told, want)
	}
}

func TestAppendOpenAIWritesWhatThereIsToSay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		told Error
		want string
	}{
		"nothing":    {Error{}, `{"error":{"message":"","type":"","param":null,"code":null}}`},
		"everything": {Error{Message: "No.", Type: "t", Param: "p", Code: "c", Status: 400, Final: true}, `{"error":{"message":"No.","type":"t","param":"p","code":"c"}}`},
		"quotes":     {Error{Message: `say "no"\`}, `{"error":{"message":"say \"no\"\\","type":"","param":null,"code":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(test.told.AppendOpenAI([]byte("data: "))); got != "data: "+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzAppendOpenAI(f *testing.F) {
	f.Add("a message", "server_error", "", "code")
	f.Add("\x00\n\"\\\u2028</script>", "\x7f", "é", "\xff")
	f.Fuzz(func(t *testing.T, message, kind, param, code string) {
		told := Error{Message: message, Type: kind, Param: param, Code: code}
		data := told.AppendOpenAI(nil)
		var got struct {
			Error map[string]*string `json:"error"`
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if len(got.Error) != 4 {
			t.Errorf("%q has not the four members", data)
		}
		for name, want := range map[string]string{"message": message, "type": kind, "param": param, "code": code} {
			value, ok := got.Error[name]
			switch optional := name == "param" || name == "code"; {
			case !ok:
				t.Errorf("%q has no %s", data, name)
			case want == "" && optional:
				if value != nil {
					t.Errorf("%q: %s is not null", data, name)
				}
			case value == nil:
				t.Errorf("%q: %s is null", data, name)
			case *value != want && utf8.ValidString(want):
				t.Errorf("%q: %s is %q, want %q", data, name, *value, want)
			}
		}
		if Members(data, func([]byte, Span) bool { return true }) != nil {
			t.Errorf("%q is not what Members takes for JSON", data)
		}
	})
}

func TestErrorIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data string
		want *Error // nil when there is none
	}{
		"OpenAI's": {
			`{"error":{"message":"Slow down.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
			&Error{Message: "Slow down.", Type: "requests", Code: "rate_limit_exceeded"},
		},
		"one with a parameter": {
			`{"error":{"message":"No.","type":"invalid_request_error","param":"n","code":null}}`,
			&Error{Message: "No.", Type: "invalid_request_error", Param: "n"},
		},
		"OpenRouter's, with a number for a code": {
			`{"id":"gen","error":{"code":502,"message":"Upstream is down.","metadata":{"raw":"x"}},"choices":[]}`,
			&Error{Message: "Upstream is down.", Type: "server_error", Code: "502"},
		},
		"one with little to say":  {`{"error":{}}`, &Error{Type: "server_error"}},
		"a text":                  {`{"error":"model not found"}`, &Error{Message: "model not found", Type: "server_error"}},
		"a text in escapes":       {`{"error":"a\n\"b\""}`, &Error{Message: "a\n\"b\"", Type: "server_error"}},
		"members of another type": {`{"error":{"message":["a"],"type":{},"code":true,"param":3}}`, &Error{Type: "server_error", Param: "3"}},
		"vLLM's": {
			`{"object":"error","message":"Too long.","type":"BadRequestError","param":null,"code":400}`,
			&Error{Message: "Too long.", Type: "BadRequestError", Code: "400"},
		},
		"a message that is an object": { // Mistral's
			`{"object":"error","message":{"detail":[{"loc":["body"]}]},"type":"invalid_request_error","param":null,"code":422}`,
			&Error{Type: "invalid_request_error", Code: "422"},
		},
		"an array":                   {`[{"error":{"code":429,"message":"Quota.","status":"RESOURCE_EXHAUSTED"}}]`, &Error{Message: "Quota.", Type: "server_error", Code: "429"}},
		"an array of errors":         {`{"error":[{"message":"One."},{"message":"Two."}]}`, &Error{Message: "One.", Type: "server_error"}},
		"an array of texts":          {`{"error":["One."]}`, &Error{Message: "One.", Type: "server_error"}},
		"an error beside a message":  {`{"error":{"message":"No."},"message":{"a":1}}`, &Error{Message: "No.", Type: "server_error"}},
		"an error beside a number":   {`{"error":{"message":"No."},"object":7}`, &Error{Message: "No.", Type: "server_error"}},
		"an array of nothing":        {`[]`, nil},
		"an array of no errors":      {`{"error":[],"choices":[]}`, nil},
		"an array that breaks off":   {`[{"error":"No."}`, nil},
		"a response that failed not": {`{"type":"response.completed","response":{"error":null}}`, nil},
		"null":                       {`{"error":null,"choices":[]}`, nil},
		"an empty text":              {`{"error":""}`, nil},
		"false":                      {`{"error":false}`, nil},
		"another object":             {`{"object":"chat.completion","message":"error"}`, nil},
		"an error without a message": {`{"object":"error"}`, nil},
		"no error":                   {`{"choices":[{"delta":{"content":"\"error\""}}]}`, nil},
		"no JSON":                    {`<html>Bad gateway</html>`, nil},
		"the end of a stream":        {`[DONE]`, nil},
		"nothing":                    {``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ErrorIn([]byte(test.data))
			switch {
			case (got == nil) != (test.want == nil):
				t.Errorf("got %+v, want %+v", got, test.want)
			case got != nil && *got != *test.want:
				t.Errorf("got %+v, want %+v", *got, *test.want)
			}
		})
	}
}
