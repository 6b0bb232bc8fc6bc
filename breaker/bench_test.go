package breaker

import (
	"testing"
	"time"
)

// BenchmarkClosed is what every call costs: a permit, and its success.
func BenchmarkClosed(b *testing.B) {
	br := New(Config{}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		p, _ := br.Allow()
		p.DoneAfter(time.Millisecond, Success)
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	br := New(Config{}, Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, _ := br.Allow()
			p.DoneAfter(time.Millisecond, Success)
		}
	})
}

func BenchmarkAllowParallel(b *testing.B) {
	br := New(Config{}, Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, _ := br.Allow()
			p.Done(Ignored)
		}
	})
}

// BenchmarkFailing takes the lock for every other call.
func BenchmarkFailing(b *testing.B) {
	br := New(Config{FailureRatio: 1}, Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			p, _ := br.Allow()
			p.Done(Success + Outcome(i%2))
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	br := New(Config{Failures: 1}, Options{})
	p, _ := br.Allow()
	p.Done(Failure)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = br.Allow()
		}
	})
}

func BenchmarkReadyWhenOpen(b *testing.B) {
	br := New(Config{Failures: 1}, Options{})
	p, _ := br.Allow()
	p.Done(Failure)
	b.ReportAllocs()
	for b.Loop() {
		br.Ready()
	}
}

func BenchmarkLimitFixed(b *testing.B)    { benchmarkLimit(b, LimitConfig{Ceiling: 100}) }
func BenchmarkLimitAdaptive(b *testing.B) { benchmarkLimit(b, LimitConfig{Adaptive: true}) }

func benchmarkLimit(b *testing.B, c LimitConfig) {
	l := NewLimit(c, func() {})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			slot, _ := l.Acquire()
			slot.Release(Success, time.Millisecond, false)
		}
	})
}
