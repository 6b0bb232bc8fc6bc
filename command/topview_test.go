package command

import (
	"math"
	"strings"
	"testing"
	"time"
)

func wantView(t *testing.T, v *topView, width, height int, want string) {
	t.Helper()
	var b strings.Builder
	for _, row := range v.rows(width, height) {
		b.WriteString(row.String() + "\n")
	}
	if got := b.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("at %d x %d: got\n%s\nwant%s", width, height, got, want)
	}
}

func TestTopView(t *testing.T) {
	t.Parallel()
	r := newTopRig(t)
	c := r.top(t)
	v := &c.view
	wantView(t, v, 80, 24, `
Runestone at here  12:00:00
Requests     -                          Open         27, 3 streaming
Tokens       - in, - out                Cost         -
First token  -                          Whole answer -
In line      7 of 1,000                 Over limits  -
Queue        368 waiting, 20 executing; paused; the oldest 1m22s

PROVIDER  BREAKERS     CALLS  FAILED  IN FLIGHT  FIRST  TOKENS  COST/H
groq      key refused      -       -          0      -       -       -
local     half-open        -       -          2      -       -       -
openai    1 of 2 open      -       -          3      -       -       -

Keys of groq: key 1 refused, tried in 5m0s
TARGET      BREAKER  FAILED  PAUSED  IN FLIGHT  WAITING  FIRST  ANSWER
groq/llama  closed        -       -          0        0      -       -








q quit   Tab, arrows: provider   p pause
`)
	r.say("/metrics", topMetrics(190, 20))
	c.observe(t)
	v.press(keyUp) // round to the last
	v.press(keyPause)
	wantView(t, v, 80, 24, `
Runestone at here  paused since 12:00:01
Requests     100/s, 10.0% failed        Open         27, 3 streaming
Tokens       90/s in, 45,000/s out      Cost         $324.00 an hour
First token  300ms, 95% within 480ms    Whole answer -
In line      7 of 1,000                 Over limits  90/s
Queue        368 waiting, 20 executing; paused; the oldest 1m22s

PROVIDER  BREAKERS     CALLS  FAILED  IN FLIGHT  FIRST    TOKENS   COST/H
groq      key refused  0.0/s       -          0      -     0.0/s    $0.00
local     half-open    0.0/s       -          2      -     0.0/s    $0.00
openai    1 of 2 open  180/s   50.0%          3  300ms  45,000/s  $324.00

Keys of openai: {env.OPENAI_API_KEY} ok, evil?[2J paused for 45s: gpt-4o
TARGET              BREAKER    FAILED  PAUSED  IN FLIGHT  WAITING  FIRST  ANSWER
openai/gpt-4o       open 12s        -   1m30s          0        0      -       -
openai/gpt-4o-mini  closed    2 of 40       -          3        0  340ms    2.1s







q quit   Tab, arrows: provider   p go on
`)
	wantView(t, v, 50, 17, `
Runestone at here  paused since 12:00:01
Requests     100/s, 10.0% failed
Open         27, 3 streaming
Tokens       90/s in, 45,000/s out
Cost         $324.00 an hour
First token  300ms, 95% within 480ms
Whole answer -
In line      7 of 1,000

PROVIDER  BREAKERS     CALLS  FAILED  IN FLIGHT  …
openai    1 of 2 open  180/s   50.0%          3  …

Keys of openai: {env.OPENAI_API_KEY} ok, evil?[2J…
TARGET    BREAKER   FAILED  PAUSED  IN FLIGHT  WA…
openai/…  open 12s       -   1m30s          0    …
PgUp, PgDn: 1 more
q quit   Tab, arrows: provider   p go on
`)
	v.press(keyPageDown)
	v.rows(50, 17)
	if v.skipped != 1 {
		t.Errorf("a page on, %d of 2 targets are above", v.skipped)
	}
	if v.press(keyPageUp); v.skipped != 0 {
		t.Errorf("a page back, %d are above", v.skipped)
	}
	for width := range 90 {
		for height := range 30 {
			rows := v.rows(width, height)
			if len(rows) > max(1, height) {
				t.Fatalf("%d rows at %d x %d", len(rows), width, height)
			}
			for _, row := range rows {
				if n := len([]rune(row.String())); n > max(width, 0) {
					t.Fatalf("%q is wider than %d", row.String(), width)
				}
			}
		}
	}
}

func TestTopKeepsUp(t *testing.T) {
	t.Parallel()
	r := newTopRig(t)
	c := r.top(t)
	for i := range 30 {
		r.say("/metrics", topMetrics(100+10*i, 10))
		c.observe(t)
	}
	if n := len(c.view.seen); n != int(topWindow/time.Second)+1 {
		t.Errorf("%d samples are kept", n)
	}
	if rates, _ := c.view.rates(""); rates.requests != 10 {
		t.Errorf("%v requests/s, want 10", rates.requests)
	}
	r.say("/metrics", topMetrics(3, 0)) // the gateway was started anew
	c.observe(t)
	if rates, known := c.view.rates(""); known {
		t.Errorf("after a restart the rates are %+v", rates)
	}
	c.view.press(keyDown)
	r.say("/runestone/status", `{"providers":[{"name":"new"}],"models":[],"line":{"length":9},"open_requests":1}`)
	c.observe(t)
	if c.view.selected != "new" {
		t.Errorf("the provider is %q although that is gone", c.view.selected)
	}
	r.say("/runestone/status", `{"providers":null,"models":[],"line":{"length":9},"open_requests":0}`)
	c.observe(t)
	for _, k := range []topKey{keyUp, keyDown, keyPageUp, keyPageDown, keyNone} {
		c.view.press(k)
		c.view.rows(80, 24)
	}
	r.say("/metrics", "runestone_requests_total{")
	if _, err := c.poll(); err == nil {
		t.Error("there is no error of metrics that are none")
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	h := histogram{[]float64{1, 2, 4, math.Inf(1)}, []float64{10, 30, 40, 50}}
	for _, test := range []struct {
		q       float64
		earlier histogram
		want    float64
	}{
		{0.1, histogram{}, 0.5},
		{0.5, histogram{}, 1.75},
		{0.7, histogram{}, 3},
		{0.95, histogram{}, 4}, // beyond the last bound
		{0.5, histogram{h.bounds, []float64{10, 30, 30, 30}}, 4},
		{0.5, h, 0},
	} {
		if got := h.quantile(test.q, &test.earlier); got != test.want {
			t.Errorf("the quantile %v after %v is %v, want %v", test.q, test.earlier.counts, got, test.want)
		}
	}
	if got := new(histogram).quantile(0.5, new(histogram)); got != 0 {
		t.Errorf("of nothing it is %v", got)
	}
}
