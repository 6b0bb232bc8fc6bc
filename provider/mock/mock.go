// Package mock simulates an LLM: a provider that answers by itself, always the
// same way, for demonstrations, tests and load tests.
package mock

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule((*Provider)(nil)) }

// Provider is a simulated LLM that speaks OpenAI's API. It needs no key and
// makes no connection, and the same request always gets the same text.
//
// It serves POST chat/completions, completions, responses (whole or streamed),
// embeddings, moderations and audio/transcriptions, and GET models. Every
// model name is accepted.
//
// One word is one token: usage, max_tokens and the pace all count words. In a
// tool call the name is one token, and so are every eight bytes of arguments.
//
// The answer says that it is simulated, quotes the last user message and goes
// on with made-up sentences. It honours max_tokens, stop, n, and the JSON
// response formats, for which it makes a small document that fits the schema.
//
// A tool is called when tool_choice forces one, or when the last user message
// asks for it by the name of a tool in the request; repeat it for parallel calls:
//
//	call:NAME                     arguments made up to fit the tool's schema
//	call:NAME({"city":"Oslo"})    these arguments
//
// A conversation that ends with a tool's result is answered with text that
// quotes the result, so an agent's loop always ends.
//
// Words of this form in the last user message (for embeddings, completions and
// moderations, in the last input) overrule the configuration for one call:
//
//	mock:status=503      fail with this status (400 to 599); 200 never fails
//	mock:retry_after=3   fail, with this Retry-After in seconds (1 to 86400)
//	mock:latency=2s      wait before the first byte (0 to 10m), without jitter
//	mock:words=200       length of the reply (1 to 100000)
//	mock:rate=50         words per second (0.01 to 1000000, -1 for no pauses)
//	mock:truncate=10     break the stream after 10 words; -1 never breaks it
//	mock:error_first     answer 200, then an error as the stream's first event;
//	                     a call that is not streamed fails with the status
//
// A misspelt one is answered with a 400 that says what was expected.
type Provider struct {
	// How fast the reply is spoken, in words per second. A stream sends its
	// events at this pace, and an answer that is not streamed takes as long as
	// its stream would have taken. From 0.01 to 1000000, or -1 for no pauses.
	// Default: 50.
	WordsPerSecond float64 `json:"words_per_second,omitempty"`

	// How long every call waits before its first byte. From 0 to 10m.
	// Default: 0.
	Latency caddy.Duration `json:"latency,omitempty"`

	// The most that is added to the latency. How much, between none and this,
	// depends on the request alone: the same request waits equally long each
	// time. From 0 to 10m. Default: 0.
	Jitter caddy.Duration `json:"jitter,omitempty"`

	// The share of calls that fail, from 0 to 1. Which calls fail depends on
	// the seed and on their number since the configuration was loaded, so a
	// run can be repeated. Default: 0.
	ErrorRate float64 `json:"error_rate,omitempty"`

	// The HTTP status of the calls that fail, from 400 to 599. Default: 503.
	Status int `json:"status,omitempty"`

	// The share of streams that break, from 0 to 1, chosen as for error_rate.
	// They break without their proper end, once half of the configured words
	// have been sent. Default: 0.
	Truncate float64 `json:"truncate,omitempty"`

	// The length of a reply in words, from 1 to 100000. Default: 50.
	Words int `json:"words,omitempty"`

	// Selects among different replies, and different sequences of failures.
	// Any whole number. Default: 0.
	Seed int64 `json:"seed,omitempty"`

	calls atomic.Uint64 // counts towards ErrorRate and Truncate
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.providers.mock",
		New: func() caddy.Module { return new(Provider) },
	}
}

// NewRequest implements [provider.Provider]. The credential is of no use here.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://mock.invalid", nil)
	if err != nil {
		return nil, err
	}
	req.URL.Path, req.URL.RawQuery = r.Path, r.Query
	provider.CopyHeaders(req.Header, r.Header, "Content-Type")
	switch {
	case r.Body != nil && r.Upload == nil:
		splice := r.Body.Splice(r.Edits(t, p.AddsUsage(r))...)
		req.Body, req.ContentLength = splice, splice.Len()
	case r.Upload != nil:
		req.Body, req.ContentLength = provider.NewUpload(r, t)
	}
	return req, nil
}

// AddsUsage reports whether a stream is made to report its usage though the
// client did not ask, as with a real provider.
func (*Provider) AddsUsage(r *provider.Request) bool { return r.AskUsage.New != "" }

var (
	_ caddy.Module        = (*Provider)(nil)
	_ provider.Provider   = (*Provider)(nil)
	_ provider.UsageAdder = (*Provider)(nil)
)
