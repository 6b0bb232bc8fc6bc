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
		"a message that is an object and says what is wrong where": {
			`{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"x"],"msg":"Extra inputs are not permitted","input":"secret"}]},"type":"invalid_request_error","param":null,"code":null}`,
			&Error{Message: "'messages[0].x': Extra inputs are not permitted", Type: "invalid_request_error", Param: "messages[0].x"},
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

// A provider names what it refuses in its own dialect, and the client looks for it in the client's.
func TestUpstreamErrorsNameTheClientsParameter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from                          API
		request, param, want, message string
	}{
		{Responses, `{"model":"m","input":"hi"}`, "max_completion_tokens", "max_output_tokens", "Unsupported parameter: 'max_output_tokens'."},
		{Responses, `{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:,"}]}]}`, "messages[1].content[0].image_url", "input[0].content[0]", "Unsupported parameter: 'input[0].content[0]'."},
		{Messages, `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, "stop", "stop_sequences", "Unsupported parameter: 'stop_sequences'."},
		{Messages, `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, "temperature", "temperature", "Unsupported parameter: 'temperature'."},
		{Messages, `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, "", "", "Unsupported parameter: ''."},
	} {
		tr, err := Translate(test.from, Chat, []byte(test.request), &Target{Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		told := tr.UpstreamError(400, fmt.Appendf(nil, `{"error":{"message":"Unsupported parameter: '%s'.","type":"invalid_request_error","param":%q,"code":"unsupported_parameter"}}`, test.param, test.param))
		if told.Status != 400 || told.Param != test.want || told.Message != test.message {
			t.Errorf("%s of a client of %s: got %+v", test.param, test.from, told)
		}
	}
}

// What a server says in a form of its own reaches the client, and a page does not.
func TestUpstreamErrorsInOtherForms(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Error{
		`{"message":"invalid request: messages must not be empty"}`: {Message: "invalid request: messages must not be empty"}, // Cohere, AWS
		`{"message":"parallel_tool_calls=False is not supported by this model.","type":"invalid_request_error","param":"parallel_tool_calls","code":"wrong_api_format"}`: {Message: "parallel_tool_calls=False is not supported by this model.", Code: "wrong_api_format"}, // Cerebras
		`{"detail":"Not Found"}`: {Message: "Not Found"}, // FastAPI
		`{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":"secret"}]}`: {Message: "'store': Extra inputs are not permitted", Param: "store"},
		`{"detail":[{"loc":["body"],"msg":"Field required"}]}`:                                                                   {Message: "Field required"},
		`{"detail":[{"loc":["body","x"]}]}`:                                                                                      {Message: "The provider answered with status 422."},
		`{"detail":{"a":1}}`:                                                                                                     {Message: "The provider answered with status 422."},
		`{"detail":[]}`:                                                                                                          {Message: "The provider answered with status 422."},
		`{"message":""}`:                                                                                                         {Message: "The provider answered with status 422."},
		`<html>Unprocessable</html>`:                                                                                             {Message: "The provider answered with status 422."},
		`"no"`:                                                                                                                   {Message: "The provider answered with status 422."},
		``:                                                                                                                       {Message: "The provider answered with status 422."},
	} {
		got := UpstreamError(422, []byte(body))
		if got.Message != want.Message || got.Param != want.Param && want.Param != "" || got.Code != want.Code || got.Status != 422 || got.Type != "invalid_request_error" {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}
