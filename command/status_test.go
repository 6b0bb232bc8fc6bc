package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
)

func TestStatusTables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"nothing is configured": {
			`{"providers":null,"targets":null,"models":[],"line":{"waiting":0,"length":1000},"open_requests":0}`, `
Open requests  0
In line        0 of 1000
Models         -

PROVIDER  CREDENTIAL  STATE

TARGET  BREAKER  FAILED  PAUSED  IN FLIGHT  WAITING  FIRST TOKEN  ANSWER
`},
		"all is well": {
			`{
				"providers": [
					{"name":"local","credentials":[{"name":"no key","state":"ok"}]},
					{"name":"openai","credentials":[{"name":"{env.OPENAI_API_KEY}","state":"ok"}]}
				],
				"targets": [
					{"provider":"local","model":"","breaker":{"state":"closed"},"limit":4},
					{"provider":"openai","model":"","breaker":{"state":"closed"}},
					{"provider":"openai","model":"gpt-4o","breaker":{"state":"closed","calls":40,"failures":2},
						"in_flight":3,"first_token_seconds":0.3401,"whole_seconds":2.14},
					{"provider":"openai","model":"gpt-4o-mini","breaker":{"state":"closed"}}
				],
				"models": ["chat","fast"],
				"line": {"waiting":0,"length":1000},
				"open_requests": 3
			}`, `
Open requests  3
In line        0 of 1000
Models         chat, fast

PROVIDER  CREDENTIAL            STATE
local     no key                ok
openai    {env.OPENAI_API_KEY}  ok

TARGET              BREAKER  FAILED   PAUSED  IN FLIGHT  WAITING  FIRST TOKEN  ANSWER
openai/gpt-4o       closed   2 of 40  -       3          0        340ms        2.1s
openai/gpt-4o-mini  closed   -        -       0          0        -            -
`},
		"much is wrong": {
			`{
				"providers": [
					{"name":"groq","credentials":[
						{"name":"key 1","state":"refused","for_seconds":300},
						{"name":"key 2","state":"paused","for_seconds":45,"models":["a","c"]}
					]},
					{"name":"openai","credentials":[{"name":"key 1","state":"refused"}]}
				],
				"targets": [
					{"provider":"groq","model":"","breaker":{"state":"half_open"}},
					{"provider":"groq","model":"a","breaker":{"state":"open","open_for_seconds":12.4},"waiting":7},
					{"provider":"groq","model":"b","breaker":{"state":"open"}},
					{"provider":"groq","model":"c","breaker":{"state":"closed","paused_for_seconds":90},"in_flight":20,"limit":20}
				],
				"models": ["chat"],
				"line": {"waiting":7,"length":10},
				"open_requests": 27
			}`, `
Open requests  27
In line        7 of 10
Models         chat

PROVIDER  CREDENTIAL  STATE
groq      key 1       refused, tried in 5m0s
groq      key 2       paused for 45s: a, c
openai    key 1       refused

TARGET  BREAKER                FAILED  PAUSED  IN FLIGHT  WAITING  FIRST TOKEN  ANSWER
groq/*  half-open              -       -       0          0        -            -
groq/a  open, tried in 12s     -       -       0          7        -            -
groq/b  open, next call tries  -       -       0          0        -            -
groq/c  closed                 -       1m30s   20 of 20   0        -            -
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := printed(t, test.answer); got != test.want[1:] {
				t.Errorf("got\n%s\nwant\n%s", got, test.want[1:])
			}
		})
	}
}

// printed returns the tables for what the admin endpoint answers.
func printed(t *testing.T, answer string) string {
	t.Helper()
	var s statusReport
	if err := json.Unmarshal([]byte(answer), &s); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What the endpoint writes is what the command reads.
func TestStatusIsReadAsWritten(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(gateway.Status{
		Providers: []gateway.ProviderStatus{{Name: "up", Credentials: []gateway.CredentialStatus{
			{Name: "key 1", State: "paused", For: 13, Models: []string{"m"}},
		}}},
		Targets: []gateway.TargetStatus{{
			Provider: "up", Model: "m", InFlight: 1, Limit: 2, Waiting: 3, FirstToken: 0.25, Whole: 4.5,
			Breaker: gateway.BreakerStatus{State: breaker.Open, OpenFor: 6, PausedFor: 7, Calls: 9, Failures: 8},
		}},
		Models: []string{"chat"}, Line: gateway.LineStatus{Waiting: 10, Length: 11}, OpenRequests: 12,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `
Open requests  12
In line        10 of 11
Models         chat

PROVIDER  CREDENTIAL  STATE
up        key 1       paused for 13s: m

TARGET  BREAKER            FAILED  PAUSED  IN FLIGHT  WAITING  FIRST TOKEN  ANSWER
up/m    open, tried in 6s  8 of 9  7s      1 of 2     3        250ms        4.5s
`[1:]
	if got := printed(t, string(text)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Of a provider as a whole there is a row as soon as there is anything to say.
func TestProviderWideTargetIsShownWhenItHasSeenCalls(t *testing.T) {
	t.Parallel()
	for field, shown := range map[string]bool{
		`"breaker":{"state":"closed"}`:                            false,
		`"breaker":{"state":"closed"},"limit":5`:                  false,
		`"breaker":{"state":"half_open"}`:                         true,
		`"breaker":{"state":"open"}`:                              true,
		`"breaker":{"state":"closed","calls":1}`:                  true,
		`"breaker":{"state":"closed","paused_for_seconds":1}`:     true,
		`"breaker":{"state":"closed"},"in_flight":1`:              true,
		`"breaker":{"state":"closed"},"waiting":1`:                true,
		`"breaker":{"state":"closed"},"first_token_seconds":0.01`: true,
		`"breaker":{"state":"closed"},"whole_seconds":0.01`:       true,
	} {
		got := printed(t, `{"targets":[{"provider":"up","model":"",`+field+`}]}`)
		if strings.Contains(got, "\nup/*  ") != shown {
			t.Errorf("%s: the row is shown: %t, want %t\n%s", field, !shown, shown, got)
		}
	}
}

func TestOverflowInTheStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		`{}`:              "empty",
		`{"paused":true}`: "paused",
		`{"jobs":{"request":{"available":0,"executing":0},"callback":{}}}`:                          "empty",
		`{"jobs":{"request":{"discarded":3,"executing":20,"available":12345,"waiting":0}}}`:         "12,345 available, 20 executing, 3 discarded",
		`{"paused":true,"jobs":{"request":{"waiting":2},"callback":{"scheduled":1,"completed":4}}}`: "2 waiting; callbacks: 1 scheduled, 4 completed; paused",
		`{"error":"the queue cannot be reached: \u001b[2J","paused":true}`:                          "the queue cannot be reached: ?[2J",
	} {
		got := printed(t, fmt.Sprintf(`{"models":[],"overflow":%s}`, status))
		if !strings.Contains(got, "\nOverflow       "+want+"\nModels         -\n") {
			t.Errorf("%s: got\n%s\nwant %q", status, got, want)
		}
	}
}

func TestDurationsAreForPeople(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		-1:       "-",
		0:        "-",
		0.000001: "1ms",
		0.0014:   "1ms",
		0.34:     "340ms",
		0.9996:   "1s",
		1.24:     "1.2s",
		9.96:     "10s",
		12.4:     "12s",
		90.2:     "1m30s",
		7200:     "2h0m0s",
	} {
		if got := duration(seconds); got != want {
			t.Errorf("%v seconds are %q, want %q", seconds, got, want)
		}
	}
}
