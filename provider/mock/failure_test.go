package mock

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// checkSequence checks that a sequence of 200 calls goes wrong about as often as
// it should, and depends on the seed and nothing else.
func checkSequence(t *testing.T, run func(seed int64) []bool, share float64) {
	t.Helper()
	first := run(1)
	wrong := 0
	for _, w := range first {
		if w {
			wrong++
		}
	}
	if got := float64(wrong) / float64(len(first)); got < share-0.1 || got > share+0.1 {
		t.Errorf("a share of %v went wrong, not %v", got, share)
	}
	if !slices.Equal(first, run(1)) {
		t.Error("the same seed gave another sequence")
	}
	if slices.Equal(first, run(2)) {
		t.Error("another seed gave the same sequence")
	}
}

func toDuration(s string) caddy.Duration {
	d, err := caddy.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return caddy.Duration(d)
}

func TestAShareOfCallsFails(t *testing.T) {
	t.Parallel()
	checkSequence(t, func(seed int64) (failed []bool) {
		p := &Provider{WordsPerSecond: unlimited, ErrorRate: 0.2, Status: 529, Seed: seed}
		for range 200 {
			status, body := post(t, p, "embeddings", `{"model":"m","input":"a","dimensions":1}`)
			if status != http.StatusOK && status != 529 {
				t.Fatalf("status %d: %s", status, body)
			}
			failed = append(failed, status == 529)
		}
		return failed
	}, 0.2)
}

func TestDirectivesOverruleTheConfiguration(t *testing.T) {
	t.Parallel()
	failing := func() *Provider { return &Provider{WordsPerSecond: unlimited, ErrorRate: 1, Status: 500} }
	tests := []struct {
		name, message, more string
		provider            *Provider
		status              int
		retryAfter          string
		want                string
	}{
		{"a status", "mock:status=503", ``, quick(), 503, "",
			`{"error":{"message":"Simulated failure: the mock provider was told to answer 503.","type":"server_error","param":null,"code":"overloaded"}}`},
		{"in a sentence", `Please answer "mock:status=429", mock:retry_after=3.`, ``, quick(), 429, "3",
			`{"error":{"message":"any","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`},
		{"of a stream too", "mock:status=401", `,"stream":true`, quick(), 401, "",
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`},
		{"the last one of two", "mock:status=401 mock:status=400", ``, quick(), 400, "",
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":null}}`},
		{"only a time to wait", "mock:retry_after=60", ``, quick(), 503, "60",
			`{"error":{"message":"any","type":"server_error","param":null,"code":"overloaded"}}`},
		{"an error first, without a stream", "mock:error_first", ``, &Provider{Status: 502}, 502, "",
			`{"error":{"message":"any","type":"server_error","param":null,"code":null}}`},
		{"none, as configured", "hi", ``, failing(), 500, "",
			`{"error":{"message":"any","type":"server_error","param":null,"code":null}}`},
		{"success in spite of the configuration", "mock:status=200", ``, failing(), 200, "", ``},
		{"a misspelt name", "mock:stauts=503", ``, quick(), 400, "",
			`{"error":{"message":"Unknown directive 'mock:stauts'; use one of error_first, latency, rate, retry_after, status, truncate, words.","type":"invalid_request_error","param":null,"code":null}}`},
		{"a value out of range", "mock:status=600", ``, quick(), 400, "",
			`{"error":{"message":"Directive 'mock:status': 600 is out of range; give a whole number from 400 to 599.","type":"invalid_request_error","param":null,"code":null}}`},
		{"a missing value", "mock:latency", ``, quick(), 400, "",
			`{"error":{"message":"Directive 'mock:latency': \"\" is not a duration; give one such as 200ms.","type":"invalid_request_error","param":null,"code":null}}`},
		{"a value too many", "mock:error_first=1", ``, quick(), 400, "",
			`{"error":{"message":"Directive 'mock:error_first': \"1\" is too much; it takes no value.","type":"invalid_request_error","param":null,"code":null}}`},
		{"a rate of nothing", "mock:rate=0", ``, quick(), 400, "",
			`{"error":{"message":"Directive 'mock:rate': 0 is out of range; give 0.01 to 1000000 words per second, or -1 for no pauses.","type":"invalid_request_error","param":null,"code":null}}`},
		{"what only looks like one", "mock: use mock::new() and mock:8080", ``, quick(), 200, "", ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, err := send(t.Context(), t, tt.provider, http.MethodPost, "chat/completions", askFor(tt.message, tt.more))
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Retry-After"); resp.StatusCode != tt.status || got != tt.retryAfter {
				t.Errorf("status %d, Retry-After %q", resp.StatusCode, got)
			}
			if body := readAll(t, resp); tt.want != "" {
				same(t, body, tt.want)
			}
		})
	}
}

func TestOnlyTheLastUserMessageDirects(t *testing.T) {
	t.Parallel()
	for messages, want := range map[string]int{
		`{"role":"user","content":"mock:status=500"},{"role":"assistant","content":"x"},{"role":"user","content":"hi"}`: 200,
		`{"role":"system","content":"mock:status=500"},{"role":"user","content":"hi"}`:                                  200,
		`{"role":"user","content":"mock:status=500"},{"role":"assistant","content":"hi"}`:                               500,
	} {
		if got, _ := post(t, quick(), "chat/completions", `{"model":"m","messages":[`+messages+`]}`); got != want {
			t.Errorf("%s: status %d", messages, got)
		}
	}
}

func TestEveryEndpointTakesDirectives(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"completions": `{"model":"m","prompt":["hi","mock:status=418"]}`,
		"embeddings":  `{"model":"m","input":["hi","mock:status=418"]}`,
		"moderations": `{"input":"mock:status=418"}`,
		"responses":   `{"model":"m","input":"mock:status=418"}`,
	} {
		if status, got := post(t, quick(), path, body); status != 418 {
			t.Errorf("%s: status %d, %s", path, status, got)
		}
	}
}

func TestAStreamMayBeginWithAnError(t *testing.T) {
	t.Parallel()
	const message = "Simulated failure: the mock provider was told to answer 529."
	chunk := event{"", `{"error":{"message":"` + message + `","type":"server_error","param":null,"code":"overloaded"}}`}
	tests := []struct {
		path, body string
		want       event
	}{
		{"chat/completions", askFor("mock:error_first", `,"stream":true`), chunk},
		{"completions", `{"model":"m","prompt":"mock:error_first mock:truncate=0","stream":true}`, chunk},
		{"responses", `{"model":"m","input":"mock:error_first","stream":true}`,
			event{"error", `{"type":"error","sequence_number":0,"code":"overloaded","message":"` + message + `","param":null}`}},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			p := quick()
			p.Status = 529
			status, stream := post(t, p, tt.path, tt.body)
			if list := events(t, stream); status != http.StatusOK || len(list) != 1 || list[0] != tt.want {
				t.Errorf("status %d: %s", status, stream)
			}
		})
	}
}

func FuzzDirectives(f *testing.F) {
	for name := range directives {
		f.Add("please mock:" + name + "=3, thanks")
		f.Add("mock:" + name)
	}
	f.Add("mock:latency=2s mock:rate=-1 mock:truncate=-1 mock:status=200")
	f.Add("mock:rate=NaN mock:rate=1e400 mock:words=99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		b := behaviour{rate: defaultRate, words: defaultWords, breakAfter: -1}
		if err := b.obey(text); err != nil {
			if _, ok := err.(*failure); !ok || !strings.Contains(err.Error(), "irective 'mock:") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if b.rate != unlimited && !(b.rate >= minRate && b.rate <= maxRate) ||
			b.latency < 0 || b.latency > maxLatency || b.words < 1 || b.words > maxWords ||
			b.status != 0 && b.status != 200 && (b.status < minStatus || b.status > maxStatus) ||
			b.retryAfter < 0 || b.retryAfter > maxRetryAfter || b.breakAfter < -1 || b.breakAfter > maxWords {
			t.Errorf("%q: %+v", text, b)
		}
	})
}
