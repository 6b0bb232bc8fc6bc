package keys

import (
	"net/http"
	"strconv"
	"time"
)

// Style is whose names and formats headers have.
type Style uint8

// The styles of headers. Each has the fields of the IETF beside its own.
const (
	// OpenAI has x-ratelimit-{limit,remaining,reset}-{requests,tokens}. A reset is the time after which
	// nothing is used any more, such as 6m0s, 1.5s or 12ms, rounded up to a millisecond
	// (platform.openai.com/docs/guides/rate-limits).
	OpenAI Style = iota
	// Anthropic has anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}. A reset is
	// the moment from which nothing is used any more, as of RFC 3339, rounded up to a second
	// (docs.anthropic.com/en/api/rate-limits). The fields for input and for output tokens are left
	// out, as there is no limit for either alone.
	Anthropic
)

// fieldNames are a style's names, canonical, of requests and tokens: limit, remaining, reset.
var fieldNames = [...][2][3]string{
	OpenAI: {
		{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
		{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	},
	Anthropic: {
		{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
		{"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	},
}

// longestRetry is the longest Retry-After that the SDKs of OpenAI and Anthropic heed. Instead of
// a longer one they would take a pause of their own, far too short.
const longestRetry = 60 * time.Second

// AppendHeaders sets the fields that say how the limits stood when the request was admitted or
// refused; it replaces such fields of the same names, which an upstream may have sent.
//
//   - The style's own fields, if there is a limit for requests or tokens. Of several limits it is the one
//     of which least is left.
//   - RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11), with each limit by
//     its name, but for budgets. The unit of tokens, qu="tokens", is not among those that the draft registers.
//   - Of a refusal, Retry-After in seconds, rounded up, unless no time helps. If it does not, or
//     not within 60s, x-should-retry: false keeps SDKs from trying sooner.
//
// A lease without limits has no fields.
func (l *Lease) AppendHeaders(h http.Header, style Style) {
	var space [1024]byte
	w := fieldWriter{buffer: space[:0]}
	for i, kind := range [...]Kind{Requests, Tokens} {
		c := l.tightest(kind)
		if c == nil {
			continue
		}
		names := &fieldNames[style][i]
		w.set(names[0], strconv.AppendInt(w.text(), c.rule.limit, 10))
		w.set(names[1], strconv.AppendInt(w.text(), c.left(), 10))
		if style == Anthropic {
			at := l.limiter.now().Add(c.reset + time.Second - 1)
			w.set(names[2], at.UTC().AppendFormat(w.text(), time.RFC3339))
		} else {
			w.set(names[2], appendDuration(w.text(), c.reset))
		}
	}
	if policy, state := l.appendPolicies(w.text()); state > 0 {
		all := len(policy)
		w.setPart("Ratelimit-Policy", policy, len(w.buffer), state)
		w.setPart("Ratelimit", policy, state, all)
	}
	if r, refused := l.Refused(); refused {
		if !r.Never {
			w.set("Retry-After", strconv.AppendInt(w.text(), int64(roundUp(r.RetryAfter, time.Second)/time.Second), 10))
		}
		if r.Never || r.RetryAfter > longestRetry {
			w.set("X-Should-Retry", append(w.text(), "false"...))
		}
	}
	w.writeTo(h)
}

// tightest returns the limit of a kind of which least is left; of those by which the request was
// refused, if there are any.
func (l *Lease) tightest(kind Kind) (best *check) {
	for i := range l.checks[:l.nchecks] {
		c := &l.checks[i]
		if c.rule.kind != kind {
			continue
		}
		refused := best != nil && best.wait != 0
		if best == nil || c.wait != 0 && !refused || (c.wait != 0) == refused && c.left() < best.left() {
			best = c
		}
	}
	return best
}

// appendPolicies appends the value of RateLimit-Policy and then, at state, that of RateLimit. State is 0 if there is
// nothing to say.
func (l *Lease) appendPolicies(b []byte) (all []byte, state int) {
	began := len(b)
	for _, second := range [...]bool{false, true} {
		if second {
			state = len(b)
		}
		first := true
		for i := range l.checks[:l.nchecks] {
			c := &l.checks[i]
			if c.rule.kind == Spend {
				continue
			}
			if !first {
				b = append(b, ", "...)
			}
			first = false
			b = append(append(append(b, '"'), c.rule.name()...), '"')
			if second {
				b = l.appendState(b, c)
			} else {
				b = c.appendPolicy(b)
			}
		}
	}
	if len(b) == began {
		return b, 0
	}
	return b, state
}

func (c *check) appendPolicy(b []byte) []byte {
	b = append(b, ";q="...)
	b = strconv.AppendInt(b, c.rule.limit, 10)
	switch c.rule.kind {
	case Tokens:
		b = append(b, `;qu="tokens"`...)
	case Concurrency:
		return append(b, `;qu="concurrent-requests"`...)
	}
	b = append(b, ";w="...)
	return strconv.AppendInt(b, seconds(c.rule.window), 10)
}

// appendState appends what is left and for how long a client had better make do with it: until all
// that was used counts no more, or if nothing is left, until less of it does. That is never
// after the time to try again.
func (l *Lease) appendState(b []byte, c *check) []byte {
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, c.left(), 10)
	t := c.reset
	if c.left() == 0 {
		t = c.grow
	}
	if r, refused := l.Refused(); refused && !r.Never {
		t = min(t, r.RetryAfter)
	}
	if t == 0 || c.rule.kind == Concurrency {
		return b
	}
	b = append(b, ";t="...)
	return strconv.AppendInt(b, seconds(t), 10)
}

// seconds returns a time in seconds, rounded up.
func seconds(d time.Duration) int64 { return int64(roundUp(d, time.Second) / time.Second) }

// appendDuration appends a time as OpenAI writes it: as Go does, in milliseconds.
func appendDuration(b []byte, d time.Duration) []byte {
	ms := int64(roundUp(max(d, 0), time.Millisecond) / time.Millisecond)
	switch {
	case ms == 0:
		return append(b, "0s"...)
	case ms < 1000:
		return append(strconv.AppendInt(b, ms, 10), "ms"...)
	}
	hours, minutes, ms := ms/3_600_000, ms/60_000%60, ms%60_000
	if hours > 0 {
		b = append(strconv.AppendInt(b, hours, 10), 'h')
	}
	if hours > 0 || minutes > 0 {
		b = append(strconv.AppendInt(b, minutes, 10), 'm')
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms %= 1000; ms != 0 {
		digits := strconv.AppendInt(b, 1000+ms, 10) // 1 and the three digits
		digits[len(b)] = '.'
		for digits[len(digits)-1] == '0' {
			digits = digits[:len(digits)-1]
		}
		b = digits
	}
	return append(b, 's')
}

// fieldWriter collects fields, so that all their values are one string and one slice.
type fieldWriter struct {
	buffer []byte
	fields [12]struct {
		name       string
		start, end int
	}
	n int
}

// text returns what the next value is to be appended to.
func (w *fieldWriter) text() []byte { return w.buffer }

// set sets a field to what was appended to text.
func (w *fieldWriter) set(name string, text []byte) { w.setPart(name, text, len(w.buffer), len(text)) }

// setPart sets a field to a part of what was appended to text.
func (w *fieldWriter) setPart(name string, text []byte, start, end int) {
	f := &w.fields[w.n]
	f.name, f.start, f.end = name, start, end
	w.n++
	w.buffer = text[:end]
}

func (w *fieldWriter) writeTo(h http.Header) {
	all := string(w.buffer)
	values := make([]string, w.n)
	for i := range values {
		f := &w.fields[i]
		values[i] = all[f.start:f.end]
		h[f.name] = values[i : i+1 : i+1]
	}
}
