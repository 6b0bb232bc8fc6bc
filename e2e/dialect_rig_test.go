package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
)

// dialects is a gateway before a vendor of each dialect. Its providers are ant, gem and oai, and
// before oai's server also direct, which takes max_completion_tokens, plain, which has nothing but chat,
// and one, which takes one request at a time.
type dialects struct {
	g             *gateway
	ant, gem, oai *vendor
}

// startDialects starts it, with further options.
func startDialects(t testing.TB, more ...string) *dialects {
	t.Helper()
	return startDialectsAs(t, func(s setup) setup { return s }, more...)
}

// startDialectsAs starts one whose setup is something more.
func startDialectsAs(t testing.TB, as func(setup) setup, more ...string) *dialects {
	t.Helper()
	d := &dialects{ant: newAnthropic(t), gem: newGemini(t), oai: newOpenAI(t)}
	d.g = start(t, as(setup{App: fmt.Sprintf(`drain_timeout 2s
		provider ant anthropic {
			base_url %[1]s
			api_key %[4]s
		}
		provider gem gemini {
			base_url %[2]s
			api_key %[4]s
		}
		provider oai openai {
			base_url %[3]s/v1
			api_key %[4]s
		}
		provider direct xai {
			base_url %[3]s/v1
			api_key %[4]s
		}
		provider plain together {
			base_url %[3]s/v1
			api_key %[4]s
		}
		provider one openai {
			base_url %[3]s/v1
			api_key %[4]s
			max_concurrency 1
		}
		%[5]s
		%[6]s`, d.ant.up.URL(), d.gem.up.URL(), d.oai.up.URL(), upstreamKey, steady, strings.Join(more, "\n"))}))
	return d
}

// claude is Anthropic's official client, unmodified, pointed at the gateway.
func (g *gateway) claude(opts ...anthropicoption.RequestOption) *anthropic.Client {
	client := anthropic.NewClient(append([]anthropicoption.RequestOption{
		anthropicoption.WithoutEnvironmentDefaults(),
		anthropicoption.WithBaseURL("http://" + g.site), anthropicoption.WithAPIKey("sk-ant-of-the-client"),
		anthropicoption.WithHTTPClient(g.shared()), // whose connections end with the test
	}, opts...)...)
	return &client
}

// chatCase is one vendor as a client of OpenAI's chat sees it.
type chatCase struct {
	client *openai.Client
	d      *dialects
	v      *vendor
	family string // the beginning of the names of the models that a case makes up
}

// model offers a model and returns the name that the client asks for.
func (c chatCase) model(t testing.TB, name string, answers ...answerer) (string, *offer) {
	t.Helper()
	name = c.family + "-" + name
	return c.v.provider + "/" + name, c.v.serve(t, name, answers...)
}

// wantUsage fails the test unless the usage is what a reply says by default, in OpenAI's terms. Gemini
// does not say what it has written to its cache.
func (c chatCase) wantUsage(t testing.TB, got openai.CompletionUsage) {
	t.Helper()
	want := []int64{int64(usual.in), int64(usual.out), int64(usual.in + usual.out), int64(usual.cached), int64(usual.reasoning)}
	if has := []int64{got.PromptTokens, got.CompletionTokens, got.TotalTokens, got.PromptTokensDetails.CachedTokens, got.CompletionTokensDetails.ReasoningTokens}; !slices.Equal(has, want) {
		t.Errorf("usage %v, want %v: %s", has, want, got.RawJSON())
	}
}

// wantAdjusted fails the test unless the answer says that these parameters, and no others, were left out or changed.
func wantAdjusted(t testing.TB, header http.Header, names ...string) {
	t.Helper()
	var got []string
	if v := header.Get("Runestone-Adjusted"); v != "" {
		got = strings.Split(v, ", ")
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("Runestone-Adjusted names %q, want %q", got, names)
	}
}

// explain returns an error with what the gateway said, which the clients keep to themselves.
func explain(err error) string {
	var o *openai.Error
	var a *anthropic.Error
	switch {
	case errors.As(err, &o):
		return fmt.Sprintf("%v: %s", err, o.RawJSON())
	case errors.As(err, &a):
		return fmt.Sprintf("%v: %s", err, a.RawJSON())
	}
	return fmt.Sprint(err)
}
