package telemetry

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var outcomes = []string{
	OutcomeOK, OutcomeError, OutcomeInvalid, OutcomeTimeout, OutcomeUnreachable, OutcomeUnavailable, OutcomeCanceled,
	OutcomeShuttingDown,
}

func TestEveryEventIsDeclaredOnce(t *testing.T) {
	t.Parallel()
	want := []string{
		"request.start", "request.stop", "request.exception", "stream.first_token", "stream.stop",
		"provider.request.start", "provider.request.stop", "failover", "retry", "ratelimit.check", "ratelimit.block", "key.rotate", "target.add", "target.remove",
		"breaker.open", "breaker.half_open", "breaker.close", "line.enter", "line.leave",
		"overflow.enqueue", "overflow.drain.start", "overflow.drain.stop", "overflow.rescue", "overflow.discard",
		"overflow.callback", "overflow.depth", "overflow.age", "health.check",
	}
	var got []string
	carried := map[reflect.Type]string{}
	for _, e := range Events() {
		got = append(got, e.Name())
		if !regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)*$`).MatchString(e.Name()) {
			t.Errorf("%s is not how events are named", e.Name())
		}
		if !strings.HasSuffix(e.Doc(), ".") {
			t.Errorf("%s: its doc is not a sentence: %q", e.Name(), e.Doc())
		}
		fields := reflect.TypeOf(e.Fields())
		if other := carried[fields]; other != "" {
			t.Errorf("%s and %s carry the same type", e.Name(), other)
		}
		carried[fields] = e.Name()
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryFieldSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, e := range Events() {
		fields := reflect.TypeOf(e.Fields())
		if fields.NumField() == 0 {
			t.Errorf("%s carries nothing", e.Name())
		}
		for field := range fields.Fields() {
			where := e.Name() + "'s " + field.Name
			unit, measured := field.Tag.Lookup("unit")
			bound, bounded := field.Tag.Lookup("bound")
			if measured == bounded {
				t.Errorf("%s must have either a unit or a bound", where)
			}
			if !strings.HasSuffix(field.Tag.Get("doc"), ".") {
				t.Errorf("%s: its doc is not a sentence: %q", where, field.Tag.Get("doc"))
			}
			if measured && !slices.Contains([]string{"seconds", "tokens", "calls", "jobs", "usd"}, unit) {
				t.Errorf("%s is measured in %q", where, unit)
			}
			if isTime := field.Type == reflect.TypeFor[time.Duration](); isTime != (unit == "seconds") {
				t.Errorf("%s is a %s in %q", where, field.Type, unit)
			}
			if n, err := strconv.Atoi(bound); bounded && bound != "configuration" && bound != "unbounded" && (err != nil || n < 2 || n > maxModels) {
				t.Errorf("%s takes %q values", where, bound)
			}
			switch field.Name {
			case "Outcome":
				if bound != strconv.Itoa(len(outcomes)) {
					t.Errorf("%s takes %s values and there are %d", where, bound, len(outcomes))
				}
			case "Model":
				if bound != strconv.Itoa(maxModels) && bound != "configuration" {
					t.Errorf("%s takes %s values and %d are counted", where, bound, maxModels)
				}
			}
		}
	}
	field, _ := reflect.TypeFor[RequestStopped]().FieldByName("Outcome")
	for _, outcome := range outcomes {
		if !strings.Contains(field.Tag.Get("doc"), outcome) {
			t.Errorf("the doc of request.stop's Outcome does not list %s", outcome)
		}
	}
}

func TestSinksAreCalledInTheirOrderUntilDetached(t *testing.T) {
	t.Parallel()
	var e Event[int]
	var got []string
	attach := func(name string) func() {
		return e.Attach(func(v int) { got = append(got, fmt.Sprint(name, v)) })
	}
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		got = nil
	}
	e.Emit(0)
	expect()
	detachA, detachB, detachC := attach("a"), attach("b"), attach("c")
	e.Emit(1)
	expect("a1", "b1", "c1")
	detachB()
	e.Emit(2)
	expect("a2", "c2")
	detachB() // a second time changes nothing
	e.Emit(3)
	expect("a3", "c3")
	detachA()
	detachC()
	e.Emit(4)
	expect()
	if e.sinks.Load() != nil {
		t.Error("an event without sinks is not as it was before the first")
	}
	attach("d")
	detachA()
	e.Emit(5)
	expect("d5")
}

func TestOneFunctionMayBeTwoSinks(t *testing.T) {
	t.Parallel()
	var e Event[int]
	sum := 0
	add := func(v int) { sum += v }
	detach := e.Attach(add)
	e.Attach(add)
	if e.Emit(1); sum != 2 {
		t.Errorf("got %d, want 2", sum)
	}
	detach()
	if e.Emit(1); sum != 3 {
		t.Errorf("got %d, want 3: detaching one must leave the other", sum)
	}
}

func TestASinkMayAttachAndDetach(t *testing.T) {
	t.Parallel()
	var e Event[int]
	calls := 0
	var detach func()
	detach = e.Attach(func(int) {
		detach()
		e.Attach(func(int) { calls++ })
	})
	e.Emit(1)
	if calls != 0 {
		t.Error("a sink got what was emitted before it was attached")
	}
	if e.Emit(2); calls != 1 {
		t.Errorf("got %d calls, want 1", calls)
	}
}

func TestSinksComeAndGoWhileEventsAreEmitted(t *testing.T) {
	t.Parallel()
	var e Event[int]
	var mu sync.Mutex
	seen := 0
	e.Attach(func(int) { mu.Lock(); seen++; mu.Unlock() })
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 500 {
				e.Attach(func(int) {})()
			}
		})
		group.Go(func() {
			for i := range 500 {
				e.Emit(i)
			}
		})
	}
	group.Wait()
	if seen != 2000 {
		t.Errorf("the sink that stayed saw %d of 2000", seen)
	}
	if n := len(*e.sinks.Load()); n != 1 {
		t.Errorf("%d sinks are left, want 1", n)
	}
}

// Not parallel: allocations of other tests would be counted.
func TestEmittingToNobodyAllocatesNothing(t *testing.T) {
	var e Event[RequestStopped]
	v := RequestStopped{Route: "chat", Duration: time.Second, Status: 200}
	if n := testing.AllocsPerRun(1000, func() { e.Emit(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	e.Attach(func(RequestStopped) {})()
	if n := testing.AllocsPerRun(1000, func() { e.Emit(v) }); n != 0 {
		t.Errorf("%v allocations once a sink was detached", n)
	}
}

// What every request costs when it is counted.
func TestCountingAllocatesNothing(t *testing.T) {
	v := RequestStopped{Route: "chat", Provider: "allocations", Model: "allocations", Status: 200, Outcome: OutcomeOK}
	if n := testing.AllocsPerRun(1000, func() { RequestStop.Emit(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEmit(b *testing.B) {
	v := RequestStopped{
		Route: "chat", Provider: "bench", Model: "bench", Status: 200, Outcome: OutcomeOK,
		Duration: time.Second, Overhead: 50 * time.Microsecond, InputTokens: 10, OutputTokens: 20,
	}
	b.Run("to nobody", func(b *testing.B) {
		var e Event[RequestStopped]
		b.ReportAllocs()
		for b.Loop() {
			e.Emit(v)
		}
	})
	b.Run("to the metrics", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			RequestStop.Emit(v)
		}
	})
}
