package breaker

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	const none = -1
	for _, tt := range []struct {
		name, after, ms string
		want            time.Duration
	}{
		{"nothing", "", "", none},
		{"seconds", "7", "", 7 * time.Second},
		{"seconds with a fraction", "0.25", "", 250 * time.Millisecond},
		{"seconds with spaces", " 7 ", "", 7 * time.Second},
		{"no seconds", "0", "", 0},
		{"seconds below zero", "-3", "", 0},
		{"a day", "86400", "", MaxPause},
		{"more seconds than a duration holds", "99999999999999999999", "", MaxPause},
		{"more than a float holds", "1" + strings.Repeat("0", 400), "", MaxPause},
		{"less than that", "-1" + strings.Repeat("0", 400), "", 0},
		{"a date", "Mon, 23 Nov 2026 12:00:30 GMT", "", 30 * time.Second},
		{"a date in the old form", "Monday, 23-Nov-26 12:00:30 GMT", "", 30 * time.Second},
		{"a date of C", "Mon Nov 23 12:00:30 2026", "", 30 * time.Second},
		{"a date that has passed", "Mon, 23 Nov 2026 11:00:00 GMT", "", 0},
		{"a date of next year", "Tue, 23 Nov 2027 12:00:00 GMT", "", MaxPause},
		{"milliseconds", "", "1500", 1500 * time.Millisecond},
		{"milliseconds with a fraction", "", "0.5", 500 * time.Microsecond},
		{"milliseconds win", "7", "100", 100 * time.Millisecond},
		{"milliseconds that make no sense do not", "7", "soon", 7 * time.Second},
		{"a word", "soon", "", none},
		{"a unit", "7s", "", none},
		{"an exponent", "1e3", "", none},
		{"hexadecimal", "0x10", "", none},
		{"infinity", "Inf", "", none},
		{"not a number", "NaN", "", none},
		{"a point", ".", "", none},
		{"two numbers", "1-2", "", none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.after != "" {
				h.Set("Retry-After", tt.after)
			}
			if tt.ms != "" {
				h.Set("retry-after-ms", tt.ms)
			}
			got, ok := ParseRetryAfter(h, noon)
			if !ok && got == 0 {
				got = none
			}
			if got != tt.want {
				t.Errorf("%v, %v", got, ok)
			}
		})
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, v := range []string{"", "7", "-0.5", "1e9", "99999999999999999999", "Mon, 23 Nov 2026 12:00:30 GMT", " 1. ", "+.5", "Inf"} {
		f.Add(v, "")
		f.Add("", v)
		f.Add("3", v)
	}
	f.Fuzz(func(t *testing.T, after, ms string) {
		h := http.Header{"Retry-After": {after}, "Retry-After-Ms": {ms}}
		d, ok := ParseRetryAfter(h, noon)
		if d < 0 || d > MaxPause || !ok && d != 0 {
			t.Errorf("%v, %v", d, ok)
		}
		if later, _ := ParseRetryAfter(h, noon.Add(time.Minute)); later > d {
			t.Errorf("%v now, %v in a minute", d, later)
		}
	})
}
