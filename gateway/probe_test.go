package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/provider"
)

// probedProvider answers probes by their key, and is asked for nothing else.
type probedProvider struct {
	mu     sync.Mutex
	status map[string]int
	asked  []string
}

func (*probedProvider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://provider.test"+r.Path, http.NoBody)
	if err == nil {
		req.Header.Set("Key", t.Credential)
	}
	return req, err
}

func (p *probedProvider) RoundTrip(req *http.Request) (*http.Response, error) {
	key := req.Header.Get("Key")
	p.mu.Lock()
	p.asked = append(p.asked, key)
	status := p.status[key]
	p.mu.Unlock()
	switch status {
	case 0:
		<-req.Context().Done() // it is silent
		return nil, context.Cause(req.Context())
	case 1:
		return nil, io.ErrUnexpectedEOF
	default:
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func probedUpstream(t *testing.T, p *probedProvider, names ...string) *upstream {
	t.Helper()
	var configured []APIKey
	for _, name := range names {
		configured = append(configured, APIKey{Key: name})
	}
	keys, err := newCredentials("up", configured, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return &upstream{name: "up", provider: p, keys: keys, probe: time.Minute, state: new(targetState)}
}

func TestAProbeSaysWhatIsAmiss(t *testing.T) {
	for name, c := range map[string]struct {
		status map[string]int
		want   string
		asked  string
	}{
		"nothing":                       {map[string]int{"a": 200}, "", "a"},
		"there is no list":              {map[string]int{"a": 404}, "", "a"},
		"it has much to do":             {map[string]int{"a": 429}, "", "a"},
		"a key is refused, and another": {map[string]int{"a": 401, "b": 403}, "it refuses the API key with status 403", "a b"},
		"one key is refused":            {map[string]int{"a": 401, "b": 200}, "", "a b"},
		"it has an error":               {map[string]int{"a": 503, "b": 200}, "it answered with status 503", "a"},
		"it hangs up":                   {map[string]int{"a": 1}, "it could not be reached", "a"},
		"it is silent":                  {map[string]int{"a": 0}, "it did not answer within 5s", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &probedProvider{status: c.status}
				up := probedUpstream(t, p, "a", "b")
				asker := &prober{ctx: t.Context(), logger: zap.NewNop()}
				if got := asker.ask(up); got != c.want || strings.Join(p.asked, " ") != c.asked {
					t.Errorf("got %q after %v, want %q after %s", got, p.asked, c.want, c.asked)
				}
			})
		})
	}
}

func TestProbesKeepTheirRhythmOverReloadsAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probedProvider{status: map[string]int{"a": 200}}
		up := probedUpstream(t, p, "a")
		app := &App{logger: zap.NewNop(), upstreams: map[string]*upstream{"up": up}}
		pass := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d) // in the bubble: it takes no time
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.asked) != want {
				t.Errorf("asked %d times, want %d", len(p.asked), want)
			}
		}
		app.startProbes()
		pass(0, 1)
		app.stopProbes()
		app.startProbes() // it is not due
		pass(50*time.Second, 1)
		pass(20*time.Second, 2)
		p.mu.Lock()
		p.status["a"] = 500
		p.mu.Unlock()
		pass(70*time.Second, 3)
		app.stopProbes()
		app.startProbes() // which may have mended it
		pass(0, 4)
		health := Health{Status: Pass, Checks: map[string][]HealthCheck{}}
		health.addProbe(up)
		if got := health.Checks["provider:probe"]; health.Status != Warn || len(got) != 1 || got[0].Status != Fail {
			t.Errorf("the health is %+v", health)
		}
		app.stopProbes()
		pass(time.Hour, 4)
	})
}

func TestWhatIsNotProbedHasNoGoroutine(t *testing.T) {
	t.Parallel()
	up := probedUpstream(t, new(probedProvider), "a")
	up.probe = 0
	app := &App{logger: zap.NewNop(), upstreams: map[string]*upstream{"up": up}}
	app.startProbes()
	if app.prober != nil {
		t.Error("there is somebody who asks")
	}
	app.stopProbes()
}
