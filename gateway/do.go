package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// Failure is the error of Do: nobody answered.
type Failure struct {
	// Told is what the client should be told.
	Told *dialect.Error
	// Outcome is one of telemetry's.
	Outcome string
	// Provider is the last one that was asked, "" if none was.
	Provider string
	// Model is the name for the metrics, "" when it is not known.
	Model string
	// Attempts is how many calls were made.
	Attempts int
}

func (f *Failure) Error() string { return f.Told.Message }

// Unwrap returns Told.
func (f *Failure) Unwrap() error { return f.Told }

// Do sends r to the first target that answers and returns the answer. Its Body
// is an [Answer], which must be closed: that settles the usage, the duration and
// the connection. Once Do returns, no other target is tried: of a stream the first
// event has arrived, and other answers that the gateway reads have arrived whole.
//
// An answer that reports an error (status 400 and above) is returned as it came when no
// other target can serve. The error is always a *Failure.
func (a *App) Do(ctx context.Context, r *provider.Request) (*http.Response, error) {
	route, told := a.resolve(r)
	if told != nil {
		return nil, &Failure{Told: told, Outcome: telemetry.OutcomeInvalid}
	}
	return a.ask(ctx, r, route)
}

// ask tries the targets of a route.
func (a *App) ask(ctx context.Context, r *provider.Request, route *route) (*http.Response, error) {
	start := clock()
	targets := route.targets
	for attempts := 1; ; attempts++ {
		t := route.selector.Select(targets, r)
		up := route.upstreamOf(t)
		try := attempt{app: a, r: r, route: route, target: t, call: begin(ctx, up, start, r.Stream)}
		try.last = len(targets) == 1 || r.Upload != nil
		resp, err := try.do()
		if err == nil {
			resp.Header["Runestone-Provider"] = up.header
			resp.Header["Runestone-Model"] = route.header
			resp.Header["Runestone-Attempts"] = []string{strconv.Itoa(attempts)}
			answer := resp.Body.(*Answer)
			answer.Provider, answer.Attempts = up.name, attempts
			if route.named || resp.StatusCode < http.StatusMultipleChoices {
				answer.Model = route.name
			}
			return resp, nil
		}
		outcome, told := try.call.outcome(err)
		try.call.end(outcome)
		if isTold := new(dialect.Error); errors.As(err, &isTold) {
			told = isTold
		}
		a.logFailure(up, outcome, err)
		if try.last || ctx.Err() != nil {
			f := &Failure{Told: told, Outcome: outcome, Provider: up.name, Attempts: attempts}
			if route.named {
				f.Model = route.name
			}
			return nil, f
		}
		telemetry.Failover.Emit(telemetry.FailedOver{Provider: up.name, Outcome: outcome})
		targets = without(targets, t)
	}
}

func without(targets []*policy.Target, t *policy.Target) []*policy.Target {
	left := make([]*policy.Target, 0, len(targets)-1)
	for _, other := range targets {
		if other != t {
			left = append(left, other)
		}
	}
	return left
}

func (a *App) logFailure(up *upstream, outcome string, err error) {
	if outcome == telemetry.OutcomeCanceled {
		return
	}
	if entry := a.logger.Check(zap.WarnLevel, "a call to a provider failed"); entry != nil {
		entry.Write(zap.String("provider", up.name), zap.String("outcome", outcome), zap.Error(err))
	}
}

// attempt is one try to have a request answered by a target.
type attempt struct {
	app    *App
	r      *provider.Request
	route  *route
	target *policy.Target
	call   *call
	last   bool // no other target is left
}

// errStatus is why an answer was passed over for another target's.
type errStatus int

func (e errStatus) Error() string { return "the provider answered with status " + strconv.Itoa(int(e)) }

// do makes the call and reads as much of the answer as it takes to know that
// it is one. Unless it returns an error, the Answer ends the call.
func (t *attempt) do() (*http.Response, error) {
	up := t.call.up
	req, err := up.provider.NewRequest(t.call.ctx, t.r, provider.Target{Model: t.target.Model, Credential: up.key()})
	if err != nil {
		return nil, err
	}
	resp, err := up.roundTrip(req)
	if err != nil {
		return nil, err
	}
	t.call.status = resp.StatusCode
	t.call.progress()
	if told := t.refused(resp.StatusCode); told != nil {
		_ = resp.Body.Close()
		return nil, told
	}
	answer := &Answer{call: t.call}
	if answer.src, err = t.source(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	resp.Body = answer
	return resp, nil
}

// refused returns why an answer is not one to give to the client: because
// another target may do better, or because it is about the gateway's own key.
func (t *attempt) refused(status int) error {
	switch {
	case status == http.StatusUnauthorized:
		return &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_credentials", Final: true,
			Message: "The provider " + t.call.up.name + " refused the gateway's credentials.",
		}
	case status >= 300 && status < 400 && KindOf(t.r.Path) != Other:
		// A client that followed it would show its own key to somebody else.
		return &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "redirected", Final: true,
			Message: "The provider " + t.call.up.name + " answered with a redirect: its base_url is not quite right.",
		}
	case t.last:
		return nil
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return errStatus(status)
	}
	return nil
}

// source chooses how the answer is read.
func (t *attempt) source(resp *http.Response) (source, error) {
	kind := KindOf(t.r.Path)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ok := resp.StatusCode < http.StatusMultipleChoices
	switch {
	case resp.Header.Get("Content-Encoding") != "":
		// Sent compressed against our wish: it cannot be read on the way.
	case media == "text/event-stream" && ok:
		s := newEventStream(t, kind, resp.Body)
		if err := s.peek(); err != nil {
			s.release()
			return nil, err
		}
		resp.ContentLength = -1
		return s, nil
	case strings.HasSuffix(media, "json") && ok && kind != Other:
		return t.whole(resp)
	}
	t.call.flowing()
	return &plain{call: t.call, body: resp.Body}, nil
}

// rename returns the model name to put into the answer, "" to leave it as it is.
func (t *attempt) rename() string {
	if t.target.Model == "" || t.target.Model == t.r.Model || t.app.ReportModel == "upstream" {
		return ""
	}
	return t.r.Model
}

// Kind is which call of the API a path is.
type Kind string

// The calls whose answers the gateway reads; any other is relayed unread.
const (
	Chat        Kind = "chat"
	Completions Kind = "completions"
	Embeddings  Kind = "embeddings"
	Responses   Kind = "responses"
	Other       Kind = "other"
)

// KindOf returns the kind of call that a path is.
func KindOf(path string) Kind {
	switch path {
	case "/v1/chat/completions":
		return Chat
	case "/v1/completions":
		return Completions
	case "/v1/embeddings":
		return Embeddings
	case "/v1/responses":
		return Responses
	default:
		return Other
	}
}

// maxWhole bounds an answer that is read whole; a longer one is passed on
// unread, so that its tokens are not counted and its model's name stays.
const maxWhole = 32 << 20

// whole reads an answer that comes in one piece, so that one that breaks off can
// still be had from another target.
func (t *attempt) whole(resp *http.Response) (source, error) {
	buf := NewBuffer(resp.ContentLength)
	t.call.flowing()
	for len(buf.B) <= maxWhole {
		n, err := buf.ReadOnce(resp.Body)
		if n > 0 {
			t.call.progress()
		}
		if err == io.EOF {
			if resp.ContentLength >= 0 && int64(len(buf.B)) < resp.ContentLength {
				return nil, io.ErrUnexpectedEOF
			}
			return t.read(resp, buf), nil
		}
		if err != nil {
			buf.Free()
			return nil, err
		}
	}
	return &plain{call: t.call, body: resp.Body, head: buf.B}, nil
}

// read takes the usage from an answer and renames its model.
func (t *attempt) read(resp *http.Response, buf *Buffer) source {
	w := &wholeAnswer{buf: buf, body: resp.Body}
	w.text = buf.B
	if read, err := dialect.ReadAnswer(buf.B); err == nil {
		t.call.usage = read.Usage
		if name := t.rename(); name != "" && len(read.Models) > 0 {
			w.text = dialect.AppendRenamed(nil, buf.B, read.Models, name)
		}
	}
	resp.ContentLength = int64(len(w.text))
	return w
}
