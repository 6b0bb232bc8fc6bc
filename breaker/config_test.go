package breaker

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigIsReadFromJSON(t *testing.T) {
	var c Config
	err := json.Unmarshal([]byte(`{
		"failures": 3, "failure_ratio": 0.25, "minimum_calls": 7, "window": "1m30s", "open_for": 2000000000,
		"max_open_for": "1d", "half_open": 4, "slow_call": "1.5s"
	}`), &c)
	want := Config{
		Failures: 3, FailureRatio: 0.25, MinimumCalls: 7, Window: Duration(90 * time.Second), OpenFor: Duration(2 * time.Second),
		MaxOpenFor: maxDuration, HalfOpen: 4, SlowCall: Duration(1500 * time.Millisecond),
	}
	if err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	written, err := json.Marshal(c)
	var again Config
	if err != nil || json.Unmarshal(written, &again) != nil || again != c {
		t.Errorf("%s became %+v (%v)", written, again, err)
	}
}

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for in, want := range map[string]time.Duration{
		`"0"`: 0, `"1d"`: day, `"0.5d"`: day / 2, `"1d12h"`: 36 * time.Hour, `"250ms"`: 250 * time.Millisecond, `5`: 5,
	} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s became %v (%v)", in, d, err)
		}
	}
	for _, in := range []string{`""`, `"d"`, `"xd"`, `"5"`, `"1h1d"`, `"infd"`, `1.5`, `true`, `{}`, `"1e400d"`} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s became %v", in, d)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, c := range []Config{
		{},
		{Failures: -1, FailureRatio: -1},
		{FailureRatio: 1},
		{OpenFor: Duration(time.Hour)}, // longer than the default most
		{Window: minDuration, OpenFor: minDuration, MaxOpenFor: minDuration, HalfOpen: maxHalfOpen},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for want, c := range map[string]Config{
		"failure_ratio must be at most 1, not 1.5":             {FailureRatio: 1.5},
		"failure_ratio must be at most 1, not NaN":             {FailureRatio: math.NaN()},
		"minimum_calls must be at least 1, not -1":             {MinimumCalls: -1},
		"window must be from 10ms to 24h0m0s, not 1ms":         {Window: Duration(time.Millisecond)},
		"window must be from 10ms to 24h0m0s, not -1m0s":       {Window: -DefaultWindow},
		"open_for must be from 10ms to 24h0m0s, not 48h0m0s":   {OpenFor: 2 * maxDuration},
		"max_open_for must be from 30s to 24h0m0s, not 10s":    {MaxOpenFor: Duration(10 * time.Second)},
		"half_open must be from 1 to 1000, not 1001":           {HalfOpen: 1001},
		"slow_call must be from 0s to 24h0m0s, not -1s":        {SlowCall: -Duration(time.Second)},
		"minimum_calls must be at least 1, not -2\nhalf_open ": {MinimumCalls: -2, HalfOpen: -1},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLimitConfigIsValidated(t *testing.T) {
	for _, c := range []LimitConfig{
		{},
		{Ceiling: 1},
		{Adaptive: true},
		{Adaptive: true, Floor: 2000},
		{Adaptive: true, Ceiling: 3},
		{Adaptive: true, Floor: 5, Ceiling: 5, Initial: 5},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for want, c := range map[string]LimitConfig{
		"floor and initial are for a limit that is adaptive": {Ceiling: 5, Floor: 1},
		"ceiling must be from 0 to 1048576, not -1":          {Ceiling: -1},
		"floor must be from 1 to 1048576, not -1":            {Adaptive: true, Floor: -1},
		"ceiling must be from 5 to 1048576, not 4":           {Adaptive: true, Floor: 5, Ceiling: 4},
		"initial must be from 5 to 9, not 10":                {Adaptive: true, Floor: 5, Ceiling: 9, Initial: 10},
	} {
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
