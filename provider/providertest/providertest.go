// Package providertest is the conformance suite for adapters: what every provider does the same way, whatever
// API it speaks. An adapter's own test calls [Run] with the calls that it serves and what the
// server must get for them; what is particular to the adapter it tests besides.
package providertest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// Case is an adapter and what is expected of it.
type Case struct {
	// Module is the adapter's ID, e.g. runestone.providers.openai. Its package must be imported.
	Module string

	// Config returns the adapter's JSON configuration for a server whose URL, without a path,
	// is given.
	Config func(server string) string

	// Credential returns the header that carries a secret.
	Credential func(secret string) (name, value string)

	// Travels are the headers of the client's, in canonical form, that the adapter passes on besides those
	// that may go anywhere, and Adds those that it sends of its own accord.
	Travels, Adds []string

	// Calls are what is asked, at least one.
	Calls []Call
}

// Call is a call as the gateway hands it over, and as the server must get it.
type Call struct {
	Name string // says what is particular about it

	// Method is POST by default, and GET without a Body.
	Method string
	// Path and Query are the client's. A call that has been translated to a dialect in which the gateway offers
	// none has no path but an API, and says whether its answer is to be streamed.
	Path, Query string
	API         dialect.API
	Stream      bool
	// Body is in the dialect of the path, or of the API.
	Body string
	// Model is the target's, "" to leave the client's.
	Model string

	// WantURL is the path and query that the server gets, as encoded.
	WantURL string
	// WantBody is what it gets, if that is not the Body with the name of its model
	// replaced.
	WantBody string
}

// Run tests an adapter.
func Run(t *testing.T, c Case) {
	t.Helper()
	if len(c.Calls) == 0 {
		t.Fatal("the case has no calls")
	}
	t.Run("the server gets what it should", func(t *testing.T) { c.wire(t) })
	t.Run("calls run side by side", func(t *testing.T) { c.sideBySide(t) })
	t.Run("calls end with their context", func(t *testing.T) { c.context(t) })
	t.Run("answers", func(t *testing.T) { c.answers(t) })
}

// Load has Caddy load and provision an adapter from its JSON configuration.
func Load(t testing.TB, module, config string) (provider.Provider, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	loaded, err := ctx.LoadModuleByID(module, json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	return loaded.(provider.Provider), nil
}

// load is Load for a configuration that must be accepted.
func (c *Case) load(t testing.TB, server string) provider.Provider {
	t.Helper()
	p, err := Load(t, c.Module, c.Config(server))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request returns a call as the gateway would hand it over. freed is called when nobody
// holds the body any more.
func (c *Call) request(t testing.TB, header http.Header, freed func()) *provider.Request {
	t.Helper()
	r := &provider.Request{
		API: cmp.Or(c.API, dialect.APIOf(c.Path)), Method: c.Method, Path: c.Path, Query: c.Query, Header: header,
	}
	if c.Body == "" {
		if r.Method == "" {
			r.Method = http.MethodGet
		}
		return r
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	body := []byte(c.Body)
	r.Body = provider.NewBody(body, func([]byte) { freed() })
	scan, err := dialect.ScanOpenAI(body)
	if err != nil {
		t.Fatalf("the body of the call: %v", err)
	}
	r.Model, r.ModelSpan, r.Stream = scan.Model, scan.ModelSpan, scan.Stream || c.Stream
	return r
}

// wantBody returns what the server must get.
func (c *Call) wantBody() string {
	if c.WantBody != "" || c.Model == "" {
		return cmp.Or(c.WantBody, c.Body)
	}
	scan, err := dialect.ScanOpenAI([]byte(c.Body))
	if err != nil || scan.ModelSpan.IsZero() {
		return c.Body
	}
	name, _ := json.Marshal(c.Model) // a string cannot fail
	return c.Body[:scan.ModelSpan.Start] + string(name) + c.Body[scan.ModelSpan.End:]
}

// anywhere are the client's headers that any adapter may pass on, and always those that
// the gateway's requests have.
var (
	anywhere = []string{"Accept", "Content-Type", "Content-Encoding", "Traceparent", "Tracestate"}
	always   = []string{"Accept-Encoding", "User-Agent", "Content-Length", "Content-Type"}
)

// mayArrive reports whether the server may get a header.
func (c *Case) mayArrive(name string) bool {
	credential, _ := c.Credential("x")
	return name == credential || slices.Contains(slices.Concat(anywhere, always, c.Travels, c.Adds), name)
}
