package providertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// asked are requests of the calls that may be translated, streamed and whole. They have the tools
// that the recordings call.
var asked = map[dialect.API]string{
	dialect.Chat: `{"model":"smart","stream":%t,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}],
		"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
		{"type":"function","function":{"name":"get_time","parameters":{"type":"object","properties":{}}}}]}`,
	dialect.Messages: `{"model":"smart","max_tokens":1000,"stream":%t,"messages":[{"role":"user","content":"hi"}],
		"tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},
		{"name":"get_time","input_schema":{"type":"object","properties":{}}}]}`,
	dialect.Responses: `{"model":"smart","stream":%t,"input":"hi",
		"tools":[{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}},
		{"type":"function","name":"get_time","parameters":{"type":"object","properties":{}}}]}`,
}

// tested are the pairs of calls whose translation has been tested in this process: many adapters share one.
var tested sync.Map

// answers runs the recorded answers of the adapter's dialect through the translators to those that it
// does not speak.
func (c *Case) answers(t *testing.T) {
	p := c.load(t, "http://127.0.0.1:1")
	for from := range asked {
		to := speaks(p, from)
		if to == "" || to == from || !dialect.Translates(from, to) {
			continue
		}
		if _, done := tested.LoadOrStore([2]dialect.API{from, to}, true); done {
			continue
		}
		t.Run(fmt.Sprintf("%s for a client of %s", to, from), func(t *testing.T) {
			pair{from: from, to: to, quirks: quirks(p)}.run(t)
		})
	}
}

// speaks returns the call with which a provider serves one, as the gateway takes it.
func speaks(p provider.Provider, api dialect.API) dialect.API {
	if speaker, ok := p.(provider.Speaker); ok {
		return speaker.Speaks(api, "model")
	}
	if api == dialect.Messages {
		return dialect.Chat
	}
	return api
}

func quirks(p provider.Provider) *dialect.Quirks {
	if quirker, ok := p.(provider.Quirker); ok {
		return quirker.Quirks()
	}
	return nil
}

// pair is a client's call and the one that serves it.
type pair struct {
	from, to dialect.API
	quirks   *dialect.Quirks

	// fresh returns what translates an answer, if that is not what [dialect.Translate] does.
	fresh func() dialect.Answers
}

// translate translates the client's request.
func (p pair) translate(stream bool) (*dialect.Translation, error) {
	body := fmt.Appendf(nil, asked[p.from], stream)
	return dialect.Translate(p.from, p.to, body, &dialect.Target{Model: "upstream", Shown: "smart", Quirks: p.quirks})
}

// answersTo returns what translates the answer to a request. A test cannot go on without it.
func (p pair) answersTo(t testing.TB, stream bool) dialect.Answers {
	t.Helper()
	if p.fresh != nil {
		return p.fresh()
	}
	translation, err := p.translate(stream)
	if err != nil {
		t.Fatalf("translating the request: %v", err)
	}
	return translation.Answers
}

func (p pair) run(t *testing.T) {
	t.Run("the request", p.request)
	for _, r := range recordings(t, p.to) {
		t.Run(r.name, func(t *testing.T) {
			if r.stream {
				p.stream(t, r)
			} else {
				p.whole(t, r)
			}
		})
	}
	t.Run("errors instead of an answer", p.errors)
}

// request checks what holds of every translated request.
func (p pair) request(t *testing.T) {
	for _, stream := range []bool{true, false} {
		got, err := p.translate(stream)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(got.Body) || got.Stream != stream {
			t.Errorf("got %s, and that it streams: %t", got.Body, got.Stream)
		}
		if at := got.ModelSpan; !at.IsZero() && string(got.Body[at.Start:at.End]) != `"upstream"` {
			t.Errorf("the model's name is %s", got.Body[at.Start:at.End])
		}
	}
}

// whole checks a whole answer.
func (p pair) whole(t *testing.T, r recording) {
	answers := p.answersTo(t, false)
	body := bytes.Clone(r.body)
	const before = "what is there"
	out, err := answers.Whole([]byte(before), body)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := bytes.CutPrefix(out, []byte(before))
	if !ok || !bytes.Equal(body, r.body) {
		t.Error("what was there before has changed")
	}
	got, err := readWhole(p.from, out)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.compare(t, got, answers.Usage())
}

// errors checks what comes instead of an answer.
func (p pair) errors(t *testing.T) {
	for name, body := range map[string][]byte{
		"nothing": {}, "a page": page, "what is compressed": compressed(t, []byte(`{"id":"x"}`)), "half of it": []byte(`{"id":"x","content":[`),
	} {
		if out, err := p.answersTo(t, false).Whole(nil, body); err == nil {
			t.Errorf("%s is taken for the answer %s", name, out)
		}
		if _, err := play(p.answersTo(t, true), [][]byte{body}); err == nil {
			t.Errorf("%s is taken for a complete stream", name)
		}
	}
	for i, body := range recordedErrors(t, p.to) {
		told := dialect.UpstreamError(http.StatusTooManyRequests, body)
		if told.Status != http.StatusTooManyRequests || told.Message == "" {
			t.Errorf("error %d: got %+v", i, told)
		}
		out, err := p.answersTo(t, false).Whole(nil, body)
		if told, ok := errors.AsType[*dialect.Error](err); !ok || told.Status < http.StatusBadRequest {
			t.Errorf("error %d with status 200: got %s and %v", i, out, err)
		}
	}
	if told := dialect.UpstreamError(http.StatusBadGateway, page); strings.Contains(told.Message, "<") {
		t.Errorf("a page is shown to the client: %s", told.Message)
	}
}
