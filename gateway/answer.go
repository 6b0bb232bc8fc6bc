package gateway

import (
	"errors"
	"io"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// Answer is the body of a response from Do. It is not safe for concurrent use.
type Answer struct {
	// Provider and Model are the labels under which the answer is counted;
	// Model is "" when the name is not configured and was not accepted.
	Provider, Model string
	// Target is the model that the provider was asked for, "" when it was asked for none.
	Target string
	// Attempts is how many calls were made for it.
	Attempts int
	// Waited is how long the request stood in line.
	Waited time.Duration

	call  *call
	price *policy.Price
	src   source
	left  []byte // of what Next returned, not yet read
	err   error
}

// source is where an answer comes from.
type source interface {
	// next returns what has arrived, waiting for it if need be; valid until called again.
	next() ([]byte, error)
	// release gives back what the source holds.
	release()
}

// streamed is a source that is a stream of events.
type streamed interface {
	// reportedError reports whether the provider has reported an error in it.
	reportedError() bool
}

// sequenced is a source that is a stream of numbered events.
type sequenced interface {
	// sequence returns the number of the next event.
	sequence() int64
}

// Next returns what has arrived of the answer, waiting if nothing has: of a
// stream, whole events. The slice is valid until the next call. At the end the error is
// io.EOF; any other error means that the answer broke off, and Told says what
// the client should be told.
func (a *Answer) Next() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	a.call.await()
	p, err := a.src.next()
	a.call.away.Store(true)
	if err != nil {
		a.err = err
	}
	return p, err
}

// Read implements io.Reader.
func (a *Answer) Read(p []byte) (int, error) {
	for len(a.left) == 0 {
		var err error
		if a.left, err = a.Next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}

// Streams reports whether the answer is a stream of events.
func (a *Answer) Streams() bool {
	_, ok := a.src.(streamed)
	return ok
}

// Usage returns the tokens that the provider has reported so far.
func (a *Answer) Usage() dialect.Usage { return a.call.usage }

// Cost returns what the usage that the provider has reported so far costs, in USD.
// It is false when the price of the model is not known.
func (a *Answer) Cost() (usd float64, known bool) {
	if a.price == nil {
		return 0, false
	}
	return a.price.Cost(paidTokens(a.call.usage)), true
}

// Owed returns what counts for budgets, in USD: the cost, and of an answer that was left before its end no less than
// what of it is known. Providers report usage at the end, so that whoever leaves just before would owe nothing else.
// Input is then taken for what was estimated, and each event of a stream for a token. So it is, with the longest answer that
// the client wanted, where a provider reports no usage at all.
func (a *Answer) Owed(n provider.Needs) float64 {
	usd, known := a.Cost()
	u := a.call.usage
	outcome := a.Outcome()
	unreported := outcome == telemetry.OutcomeOK && u == (dialect.Usage{})
	if !known || outcome != telemetry.OutcomeCanceled && !unreported {
		return usd
	}
	if u.Input == 0 {
		u.Input = int64(n.InputTokens)
	}
	if u.Output = max(u.Output, a.call.events); unreported {
		u.Output = max(u.Output, int64(n.OutputTokens))
	}
	return a.price.Cost(paidTokens(u))
}

func paidTokens(u dialect.Usage) policy.Tokens {
	return policy.Tokens{
		Input: u.Input, CachedInput: u.CachedInput, CacheWrite: u.CacheWrite, CacheWriteHour: u.CacheWriteHour, Output: u.Output,
	}
}

// Told returns the outcome of an answer that ended with an error of Next, and
// what the client should be told.
func (a *Answer) Told() (outcome string, told *dialect.Error) {
	outcome, told = a.call.outcome(a.err)
	if s, ok := a.src.(sequenced); ok {
		told.Sequence = s.sequence()
	}
	return outcome, told
}

// Close ends the call, settling it. It may be called again.
func (a *Answer) Close() error {
	if a.src == nil {
		return nil
	}
	outcome := a.Outcome()
	a.src.release()
	a.src, a.left = nil, nil
	if a.err == nil {
		a.err = errClosed
	}
	a.call.end(outcome)
	return nil
}

var errClosed = errors.New("the answer has been closed")

// Outcome says what has come of the answer so far: one of telemetry's outcomes.
func (a *Answer) Outcome() string {
	if s, ok := a.src.(streamed); ok && s.reportedError() {
		return telemetry.OutcomeError
	}
	switch {
	case a.call.status >= 400:
		return telemetry.OutcomeError
	case a.err == nil: // closed before its end
		return telemetry.OutcomeCanceled
	case a.err == io.EOF:
		return telemetry.OutcomeOK
	}
	outcome, _ := a.call.outcome(a.err)
	return outcome
}

// plain is an answer that is passed on unread.
type plain struct {
	call *call
	body io.ReadCloser
	head []byte // was read before
	buf  *Buffer
}

func (p *plain) next() ([]byte, error) {
	if p.head != nil {
		head := p.head
		p.head = nil
		return head, nil
	}
	if p.buf == nil {
		p.buf = NewBuffer(32<<10 - 1)
	}
	for {
		p.buf.B = p.buf.B[:0]
		n, err := p.buf.ReadOnce(p.body)
		if n > 0 {
			p.call.progress()
			return p.buf.B, nil // an error comes again
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *plain) release() {
	_ = p.body.Close()
	if p.buf != nil {
		p.buf.Free()
	}
}

// wholeAnswer is an answer that has arrived whole.
type wholeAnswer struct {
	buf  *Buffer
	text []byte // nil once returned
	body io.Closer
}

func (w *wholeAnswer) next() ([]byte, error) {
	if w.text == nil {
		return nil, io.EOF
	}
	text := w.text
	w.text = nil
	return text, nil
}

func (w *wholeAnswer) release() {
	_ = w.body.Close()
	w.buf.Free()
}
