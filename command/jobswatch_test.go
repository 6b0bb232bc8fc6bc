package command

import (
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/cupwriter"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// queueOf returns a queue with so many requests available, waiting, executing and completed.
func queueOf(available, waiting, executing, completed int, ended int64) *gateway.QueueStatus {
	return &gateway.QueueStatus{
		Jobs: map[overflow.Kind]map[overflow.State]int{
			overflow.Request: {
				overflow.Available: available, overflow.Waiting: waiting, overflow.Executing: executing, overflow.Completed: completed,
			},
			overflow.Callback: {},
		},
		Oldest: make(map[overflow.Kind]float64), Workers: 20, Ended: ended,
	}
}

func TestWatchedDrain(t *testing.T) {
	t.Parallel()
	var v drainView
	q := queueOf(4000, 300, 20, 500, 900)
	q.Oldest[overflow.Request] = 72
	v.observe(q, noon)
	wantLine := func(now time.Time, want string) {
		t.Helper()
		if got := v.line(now); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	wantLine(noon, "12:00:00  0 of 4320 done (0%)  -  time left not known yet  "+
		"available 4000  waiting 300  scheduled 0  executing 20  oldest 1m12s  callbacks 0")

	q = queueOf(2000, 160, 0, 2660, 3060)
	lane := func(kind overflow.Kind, name string, waiting int) gateway.LaneStatus {
		return gateway.LaneStatus{Kind: kind, Name: name, Waiting: waiting}
	}
	q.Lanes = []gateway.LaneStatus{
		lane(overflow.Request, "e", 1), lane(overflow.Request, "d", 9), lane(overflow.Request, "gpt-4o", 120), lane(overflow.Request, "c", 9),
		lane(overflow.Callback, "hooks.example.com", 500), lane(overflow.Request, "evil\x1b[2J", 20), lane(overflow.Request, "f", 1),
	}
	q.Jobs[overflow.Callback][overflow.Scheduled] = 12
	q.Jobs[overflow.Callback][overflow.Completed] = 99
	q.Oldest = map[overflow.Kind]float64{overflow.Request: 82, overflow.Callback: 3}
	q.Bytes, q.MaxBytes = 1<<30, 10<<30
	v.observe(q, noon.Add(10*time.Second))
	wantLine(noon.Add(10*time.Second), "12:00:10  2160 of 4320 done (50%)  216/s  10s left  "+
		"available 2000  waiting 160  scheduled 0  executing 0  oldest 1m22s  callbacks 12")
	wantRows(t, &v, 100, `
Requests   [==================>-------------------]  50%  2,160 of 4,320 done
Rate       216/s, 10s left
Queued     2,000 available, 160 waiting, 0 scheduled
Running    0; this process has 20 workers
Oldest     1m22s
Waits for  gpt-4o 120, evil?[2J 20, c 9, d 9, 2 more
Callbacks  12 to be made, the oldest 3s
Stored     1.0 GiB of 10 GiB
`)
	wantRows(t, &v, 60, `
Requests   [==========>----------]  50%  2,160 of 4,320 done
Rate       216/s, 10s left
Queued     2,000 available, 160 waiting, 0 scheduled
Running    0; this process has 20 workers
Oldest     1m22s
Waits for  gpt-4o 120, evil?[2J 20, c 9, d 9, 2 more
Callbacks  12 to be made, the oldest 3s
Stored     1.0 GiB of 10 GiB
`)
	wantRows(t, &v, 20, `
Requests     50%  2…
Rate       216/s, 1…
Queued     2,000 av…
Running    0; this …
Oldest     1m22s
Waits for  gpt-4o 1…
Callbacks  12 to be…
Stored     1.0 GiB …
`)

	v.trouble = "no answer"
	wantLine(noon.Add(12*time.Second), "12:00:12  no answer")
	if rows := v.rows(80); rows[len(rows)-1] != "Trouble    no answer" {
		t.Errorf("the rows do not say that there is no answer: %q", rows)
	}
	v.observe(queueOf(0, 0, 0, 4820, 5220), noon.Add(20*time.Second))
	wantRows(t, &v, 80, `
Requests   [======================================] 100%  4,320 of 4,320 done
Rate       216/s, nothing left
Queued     0 available, 0 waiting, 0 scheduled
Running    0; this process has 20 workers
Oldest     -
Waits for  -
Callbacks  0 to be made, the oldest -
`)
}

// On a terminal, each frame takes the place of the one before.
func TestWatchedDrainIsDrawn(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	screen := cupwriter.New(&b, true)
	var v drainView
	v.observe(queueOf(3, 0, 1, 0, 0), noon)
	for range 2 {
		if err := v.draw(screen); err != nil {
			t.Fatal(err)
		}
	}
	frame := strings.Join(v.rows(79), "\n") + "\n"
	if got, want := b.String(), frame+"\x1b[7A\x1b[J"+frame; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func wantRows(t *testing.T, v *drainView, width int, want string) {
	t.Helper()
	if got := "\n" + strings.Join(v.rows(width), "\n") + "\n"; got != want {
		t.Errorf("%d wide: got%s\nwant%s", width, got, want)
	}
}

// What is counted as done does not become less when jobs are removed or retried, or when
// the process starts anew, and includes what other processes do.
func TestWatchedDrainCountsEachEnd(t *testing.T) {
	t.Parallel()
	var v drainView
	now := noon
	for _, step := range []struct {
		says string
		q    *gateway.QueueStatus
		done int
	}{
		{"it begins", queueOf(100, 0, 0, 50, 70), 0},
		{"10 end here", queueOf(90, 0, 0, 60, 80), 10},
		{"10 end elsewhere", queueOf(80, 0, 0, 70, 80), 20},
		{"10 end here, and as many are removed", queueOf(70, 0, 0, 70, 90), 30},
		{"50 are removed", queueOf(70, 0, 0, 20, 90), 30},
		{"the process starts anew", queueOf(70, 0, 0, 20, 0), 30},
		{"30 are queued, 5 end", queueOf(95, 0, 0, 25, 5), 35},
	} {
		now = now.Add(time.Second)
		if v.observe(step.q, now); v.done != step.done {
			t.Errorf("%s: %d are done, want %d", step.says, v.done, step.done)
		}
	}
}

func TestWatchedDrainPace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seconds    time.Duration
		then, now  *gateway.QueueStatus
		rate, rest string
	}{
		"none at all":             {1, queueOf(0, 0, 0, 0, 0), queueOf(0, 0, 0, 0, 0), "0.0/s", "nothing left"},
		"it stands still":         {1, queueOf(5, 0, 0, 0, 0), queueOf(5, 0, 0, 0, 0), "0.0/s", "not getting shorter"},
		"as many come as go":      {10, queueOf(5, 0, 0, 0, 0), queueOf(5, 0, 0, 20, 20), "2.0/s", "not getting shorter"},
		"more come than go":       {10, queueOf(5, 0, 0, 0, 0), queueOf(50, 0, 0, 200, 200), "20/s", "not getting shorter"},
		"half as many come as go": {10, queueOf(110, 0, 0, 0, 0), queueOf(100, 0, 0, 20, 20), "2.0/s", "1m40s left"},
		"slow":                    {30, queueOf(0, 0, 3, 0, 0), queueOf(0, 0, 2, 1, 1), "2.0/min", "1m0s left"},
	} {
		var v drainView
		v.observe(test.then, noon)
		v.observe(test.now, noon.Add(test.seconds*time.Second))
		if rate, rest := v.pace(); rate != test.rate || rest != test.rest {
			t.Errorf("%s: %s, %s, want %s, %s", name, rate, rest, test.rate, test.rest)
		}
		v.last.Paused = left(v.last) > 0
		if _, rest := v.pace(); v.last.Paused && rest != "paused" {
			t.Errorf("%s: %s, want it paused", name, rest)
		}
	}
}

// The rates are of the last half minute, however long it has been watched.
func TestWatchedDrainForgets(t *testing.T) {
	t.Parallel()
	var v drainView
	n := 10000
	for second := range 300 {
		if second < 200 {
			n -= 10
		} else {
			n--
		}
		v.observe(queueOf(n, 0, 0, 10000-n, int64(10000-n)), noon.Add(time.Duration(second)*time.Second))
	}
	if ended, drained, ok := v.rates(); !ok || ended != 1 || drained != 1 || len(v.seen) > 32 {
		t.Errorf("%v end a second and %v are drained, of %d samples, want 1", ended, drained, len(v.seen))
	}
}
