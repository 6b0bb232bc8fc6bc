package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/sse"
	"github.com/runestone-gateway/runestone/telemetry"
)

// The types of the events that tell of a job. Those of a streamed answer between them have their own.
const (
	jobEvent      = "overflow.job"      // the job has changed; data is as at /v1/overflow/{id}
	responseEvent = "overflow.response" // an answer that is no stream
)

// jobBeat is how often a client that follows a job is sent a comment, if nothing else.
const jobBeat = 15 * time.Second

// follower is a client that follows a job.
type follower struct {
	x       *exchange
	service *overflow.Service
	job     *overflow.Job
	at      eventID
	told    string // what was last said of the job, and
	still   string // the same but for its position
	beaten  bool   // since then there was a beat
}

// eventID is the place of an event in what a job puts out: by it a client goes on
// where it was (WHATWG HTML, section 9.2.4). Each run begins anew.
type eventID struct {
	run, chunk int
	event      int // how many events of the chunk were sent
	end        bool
}

func (id eventID) String() string {
	if id.end {
		return fmt.Sprintf("%d.end", id.run)
	}
	return fmt.Sprintf("%d.%d.%d", id.run, id.chunk, id.event)
}

// parseEventID reads a Last-Event-ID. What is none is the beginning.
func parseEventID(s string) eventID {
	first, rest, _ := strings.Cut(s, ".")
	second, third, _ := strings.Cut(rest, ".")
	end := rest == "end"
	if end {
		second, third = "0", "0"
	}
	var numbers [3]int
	for i, part := range [...]string{first, second, third} {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return eventID{}
		}
		numbers[i] = int(n)
	}
	return eventID{numbers[0], numbers[1], numbers[2], end}
}

// followJob answers with a stream of what happens to a job and what it puts out.
func (x *exchange) followJob(service *overflow.Service, job *overflow.Job) {
	f := &follower{x: x, service: service, job: job, at: parseEventID(x.r.Header.Get("Last-Event-Id"))}
	if f.at.end && f.at.run == job.Run && job.State.Final() {
		// There is nothing more, and this is how a client is told not to come again.
		x.status, x.outcome = http.StatusNoContent, telemetry.OutcomeOK
		x.w.WriteHeader(x.status)
		return
	}
	x.outcome = telemetry.OutcomeOK
	x.openStream()
	if x.r.Method == http.MethodHead {
		return
	}
	changed, stop := service.Watch(job.ID, true)
	defer stop()
	ctx, leave := gateway.UntilExit(x.r.Context())
	defer leave()
	beat := time.NewTicker(jobBeat)
	defer beat.Stop()
	for {
		over, err := f.advance(ctx)
		switch {
		case x.gone():
			x.outcome = telemetry.OutcomeCanceled
			return
		case err != nil && ctx.Err() == nil:
			x.outcome = telemetry.OutcomeError
			x.sendError(x.queueFailed(err))
			return
		case over:
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			err = f.beat()
		case <-ctx.Done():
			if !x.gone() {
				x.sendError(gateway.ShuttingDown()) // the client comes again, and goes on where it was
			}
			return
		}
		if err != nil {
			x.outcome = telemetry.OutcomeCanceled
			return
		}
	}
}

// beat shows the client that it is not forgotten, and how the line before its job moves on.
// No blank line follows: it might be taken for the end of an event.
func (f *follower) beat() error {
	f.beaten = true
	return f.x.client.send([]byte(": waiting\n"))
}

// advance sends what is new, and reports whether that was the end.
func (f *follower) advance(ctx context.Context) (over bool, err error) {
	for range 10 {
		if f.job, err = f.service.Job(ctx, f.job.Owner, f.job.ID); err != nil {
			return false, err
		}
		if f.at.run != f.job.Run || f.at.end {
			f.at = eventID{run: f.job.Run}
		}
		if f.job.State.Final() {
			err = f.finish(ctx)
			over = err == nil
		} else if err = f.tell(""); err == nil {
			err = f.events(ctx)
		}
		if !errors.Is(err, overflow.ErrNotFound) {
			return over, err
		}
		// Another run has begun meanwhile, or the job has just been removed.
	}
	return false, err
}

// tell sends how the job is, unless that was said before. That nothing but its position has
// changed can wait for the next beat.
func (f *follower) tell(id string) error {
	job := f.x.describe(f.service, f.job)
	data, err := json.Marshal(job)
	if err != nil {
		return err
	}
	job.Position = nil
	still, err := json.Marshal(job)
	if err != nil || string(data) == f.told || string(still) == f.still && !f.beaten {
		return err
	}
	f.told, f.still, f.beaten = string(data), string(still), false
	return f.x.client.send(appendEvent(nil, jobEvent, data, id))
}

// appendEvent appends an event whose data may have several lines, however they end.
func appendEvent(dst []byte, name string, data []byte, id string) []byte {
	dst = append(append(append(dst, "event: "...), name...), '\n')
	text := lineEnds.Replace(string(data))
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	return append(dst, '\n')
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// events sends the events that the present run has put out since those that were sent.
func (f *follower) events(ctx context.Context) error {
	for {
		chunks, err := f.service.Output(ctx, f.job, f.at.chunk)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			return nil
		}
		for _, chunk := range chunks {
			if err := f.send(chunk, f.at.event); err != nil {
				return err
			}
			f.at.chunk, f.at.event = f.at.chunk+1, 0
		}
	}
}

// send sends the events of a chunk after the first skip.
func (f *follower) send(chunk []byte, skip int) error {
	var block []byte
	for n := 1; len(chunk) > 0; n++ {
		end := sse.End(chunk)
		if end == 0 {
			end = len(chunk)
		}
		event := chunk[:end]
		chunk = chunk[end:]
		if n <= skip {
			continue
		}
		f.at.event = n
		block = sse.AppendWithID(block, event, f.at.String())
	}
	if len(block) == 0 {
		return nil
	}
	return f.x.client.send(block)
}

// finish sends the rest of a job that has ended.
func (f *follower) finish(ctx context.Context) error {
	answer, err := f.service.Answer(f.job)
	if err != nil {
		return err
	}
	switch {
	case answer == nil:
	case answer.Stream:
		if err := f.events(ctx); err != nil {
			return err
		}
	default:
		if err := f.whole(ctx, answer); err != nil {
			return err
		}
	}
	return f.tell(eventID{run: f.job.Run, end: true}.String())
}

// maxEvent bounds an answer, in bytes, that is put into one event.
const maxEvent = 8 << 20

// whole sends an answer that is no stream as one event.
func (f *follower) whole(ctx context.Context, answer *overflow.StoredAnswer) error {
	var body []byte
	for len(body) <= maxEvent {
		chunk, err := answer.Next(ctx)
		if err == io.EOF && !utf8.Valid(body) {
			return nil // no text, such as sound: it is to be fetched
		}
		if err == io.EOF {
			return f.x.client.send(appendEvent(nil, responseEvent, body, ""))
		}
		if err != nil {
			return err
		}
		body = append(body, chunk...)
	}
	return nil // too long for an event: it is to be fetched
}
