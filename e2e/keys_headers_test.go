package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// ledgerOfLimits is what the limiter must have done, by a reading of the documentation that shares nothing with it. Windows are so long
// that nothing leaves them while the test runs.
type ledgerOfLimits struct {
	limits map[string]int64 // by name
	used   map[string]int64
}

// ask returns by which limits a request is refused; if by none, it counts.
func (l *ledgerOfLimits) ask(needs map[string]int64) (refusedBy []string) {
	for name, n := range needs {
		if l.used[name]+max(n, 1) > l.limits[name] {
			refusedBy = append(refusedBy, name)
		}
	}
	if refusedBy == nil {
		for name, n := range needs {
			l.used[name] += n
		}
	}
	return refusedBy
}

// left returns how much of the tightest of these limits is left, of those that have refused a request if any has.
func (l *ledgerOfLimits) left(among, refusedBy []string) (limit, left int64) {
	left = -1
	for _, onlyRefused := range []bool{true, false} {
		for _, name := range among {
			n := max(l.limits[name]-l.used[name], 0)
			if (left < 0 || n < left) && (!onlyRefused || slices.Contains(refusedBy, name)) {
				limit, left = l.limits[name], n
			}
		}
		if left >= 0 {
			break
		}
	}
	return limit, left
}

// toldLimits is what an SDK was told.
type toldLimits struct {
	status            int
	limit, left       [2]int64 // of requests and tokens
	reset             [2]time.Duration
	after             string
	should            string
	policy, rateLimit string
	text              string // of the error
}

func measure(t *testing.T, res *http.Response, err error, names [2][3]string, reset func(string) (time.Duration, error)) (m toldLimits) {
	t.Helper()
	if res == nil {
		t.Fatal(err)
	}
	m = toldLimits{
		status: res.StatusCode, after: res.Header.Get("Retry-After"), should: res.Header.Get("X-Should-Retry"),
		policy: res.Header.Get("Ratelimit-Policy"), rateLimit: res.Header.Get("Ratelimit"),
	}
	if err != nil {
		m.text = err.Error()
	}
	for kind := range names {
		for i, to := range []*int64{&m.limit[kind], &m.left[kind]} {
			var bad error
			if *to, bad = strconv.ParseInt(res.Header.Get(names[kind][i]), 10, 64); bad != nil {
				t.Fatalf("%s: %v in %v", names[kind][i], bad, res.Header)
			}
		}
		var bad error
		if m.reset[kind], bad = reset(res.Header.Get(names[kind][2])); bad != nil {
			t.Fatalf("%s: %v", names[kind][2], bad)
		}
	}
	return m
}

// TestHeadersAreTheLedgers: random traffic through both SDKs, with answers, failures and refusals; after each of them what the SDK is told is what a ledger
// has that keeps the same books.
func TestHeadersAreTheLedgers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	usage, fails := make(chan [2]int, 1), make(chan bool, 1) // of the next answer
	up.on("gpt-upstream", func(x *exchange) {
		u := <-usage
		if <-fails {
			x.json(http.StatusBadRequest, errorJSON("no", "invalid_request_error", ""))
			return
		}
		text := chatJSON("gpt-upstream", "Hello")
		text = strings.Replace(text, `"prompt_tokens":9,"completion_tokens":3,"total_tokens":12`, fmt.Sprintf(`"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, u[0], u[1], u[0]+u[1]), 1)
		x.json(http.StatusOK, text)
	})
	s := withKeys(up, "model shared {\ntarget up/gpt-upstream\n}",
		keyLine("a", "limits {\nrequests 40 1d\ntokens 16000 1d\n}", "model_limits shared {\nrequests 16 2d\n}"), keyLine("b", "limits {\nrequests 30 1d\ntokens 12000 10d\n}"),
		"keys {\nmodel_limits shared {\ntokens 12000 1d\n}\n}")
	s.Env = keyEnv("a", "b")
	g := start(t, s)
	books := &ledgerOfLimits{used: map[string]int64{}, limits: map[string]int64{
		"a key_requests": 40, "a key_tokens": 16000, "a key_model_requests": 16, "b key_requests": 30, "b key_tokens": 12000, "model_tokens": 12000,
	}}
	openAI := func(key, model string, longest int64) toldLimits {
		var res *http.Response
		params := ask(model)
		params.MaxTokens = openai.Int(longest)
		_, err := g.sdk(option.WithAPIKey(secretOf(key)), option.WithMaxRetries(0)).Chat.Completions.New(t.Context(), params, option.WithResponseInto(&res))
		if refusal, ok := errors.AsType[*openai.Error](err); ok {
			res, err = refusal.Response, errors.New(refusal.Message)
		}
		return measure(t, res, err, [2][3]string{
			{"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
			{"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
		}, time.ParseDuration)
	}
	messages := func(key, model string, longest int64) toldLimits {
		var res *http.Response
		client := anthropic.NewClient(anthropicoption.WithBaseURL("http://"+g.site), anthropicoption.WithAPIKey(secretOf(key)), anthropicoption.WithMaxRetries(0))
		_, err := client.Messages.New(t.Context(), anthropic.MessageNewParams{
			Model: model, MaxTokens: longest, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello"))},
		}, anthropicoption.WithResponseInto(&res))
		return measure(t, res, err, [2][3]string{
			{"anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
			{"anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
		}, func(text string) (time.Duration, error) {
			at, err := time.Parse(time.RFC3339, text)
			return time.Until(at), err
		})
	}
	random := rand.New(rand.NewPCG(6, 9)) // the same traffic each time, in which every limit is reached
	input := map[string]int64{}           // estimated, by SDK: learnt from the first request, as the rule is not a promise
	refusedBy := map[string]int{}
	for i := range 300 {
		key, model, sdk := []string{"a", "b"}[random.IntN(2)], []string{"smart", "shared"}[random.IntN(2)], []string{"OpenAI", "Anthropic"}[random.IntN(2)]
		longest, spent, failing := 1+random.Int64N(1500), [2]int{1 + random.IntN(100), 1 + random.IntN(900)}, random.IntN(5) == 0
		usage <- spent
		fails <- failing
		call := openAI
		if sdk == "Anthropic" {
			call = messages
		}
		requests, tokens := []string{key + " key_requests"}, []string{key + " key_tokens"}
		if model == "shared" {
			tokens = append(tokens, "model_tokens")
			if key == "a" {
				requests = append(requests, "a key_model_requests")
			}
		}
		m := call(key, model, longest)
		if _, known := input[sdk]; !known {
			_, left := books.left(tokens, nil)
			if input[sdk] = left - longest - m.left[1]; input[sdk] < 2 || input[sdk] > 20 {
				t.Fatalf("the input is estimated as %d tokens", input[sdk])
			}
		}
		needs := map[string]int64{}
		for _, name := range requests {
			needs[name] = 1
		}
		for _, name := range tokens {
			needs[name] = input[sdk] + longest
		}
		refused := books.ask(needs)
		what := fmt.Sprintf("request %d, %s of %s for %s", i, sdk, key, model)
		books.want(t, what, m, refused, [2][]string{requests, tokens}, failing)
		if refused != nil {
			<-usage
			<-fails
			for _, name := range refused {
				refusedBy[name]++
			}
			continue
		}
		for _, name := range tokens { // settled
			books.used[name] -= needs[name]
			if !failing {
				books.used[name] += int64(spent[0] + spent[1])
			}
		}
	}
	for name := range books.limits {
		if refusedBy[name] == 0 {
			t.Errorf("the limit %s was not reached", name)
		}
	}
}

// want compares what an SDK was told with the books.
func (l *ledgerOfLimits) want(t *testing.T, what string, m toldLimits, refused []string, among [2][]string, failing bool) {
	t.Helper()
	status := http.StatusOK
	if failing {
		status = http.StatusBadRequest
	}
	if refused != nil {
		status = http.StatusTooManyRequests
	}
	if m.status != status {
		t.Fatalf("%s: status %d, want %d, refused by %v: %s", what, m.status, status, refused, m.text)
	}
	for kind, names := range among {
		limit, left := l.left(names, refused)
		if m.left[kind] != left || m.limit[kind] != limit {
			t.Errorf("%s, status %d: told %d of %d, the books have %d of %d", what, m.status, m.left[kind], m.limit[kind], left, limit)
		}
		if m.reset[kind] < 0 || m.reset[kind] > 11*24*time.Hour {
			t.Errorf("%s: a reset in %v", what, m.reset[kind])
		}
		for _, name := range names {
			name = name[strings.LastIndex(name, " ")+1:]
			if !strings.Contains(m.policy, `"`+name+`";q=`) || !strings.Contains(m.rateLimit, `"`+name+`";r=`) {
				t.Errorf("%s: %s is not in %s, %s", what, name, m.policy, m.rateLimit)
			}
		}
	}
	named := refused == nil
	for _, name := range refused {
		named = named || strings.Contains(m.text, " "+name[strings.LastIndex(name, " ")+1:]+" ")
	}
	if after, err := strconv.Atoi(m.after); !named || (refused != nil) != (err == nil && after > 23*3600) || (refused != nil) != (m.should == "false") && !failing {
		t.Errorf("%s, status %d: Retry-After %q, x-should-retry %q: %s", what, m.status, m.after, m.should, m.text)
	}
}
