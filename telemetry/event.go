// Package telemetry declares every event that Runestone emits and the sinks
// that turn them into metrics. An event is a Go type: what it measures and what it
// carries are its fields, so emitting one that is not declared, or a field that it has not,
// does not compile.
package telemetry

import (
	"sync"
	"sync/atomic"
)

// Event is a kind of event whose occurrences carry a T.
type Event[T any] struct {
	name, doc string
	mu        sync.Mutex
	sinks     atomic.Pointer[[]*func(T)]
}

// Declared is what the registry knows of every event.
type Declared interface {
	// Name is the event's name, e.g. "request.stop".
	Name() string
	// Doc says when it is emitted.
	Doc() string
	// Fields returns a zero value of what it carries, to be described by reflection:
	// its fields have the tags "unit" (measurements) or "bound" (how many
	// values metadata may take), and "doc".
	Fields() any
}

var registry []Declared

// Events returns every declared event, in the order of declaration.
func Events() []Declared { return registry }

func declare[T any](name, doc string) *Event[T] {
	e := &Event[T]{name: name, doc: doc}
	registry = append(registry, e)
	return e
}

// Name implements Declared.
func (e *Event[T]) Name() string { return e.name }

// Doc implements Declared.
func (e *Event[T]) Doc() string { return e.doc }

// Fields implements Declared.
func (e *Event[T]) Fields() any { var zero T; return zero }

// Emit hands v to every sink, in the caller's goroutine. With no sink attached
// it allocates nothing.
func (e *Event[T]) Emit(v T) {
	if sinks := e.sinks.Load(); sinks != nil {
		for _, sink := range *sinks {
			(*sink)(v)
		}
	}
}

// Attach has sink called with every occurrence until detach is called. A sink
// is called concurrently and must be quick: requests wait for it.
func (e *Event[T]) Attach(sink func(T)) (detach func()) {
	entry := &sink
	e.update(func(sinks []*func(T)) []*func(T) { return append(sinks, entry) })
	return func() {
		e.update(func(sinks []*func(T)) []*func(T) {
			for i, s := range sinks {
				if s == entry {
					return append(sinks[:i], sinks[i+1:]...)
				}
			}
			return sinks
		})
	}
}

func (e *Event[T]) update(change func([]*func(T)) []*func(T)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var sinks []*func(T)
	if old := e.sinks.Load(); old != nil {
		sinks = append(sinks, *old...)
	}
	if sinks = change(sinks); len(sinks) == 0 {
		e.sinks.Store(nil)
		return
	}
	e.sinks.Store(&sinks)
}
