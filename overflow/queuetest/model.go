package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	modelSteps = 300
	modelSeeds = 3
	// modelSeed names a variable of the environment with the one seed to try.
	modelSeed = "QUEUETEST_SEED"
)

// model does the same to the queue under test and to the reference, at random, and
// compares what they answer. A seed gives the same steps each time.
func model(r *rig) {
	seeds := map[string]uint64{"with a new seed": uint64(time.Now().UnixNano())}
	for seed := range uint64(modelSeeds) {
		seeds[fmt.Sprint("with seed ", seed)] = seed
	}
	if seed, err := strconv.ParseUint(os.Getenv(modelSeed), 10, 64); err == nil {
		seeds = map[string]uint64{"with the seed of " + modelSeed: seed}
	}
	for name, seed := range seeds {
		r.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(newRig(t, r.backend), seed)
			for range modelSteps {
				p.step()
			}
			p.compareAll()
		})
	}
}

// pair is a queue under test and the reference, to which the same is done.
type pair struct {
	*rig
	handles []overflow.Queue // of the queue under test
	want    overflow.Queue
	rng     *rand.Rand
	seed    uint64

	ids    []string
	uses   map[string]int           // how many chunks were put out by the present run
	leases map[string][]leasesOfRun // of each job, the present or last one last
	log    []string
}

// leasesOfRun are the leases of one run, at either queue.
type leasesOfRun struct{ got, want string }

func newPair(r *rig, seed uint64) *pair {
	return &pair{
		rig: r, handles: r.handles(), want: NewQueue(), rng: rand.New(rand.NewPCG(seed, 0)), seed: seed,
		uses: make(map[string]int), leases: make(map[string][]leasesOfRun),
	}
}

// step makes one call of both.
func (p *pair) step() {
	p.Helper()
	p.queue = p.handles[p.rng.IntN(len(p.handles))]
	steps := []struct {
		weight int
		run    func()
	}{
		{20, p.stepEnqueue}, {22, p.stepClaim}, {30, p.stepApply}, {8, p.stepAppend}, {4, p.stepHeartbeat},
		{5, p.stepWake}, {6, p.stepMaintain}, {2, p.stepPause}, {6, p.stepRead}, {1, p.stepReopen},
	}
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	n := p.rng.IntN(sum)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.run()
			break
		}
	}
	stats, err := p.want.Stats(p.ctx)
	if err != nil {
		p.fail("the reference's Stats: %v", err)
	}
	if d := statsDiffer(p.stats(), stats); d != "" {
		p.fail("Stats: %s", d)
	}
}

// did logs a step, which is told if the queues differ after it.
func (p *pair) did(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

// fail ends the test.
func (p *pair) fail(format string, args ...any) {
	p.Helper()
	const last = 60
	steps := p.log[max(0, len(p.log)-last):]
	p.Fatalf("%s\nafter these steps, the last of %d (again: %s=%d):\n%s",
		fmt.Sprintf(format, args...), len(p.log), modelSeed, p.seed, strings.Join(steps, "\n"))
}

// sameError ends the test unless both errors are the same, and reports whether there is none.
func (p *pair) sameError(got, want error) bool {
	p.Helper()
	for _, sentinel := range []error{overflow.ErrNotFound, overflow.ErrLost, overflow.ErrState, overflow.ErrFull} {
		if errors.Is(want, sentinel) && !errors.Is(got, sentinel) {
			p.fail("the error is %v, want %v", got, want)
		}
	}
	if (got == nil) != (want == nil) {
		p.fail("the error is %v, want %v", got, want)
	}
	return want == nil
}

// sameJob ends the test unless both jobs are the same, as far as they can be.
func (p *pair) sameJob(got, want *overflow.Job, but ...string) {
	p.Helper()
	if got == nil || want == nil {
		if got != want {
			p.fail("got %s, want %s", describe(got), describe(want))
		}
		return
	}
	but = append(but, "Lease", "LeaseUntil", "StartedAt", "EndedAt", "KeepUntil", "RunAt")
	if want.State == overflow.Executing {
		but = append(but, "Error") // is of the run before
	}
	if want.State.Final() {
		but = append(but, "CancelAsked") // is answered
	}
	if want.State != overflow.Discarded {
		but = append(but, "Reason")
	}
	if d := differences(got, want, but...); d != "" {
		p.fail("got %s\n%s", describe(got), d)
	}
	for name, differ := range map[string]bool{
		"Lease":      want.State == overflow.Executing && got.Lease == "",
		"LeaseUntil": want.State == overflow.Executing && got.LeaseUntil.Sub(want.LeaseUntil).Abs() > patience,
		"RunAt":      want.State == overflow.Scheduled && got.RunAt.Sub(want.RunAt).Abs() > patience,
		"StartedAt":  got.StartedAt.Sub(want.StartedAt).Abs() > patience,
		"EndedAt":    got.EndedAt.Sub(want.EndedAt).Abs() > patience,
		"KeepUntil":  got.KeepUntil.Sub(want.KeepUntil).Abs() > patience,
	} {
		if differ {
			p.fail("%s of %s is wrong", name, describe(got))
		}
	}
}

// compare ends the test unless both queues have the same of a job.
func (p *pair) compare(id string) {
	p.Helper()
	got, err := p.queue.Get(p.ctx, id)
	want, wantErr := p.want.Get(p.ctx, id)
	if p.sameError(err, wantErr) {
		p.sameJob(got, want)
	}
}

// compareAll compares all that there is.
func (p *pair) compareAll() {
	p.Helper()
	for _, id := range p.ids {
		p.compare(id)
		if want, err := p.want.Get(p.ctx, id); err == nil {
			p.compareOutput(id, want.Run, 0)
		}
	}
	p.compareList(overflow.Filter{Limit: 1000})
}

func (p *pair) compareOutput(id string, run, from int) {
	p.Helper()
	got, err := p.queue.Output(p.ctx, id, run, from)
	want, wantErr := p.want.Output(p.ctx, id, run, from)
	if job, _ := p.want.Get(p.ctx, id); job != nil && run == job.Run && len(want) == 0 && errors.Is(err, overflow.ErrNotFound) {
		return // nothing, or none: of a run that has put nothing out both are said
	}
	if p.sameError(err, wantErr) && !slices.EqualFunc(got, want, slices.Equal[[]byte]) {
		p.fail("Output of run %d from %d returned %s, want %s", run, from, sizes(got), sizes(want))
	}
}

func (p *pair) compareList(filter overflow.Filter) {
	p.Helper()
	got, err := p.queue.List(p.ctx, filter)
	want, wantErr := p.want.List(p.ctx, filter)
	if !p.sameError(err, wantErr) {
		return
	}
	if len(got) != len(want) {
		p.fail("List with %+v returned %s, want %s", filter, describeAll(got), describeAll(want))
	}
	for i := range want {
		p.sameJob(got[i], want[i])
	}
}

// one picks one of several.
func one[T any](p *pair, of ...T) T { return of[p.rng.IntN(len(of))] }

// chance is true once in n times.
func (p *pair) chance(n int) bool { return p.rng.IntN(n) == 0 }

// anID picks a job, more likely a young one.
func (p *pair) anID() string {
	if len(p.ids) == 0 || p.chance(50) {
		return "job_of_nobody"
	}
	return p.ids[max(0, len(p.ids)-1-int(p.rng.ExpFloat64()*10))]
}

// aRef picks a lease of a job, at either queue: mostly the present one.
func (p *pair) aRef(id string) (got, want overflow.Ref) {
	got, want = overflow.Ref{ID: id}, overflow.Ref{ID: id}
	leases := p.leases[id]
	switch {
	case len(leases) == 0 || p.chance(4):
	case p.chance(8):
		got.Lease, want.Lease = "nobody's", "nobody's"
	case p.chance(8):
		l := one(p, leases...)
		got.Lease, want.Lease = l.got, l.want
	default:
		l := leases[len(leases)-1]
		got.Lease, want.Lease = l.got, l.want
	}
	return got, want
}

// aJob makes up a job.
func (p *pair) aJob() *overflow.Job {
	return p.job(func(job *overflow.Job) {
		job.Kind = one(p, overflow.Request, overflow.Request, overflow.Callback)
		job.Priority, job.Owner, job.Model = p.rng.IntN(overflow.Priorities), one(p, "anna", "bert"), one(p, "small", "large")
		if p.chance(2) {
			job.Unique = fmt.Sprint("u", p.rng.IntN(6))
		}
		if p.chance(5) {
			job.RunAt = time.Now().Add(one(p, long, -long))
		}
		job.Deadline = p.aDeadline()
	})
}

// aDeadline is none, mostly, or one that has passed, or will not.
func (p *pair) aDeadline() time.Time {
	if p.chance(4) {
		return time.Now().Add(one(p, long, -long))
	}
	return time.Time{}
}
