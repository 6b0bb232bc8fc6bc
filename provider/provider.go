// Package provider says what an upstream API must do to stand behind the
// gateway. An adapter in another repository needs nothing else, save the names
// that package dialect has for the calls of an API.
//
// An adapter is a Caddy module in the namespace runestone.providers whose type
// implements [Provider]. It builds upstream requests; connections, timeouts,
// failover, metering and streaming are the gateway's and are written once there.
package provider

import (
	"context"
	"io"
	"net/http"

	"github.com/runestone-gateway/runestone/dialect"
)

// Request is one client call, read no further than routing needs.
//
// The same Request is offered to one target after another: an adapter must not
// modify it, its Header or its Body, nor keep them after NewRequest returns,
// except through a [Splice] of the Body.
type Request struct {
	// API is the call that the request is, and so the dialect of Body: the client's or, if
	// the provider is a [Speaker] and does not speak that, the one it is translated to.
	API dialect.API

	// Method and Path are the client's, e.g. "POST", "/v1/chat/completions".
	// Path always starts with "/v1/". RawPath is how the client encoded it where
	// that is not the usual way (see [net/url.URL]). Query is the raw query string.
	Method, Path, RawPath, Query string

	// Header is the client's, and of a translated request its Anthropic-Beta has what Body needs. It holds the client's own credentials and
	// cookies: an adapter copies only the names it knows (see [CopyHeaders]).
	Header http.Header

	// Model is the model as the client named it, "" when the call names none.
	Model string

	// Stream is whether the client asked for server-sent events.
	Stream bool

	// Background is whether the answer is to be made later, so that nothing is known yet of what it takes, and
	// Fallbacks whether the call names further models, for the provider to choose from.
	Background, Fallbacks bool

	// Needs is what the call asks of a model.
	Needs Needs

	// Thought is whether Body is as the client sent it and has thinking of a model, which may be another's.
	Thought bool

	// Body is the client's JSON body held whole, nil when there is none or
	// when Upload carries it.
	Body *Body

	// ModelSpan is where Body holds the value of "model", quotes included. It is
	// zero when Body names no model.
	ModelSpan Span

	// AskUsage is the edit to Body that has a stream report its token usage (OpenAI's
	// stream_options.include_usage). It is zero when the client asks for that itself, or the call has no such option.
	AskUsage Edit

	// Upload is a body that is relayed as it arrives, readable once, so a call
	// that has one is never retried. Body, if not nil, is what comes before it, and
	// ModelSpan where that holds the model's name, without quotes. UploadLength
	// is the length of Upload in bytes, -1 when unknown. A client's is a [ClientUpload].
	Upload       io.Reader
	UploadLength int64
}

// ClientUpload is an upload that comes from a client. Its methods may be called at any time, and again; those that
// return something wait for a Read that is under way.
type ClientUpload interface {
	io.Reader
	// Interrupt has a Read fail that waits, and all that follow.
	Interrupt()
	// Broken returns what the client is told when its upload has not come to its end, which is nothing that a
	// provider could do anything about. It is nil as long as all is well, and when it was interrupted.
	Broken() *dialect.Error
	// Arrived reports whether the client has sent all of it.
	Arrived() bool
}

// Target is where one attempt goes.
type Target struct {
	// Model is the provider's own name for the model, "" to leave it as the
	// client wrote it.
	Model string
	// Credential is the secret to present, "" for none.
	Credential string
}

// Provider speaks one upstream API. Its methods are called concurrently.
type Provider interface {
	// NewRequest builds the upstream call that asks t to serve r. It must not
	// dial or block. The error is shown to the client, so it holds no secret.
	//
	// The body of the returned request is closed by the transport.
	NewRequest(ctx context.Context, r *Request, t Target) (*http.Request, error)
}

// A Provider that is also an [http.RoundTripper] answers its own requests,
// and no connection is made for it.
type (
	// EnvKeyer is implemented by a Provider that has a customary environment
	// variable for its API key, such as OPENAI_API_KEY. With no provider
	// configured, those whose variable is set are used. EnvKey is asked before the Provider is
	// provisioned, and returns "" where there is no such variable, or no use for it.
	EnvKeyer interface{ EnvKey() string }

	// Speaker is implemented by a Provider that does not speak OpenAI's API, or not all of it, or more.
	// Of one that does not, it is taken that it serves all of OpenAI's calls, and
	// Anthropic's through OpenAI's chat completions.
	Speaker interface {
		// Speaks returns the call of its own API with which the provider serves api for a model: the
		// same one, and requests and answers pass through byte for byte; another one, and the gateway
		// translates between the two (see [dialect.Translate]); or "", and it does not serve it.
		Speaks(api dialect.API, model string) dialect.API
	}

	// Quirker is implemented by a Provider whose API differs from what it is modelled on, in ways
	// that a translated request must heed.
	Quirker interface{ Quirks() *dialect.Quirks }

	// UsageAdder is implemented by a Provider that applies AskUsage. The gateway then
	// removes the extra event from the answer again.
	UsageAdder interface{ AddsUsage(*Request) bool }
)

// Span is the half-open range [Start, End) of a Body's bytes.
type Span = dialect.Span

// CopyHeaders copies the named headers, given in canonical form, from src to
// dst, sharing their values.
func CopyHeaders(dst, src http.Header, names ...string) {
	for _, name := range names {
		if v, ok := src[name]; ok {
			dst[name] = v
		}
	}
}
