package handler

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPreferences(t *testing.T) {
	t.Parallel()
	async := preferences{async: true}
	waits := func(seconds int, async bool) preferences {
		return preferences{async: async, wait: time.Duration(seconds) * time.Second, waits: true}
	}
	for name, test := range map[string]struct {
		prefer []string
		want   preferences
	}{
		"none":                             {nil, preferences{}},
		"an empty one":                     {[]string{""}, preferences{}},
		"commas alone":                     {[]string{",, ,"}, preferences{}},
		"respond-async":                    {[]string{"respond-async"}, async},
		"in other letters":                 {[]string{"Respond-ASYNC"}, async},
		"with spaces and tabs":             {[]string{" \trespond-async\t "}, async},
		"with a parameter":                 {[]string{"respond-async; foo=bar"}, async},
		"with parameters that have one":    {[]string{`respond-async; foo="a;b,c"; bar, wait=4`}, waits(4, true)},
		"with an empty value":              {[]string{`respond-async=""`}, async},
		"respond-sync":                     {[]string{"respond-sync"}, preferences{}},
		"a longer word":                    {[]string{"respond-async-too, xrespond-async"}, preferences{}},
		"as a value":                       {[]string{"foo=respond-async"}, preferences{}},
		"as a parameter":                   {[]string{"foo; respond-async"}, preferences{}},
		"in quotes":                        {[]string{`foo="a, respond-async, wait=3"`}, preferences{}},
		"after escaped quotes":             {[]string{`foo="a\", respond-async", wait=3`}, waits(3, false)},
		"in quotes that do not end":        {[]string{`foo="a, respond-async`}, preferences{}},
		"both":                             {[]string{"respond-async, wait=10"}, waits(10, true)},
		"both the other way":               {[]string{"wait=10,respond-async"}, waits(10, true)},
		"both in two lines":                {[]string{"wait=10", "respond-async"}, waits(10, true)},
		"wait alone":                       {[]string{"wait=0"}, waits(0, false)},
		"wait in quotes":                   {[]string{`wait="7"`}, waits(7, false)},
		"wait with spaces":                 {[]string{"Wait = 7 ; x"}, waits(7, false)},
		"the first wait counts":            {[]string{"wait=1, wait=2", "wait=3"}, waits(1, false)},
		"even if it cannot be read":        {[]string{"wait=soon, wait=2"}, preferences{}},
		"wait without a value":             {[]string{"wait"}, preferences{}},
		"a negative wait":                  {[]string{"wait=-1"}, preferences{}},
		"half a second":                    {[]string{"wait=0.5"}, preferences{}},
		"the longest wait":                 {[]string{"wait=2147483647"}, waits(1<<31-1, false)},
		"more than that":                   {[]string{"wait=2147483648"}, preferences{}},
		"among others":                     {[]string{"return=minimal, respond-async, handling=lenient"}, async},
		"what is repeated changes nothing": {[]string{"respond-async, respond-async"}, async},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := readPreferences(test.prefer); got != test.want {
				t.Errorf("%q: %+v, want %+v", test.prefer, got, test.want)
			}
		})
	}
}

func FuzzPreferences(f *testing.F) {
	f.Add("respond-async, wait=10", `foo="a\",b"; c`)
	f.Add(`wait="`, `\`)
	f.Add("=;,", "wait=99999999999999999999")
	f.Fuzz(func(t *testing.T, first, second string) {
		p := readPreferences([]string{first, second})
		if p.wait < 0 || p.wait >= 1<<31*time.Second || !p.waits && p.wait != 0 {
			t.Errorf("a wait of %v, %t", p.wait, p.waits)
		}
		text := strings.ToLower(first + "," + second)
		if p.async && !strings.Contains(text, "respond-async") || p.waits && !strings.Contains(text, "wait") {
			t.Errorf("%+v of %q", p, text)
		}
		if q := readPreferences([]string{"respond-async, wait=5", first, second}); !q.async || !q.waits || q.wait != 5*time.Second {
			t.Errorf("what comes first does not count: %+v", q)
		}
		// A list in two lines is the list in one, but for a quote that does not end.
		if strings.Count(first, `"`) == 0 {
			if one := readPreferences([]string{first + "," + second}); one != p {
				t.Errorf("in one line %+v, in two %+v", one, p)
			}
		}
	})
}

func TestTakeRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "90": 90 * time.Second, "-1": 0, "1.5": 0, "soon": 0,
		"Wed, 21 Oct 2015 07:28:00 GMT": 0, "1048575": 1048575 * time.Second, "1048576": 0,
	} {
		h := http.Header{"Retry-After": {value}}
		if got := takeRetryAfter(h); got != want || len(h) != 0 {
			t.Errorf("%q: %v, want %v; left is %v", value, got, want, h)
		}
	}
}
