package breaker

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ParseRetryAfter returns how long an answer asks its client to wait, and false if
// it does not say so in a form that can be understood. It knows, and takes the
// first of these that is there and well-formed:
//
//   - Retry-After-Ms, a number of milliseconds, which OpenAI's and Anthropic's SDKs
//     too prefer
//   - Retry-After, a number of seconds, or a date of HTTP, counted from now
//     (RFC 9110, section 10.2.3)
//
// The numbers may have a fraction, as some providers send. A time that has passed is
// 0; no time is longer than [MaxPause].
func ParseRetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	if d, ok := parseNumber(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if d, ok := parseNumber(v, time.Second); ok {
		return d, true
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return min(max(t.Sub(now), 0), MaxPause), true
}

func parseNumber(v string, unit time.Duration) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	// ParseFloat also takes infinity, hexadecimal and exponents, none of which a
	// header means.
	if v == "" || strings.Trim(v, "+-.0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil && n == 0 { // out of range is infinite, and clamped
		return 0, false
	}
	// As numbers: what is too long would overflow as a duration.
	n = min(max(n, 0), float64(MaxPause/unit))
	return time.Duration(n * float64(unit)), true
}
