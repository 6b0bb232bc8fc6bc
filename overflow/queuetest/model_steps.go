package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func (p *pair) stepEnqueue() {
	p.Helper()
	job, limit := p.aJob(), one(p, 0, 0, 0, 3, 8)
	if len(p.ids) > 0 && p.chance(8) {
		job.ID = one(p, p.ids...)
		if _, err := p.want.Get(p.ctx, job.ID); err != nil {
			return // nobody enqueues again what was removed
		}
	}
	p.did("Enqueue %s, unique %q, run at %s, limit %d", describe(job), job.Unique, job.RunAt, limit)
	got, err := p.queue.Enqueue(p.ctx, job, limit)
	want, wantErr := p.want.Enqueue(p.ctx, job, limit)
	if p.sameError(err, wantErr) {
		p.sameJob(got, want, "Payload", "Head")
		p.met(job.ID)
	}
	p.compare(job.ID)
}

// met remembers a job that may be there.
func (p *pair) met(id string) {
	if !slices.Contains(p.ids, id) {
		p.ids = append(p.ids, id)
	}
}

func (p *pair) stepClaim() {
	p.Helper()
	kind := one(p, overflow.Kinds[:]...)
	stats, err := p.want.Stats(p.ctx)
	if err != nil {
		p.fail("the reference's Stats: %v", err)
	}
	if stats.Jobs[kind][overflow.Available] == 0 || stats.Paused && kind == overflow.Request {
		return // it would wait
	}
	order := overflow.Order{Kind: kind, Max: 1 + p.rng.IntN(3), Lease: one(p, long, long, long, time.Millisecond)}
	p.did("Claim %+v", order)
	got, err := p.queue.Claim(p.ctx, order)
	if err != nil || len(got) < 1 || len(got) > order.Max {
		p.fail("Claim returned %s and error %v", describeAll(got), err)
	}
	order.Max = len(got) // fewer than there are is right as well
	want, err := p.want.Claim(p.ctx, order)
	if err != nil || len(want) != len(got) {
		p.fail("Claim returned %s, want %s", describeAll(got), describeAll(want))
	}
	for i := range want {
		p.did("  claimed %s", describe(want[i]))
		p.sameJob(got[i], want[i])
		p.leases[want[i].ID] = append(p.leases[want[i].ID], leasesOfRun{got[i].Lease, want[i].Lease})
		p.uses[want[i].ID] = 0
		p.compare(want[i].ID)
	}
	if order.Lease < long { // it is over before anything else happens
		p.pass(got[0].LeaseUntil)
		p.pass(want[0].LeaseUntil)
	}
}

func (p *pair) stepApply() {
	p.Helper()
	id := p.anID()
	gotRef, wantRef := p.aRef(id)
	change := overflow.Change{
		To: one(p, overflow.States[:]...), Lane: one(p, "a", "b"), After: long, Refund: p.chance(2), Deadline: p.aDeadline(),
		Reason: overflow.ReasonRefused, Error: fmt.Sprint("error ", len(p.log)), Keep: one(p, long, time.Millisecond),
	}
	job, err := p.want.Get(p.ctx, id)
	if gotRef.Lease != "" && (err != nil || change.To == overflow.Executing) {
		return // wrong in two respects
	}
	if err == nil && gotRef.Lease == "" && change.To == overflow.Available {
		change.Error = job.Error // an operator ends no run
	}
	if change.To == overflow.Completed || change.To == overflow.Discarded {
		change.Head = fmt.Appendf(nil, "head %d", len(p.log))
		change.Output = [][]byte{fmt.Appendf(nil, "end %d", len(p.log))}
	}
	if p.chance(8) {
		change.Follow = p.aJob()
	}
	p.did("Apply to %s of %s (lease %t), refund %t, keep %s, deadline %s", change.To, id, gotRef.Lease != "",
		change.Refund, change.Keep, change.Deadline)
	if err == nil {
		p.did("  which was %s, unique %q, snoozes %d", describe(job), job.Unique, job.Snoozes)
	}
	got, err := p.queue.Apply(p.ctx, gotRef, change)
	want, wantErr := p.want.Apply(p.ctx, wantRef, change)
	if p.sameError(err, wantErr) {
		p.sameJob(got, want, "Payload", "Head")
		if want.State.Final() && change.Keep < long { // it is over before anything else happens
			p.pass(got.KeepUntil)
			p.pass(want.KeepUntil)
		}
	}
	if change.Follow != nil {
		p.did("  with %s to follow, unique %q", describe(change.Follow), change.Follow.Unique)
		p.met(change.Follow.ID)
		p.compare(change.Follow.ID)
	}
	p.compare(id)
}

func (p *pair) stepAppend() {
	p.Helper()
	id := p.anID()
	gotRef, wantRef := p.aRef(id)
	if _, err := p.want.Get(p.ctx, id); err != nil {
		return
	}
	number := max(0, p.uses[id]+one(p, 0, 0, 0, 0, -1, 1))
	chunk := fmt.Appendf(nil, "chunk %d", len(p.log))
	p.did("Append of chunk %d to %s (lease %t)", number, id, gotRef.Lease != "")
	err := p.queue.Append(p.ctx, gotRef, number, chunk)
	if p.sameError(err, p.want.Append(p.ctx, wantRef, number, chunk)) && number == p.uses[id] {
		p.uses[id]++
	}
	p.compare(id)
}

func (p *pair) stepHeartbeat() {
	p.Helper()
	var gotRefs, wantRefs []overflow.Ref
	for range p.rng.IntN(6) {
		got, want := p.aRef(p.anID())
		gotRefs, wantRefs = append(gotRefs, got), append(wantRefs, want)
	}
	p.did("Heartbeat of %d", len(gotRefs))
	got, err := p.queue.Heartbeat(p.ctx, gotRefs, long)
	want, wantErr := p.want.Heartbeat(p.ctx, wantRefs, long)
	if p.sameError(err, wantErr) && !slices.Equal(got, want) {
		p.fail("Heartbeat of %+v returned %v, want %v", gotRefs, got, want)
	}
}

func (p *pair) stepWake() {
	p.Helper()
	kind, lane, n := one(p, overflow.Kinds[:]...), one(p, "a", "b", "c"), p.rng.IntN(4)
	p.did("Wake %d of %s in %s", n, kind, lane)
	got, err := p.queue.Wake(p.ctx, kind, lane, n)
	want, wantErr := p.want.Wake(p.ctx, kind, lane, n)
	if p.sameError(err, wantErr) && got != want {
		p.fail("Wake returned %d, want %d", got, want)
	}
}

func (p *pair) stepMaintain() {
	p.Helper()
	want, err := p.want.Maintain(p.ctx)
	if err != nil {
		p.fail("the reference's Maintain: %v", err)
	}
	p.did("Maintain, which rescues %s, makes %d available that are overdue and removes %d",
		describeAll(want.Rescued), want.Overdue, want.Removed)
	end := time.Now().Add(patience / 2)
	got := p.maintain(func(up overflow.Upkeep) bool {
		return len(up.Rescued) >= len(want.Rescued) && up.Overdue >= want.Overdue && up.Removed >= want.Removed || time.Now().After(end)
	})
	if len(got.Rescued) != len(want.Rescued) || got.Overdue != want.Overdue || got.Removed != want.Removed || got.Repaired != 0 {
		p.fail("Maintain rescued %s, made %d available, removed %d and repaired %d",
			describeAll(got.Rescued), got.Overdue, got.Removed, got.Repaired)
	}
	for _, job := range want.Rescued {
		i := slices.IndexFunc(got.Rescued, func(j *overflow.Job) bool { return j.ID == job.ID })
		if i < 0 {
			p.fail("Maintain rescued %s", describeAll(got.Rescued))
		}
		p.sameJob(got.Rescued[i], job, "Payload", "Head")
		p.compare(job.ID)
	}
}

func (p *pair) stepPause() {
	p.Helper()
	paused := p.chance(3)
	p.did("Pause %t", paused)
	p.sameError(p.queue.Pause(p.ctx, paused), p.want.Pause(p.ctx, paused))
}

func (p *pair) stepRead() {
	p.Helper()
	id := p.anID()
	p.did("read %s and others", id)
	p.compare(id)
	if job, err := p.want.Get(p.ctx, id); err == nil {
		p.compareOutput(id, job.Run, p.rng.IntN(3))
		if job.Run > 0 {
			p.compareOutput(id, p.rng.IntN(job.Run+2), p.rng.IntN(3))
		}
		got, err := p.queue.Ahead(p.ctx, job)
		want, wantErr := p.want.Ahead(p.ctx, job)
		if p.sameError(err, wantErr) && got != want {
			p.fail("Ahead of %s returned %d, want %d", describe(job), got, want)
		}
	}
	unique := fmt.Sprint("u", p.rng.IntN(6))
	got, err := p.queue.Find(p.ctx, unique)
	want, wantErr := p.want.Find(p.ctx, unique)
	if p.sameError(err, wantErr) {
		p.sameJob(got, want, "Payload", "Head")
	}
	filter := overflow.Filter{
		Kind: one(p, "", overflow.Request, overflow.Callback), Owner: one(p, "", "anna"), Model: one(p, "", "small"), Limit: 1 + p.rng.IntN(20),
	}
	if p.chance(2) {
		filter.States = []overflow.State{one(p, overflow.States[:]...), one(p, overflow.States[:]...)}
	}
	if p.chance(3) {
		filter.Before = p.anID()
	}
	p.compareList(filter)
}

// stepReopen has the process die that holds the queue. What runs would be rescued then at
// once by some queues, and by others when its lease is over, so nothing may run.
func (p *pair) stepReopen() {
	p.Helper()
	p.did("reopen")
	for _, id := range p.ids {
		job, err := p.want.Get(p.ctx, id)
		if err != nil || job.State != overflow.Executing {
			continue
		}
		if !time.Now().Before(job.LeaseUntil) {
			p.stepMaintain()
			continue
		}
		l := p.leases[id][len(p.leases[id])-1]
		for q, lease := range map[overflow.Queue]string{p.queue: l.got, p.want: l.want} {
			if _, err := q.Apply(p.ctx, overflow.Ref{ID: id, Lease: lease}, overflow.Change{To: overflow.Available}); err != nil {
				p.fail("Apply: %v", err)
			}
		}
	}
	p.queue = p.handles[0] // what other processes there are live on
	p.reopen()
	p.handles[0] = p.queue
	p.compareAll()
}
