package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestSDKErrors holds what the SDK makes of a failure to what it would make of
// the provider's own: the same type, fields and retries.
func TestSDKErrors(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	t.Run("an upstream error arrives with its status and fields", func(t *testing.T) {
		for status, body := range map[int]string{
			400: `{"error":{"message":"'temperature' does not go with this model","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}`,
			403: `{"error":{"message":"Country not supported","type":"request_forbidden","param":null,"code":"unsupported_country"}}`,
			422: `{"error":{"message":"Unprocessable","type":"invalid_request_error","param":"messages","code":"bad"}}`,
		} {
			up.on("broken", playJSON(status, body))
			_, err := g.sdk().Chat.Completions.New(t.Context(), ask("up/broken"))
			wantAPIError(t, err, status, body)
		}
	})
	t.Run("a 401 is the gateway's own trouble and tells nothing of its key", func(t *testing.T) {
		up.on("locked", playJSON(401, errorJSON("Incorrect API key provided: sk-u***", "invalid_request_error", "invalid_api_key")))
		_, err := g.sdk(option.WithMaxRetries(0)).Chat.Completions.New(t.Context(), ask("up/locked"))
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != 502 || e.Code != "provider_credentials" || strings.Contains(e.RawJSON(), "sk-") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("an upstream error on a stream request arrives as an error", func(t *testing.T) {
		body := errorJSON("The context is too long", "invalid_request_error", "context_length_exceeded")
		up.on("broken-stream", playJSON(400, body))
		stream := g.sdk().Chat.Completions.NewStreaming(t.Context(), ask("up/broken-stream"))
		if stream.Next() {
			t.Fatal("there was an event")
		}
		wantAPIError(t, stream.Err(), 400, body)
	})
	t.Run("429 with Retry-After is retried until it is served", func(t *testing.T) {
		n := 0
		route := up.on("limited", func(x *exchange) {
			if n++; n == 1 {
				x.json(429, errorJSON("Rate limit reached", "requests", "rate_limit_exceeded"), "Retry-After: 1", "X-Ratelimit-Remaining-Requests: 0")
				return
			}
			x.json(200, chatJSON("limited", "Hello!"))
		})
		began := time.Now()
		if _, err := g.sdk().Chat.Completions.New(t.Context(), ask("up/limited")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("the SDK waited %v: it did not see the Retry-After", took)
		}
		if len(route.seen) != 2 {
			t.Errorf("the upstream was asked %d times", len(route.seen))
		}
	})
	t.Run("an error that stays is reported after two retries", func(t *testing.T) {
		body := errorJSON("The server had an error", "server_error", "")
		route := up.on("down", playJSON(500, body, "Retry-After: 0"))
		_, err := g.sdk().Chat.Completions.New(t.Context(), ask("up/down"))
		wantAPIError(t, err, 500, body)
		if n := len(route.seen); n != 3 {
			t.Errorf("the upstream was asked %d times", n)
		}
	})
	t.Run("an error in the midst of a stream is an error of the stream", func(t *testing.T) {
		up.on("midway", func(x *exchange) {
			x.sse()
			x.chunk(word("midway", "Hel"))
			x.chunk("data: " + errorJSON("The server had an error", "server_error", "midway") + "\n\n")
			x.end()
		})
		stream := g.sdk().Chat.Completions.NewStreaming(t.Context(), ask("up/midway"))
		n := 0
		for stream.Next() {
			n++
		}
		if n != 1 || stream.Err() == nil {
			t.Errorf("%d events, error %v", n, stream.Err())
		}
	})
}

// TestSDKUnknownModel needs strict_models, without which every name is some provider's.
func TestSDKUnknownModel(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up, "strict_models"))
	_, err := g.sdk().Chat.Completions.New(t.Context(), ask("gpt-upstream"))
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "model_not_found" {
		t.Errorf("chat: %v", err)
	}
	if _, err = g.sdk().Models.Get(t.Context(), "gpt-upstream"); !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "model_not_found" {
		t.Errorf("models: %v", err)
	}
	if up.requests() != 0 {
		t.Error("the upstream was asked")
	}
}

// TestSDKCancellation is that the caller's leaving is the upstream's leaving.
func TestSDKCancellation(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	t.Run("of a stream after its first word", func(t *testing.T) {
		route := up.on("endless", func(x *exchange) {
			x.sse()
			x.chunk(word("endless", "Hel"))
			x.hang()
		})
		ctx, cancel := context.WithCancel(t.Context())
		stream := g.sdk().Chat.Completions.NewStreaming(ctx, ask("up/endless"))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		cancel()
		wantLeft(t, route.next(t), time.Now())
	})
	t.Run("by the SDK's request timeout", func(t *testing.T) {
		route := up.on("silent", (*exchange).hang)
		client := g.sdk(option.WithRequestTimeout(300*time.Millisecond), option.WithMaxRetries(0))
		began := time.Now()
		_, err := client.Chat.Completions.New(t.Context(), ask("up/silent"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		wantLeft(t, route.next(t), began.Add(300*time.Millisecond))
	})
	t.Run("by closing the stream", func(t *testing.T) {
		route := up.on("closed", func(x *exchange) {
			x.sse()
			x.chunk(word("closed", "Hel"))
			x.hang()
		})
		stream := g.sdk().Chat.Completions.NewStreaming(t.Context(), ask("up/closed"))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		_ = stream.Close()
		wantLeft(t, route.next(t), time.Now())
	})
}

// leaveLimit is how soon the upstream has to see that the client has left.
const leaveLimit = time.Second

// wantLeft fails the test unless the gateway closes the upstream connection in time.
func wantLeft(t *testing.T, x *exchange, since time.Time) {
	t.Helper()
	at, ok := x.leftAt(patience)
	if !ok {
		t.Fatal("the upstream connection was not closed")
	}
	if took := at.Sub(since); took > leaveLimit {
		t.Errorf("the upstream connection was closed after %v", took)
	}
}

func wantAPIError(t *testing.T, err error, status int, body string) {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %T: %v", err, err)
	}
	if e.StatusCode != status || !strings.Contains(body, e.RawJSON()) {
		t.Errorf("got %d %s (%s), want %d %s", e.StatusCode, e.RawJSON(), http.StatusText(e.StatusCode), status, body)
	}
	if e.Response.Header.Get("X-Request-Id") == "" {
		t.Error("the error has no X-Request-Id")
	}
}
