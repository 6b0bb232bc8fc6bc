package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// attempt is one try to have a request answered by a target.
type attempt struct {
	course *course
	api    dialect.API       // the client's call
	r      *provider.Request // as the provider is asked
	target *target
	call   *call

	translation *dialect.Translation // nil if the provider speaks the client's dialect
}

// errPassedOver is why an answer is not given to the client: another may be better.
type errPassedOver struct {
	status int
	next   verdict // which the course has decided
}

func (e *errPassedOver) Error() string {
	return "the provider answered with status " + strconv.Itoa(e.status)
}

// told is what the client is told if nothing better comes.
func (e *errPassedOver) told(provider string) *dialect.Error {
	told := &dialect.Error{Status: e.status, Type: "server_error", Code: "provider_error"}
	told.Message = "The provider " + provider + " answered with status " + strconv.Itoa(e.status) + "."
	if e.status < http.StatusInternalServerError && e.status != http.StatusTooManyRequests {
		told.Status = http.StatusBadGateway // it is not the client's fault
	}
	return told
}

// do makes the call and reads as much of the answer as it takes to know that
// it is one. Unless it returns an error, the Answer ends the call.
func (t *attempt) do() (*http.Response, error) {
	up := t.target.up
	if t.call.ctx.Err() != nil {
		return nil, context.Cause(t.call.ctx) // to translate a large body for nobody takes a while
	}
	if err := t.translate(); err != nil {
		t.call.blameless = true
		return nil, err
	}
	t.call.secret = t.call.pass.key.secret()
	req, err := up.provider.NewRequest(t.call.ctx, t.r, provider.Target{Model: t.target.Model, Credential: t.call.secret})
	if t.translation != nil {
		t.r.Body.Release() // the call holds it as long as it needs it
	}
	if err != nil {
		t.call.blameless = true
		return nil, err
	}
	t.call.span.Inject(t.call.ctx, req.Header)
	resp, err := t.send(req)
	if err != nil {
		return nil, err
	}
	t.call.status = resp.StatusCode
	t.call.progress()
	if resp.StatusCode < http.StatusOK || resp.StatusCode > 599 {
		_ = resp.Body.Close()
		return nil, &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error",
			Message: "The provider " + t.target.Provider + " answered with the status " + strconv.Itoa(resp.StatusCode) + ", which there is none.",
		}
	}
	for _, name := range ownHeaders {
		delete(resp.Header, name)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		if err := t.understand(resp); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		if err := t.refused(resp); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	} else {
		t.call.pass.key.accepted()
	}
	answer := &Answer{call: t.call}
	if answer.src, err = t.source(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	resp.Body = answer
	return resp, nil
}

// ownHeaders are those of an answer that only the gateway says, and not always.
var ownHeaders = [...]string{"Runestone-Adjusted", "Runestone-Estimated", "Idempotent-Replayed", "Preference-Applied"}

// interruptEvery is how often the reading of an upload is interrupted until it is noticed: Caddy moves the deadline of
// the client's connection before each read.
const interruptEvery = 100 * time.Millisecond

// send sends the request and returns the head of the answer.
func (t *attempt) send(req *http.Request) (*http.Response, error) {
	upload, ok := t.r.Upload.(provider.ClientUpload)
	if !ok {
		return t.target.up.roundTrip(req)
	}
	answered := make(chan struct{})
	defer close(answered)
	// net/http waits for an upload, however long the client takes.
	defer context.AfterFunc(t.call.ctx, func() {
		wait := time.Duration(0)
		if t.call.parent.Err() != nil {
			wait = interruptEvery // a Read that fails ends the client's context before it returns
		}
		for {
			select {
			case <-answered:
				return
			case <-time.After(wait):
			}
			upload.Interrupt()
			wait = interruptEvery
		}
	})()
	resp, err := t.target.up.roundTrip(req)
	if err == nil {
		return resp, nil
	}
	if told := upload.Broken(); told != nil { // before the context, which ends with the connection that it came on
		t.call.blameless = true
		return nil, told
	}
	if t.call.ctx.Err() != nil {
		err = context.Cause(t.call.ctx)
		_, late := errors.AsType[errTimeout](err)
		t.call.blameless = late && !upload.Arrived() // it was the client that was waited for
	}
	return nil, err
}

// asksFor returns the model that the provider is asked for.
func (t *attempt) asksFor() string { return cmp.Or(t.target.Model, t.course.r.Model) }

// refused returns why an answer that is none is not given to the client: because
// another target may do better, or because it is about the gateway's own key. It
// tells the credential and the breaker what they should know.
func (t *attempt) refused(resp *http.Response) error {
	status := resp.StatusCode
	if status < http.StatusBadRequest {
		if t.api == dialect.Other {
			return nil
		}
		// A client that followed it would show its own key to somebody else.
		return &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "redirected", Final: true,
			Message: "The provider " + t.target.Provider + " answered with a redirect: its base_url is not quite right.",
		}
	}
	after, asked := breaker.ParseRetryAfter(resp.Header, time.Now())
	if next := t.course.after(t, t.blame(status, after, asked)); next != giveUp {
		return &errPassedOver{status, next}
	}
	if status == http.StatusUnauthorized {
		return &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_credentials", Final: true,
			Message: "The provider " + t.target.Provider + " refused the gateway's credentials.",
		}
	}
	return nil
}

// silentPause is how long a key rests that was answered 429 without a time.
const silentPause = time.Second

// blame says whose fault an error status is, and has the credential or the
// target pause where the provider asks for that.
func (t *attempt) blame(status int, after time.Duration, asked bool) fault {
	key := t.call.pass.key
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		if key.refused(status) {
			t.call.renewed = true
			return keyFault
		}
		if t.target.up.keys.several() {
			return keyFault
		}
		if status == http.StatusUnauthorized {
			return targetFault
		}
		return noFault
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && asked:
		t.call.throttled, t.call.asked = true, asked
		if status == http.StatusTooManyRequests && t.target.up.keys.several() {
			if !asked {
				after = silentPause
			}
			key.pause(t.target.Model, after)
			return keyFault
		}
		if asked && !t.call.pass.slot.Probe() {
			t.target.state.breaker.Pause(after)
		}
		return busyFault
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		return targetFault
	}
	return noFault
}

// source chooses how the answer is read.
func (t *attempt) source(resp *http.Response) (source, error) {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ok := resp.StatusCode < http.StatusMultipleChoices
	failed := resp.StatusCode >= http.StatusBadRequest && t.r.Method != http.MethodHead
	switch {
	case t.translation != nil:
		return t.translated(resp, media)
	case resp.Header.Get("Content-Encoding") != "":
		// Sent compressed against our wish: it cannot be read on the way.
	case media == "text/event-stream" && ok:
		s := newEventStream(t, resp.Body)
		if err := s.peek(); err != nil {
			s.release()
			return nil, err
		}
		resp.ContentLength = -1
		return s, nil
	case failed, strings.HasSuffix(media, "json") && ok && t.api != dialect.Other:
		return t.whole(resp)
	}
	t.call.flowing()
	return &plain{call: t.call, body: resp.Body}, nil
}

// rename returns the model name to put into the answer, "" to leave it as it is.
func (t *attempt) rename() string {
	if t.target.Model == "" || t.target.Model == t.course.r.Model || t.course.app.ReportModel == "upstream" {
		return ""
	}
	return t.course.r.Model
}

// maxWhole bounds an answer that is read whole; a longer one is passed on
// unread, so that its tokens are not counted and its model's name stays.
const maxWhole = 32 << 20

// whole reads an answer that comes in one piece, so that one that breaks off can
// still be had from another target.
func (t *attempt) whole(resp *http.Response) (source, error) {
	limit := maxWhole
	if resp.StatusCode >= http.StatusBadRequest {
		limit = maxErrorBody
	}
	buf, all, err := t.collect(resp, limit)
	switch {
	case err != nil:
		return nil, err
	case !all:
		return &plain{call: t.call, body: resp.Body, head: buf.B}, nil
	}
	return t.read(resp, buf), nil
}

// collect reads an answer to its end, or until there is more than limit. The provider's key does not stay in an error.
func (t *attempt) collect(resp *http.Response, limit int) (buf *Buffer, all bool, err error) {
	buf = NewBuffer(resp.ContentLength)
	for err == nil && len(buf.B) <= limit {
		var n int
		if n, err = buf.ReadOnce(resp.Body); n > 0 {
			t.call.flowing()
		}
	}
	all = err == io.EOF
	if all && resp.ContentLength >= 0 && int64(len(buf.B)) < resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		buf.Free()
		return nil, false, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		t.call.mask(buf.B)
	}
	return buf, all, nil
}

// read takes the usage from an answer and renames its model.
func (t *attempt) read(resp *http.Response, buf *Buffer) source {
	w := &wholeAnswer{buf: buf, body: resp.Body}
	w.text = buf.B
	if read, err := dialect.ReadAnswer(buf.B); err == nil && resp.StatusCode < http.StatusBadRequest {
		t.call.usage = read.Usage
		if name := t.rename(); name != "" && len(read.Models) > 0 {
			w.text = dialect.AppendRenamed(nil, buf.B, read.Models, name)
		}
	}
	resp.ContentLength = int64(len(w.text))
	return w
}

// faultOf says whose fault a call was that has brought no answer.
func (t *attempt) faultOf(outcome string, told *dialect.Error) fault {
	switch {
	case t.call.blameless, told.Code == "provider_credentials":
		return noFault
	case outcome == telemetry.OutcomeUnreachable:
		return connectionFault
	case outcome == telemetry.OutcomeTimeout:
		return targetFault
	case outcome != telemetry.OutcomeError:
		return noFault // the client has left, or the gateway is about to
	case told.Status == http.StatusTooManyRequests:
		t.call.throttled = true
		return busyFault
	case told.Status >= http.StatusInternalServerError:
		return targetFault
	default:
		t.call.blameless = true
		return noFault // the first event of the stream says that the request is wrong
	}
}
