package overflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// streaming makes w's server answer with what comes out of the channel that it returns.
func (w *world) streaming() chan string {
	events := make(chan string)
	w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
		return stream(ctx, events), nil
	})
	return events
}

// output returns all that a job has put out so far, chunk by chunk.
func (w *world) output(job *overflow.Job) []string {
	w.Helper()
	var all []string
	for {
		chunks, err := w.service.Output(w.Context(), w.get(job), len(all))
		if err != nil {
			w.Fatal(err)
		}
		if len(chunks) == 0 {
			return all
		}
		for _, chunk := range chunks {
			all = append(all, string(chunk))
		}
	}
}

// event is the nth of a stream.
func event(n int) string { return fmt.Sprintf("data: {\"n\":%d,\"text\":%q}\n\n", n, completion) }

func TestAStreamIsStoredAsItArrives(t *testing.T) {
	for name, config := range map[string]*overflow.Config{"plain": nil, "encrypted": {Encrypt: []string{encryptSecret}}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, config).started()
				events := w.streaming()
				job := w.submit("m")
				synctest.Wait()
				changed, stop := w.service.Watch(job.ID, true)
				defer stop()
				var want strings.Builder
				for n := range 5 {
					events <- event(n)
					want.WriteString(event(n))
					time.Sleep(30 * time.Millisecond)
					select {
					case <-changed:
					default:
						t.Errorf("followers are not told of event %d", n)
					}
					if got := w.output(job); len(got) != n+1 || strings.Join(got, "") != want.String() {
						t.Errorf("followers see %q, want %q", got, want.String())
					}
				}
				w.is(job, overflow.Executing, "", 1)
				close(events)
				synctest.Wait()
				w.is(job, overflow.Completed, "", 1)
				answer, body := w.answer(job)
				if !answer.Stream || answer.Status != 200 || body != want.String() {
					t.Errorf("got %+v with %q", answer, body)
				}
			})
		})
	}
}

func TestAQuickStreamIsStoredInFewPiecesOfWholeEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		events := w.streaming()
		job := w.submit("m")
		for n := range 1000 {
			events <- event(n)
			time.Sleep(time.Millisecond)
		}
		close(events)
		synctest.Wait()
		chunks := w.output(job)
		if len(chunks) < 30 || len(chunks) > 60 {
			t.Errorf("1000 events within a second are %d chunks", len(chunks))
		}
		n := 0
		for _, chunk := range chunks {
			for part := range strings.SplitAfterSeq(chunk, "\n\n") {
				if part == "" {
					continue
				}
				if part != event(n) {
					t.Fatalf("event %d is %q", n, part)
				}
				n++
			}
		}
		if n != 1000 {
			t.Errorf("%d events are kept", n)
		}
	})
}

func TestAStreamThatBreaksOffBeginsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(func(_ context.Context, _ *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
			n := 0
			return &overflow.Answer{Status: 200, Stream: true, Body: &fakeBody{next: func() ([]byte, error) {
				switch n++; {
				case n <= 3:
					time.Sleep(50 * time.Millisecond)
					return []byte(event(10*job.Run + n)), nil
				case job.Run == 1:
					return nil, errors.New("broken: " + completion)
				case job.Run == 2:
					return []byte(event(24)), &overflow.Unavailable{}
				}
				return nil, io.EOF
			}}}, nil
		})
		job := w.submit("m")
		time.Sleep(300 * time.Millisecond)
		before := w.is(job, overflow.Scheduled, "", 1)
		if got := w.output(before); len(got) < 2 {
			t.Errorf("of the first run is kept %q", got)
		}
		w.until(job, overflow.Completed)
		w.is(job, overflow.Completed, "", 2)
		if _, body := w.answer(job); body != event(31)+event(32)+event(33) {
			t.Errorf("got %q", body)
		}
		if _, err := w.service.Output(t.Context(), before, 0); !errors.Is(err, overflow.ErrNotFound) {
			t.Errorf("who followed the first run gets %v", err)
		}
	})
}

// An answer that came and was not acknowledged is appended again, and must not be there twice.
func TestAnAppendInDoubtIsMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		var failures int
		q.append = func(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
			err := q.Queue.Append(ctx, ref, number, chunk)
			if failures++; failures%3 != 0 {
				return fmt.Errorf("connection reset: %w", overflow.ErrUnavailable)
			}
			return err
		}
		w := newWorldOn(t, q, nil).started()
		events := w.streaming()
		job := w.submit("m")
		var want strings.Builder
		for n := range 20 {
			events <- event(n)
			want.WriteString(event(n))
			time.Sleep(100 * time.Millisecond)
		}
		close(events)
		w.until(job, overflow.Completed)
		w.is(job, overflow.Completed, "", 1)
		if _, body := w.answer(job); body != want.String() {
			t.Errorf("got %q, want %q", body, want.String())
		}
	})
}

func TestAStreamGoesOnWhileTheQueueIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		w := newWorldOn(t, q, nil).started()
		events := w.streaming()
		job := w.submit("m")
		events <- event(0)
		time.Sleep(time.Second)
		q.goAway(overflow.ErrUnavailable)
		before := q.calls.Load()
		for n := 1; n < 20; n++ {
			events <- event(n)
			time.Sleep(time.Second)
		}
		if calls := q.calls.Load() - before; calls > 100 {
			t.Errorf("%d calls in 20 seconds", calls)
		}
		q.goAway(nil)
		close(events)
		w.until(job, overflow.Completed)
		if _, body := w.answer(job); strings.Count(body, "data:") != 20 || w.server.served(job) != 1 {
			t.Errorf("after %d runs it is %q", w.server.served(job), body)
		}
	})
}

// The provider has to wait, rather than that all is kept in memory.
func TestAStreamIsReadNoFasterThanItIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		w := newWorldOn(t, q, nil).started()
		q.set(func() {
			q.append = func(context.Context, overflow.Ref, int, []byte) error { return overflow.ErrUnavailable }
		})
		read := 0
		piece := make([]byte, 1<<20)
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return &overflow.Answer{Status: 200, Stream: true, Body: &fakeBody{next: func() ([]byte, error) {
				if read++; read > 30 {
					return nil, io.EOF
				}
				return piece, nil
			}}}, nil
		})
		job := w.submit("m")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if read > 12 {
			t.Errorf("%d MiB were read", read)
		}
		q.set(func() { q.append = q.Queue.Append })
		w.until(job, overflow.Completed)
		if now := w.get(job); now.OutputSize < 30<<20 {
			t.Errorf("%d bytes are kept", now.OutputSize)
		}
	})
}

func TestAStreamForWhichThereIsNoRoomIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		q.append = func(context.Context, overflow.Ref, int, []byte) error { return overflow.ErrFull }
		w := newWorldOn(t, q, nil).started()
		events := w.streaming()
		job := w.submit("m")
		events <- event(0)
		time.Sleep(time.Second)
		w.is(job, overflow.Discarded, overflow.ReasonRefused, 1)
		if answer, body := w.answer(job); answer.Status != 507 {
			t.Errorf("the client gets %d with %s", answer.Status, body)
		}
	})
}

// What another process stores now is not to be mixed with what comes from here.
func TestAStreamWhoseJobIsLostIsBrokenOff(t *testing.T) {
	for name, err := range map[string]error{"lost": overflow.ErrLost, "removed": overflow.ErrNotFound, "gap": overflow.ErrState} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				q.append = func(context.Context, overflow.Ref, int, []byte) error { return err }
				w := newWorldOn(t, q, nil).started()
				told := make(chan struct{})
				w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
					context.AfterFunc(ctx, func() { close(told) })
					events := make(chan string, 1)
					events <- event(0)
					return stream(ctx, events), nil
				})
				job := w.submit("m")
				<-told
				synctest.Wait()
				w.is(job, overflow.Executing, "", 1) // until its lease is over
				if q.applied.Load() != 0 || w.logged("a job was taken from here while it ran: its answer is dropped") != 1 {
					t.Errorf("%d changes were made, or nothing was logged", q.applied.Load())
				}
			})
		})
	}
}
