package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// withKeys is oneProvider with keys.
func withKeys(up *upstream, keys ...string) setup { return oneProvider(up, keys...) }

// secretOf is the secret of a test's key.
func secretOf(name string) string { return "rs-secret-of-" + name + "-0123456789" }

// keyLine is a key of that secret.
func keyLine(name string, options ...string) string {
	return fmt.Sprintf("key %s {\nsecret {env.KEY_%s}\n%s\n}", name, strings.ToUpper(name), strings.Join(options, "\n"))
}

func keyEnv(names ...string) (env []string) {
	for _, name := range names {
		env = append(env, "KEY_"+strings.ToUpper(name)+"="+secretOf(name))
	}
	return env
}

// Who may not ask is told the same, whatever the reason, in the dialect of the route and before the body has come.
func TestKeysAreAskedFor(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("a", "models smart", "routes chat messages other"), keyLine("off", "disabled"), keyLine("ended", "ends 2020-01-01T00:00:00Z"), keyLine("b"))
	s.Env = keyEnv("a", "off", "ended", "b")
	g := start(t, s)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), "Authorization: Bearer "+secretOf("a")), "smart", "up", 1)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), "X-Api-Key: "+secretOf("a")), "smart", "up", 1)
	wantHello(t, g.post(t, chatPath, chatBody("fast", ""), "X-Api-Key: "+secretOf("a")), "fast", "up", 1) // an alias of what it may

	var first string
	for what, headers := range map[string][]string{
		"none": nil, "unknown": {"Authorization: Bearer sk-unknown"}, "disabled": {"Authorization: Bearer " + secretOf("off")},
		"ended": {"Authorization: Bearer " + secretOf("ended")}, "another scheme": {"Authorization: Basic " + secretOf("a")},
	} {
		a := g.post(t, chatPath, chatBody("smart", ""), headers...)
		e := a.wantError(t, http.StatusUnauthorized)
		if first == "" {
			first = a.Body
		}
		if a.Body != first || e.code() != "invalid_api_key" {
			t.Errorf("%s: %s, want %s", what, a.Body, first)
		}
		a = g.post(t, "/v1/messages", `{"model":"smart","max_tokens":1}`, headers...)
		if a.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(a.Body, `{"type":"error","error":{"type":"authentication_error"`) {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.Body)
		}
	}
	began := time.Now()
	conn := dialRaw(t, g)
	conn.send("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", chatPath, g.site)
	if status := conn.status(); status != http.StatusUnauthorized || time.Since(began) > patience/2 {
		t.Errorf("without the body: status %d after %v", status, time.Since(began))
	}

	a := "Authorization: Bearer " + secretOf("a")
	if e := g.post(t, chatPath, chatBody("up/other", ""), a).wantError(t, http.StatusNotFound); e.code() != "model_not_found" {
		t.Errorf("a model that it may not ask for: %s", e.code())
	}
	if e := g.post(t, "/v1/embeddings", `{"model":"smart","input":"x"}`, a).wantError(t, http.StatusForbidden); e.code() != "route_not_allowed" {
		t.Errorf("a route that it may not use: %s", e.code())
	}
	var list struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(g.do(t, http.MethodGet, "/v1/models", "", a).Body), &list); err != nil || len(list.Data) != 2 || list.Data[0].ID != "fast" || list.Data[1].ID != "smart" {
		t.Errorf("the models are %+v (error %v)", list, err)
	}
}

// The headers that SDKs read are what the limits are, on answers and refusals.
func TestLimitsAreToldToSDKs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", func(x *exchange) { // with limits of its own, which are not the client's
		x.json(http.StatusOK, chatJSON("gpt-upstream", "hello"), "X-Ratelimit-Limit-Requests: 9", "X-Ratelimit-Remaining-Requests: 8")
	})
	s := withKeys(up, keyLine("a", "limits {\nrequests 3 1h\ntokens 100000 1h\n}"))
	s.Env = keyEnv("a")
	g := start(t, s)
	client := g.sdk(option.WithAPIKey(secretOf("a")), option.WithMaxRetries(0))
	number := func(h http.Header, name string) int64 {
		t.Helper()
		n, err := strconv.ParseInt(h.Get(name), 10, 64)
		if err != nil {
			t.Errorf("%s is %q", name, h.Get(name))
		}
		return n
	}
	used := int64(0)
	for i := range int64(4) {
		var res *http.Response
		answer, err := client.Chat.Completions.New(t.Context(), ask("smart"), option.WithResponseInto(&res))
		if (err == nil) != (i < 3) {
			t.Fatalf("request %d: error %v", i, err)
		}
		if limit, left := number(res.Header, "X-Ratelimit-Limit-Requests"), number(res.Header, "X-Ratelimit-Remaining-Requests"); limit != 3 || left != max(2-i, 0) {
			t.Errorf("request %d: %d of %d are left", i, left, limit)
		}
		if reset, err := time.ParseDuration(res.Header.Get("X-Ratelimit-Reset-Requests")); err != nil || reset < 59*time.Minute || reset > 62*time.Minute {
			t.Errorf("request %d: the reset is %q", i, res.Header.Get("X-Ratelimit-Reset-Requests"))
		}
		left := number(res.Header, "X-Ratelimit-Remaining-Tokens") // without what this request has turned out to use
		if i > 0 && i < 3 && left > 100_000-used || left < 100_000-used-1000 {
			t.Errorf("request %d: %d tokens are left, and %d have been used before it", i, left, used)
		}
		if err == nil {
			used += answer.Usage.TotalTokens
			continue
		}
		if after := number(res.Header, "Retry-After"); after < 3500 || after > 3700 || res.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("it is to be retried after %d, %q", after, res.Header.Get("X-Should-Retry"))
		}
		refusal, ok := errors.AsType[*openai.Error](err)
		if !ok || !strings.Contains(refusal.Message, "key_requests") || !strings.Contains(res.Header.Get("Ratelimit"), `"key_requests";r=0`) || !strings.Contains(res.Header.Get("Ratelimit-Policy"), `"key_requests";q=3;w=3600`) {
			t.Errorf("the refusal is %v, %v", err, res.Header)
		}
	}
	c := anthropic.NewClient(anthropicoption.WithBaseURL("http://"+g.site), anthropicoption.WithAPIKey(secretOf("a")), anthropicoption.WithMaxRetries(0))
	var res *http.Response
	_, err := c.Messages.New(t.Context(), anthropic.MessageNewParams{
		Model: "smart", MaxTokens: 10, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
	}, anthropicoption.WithResponseInto(&res))
	if err == nil || res == nil || res.StatusCode != http.StatusTooManyRequests || !strings.Contains(err.Error(), "rate_limit_error") {
		t.Fatalf("Anthropic's SDK: %v", err)
	}
	if at, err := time.Parse(time.RFC3339, res.Header.Get("Anthropic-Ratelimit-Requests-Reset")); err != nil || time.Until(at) < 58*time.Minute ||
		number(res.Header, "Anthropic-Ratelimit-Requests-Remaining") != 0 || number(res.Header, "Anthropic-Ratelimit-Requests-Limit") != 3 || res.Header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("the headers are %v", res.Header)
	}
}

// What is over its limit waits, or is queued, if its client asks for that, and a reload forgets nothing.
func TestOverTheLimit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	limited := keyLine("a", "limits {\nrequests 1 4s\n}")
	s := withKeys(up, limited, keyLine("many", "limits {\nconcurrency 1\n}"), keyLine("poor", "limits {\nbudget 0.00001 1h\n}"), keyLine("tokens", "limits {\ntokens 20 1h\n}"),
		"keys {\nmodel_limits dear {\nrequests 1 1h\n}\n}", "model dear {\ntarget up/gpt-upstream {\nprice 100 100\n}\n}", deferring())
	s.App = strings.Replace(s.App, "line {\n\t\twait off\n\t}", "line {\nwait 30s\n}", 1)
	s.Env = keyEnv("a", "many", "poor", "tokens")
	g := start(t, s)
	a := "Authorization: Bearer " + secretOf("a")
	began := time.Now()
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), a), "smart", "up", 1)
	g.reload(s)
	if e := g.post(t, chatPath, chatBody("smart", ""), a, "Prefer: wait=0").wantError(t, http.StatusTooManyRequests); e.code() != "rate_limit_exceeded" {
		t.Errorf("after a reload: %s", e.code())
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), a, "Prefer: wait=10"), "smart", "up", 1)
	if later := time.Since(began); later < 4*time.Second {
		t.Errorf("of one request in four seconds the second was let in after %v", later)
	}
	j := wantJob(t, g.post(t, chatPath, chatBody("smart", ""), a, respondAsync))
	g.wantServed(t, j.ID, "smart", a)

	many := "Authorization: Bearer " + secretOf("many")
	held := hold(up, "held")
	call := g.begin(t, chatBody("up/held", ""), many)
	held.next(t)
	if e := g.post(t, chatPath, chatBody("smart", ""), many, "Prefer: wait=0").wantError(t, http.StatusTooManyRequests); !strings.Contains(e.Message, "key_concurrency") {
		t.Errorf("beside another: %s", e.Message)
	}
	close(held.letGo)
	call.wait()
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), many), "smart", "up", 1)

	poor := "Authorization: Bearer " + secretOf("poor")
	wantHello(t, g.post(t, chatPath, chatBody("dear", ""), poor), "dear", "up", 1)
	if e := g.post(t, chatPath, chatBody("dear", ""), poor, "Prefer: wait=0").wantError(t, http.StatusTooManyRequests); !strings.Contains(e.Message, "model_requests") && e.code() != "insufficient_quota" {
		t.Errorf("a model that has been used up: %s", e.Message)
	}
	if e := g.post(t, chatPath, chatBody("smart", ""), poor, "Prefer: wait=0").wantError(t, http.StatusTooManyRequests); e.code() != "insufficient_quota" {
		t.Errorf("a budget that is spent: %s %s", e.code(), e.Message)
	}

	tokens := "Authorization: Bearer " + secretOf("tokens")
	big := g.post(t, chatPath, strings.Replace(chatBody("smart", ""), "Say hello", strings.Repeat("Say hello ", 100), 1), tokens)
	if e := big.wantError(t, http.StatusTooManyRequests); e.code() != "request_too_large" || big.Header.Get("Retry-After") != "" || big.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("larger than its limit: %s, %v", e.code(), big.Header)
	}
	up.on("gpt-upstream", playJSON(500, broken))
	g.post(t, chatPath, chatBody("smart", ""), tokens)
	up.on("gpt-upstream", hello)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), tokens), "smart", "up", 1) // what failed was given back
}

// Two gateways on one Redis exceed a limit by at most one in a hundred.
func TestNodesShareLimits(t *testing.T) {
	t.Parallel()
	up, server := newUpstream(t), redisserver.Start(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("a", "limits {\nrequests 1000 1m\n}"), "keys {\nredis "+server.URL()+"\n}")
	s.Env = keyEnv("a")
	nodes := []*gateway{start(t, s), start(t, s)}
	var admitted, refused, other atomic.Int64
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for range 75 {
				switch a := nodes[i%2].post(t, chatPath, chatBody("smart", ""), "Authorization: Bearer "+secretOf("a")); a.StatusCode {
				case http.StatusOK:
					admitted.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := admitted.Load(); n < 1000 || n > 1010 || other.Load() > 0 {
		t.Errorf("%d of 1200 were admitted, %d refused, %d something else", n, refused.Load(), other.Load())
	}
}

// No secret is in anything that the gateway writes or shows.
func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	file := filepath.Join(t.TempDir(), "access.log")
	s := logged(up, file)
	secrets := []string{"MARKED-client-key-0123456789", "MARKED-provider-key-012345"}
	s.App = strings.Replace(s.App, upstreamKey, "{env.PROVIDER_SECRET}", 1) + "\nkey a {\nsecret {env.CLIENT_SECRET}\nlimits {\nrequests 2 1h\n}\n}\nkeys {\nstored\n}\n" + deferring()
	s.Env = []string{"CLIENT_SECRET=" + secrets[0], "PROVIDER_SECRET=" + secrets[1]}
	s.Global = "debug\n"
	g := start(t, s)
	res, err := probe.Post("http://"+g.admin+"/runestone/keys", "application/json", strings.NewReader(`{"name":"stored"}`))
	if err != nil {
		t.Fatal(err)
	}
	var issued struct{ Secret string }
	err = json.NewDecoder(res.Body).Decode(&issued)
	res.Body.Close()
	if err != nil || issued.Secret == "" {
		t.Fatalf("no key was made: %v", err)
	}
	secrets = append(secrets, issued.Secret)
	shown := ""
	for _, sec := range secrets {
		for _, header := range []string{"Authorization: Bearer " + sec, "X-Api-Key: " + sec} {
			shown += g.post(t, chatPath, chatBody("smart", ""), header).Body
			shown += g.post(t, chatPath, chatBody("nothing", ""), header).Body
			shown += g.post(t, "/v1/messages", `{"model":"smart"`, header).Body
			shown += g.post(t, chatPath, chatBody("smart", ""), header, respondAsync).Body
		}
	}
	text := func(path string) string { b, _ := os.ReadFile(path); return string(b) }
	all := map[string]string{
		"answers": shown, "stderr": g.stderr.String(), "stdout": g.stdout.String(), "the access log": text(file),
		"/metrics": g.adminGet("/metrics"), "/config/": g.adminGet("/config/"), "/runestone/keys": g.adminGet("/runestone/keys"), "/runestone/status": g.adminGet("/runestone/status"),
	}
	err = filepath.WalkDir(filepath.Join(g.dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path] = text(path)
		}
		return err
	})
	if err != nil || len(all) < 12 {
		t.Errorf("error %v, only %d places", err, len(all))
	}
	for where, content := range all {
		for _, sec := range secrets {
			for form, hidden := range map[string]string{
				"as it is": sec, "in base64": base64.StdEncoding.EncodeToString([]byte(sec))[:20], "in hexadecimal": hex.EncodeToString([]byte(sec)), "in part": sec[:18],
			} {
				if i := strings.Index(content, hidden); i >= 0 {
					t.Errorf("%s has a secret %s: …%q", where, form, content[max(0, i-100):min(len(content), i+60)])
				}
			}
		}
	}
}
