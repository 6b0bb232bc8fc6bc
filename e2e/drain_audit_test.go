//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// tally is what became of orders.
type tally struct {
	acknowledged, completed, discarded, canceled int
	runs, again                                  int // of the provider, and those that were not the first of their job
	retries                                      int // of clients until they were acknowledged
}

func (y tally) String() string {
	return fmt.Sprintf("%d acknowledged = %d completed + %d discarded + %d cancelled; %d runs, %d of them again; %d retries of clients",
		y.acknowledged, y.completed, y.discarded, y.canceled, y.runs, y.again, y.retries)
}

// audit holds the orders, all of which have ended, to what the provider and, unless it is nil,
// the receiver of callbacks know of them: each has ended once and for good, with the answer that the
// last run was given, and was run again only where a mishap explains it.
func audit(t testing.TB, o *orders, l *ledger, r *receiver, m *mishaps) tally {
	t.Helper()
	a := &auditor{t: t, l: l, r: r, m: m, jobs: make(map[string]string)}
	all := o.placed()
	a.acknowledged = len(all)
	if r != nil {
		a.learn(all)
	}
	for _, x := range all {
		a.order(x)
	}
	if a.complaints > 8 {
		t.Errorf("and %d complaints more", a.complaints-8)
	}
	t.Logf("%v", a.tally)
	return a.tally
}

type auditor struct {
	tally
	t          testing.TB
	l          *ledger
	r          *receiver
	m          *mishaps
	jobs       map[string]string // by marker, of jobs that were completed and told of
	unheard    int
	complaints int
}

func (a *auditor) complain(format string, args ...any) {
	a.t.Helper()
	if a.complaints++; a.complaints <= 8 {
		a.t.Errorf(format, args...)
	}
}

// learn has the receiver say what jobs there were. No client may have got two for one order.
func (a *auditor) learn(all []*order) {
	known := make(map[string]bool)
	for _, x := range all {
		known[x.id] = true
	}
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	for job, notices := range a.r.told {
		for _, n := range notices {
			if n.Data.Response == nil || n.Type != "response.completed" {
				continue
			}
			marker := markerOf(n.Data.Response.Body)
			if other, twice := a.jobs[marker]; twice && other != job {
				a.complain("%s became two jobs: %s and %s", marker, other, job)
			}
			a.jobs[marker] = job
			if _, mine := known[job]; !mine {
				known[job] = false
			}
		}
	}
}

// markerOf reads from an answer whose it is.
func markerOf(answer []byte) (marker string) {
	var body struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if json.Unmarshal(answer, &body) == nil && len(body.Choices) > 0 {
		var run int
		var life string
		_, _ = fmt.Sscanf(body.Choices[0].Message.Content, "Run %d of %s for %s", &run, &marker, &life)
	}
	return marker
}

func (a *auditor) order(x *order) {
	a.t.Helper()
	a.retries += x.tries - 1
	runs := a.l.of(x.marker)
	a.runs += len(runs)
	a.again += max(0, len(runs)-1)
	for i := 1; i < len(runs); i++ {
		if first, second := runs[i-1], runs[i]; !a.m.explains(first, second) {
			a.complain("%s (%s) ran for %s and, %v later, again for %s, and nothing explains it",
				x.marker, x.id, first.life, second.began.Sub(first.began).Round(time.Millisecond), second.life)
		}
	}
	if x.id == "" { // it was completed before its client could be told of the job
		a.completed++
		a.answered(x, x.replayed, runs)
		if x.id = a.jobs[x.marker]; x.id != "" { // a callback does not hold a stream
			a.told(x, "response.completed", x.replayed)
		}
		return
	}
	switch x.job.Status {
	case "completed":
		a.completed++
		a.answered(x, x.answer, runs)
		a.told(x, "response.completed", x.answer)
	case "cancelled":
		a.canceled++
		if !x.canceled {
			a.complain("%s (%s) is cancelled, and nobody asked for that", x.marker, x.id)
		}
		a.told(x, "response.cancelled", "")
	case "failed":
		a.discarded++
		if x.job.Error == nil || x.job.Error.Code != "crashes" || len(a.m.list) < 3 || len(runs) > 3 {
			a.complain("%s (%s) was discarded after %d runs: %+v", x.marker, x.id, len(runs), x.job.Error)
		}
		a.told(x, "response.failed", "")
	default:
		a.complain("%s (%s) has not ended: it is %q", x.marker, x.id, x.job.Status)
	}
}

// answered compares the recorded answer with what the provider gave. Whoever ran the
// job last has the lease that lets it record, and nobody else.
func (a *auditor) answered(x *order, got string, runs []*served) {
	a.t.Helper()
	if len(runs) == 0 {
		a.complain("%s (%s) is completed, and the provider knows nothing of it", x.marker, x.id)
		return
	}
	if want := a.l.answeredWith(runs[len(runs)-1]); got != want || x.id != "" && x.code != 200 {
		a.complain("%s (%s), after %d runs: its answer has status %d and is not what the last run got: %s",
			x.marker, x.id, len(runs), x.code, difference(got, want))
	}
}

// told checks that the client's server was told of one end, and of which.
func (a *auditor) told(x *order, what, answer string) {
	a.t.Helper()
	if a.r == nil || x.hook == "" {
		return
	}
	notices := a.r.of(x.id)
	if len(notices) == 0 && a.unheard < a.m.unheard {
		a.unheard++
		return
	}
	if len(notices) != 1 {
		a.complain("of %s (%s, %s) its receiver was told %d ends", x.marker, x.id, x.job.Status, len(notices))
		return
	}
	n := notices[0]
	if n.Type != what {
		a.complain("%s (%s) is %q, and its receiver was told %s", x.marker, x.id, x.job.Status, n.Type)
	}
	if answer != "" && n.Data.Response != nil && string(n.Data.Response.Body) != answer {
		a.complain("%s (%s): its receiver was told another answer: %s", x.marker, x.id, difference(string(n.Data.Response.Body), answer))
	}
}
