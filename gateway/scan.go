package gateway

import (
	"errors"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// Scan reads what routing needs from the JSON that is r's Body, and sets it in r. Of a
// call that is relayed unread, what is not valid is left to the provider to refuse.
func Scan(api dialect.API, r *provider.Request) *dialect.Error {
	r.API = api
	body := r.Body.Bytes()
	scan, err := dialect.ScanOpenAI(body)
	if err != nil {
		var bad *dialect.Error
		errors.As(err, &bad)
		if api == dialect.Other && bad.Code == "invalid_json" {
			return nil
		}
		return bad
	}
	r.Model, r.ModelSpan = scan.Model, scan.ModelSpan
	r.Stream, r.Thought = scan.Stream, scan.Thought
	r.Background, r.Fallbacks = scan.Background, scan.Fallbacks
	if r.Stream && !scan.IncludeUsage && r.Model != "" && (api == dialect.Chat || api == dialect.Completions) {
		at, text := dialect.AskForUsage(body, scan.ModelSpan, scan.StreamOptions)
		r.AskUsage = provider.Edit{Span: at, New: text}
	}
	r.Needs = needs(api, &scan)
	switch api {
	case dialect.Chat, dialect.Completions, dialect.Embeddings, dialect.Messages, dialect.CountTokens:
		// A response may take its model from a stored prompt.
		if r.Model == "" {
			return dialect.Invalid("model", "missing_required_parameter", "You must provide a model parameter.")
		}
	}
	return nil
}

// needs returns what a request asks of a model.
func needs(api dialect.API, scan *dialect.OpenAIRequest) (n provider.Needs) {
	switch api {
	case dialect.Chat, dialect.Responses, dialect.Messages, dialect.CountTokens:
		n.Capabilities = provider.Chat
	case dialect.Completions:
		n.Capabilities = provider.Completions
	case dialect.Embeddings:
		n.Capabilities = provider.Embeddings
	default:
		return n // nothing is known of what it asks for
	}
	for _, need := range [...]struct {
		is bool
		of provider.Capability
	}{
		{scan.Stream, provider.Streaming}, {scan.Tools, provider.Tools}, {scan.Vision, provider.Vision},
		{scan.Audio, provider.Audio}, {scan.JSONSchema, provider.JSONSchema},
	} {
		if need.is {
			n.Capabilities |= need.of
		}
	}
	n.InputTokens, n.OutputTokens = scan.InputTokens, scan.OutputTokens
	return n
}

// withheld are a provider's headers that are not for the client: what holds
// between two hops (RFC 9110, section 7.6.1), what is about the provider's own
// host, its cookies, its word to browsers and to servers in between, and who the gateway is to it.
var withheld = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Alt-Svc": true, "Strict-Transport-Security": true, "Server": true, "Set-Cookie": true,
	"Content-Length": true, "X-Request-Id": true,
	"Openai-Organization": true, "Openai-Project": true, "Anthropic-Organization-Id": true,
	"Access-Control-Allow-Origin": true, "Access-Control-Allow-Credentials": true, "Access-Control-Allow-Headers": true,
	"Access-Control-Allow-Methods": true, "Access-Control-Expose-Headers": true, "Access-Control-Max-Age": true,
	"Clear-Site-Data": true, "Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true, "Refresh": true,
	"Nel": true, "Report-To": true, "Reporting-Endpoints": true, "Www-Authenticate": true,
	"X-Accel-Redirect": true, "X-Accel-Charset": true, "X-Accel-Expires": true, "X-Accel-Limit-Rate": true,
	"X-Sendfile": true, "X-Lighttpd-Send-File": true,
}

// CopyAnswerHeader copies those of a provider's headers that are for the client,
// sharing their values.
func CopyAnswerHeader(dst, src http.Header) {
	between := src["Connection"] // names further ones that hold between two hops
	for name, values := range src {
		if !withheld[name] && !httpguts.HeaderValuesContainsToken(between, name) {
			dst[name] = values
		}
	}
}
