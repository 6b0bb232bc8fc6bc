package overflow_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// One receiver hangs; neither other receivers nor the drain notice.
func TestAReceiverThatHangsHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		config := callbackConfig()
		config.Workers, config.PerHost, config.Timeout = 6, 3, seconds(20)
		w := newWorld(t, &overflow.Config{Callback: config, Workers: 2})
		n := w.receive(func(_ http.ResponseWriter, r *http.Request) {
			if r.Host == "hangs.example" {
				<-r.Context().Done()
			}
		})
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(10 * time.Millisecond)
			return whole(200, answerText), nil
		})
		var hang, good []*overflow.Job
		for range 40 {
			hang = append(hang, w.submit("m", callTo("http://hangs.example/"), priority(0)))
		}
		for range 40 {
			good = append(good, w.submit("m", callTo("http://good.example/"), priority(3)))
		}
		w.service.Start()
		time.Sleep(450 * time.Millisecond) // 80 jobs, 10 ms each, 2 at a time
		for _, job := range append(hang, good...) {
			w.is(job, overflow.Completed, "", 1)
		}
		told := map[string]int{}
		for _, c := range n.got() {
			told[c.host]++
		}
		if told["good.example"] != 40 || told["hangs.example"] != 3 {
			t.Errorf("calls: %v", told)
		}
		waiting := 0
		for _, job := range w.all(overflow.Callback) {
			if job.State == overflow.Waiting && job.Lane == "hangs.example" {
				waiting++
			}
		}
		if waiting != 37 {
			t.Errorf("%d callbacks wait for the host, want 37", waiting)
		}
		time.Sleep(21 * time.Second) // the first three calls have timed out, the next three are under way
		if len(n.got()) < 46 || n.most["hangs.example"] != 3 {
			t.Errorf("%d calls, %d of them at a time to the host that hangs", len(n.got()), n.most["hangs.example"])
		}
		for _, job := range w.all(overflow.Callback) {
			if job.Model == "hangs.example" && job.State == overflow.Scheduled && !strings.Contains(job.Error, "within 20s") {
				t.Errorf("the error is %q", job.Error)
			}
		}
	})
}

// Nor does one whose clients give it many names.
func TestReceiversOfOneOwnerHoldUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		config := callbackConfig()
		config.Workers, config.PerHost, config.Timeout = 8, 3, seconds(20)
		w := newWorld(t, &overflow.Config{Callback: config})
		n := w.receive(func(_ http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Host, "hangs") {
				<-r.Context().Done()
			}
		})
		for i := range 40 {
			w.submit("m", callTo("http://hangs"+strconv.Itoa(i)+".example/"), priority(0))
		}
		for range 20 {
			w.submit("m", callTo("http://good.example/"), priority(3), func(s *overflow.Submission) { s.Owner = "them" })
		}
		w.service.Start()
		time.Sleep(2 * time.Second)
		good, hang := 0, 0
		for _, c := range n.got() {
			if c.host == "good.example" {
				good++
			} else {
				hang++
			}
		}
		if good != 20 || hang != 6 { // three of four workers
			t.Errorf("%d calls for one owner and %d for the other, whose receivers hang", good, hang)
		}
		time.Sleep(21 * time.Second) // the first six have timed out
		if calls := len(n.got()); calls != 32 {
			t.Errorf("%d calls, want 32", calls)
		}
	})
}

func TestReceiversAreCalledNoMoreThanPerHostAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		config := callbackConfig()
		config.PerHost = 2
		w := newWorld(t, &overflow.Config{Callback: config})
		n := w.receive(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		w.service.Start()
		for range 20 {
			w.submit("m", callTo("http://a.example/"))
			w.submit("m", callTo("http://b.example:8080/"))
		}
		time.Sleep(11 * time.Second)
		for _, job := range w.all(overflow.Callback) {
			w.is(job, overflow.Completed, "", 1)
		}
		if n.most["a.example"] != 2 || n.most["b.example:8080"] != 2 {
			t.Errorf("calls at a time: %v", n.most)
		}
		synctest.Wait()
		if hosts := w.engine.Calls(); hosts != 0 {
			t.Errorf("%d hosts are still counted", hosts)
		}
	})
}

func TestWhatMayNotBeCalledIsNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig()})
		w.receive(func(http.ResponseWriter, *http.Request) {})
		for _, url := range []string{"ftp://a.example/", "http://u:p@a.example/", "http://10.0.0.1/", "nonsense"} {
			sub := &overflow.Submission{Request: request("m")}
			sub.Request.Callback = url
			if _, _, err := w.service.Submit(t.Context(), sub); err == nil || !strings.Contains(err.Error(), overflow.ErrCallback.Error()) {
				t.Errorf("%s: got %v", url, err)
			}
		}
		// Accepted once, it may be called no more under the configuration of today.
		job := w.submit("m", callTo("http://a.example/"))
		strict := callbackConfig()
		strict.Allow = []string{"b.example"}
		_, today := w.serve(&overflow.Config{Callback: strict})
		today.Start()
		synctest.Wait()
		w.is(job, overflow.Completed, "", 1)
		told := w.all(overflow.Callback)[0]
		if told.State != overflow.Scheduled || told.Model != "unknown" || !strings.Contains(told.Error, "not one that may be called") {
			t.Errorf("the callback is %+v", told)
		}
		// And no more at all.
		_, none := w.serve(nil)
		none.Start()
		time.Sleep(10 * time.Second)
		if told = w.all(overflow.Callback)[0]; told.State != overflow.Scheduled || told.Attempt != 2 || !strings.Contains(told.Error, "not available") {
			t.Errorf("the callback is %+v", told)
		}
	})
}

// A shutdown costs no attempt, and neither does an operator's cancel count as one.
func TestACallUnderWayIsPutBackOrCancelled(t *testing.T) {
	for name, want := range map[string]overflow.State{"shutdown": overflow.Available, "cancel": overflow.Cancelled} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{Callback: callbackConfig(), ShutdownGrace: seconds(1)})
				w.receive(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				w.service.Start()
				w.submit("m", callTo("http://a.example/"))
				synctest.Wait()
				told := w.is(w.all(overflow.Callback)[0], overflow.Executing, "", 1)
				attempts := 0
				if want == overflow.Available {
					w.service.Stop()
					w.service.Finish(time.Now())
				} else {
					if _, err := w.service.CancelJob(t.Context(), told); err != nil {
						t.Fatal(err)
					}
					time.Sleep(1100 * time.Millisecond)
					attempts = 1
				}
				w.is(told, want, "", attempts)
			})
		})
	}
}

// Processes that die with a callback are played by claims that nobody follows up.
func TestACallbackThatKillsProcessesIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig()})
		n := w.receive(func(http.ResponseWriter, *http.Request) {})
		w.submit("m", callTo("http://a.example/"))
		claim := func(kind overflow.Kind, lease time.Duration) *overflow.Job {
			jobs, err := w.queue.Claim(t.Context(), overflow.Order{Kind: kind, Max: 1, Lease: lease})
			if err != nil {
				t.Fatal(err)
			}
			return jobs[0]
		}
		job := claim(overflow.Request, time.Hour)
		change := overflow.Change{To: overflow.Completed, Keep: time.Hour, Follow: &overflow.Job{
			ID: overflow.NewID(time.Now()), Kind: overflow.Callback, Model: "a.example", MaxAttempts: 10, Payload: []byte{0},
		}}
		if _, err := w.queue.Apply(t.Context(), overflow.Ref{ID: job.ID, Lease: job.Lease}, change); err != nil {
			t.Fatal(err)
		}
		for range overflow.MaxCrashes {
			claim(overflow.Callback, time.Second)
			time.Sleep(2 * time.Second)
			if _, err := w.queue.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.service.Start()
		synctest.Wait()
		w.is(change.Follow, overflow.Discarded, overflow.ReasonCrashes, 1)
		if len(n.got()) != 0 {
			t.Error("it was made once more")
		}
	})
}
