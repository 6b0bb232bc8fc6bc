package mock

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("the client is gone")

// openStream asks for a streamed chat.
func openStream(ctx context.Context, t *testing.T, p *Provider, message string) io.ReadCloser {
	t.Helper()
	resp, err := send(ctx, t, p, http.MethodPost, "chat/completions", askFor(message, `,"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("status %d, type %q", resp.StatusCode, got)
	}
	return resp.Body
}

// contents counts the events that hold a word.
func contents(stream []byte) int { return strings.Count(string(stream), `"delta":{"content":"`) }

func TestAStreamSendsEachWordWhenItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &Provider{WordsPerSecond: 10, Words: 4}
		start := time.Now()
		body := openStream(t.Context(), t, p, "mock:latency=2s")
		defer body.Close()
		want := []time.Duration{0, 0, 100, 200, 300, 300} // role, four words, end
		for i, ms := range want {
			if _, err := body.Read(make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != 2*time.Second+ms*time.Millisecond {
				t.Errorf("read %d came after %v", i, got)
			}
		}
		if _, err := body.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAWholeAnswerTakesAsLongAsItsStream(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*Provider{
		"as configured": {WordsPerSecond: 10, Words: 11, Latency: toDuration("3s")},
		"by default":    {Latency: toDuration("3020ms")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				post(t, p, "chat/completions", askFor("hi", `,"n":2`))
				if got := time.Since(start); got != 4*time.Second {
					t.Errorf("took %v", got)
				}
			})
		})
	}
}

func TestJitterDependsOnTheRequestAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := quick()
		p.Jitter = toDuration("1s")
		took := func(message string) time.Duration {
			start := time.Now()
			post(t, p, "chat/completions", askFor(message, ``))
			return time.Since(start)
		}
		a, b := took("one"), took("two")
		if a == b || max(a, b) >= time.Second || min(a, b) <= 0 {
			t.Errorf("two requests took %v and %v", a, b)
		}
		if again := took("one"); again != a {
			t.Errorf("the first request took %v, and then %v", a, again)
		}
	})
}

func TestACallThatIsCancelledEndsAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, message, more string }{
		{"before the first byte of a stream", "mock:latency=5m", `,"stream":true`},
		{"before the first byte of a whole answer", "mock:latency=5m", ``},
		{"while a whole answer is spoken", "mock:rate=0.01", ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(errGone) })
				start := time.Now()
				_, err := send(ctx, t, quick(), http.MethodPost, "chat/completions", askFor(tt.message, tt.more))
				if !errors.Is(err, errGone) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestAStreamThatIsCancelledEndsWithTheCause(t *testing.T) {
	t.Parallel()
	t.Run("while it waits", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			body := openStream(ctx, t, quick(), "mock:rate=1")
			defer body.Close()
			time.AfterFunc(5500*time.Millisecond, func() { cancel(errGone) })
			start := time.Now()
			got, err := io.ReadAll(body)
			if !errors.Is(err, errGone) || time.Since(start) != 5500*time.Millisecond || contents(got) != 6 {
				t.Errorf("%v after %v and %d words", err, time.Since(start), contents(got))
			}
			if _, err := body.Read(make([]byte, 1)); !errors.Is(err, errGone) {
				t.Errorf("and then %v", err)
			}
		})
	})
	t.Run("within an event", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		body := openStream(ctx, t, quick(), "hi")
		defer body.Close()
		if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		cancel(errGone)
		if n, err := body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errGone) {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
	t.Run("but not once it has been read", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		body := openStream(ctx, t, quick(), "hi")
		defer body.Close()
		if _, err := io.ReadAll(body); err != nil {
			t.Fatal(err)
		}
		cancel(errGone)
		if _, err := body.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

func TestClosingAStreamEndsARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := openStream(t.Context(), t, quick(), "mock:rate=0.01")
		time.AfterFunc(time.Second, func() { body.Close() })
		if _, err := io.ReadAll(body); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("got %v", err)
		}
		if err := body.Close(); err != nil {
			t.Errorf("closing it again: %v", err)
		}
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("reading it again: %v", err)
		}
	})
}

func TestAStreamBreaksWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	for message, words := range map[string]int{
		"mock:truncate=10":              10,
		"mock:truncate=0":               0,
		"mock:truncate=90":              50,
		"mock:truncate=2 mock:words=2":  2,
		"mock:truncate=1 mock:rate=0.1": 1,
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			body := openStream(t.Context(), t, quick(), message)
			defer body.Close()
			got, err := io.ReadAll(body)
			if err != io.ErrUnexpectedEOF || contents(got) != words {
				t.Errorf("%v after %d words", err, contents(got))
			}
			if strings.Contains(string(got), "[DONE]") || strings.Contains(string(got), `"stop"`) {
				t.Errorf("a broken stream has an end: %s", got)
			}
			if _, err := body.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
				t.Errorf("and then %v", err)
			}
		})
	}
}

func TestAShareOfStreamsBreaksHalfWay(t *testing.T) {
	t.Parallel()
	broken := func(seed int64) (list []bool) {
		p := &Provider{WordsPerSecond: unlimited, Words: 8, Truncate: 0.3, Seed: seed}
		for range 200 {
			body := openStream(t.Context(), t, p, "hi")
			got, err := io.ReadAll(body)
			body.Close()
			if err != nil && (err != io.ErrUnexpectedEOF || contents(got) != 4) {
				t.Fatalf("%v after %d words", err, contents(got))
			}
			list = append(list, err != nil)
		}
		return list
	}
	checkSequence(t, broken, 0.3)
}

func TestAStreamThatIsToldToBreakMayBeMended(t *testing.T) {
	t.Parallel()
	p := quick()
	p.Truncate = 1
	body := openStream(t.Context(), t, p, "mock:truncate=-1")
	defer body.Close()
	if _, err := io.ReadAll(body); err != nil {
		t.Error(err)
	}
}
