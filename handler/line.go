package handler

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/telemetry"
)

// patience says how the client waits while no target can take its request: for
// as long as the configuration lets it, or less where it asks for that. One that wants a stream
// is kept awake by comments (WHATWG HTML, section 9.2.7), which SDKs pass over.
//
// One that takes a job instead does not wait unless it asks for that, and is not sent the
// head of a stream meanwhile.
func (x *exchange) patience() gateway.Patience {
	p := gateway.Patience{Wait: max(0, x.app.LineWait())}
	wait, ok := x.prefers.wait, x.prefers.waits
	if x.deferrable && !ok {
		return gateway.Patience{}
	}
	if ok && wait <= p.Wait {
		p.Wait = wait
		x.waited = "wait=" + strconv.Itoa(int(wait/time.Second))
		x.w.Header()["Preference-Applied"] = []string{x.waited}
	}
	p.Wait = max(0, p.Wait-x.stood)
	if x.req.Stream && x.api != dialect.Other && !x.deferrable {
		p.Beat = x.beat
	}
	return p
}

var waiting = []byte(": waiting\n\n")

// beat tells the client of a stream that it is still in line. The first one sends the head.
func (x *exchange) beat() {
	if !x.begun {
		x.begun = true
		x.openStream()
	}
	_ = x.client.send(waiting) // if the client has gone, the request's context says so
}

// respondLate passes on what is no stream to a client that has been sent the head of one.
func (x *exchange) respondLate(answer *gateway.Answer) {
	body, err := io.ReadAll(io.LimitReader(answer, maxLateError))
	told := dialect.ErrorIn(body)
	switch {
	case err != nil:
		x.finish(answer, err)
		_, told = answer.Told()
	case told == nil:
		told = &dialect.Error{Type: "server_error", Code: "unexpected_answer", Message: "The provider did not answer with a stream."}
	}
	x.outcome = telemetry.OutcomeError
	x.sendError(told)
}

// maxLateError bounds the error of a provider, in bytes, that is put into an event.
const maxLateError = 64 << 10

// sendError ends a stream with an error.
func (x *exchange) sendError(told *dialect.Error) {
	x.status = http.StatusOK
	_ = x.client.send(told.AppendEvent(nil, x.api, x.id))
}
