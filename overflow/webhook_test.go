package overflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestReceiversCanVerifyWhatIsSent(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type call struct {
				*http.Request
				body []byte
			}
			calls := make(chan call, 1)
			receiver := testReceiver(t, http2, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				calls <- call{r, body}
			})
			c := testCallbacks(t, receiver, CallbackConfig{})
			now := time.Now()
			body := callbackBody("evt_1", "response.completed", now, "job_1", "completed", 200, []byte(`{"id":"resp_1"}`))

			got := c.send(t.Context(), &webhook{ID: "evt_1", URL: receiver.URL + "/hooks?of=us", Body: body}, now)
			if want := (delivery{verdict: delivered, status: 200}); got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			r := <-calls
			if r.Method != "POST" || r.URL.String() != "/hooks?of=us" || r.Proto != name || !bytes.Equal(r.body, body) {
				t.Errorf("got %s %s %s with %s", r.Method, r.URL, r.Proto, r.body)
			}
			for header, want := range map[string]string{
				"Content-Type": "application/json", "User-Agent": "Runestone",
				"Webhook-Id": "evt_1", "Webhook-Timestamp": fmt.Sprint(now.Unix()),
			} {
				if got := r.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			for n := range byte(3) {
				known := n > 0 // there is no secret 0
				verifier, err := standardwebhooks.NewWebhook(testSecret(n))
				if err != nil {
					t.Fatal(err)
				}
				if err := verifier.Verify(r.body, r.Header); (err == nil) != known {
					t.Errorf("Standard Webhooks with secret %d: %v", n, err)
				}
				if err := verifier.Verify(append(r.body, ' '), r.Header); err == nil {
					t.Errorf("Standard Webhooks with secret %d accepts another body", n)
				}
				client := openai.NewClient(option.WithWebhookSecret(testSecret(n)))
				event, err := client.Webhooks.Unwrap(r.body, r.Header)
				if (err == nil) != known {
					t.Errorf("OpenAI with secret %d: %v", n, err)
				}
				if known && (event.AsResponseCompleted().Data.ID != "job_1" || event.ID != "evt_1" || event.CreatedAt != now.Unix()) {
					t.Errorf("OpenAI with secret %d: got %+v", n, event)
				}
			}
		})
	}
}

func TestEachAttemptIsSignedWithItsOwnTime(t *testing.T) {
	t.Parallel()
	headers := make(chan http.Header, 2)
	receiver := testReceiver(t, true, func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	c := testCallbacks(t, receiver, CallbackConfig{})
	w := &webhook{ID: "evt_1", URL: receiver.URL, Body: []byte("{}")}
	for _, at := range []time.Time{time.Unix(1_700_000_000, 0), time.Unix(1_700_000_005, 999)} {
		if got := c.send(t.Context(), w, at); got.verdict != delivered {
			t.Fatalf("got %+v", got)
		}
		if got, want := (<-headers).Get("Webhook-Timestamp"), fmt.Sprint(at.Unix()); got != want {
			t.Errorf("signed for %s, want %s", got, want)
		}
	}
}

func TestAnswersAreJudgedByTheirStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		want       delivery
	}{
		"200":                         {200, "", delivery{verdict: delivered}},
		"204":                         {204, "", delivery{verdict: delivered}},
		"202 with Retry-After":        {202, "60", delivery{verdict: delivered}},
		"a redirect":                  {301, "", delivery{err: "the receiver answered 301 Moved Permanently"}},
		"304":                         {304, "", delivery{err: "the receiver answered 304 Not Modified"}},
		"404":                         {404, "", delivery{err: "the receiver answered 404 Not Found"}},
		"410":                         {410, "60", delivery{verdict: stop, err: "the receiver answered 410 Gone"}},
		"429":                         {429, "", delivery{err: "the receiver answered 429 Too Many Requests"}},
		"429 with seconds":            {429, "120", delivery{after: 2 * time.Minute, err: "the receiver answered 429 Too Many Requests"}},
		"503 with a date":             {503, "Thu, 05 Nov 2026 12:00:30 GMT", delivery{after: 30 * time.Second, err: "the receiver answered 503 Service Unavailable"}},
		"503 with a date in the past": {503, "Thu, 05 Nov 2026 11:59:59 GMT", delivery{err: "the receiver answered 503 Service Unavailable"}},
		"503 with nonsense":           {503, "soon", delivery{err: "the receiver answered 503 Service Unavailable"}},
		"503 with a negative number":  {503, "-5", delivery{err: "the receiver answered 503 Service Unavailable"}},
		"502 for a century":           {502, "3155760000", delivery{after: 24 * time.Hour, err: "the receiver answered 502 Bad Gateway"}},
		"504 for all of time":         {504, "18446744073709551615", delivery{after: 24 * time.Hour, err: "the receiver answered 504 Gateway Timeout"}},
		"503 until a far date":        {503, "Thu, 05 Nov 2099 12:00:00 GMT", delivery{after: 24 * time.Hour, err: "the receiver answered 503 Service Unavailable"}},
		"a status without a name":     {599, "", delivery{err: "the receiver answered 599"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := testReceiver(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.retryAfter)
				w.WriteHeader(test.status)
			})
			c := testCallbacks(t, receiver, CallbackConfig{})
			test.want.status = test.status
			if got := c.send(t.Context(), &webhook{ID: "evt_1", URL: receiver.URL}, now); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(private.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		receiver := testReceiver(t, true, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, private.URL+"/latest/meta-data", status)
		})
		c := testCallbacks(t, receiver, CallbackConfig{})
		got := c.send(t.Context(), &webhook{ID: "evt_1", URL: receiver.URL}, time.Now())
		if got.verdict != retry || got.status != status {
			t.Errorf("%d: got %+v, want a retry", status, got)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestLittleOfAnAnswerIsRead(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		wrote := make(chan error, 1)
		receiver := testReceiver(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for range 64 << 20 >> 15 {
				if _, err = w.Write(make([]byte, 32<<10)); err != nil {
					break
				}
			}
			wrote <- err
		})
		c := testCallbacks(t, receiver, CallbackConfig{Timeout: caddy.Duration(time.Minute)})
		if got := c.send(t.Context(), &webhook{ID: "evt_1", URL: receiver.URL}, time.Now()); got.verdict != delivered {
			t.Errorf("HTTP/2 %t: got %+v, want delivered", http2, got)
		}
		if err := <-wrote; err == nil {
			t.Errorf("HTTP/2 %t: an answer of 64 MiB was read to its end", http2)
		}
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		var opened atomic.Int32
		receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "ok")
		}))
		receiver.EnableHTTP2 = http2
		receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		receiver.StartTLS()
		t.Cleanup(receiver.Close)
		c := testCallbacks(t, receiver, CallbackConfig{})
		for range 3 {
			if got := c.send(t.Context(), &webhook{ID: "evt_1", URL: receiver.URL}, time.Now()); got.verdict != delivered {
				t.Errorf("got %+v, want delivered", got)
			}
		}
		if n := opened.Load(); n != 1 {
			t.Errorf("HTTP/2 %t: %d connections were opened for three calls, want one", http2, n)
		}
	}
}

// The name in the URL is asked for, and must be in the certificate, whichever address
// it has.
func TestTLSIsWithTheNameInTheURL(t *testing.T) {
	t.Parallel()
	names := make(chan string, 1)
	receiver := testReceiver(t, true, func(_ http.ResponseWriter, r *http.Request) { names <- r.TLS.ServerName + " " + r.Host })
	_, port, _ := net.SplitHostPort(receiver.Listener.Addr().String())
	c := testCallbacks(t, receiver, CallbackConfig{})
	resolve(c, fakeDNS(t, func() [4]byte { return [4]byte{127, 0, 0, 1} }))

	got := c.send(t.Context(), &webhook{ID: "evt_1", URL: "https://Hooks.Example.COM.:" + port + "/"}, time.Now())
	if got.verdict != delivered {
		t.Fatalf("got %+v, want delivered", got)
	}
	if got, want := <-names, "hooks.example.com hooks.example.com:"+port; got != want {
		t.Errorf("the receiver was asked for %q, want %q", got, want)
	}
	want := delivery{err: "the receiver's certificate cannot be verified"}
	if got := c.send(t.Context(), &webhook{ID: "evt_1", URL: "https://hooks.example.net:" + port + "/"}, time.Now()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestThePlaceOfAProxyIsEmpty(t *testing.T) {
	t.Parallel()
	c := testCallbacks(t, nil, CallbackConfig{})
	if c.https.Proxy != nil || c.http.Proxy != nil {
		t.Error("a proxy would resolve names behind the guard's back")
	}
}

func TestFailuresSayWhyAndNoMore(t *testing.T) {
	t.Parallel()
	silent := testReceiver(t, false, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	garbage := rawReceiver(t, "SECRET from the receiver\r\n\r\n")
	closed := rawReceiver(t, "")
	for name, test := range map[string]struct {
		url       string
		config    CallbackConfig
		want      delivery
		untrusted bool
	}{
		"an answer that never comes": {
			url: silent.URL, config: CallbackConfig{Timeout: caddy.Duration(50 * time.Millisecond)},
			want: delivery{err: "the receiver did not answer within 50ms"},
		},
		"an answer that is not HTTP": {
			url: "http://" + garbage, want: delivery{err: "the connection to the receiver broke before it answered"},
		},
		"a connection that is closed": {
			url: "http://" + closed, want: delivery{err: "the connection to the receiver broke before it answered"},
		},
		"nobody there": {
			url:  "http://" + unusedAddress(t) + "/?token=SECRET",
			want: delivery{err: "the receiver cannot be reached: connect: connection refused"},
		},
		"no such name": {
			url: "https://nowhere.invalid/?token=SECRET", want: delivery{err: "the receiver's name cannot be resolved: no such host"},
		},
		"a certificate that nobody vouches for": {
			url: silent.URL + "/?token=SECRET", want: delivery{err: "the receiver's certificate cannot be verified"}, untrusted: true,
		},
		"a host that is not allowed any more": {
			url: silent.URL + "/?token=SECRET", config: CallbackConfig{Allow: []string{"hooks.example.com"}},
			want: delivery{blocked: true, err: "the callback host 127.0.0.1 is not one that may be called from here"},
		},
		"an address that is not open any more": {
			url: silent.URL + "/?token=SECRET", config: CallbackConfig{AllowPrivate: []string{"10.0.0.0/8"}},
			want: delivery{blocked: true, err: "the callback URL cannot be called: 127.0.0.1 is not a public address"},
		},
		"a URL that is damaged": {
			url: "https://[SECRET", want: delivery{blocked: true, err: errBadCallbackURL.Error()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testCallbacks(t, silent, test.config)
			if test.untrusted {
				c.https.TLSClientConfig = nil
			}
			resolve(c, fakeDNS(t, nil))
			if got := c.send(t.Context(), &webhook{ID: "evt_1", URL: test.url}, time.Now()); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestACallThatIsBrokenOffIsNoVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	receiver := testReceiver(t, true, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	c := testCallbacks(t, receiver, CallbackConfig{})
	want := delivery{verdict: retry, err: "the call was broken off"}
	if got := c.send(ctx, &webhook{ID: "evt_1", URL: receiver.URL}, time.Now()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAttemptsFollowTheSpecification(t *testing.T) {
	t.Parallel()
	var total time.Duration
	attempt := 0
	for ; ; attempt++ {
		lowest, highest := time.Duration(1<<62), time.Duration(0)
		more := true
		for range 1000 {
			var d time.Duration
			if d, more = callbackDelay(attempt); !more {
				break
			}
			lowest, highest = min(lowest, d), max(highest, d)
		}
		if !more {
			break
		}
		d := callbackSchedule[attempt]
		total += d
		if lowest < d-d/5 || highest > d+d/5 {
			t.Errorf("attempt %d comes after %s to %s, want a fifth about %s at most", attempt+1, lowest, highest, d)
		}
		if d > 0 && highest-lowest < d/5 {
			t.Errorf("attempt %d comes after %s to %s, which is hardly random", attempt+1, lowest, highest)
		}
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; attempt != 10 || total != want {
		t.Errorf("%d attempts within %s, want 10 within %s", attempt, total, want)
	}
	if _, more := callbackDelay(-1); more {
		t.Error("there is an attempt before the first")
	}
}

func TestEventsHaveTheShapeOfOpenAIs(t *testing.T) {
	t.Parallel()
	created := time.Unix(1_700_000_000, 5)
	const head = `{"id":"evt_1","object":"event","created_at":1700000000,"type":"response.failed","data":{"id":"job_1","status":"failed","url":"/v1/overflow/job_1/response"`
	long := []byte(`"` + strings.Repeat("x", maxCallbackInline-2) + `"`)
	for name, test := range map[string]struct {
		answer []byte
		want   string // what follows head
	}{
		"an answer":                  {[]byte(`{"n": 1.00e2, "s": "<b>&\u2028 é"}`), `,"response":{"status_code":400,"body":{"n":1.00e2,"s":"<b>&\u2028 é"}}}}`},
		"no answer":                  {nil, `}}`},
		"a stream":                   {[]byte("data: {}\n\ndata: [DONE]\n\n"), `}}`},
		"an answer of 64 KiB":        {long, `,"response":{"status_code":400,"body":` + string(long) + `}}}`},
		"an answer longer than that": {append(long, ' '), `}}`},
		"bytes that are not UTF-8":   {[]byte("\"\xff\""), `}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := callbackBody("evt_1", "response.failed", created, "job_1", "failed", 400, test.answer)
			if string(got) != head+test.want {
				t.Errorf("got %s, want %s", got, head+test.want)
			}
		})
	}
}

func TestWebhooksSurviveBeingStored(t *testing.T) {
	t.Parallel()
	w := webhook{ID: "evt_1", URL: "https://hooks.example.com/", Body: []byte(`{"a":"<b>"}`)}
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var got webhook
	if err := json.Unmarshal(b, &got); err != nil || got.ID != w.ID || got.URL != w.URL || !bytes.Equal(got.Body, w.Body) {
		t.Errorf("got %+v and %v, want %+v", got, err, w)
	}
}
