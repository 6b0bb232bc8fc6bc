package mock

import (
	"cmp"
	"net/http"
	"time"
)

// behaviour is how one call is answered, whatever the answer says.
type behaviour struct {
	rate       float64       // words per second, or unlimited
	latency    time.Duration // before the first byte
	words      int           // length of a reply
	status     int           // 0 and 200 succeed
	retryAfter int           // seconds, 0 for none
	breakAfter int           // words of a stream, -1 for never
	errorFirst bool          // 200, then an error event
}

// The same call draws separate lots for separate questions.
const (
	lotError = iota + 1
	lotTruncate
	lotJitter
)

// behave decides how the call with prompt q is answered: as configured, unless
// the prompt says otherwise.
func (p *Provider) behave(q *prompt) (behaviour, error) {
	b := behaviour{
		rate:       p.WordsPerSecond,
		latency:    time.Duration(p.Latency) + time.Duration(float64(p.Jitter)*lot(q.hash, lotJitter)),
		words:      cmp.Or(p.Words, defaultWords),
		breakAfter: -1,
	}
	if b.rate == 0 {
		b.rate = defaultRate
	}
	seed := random(p.Seed)
	nth := seed.next() + p.calls.Add(1)
	if lot(nth, lotError) < p.ErrorRate {
		b.status = p.failureStatus()
	}
	if lot(nth, lotTruncate) < p.Truncate {
		b.breakAfter = b.words / 2
	}
	if err := b.obey(q.lastAsked()); err != nil {
		return b, err
	}
	unfit := b.errorFirst && !q.stream // there is no first event to put it in
	if b.status == 0 && (b.retryAfter > 0 || unfit) {
		b.status = p.failureStatus()
	}
	return b, nil
}

func (p *Provider) failureStatus() int { return cmp.Or(p.Status, defaultStatus) }

func (b *behaviour) fails() bool { return b.status != 0 && b.status != http.StatusOK }

// spoken is when the nth word is spoken, counted from the first.
func (b *behaviour) spoken(n int) time.Duration {
	if b.rate == unlimited || n <= 1 {
		return 0
	}
	return time.Duration(float64(n-1) / b.rate * float64(time.Second))
}

// lot draws a number in [0, 1) that depends on n and the question alone.
func lot(n, question uint64) float64 {
	r := random(n)
	r = random(r.next() + question)
	return r.fraction()
}
