package overflow_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// recordedQueue keeps all bytes that are given to a queue.
type recordedQueue struct {
	*faultyQueue
	stored bytes.Buffer
}

func (q *recordedQueue) note(parts ...[]byte) {
	for _, p := range parts {
		q.stored.Write(p)
	}
}

func (q *recordedQueue) Enqueue(ctx context.Context, job *overflow.Job, limit int) (*overflow.Job, error) {
	q.note(job.Payload)
	return q.faultyQueue.Enqueue(ctx, job, limit)
}

func (q *recordedQueue) Append(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
	q.note(chunk)
	return q.faultyQueue.Append(ctx, ref, number, chunk)
}

func (q *recordedQueue) Apply(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	q.note(change.Head, bytes.Join(change.Output, nil), []byte(change.Error))
	if change.Follow != nil {
		q.note(change.Follow.Payload)
	}
	return q.faultyQueue.Apply(ctx, ref, change)
}

func TestNothingThatIsEncryptedCanBeReadInTheQueue(t *testing.T) {
	for name, encrypt := range map[string][]string{"encrypted": {encryptSecret}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := &recordedQueue{faultyQueue: newFaultyQueue()}
				w := newWorldOn(t, q, &overflow.Config{Encrypt: encrypt, Callback: callbackConfig()})
				w.receive(func(http.ResponseWriter, *http.Request) {})
				w.service.Start()
				job := w.submit("m", callTo("http://a.example/token-in-the-path"))
				synctest.Wait()
				w.is(job, overflow.Completed, "", 1)
				events := w.streaming()
				streamed := w.submit("m")
				events <- event(1)
				time.Sleep(time.Second)
				events <- event(2)
				close(events)
				synctest.Wait()
				if _, body := w.answer(streamed); body != event(1)+event(2) {
					t.Errorf("got %q", body)
				}
				for _, content := range []string{prompt, completion, "token-in-the-path", "application/json"} {
					if found := bytes.Contains(q.stored.Bytes(), []byte(content)); found == (encrypt != nil) {
						t.Errorf("%s is in the queue: %t", content, found)
					}
				}
			})
		})
	}
}

func TestSecretsAreChangedWhileJobsAreQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Encrypt: []string{encryptSecret}})
		before := w.submit("m")
		both, _ := w.serve(&overflow.Config{Encrypt: []string{encryptSecret2, encryptSecret}})
		w.service = overflow.NewService(w.engine, both)
		during := w.submit("m")
		w.service.Start()
		synctest.Wait()
		for _, job := range []*overflow.Job{before, during} {
			w.is(job, overflow.Completed, "", 1)
			if _, body := w.answer(job); body != answerText {
				t.Errorf("got %q", body)
			}
		}
		// Who does not have the secret leaves the job to who does, or will.
		w.service.Stop()
		late := w.submit("m")
		_, none := w.serve(nil)
		none.Start()
		synctest.Wait()
		if now := w.is(late, overflow.Scheduled, "", 0); time.Until(now.RunAt) > time.Minute {
			t.Errorf("it waits for %s", time.Until(now.RunAt))
		}
		none.Stop()
		if _, err := none.Answer(w.get(before)); err == nil || errors.Is(err, io.EOF) {
			t.Error("an answer can be read without the secret")
		}
		w.service.Start()
		time.Sleep(61 * time.Second)
		w.is(late, overflow.Completed, "", 1)
	})
}
