package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/runestone-gateway/runestone/overflow"
)

var outputTests = []aTest{
	{"Append adds chunk by chunk", appendAdds},
	{"Appending twice is safe", appendTwice},
	{"A chunk that leaves a gap is refused", appendGap},
	{"Append needs the lease", appendFenced},
	{"Output pages by a mebibyte", outputPages},
	{"A chunk longer than a mebibyte is a page", outputLongChunk},
	{"A page of a mebibyte is full", outputFullPage},
	{"Only the latest run's output is there", outputOfRuns},
	{"What a run has put out stays until the next one", outputStays},
	{"The last of the output is recorded with the end", outputWithEnd},
	{"The head is recorded with the end", headWithEnd},
}

// put appends a chunk.
func (r *rig) put(job *overflow.Job, number int, chunk string) {
	r.Helper()
	if err := r.queue.Append(r.ctx, ref(job), number, []byte(chunk)); err != nil {
		r.Fatalf("Append of chunk %d: %v", number, err)
	}
}

// outputs says what is returned of a run's output, in one page, and how much all of it is.
func (r *rig) outputs(job *overflow.Job, run, from int, want ...string) {
	r.Helper()
	got, err := r.queue.Output(r.ctx, job.ID, run, from)
	if err != nil {
		r.Fatalf("Output of run %d from %d: %v", run, from, err)
	}
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = string(got[i]) == want[i]
	}
	if !same {
		r.Errorf("Output of run %d from %d returned %s, want %s", run, from, sizes(got), sizes(want))
	}
}

// sizes says how long chunks are and how they begin.
func sizes[T string | []byte](chunks []T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d chunks", len(chunks))
	for _, chunk := range chunks {
		fmt.Fprintf(&b, ", %d bytes %.20q", len(chunk), chunk)
	}
	return b.String()
}

// noOutput says that there is no such run, or no such job.
func (r *rig) noOutput(id string, run int) {
	r.Helper()
	if got, err := r.queue.Output(r.ctx, id, run, 0); !errors.Is(err, overflow.ErrNotFound) {
		r.Errorf("Output of run %d returned %s and error %v, want ErrNotFound", run, sizes(got), err)
	}
}

// size says how many bytes were put out.
func (r *rig) size(job *overflow.Job, want int) {
	r.Helper()
	if got := r.get(job.ID).OutputSize; got != int64(want) {
		r.Errorf("OutputSize is %d, want %d", got, want)
	}
}

func appendAdds(r *rig) {
	job := r.run()
	r.outputs(job, 1, 0)
	var want []string
	size := 0
	for i := range 20 { // more than sort alike as text and as numbers
		chunk := fmt.Sprintf("chunk %d\x00\xff", i)
		buffer := []byte(chunk)
		if err := r.queue.Append(r.ctx, ref(job), i, buffer); err != nil {
			r.Fatal(err)
		}
		clear(buffer) // which is the caller's
		want = append(want, chunk)
		size += len(chunk)
		r.outputs(job, 1, 0, want...)
		r.size(job, size)
	}
	r.outputs(job, 1, 7, want[7:]...)
	r.outputs(job, 1, 19, want[19])
	r.outputs(job, 1, 20)
	r.outputs(job, 1, 1000)
	got, err := r.queue.Output(r.ctx, job.ID, 1, 0)
	if err != nil {
		r.Fatal(err)
	}
	for _, chunk := range got {
		clear(chunk)
	}
	r.outputs(job, 1, 0, want...)
}

func appendTwice(r *rig) {
	job := r.run()
	r.put(job, 0, "zero")
	r.put(job, 0, "zero")
	r.put(job, 1, "one")
	r.put(job, 0, "other")
	r.put(job, 1, "one")
	r.outputs(job, 1, 0, "zero", "one")
	r.size(job, len("zeroone"))
	r.put(job, 2, "two")
	r.outputs(job, 1, 0, "zero", "one", "two")
}

func appendGap(r *rig) {
	job := r.run()
	for number := range 3 {
		for _, gap := range []int{1, 2, 1000} {
			if err := r.queue.Append(r.ctx, ref(job), number+gap, []byte("late")); !errors.Is(err, overflow.ErrState) {
				r.Errorf("Append of chunk %d after %d returned error %v, want ErrState", number+gap, number, err)
			}
		}
		r.put(job, number, "x")
		r.size(job, number+1)
	}
	r.outputs(job, 1, 0, "x", "x", "x")
}

func appendFenced(r *rig) {
	job := r.run()
	r.put(job, 0, "zero")
	want := r.get(job.ID)
	for name, to := range map[string]overflow.Ref{
		"no lease":        {ID: job.ID},
		"another's lease": {ID: job.ID, Lease: "nobody's"},
	} {
		for number := range 2 {
			if err := r.queue.Append(r.ctx, to, number, []byte("late")); !errors.Is(err, overflow.ErrLost) {
				r.Errorf("%s: Append returned error %v, want ErrLost", name, err)
			}
		}
	}
	if d := differences(r.get(job.ID), want); d != "" {
		r.Errorf("Append has failed and changed the job: %s", d)
	}
	r.outputs(job, 1, 0, "zero")
	err := r.queue.Append(r.ctx, overflow.Ref{ID: r.job().ID, Lease: job.Lease}, 0, []byte("late"))
	if !errors.Is(err, overflow.ErrNotFound) && !errors.Is(err, overflow.ErrLost) {
		r.Errorf("Append to no job returned error %v", err)
	}
}

func outputPages(r *rig) {
	job := r.run()
	var chunks []string
	for i := range 7 {
		chunks = append(chunks, strings.Repeat(string(rune('a'+i)), 300<<10))
		r.put(job, i, chunks[i])
	}
	r.outputs(job, 1, 0, chunks[:3]...)
	r.outputs(job, 1, 3, chunks[3:6]...)
	r.outputs(job, 1, 6, chunks[6])
	r.outputs(job, 1, 5, chunks[5:]...)
	r.outputs(job, 1, 7)
	r.size(job, 7*300<<10)
}

func outputLongChunk(r *rig) {
	job := r.run()
	long := strings.Repeat("l", 1<<20+1)
	r.put(job, 0, "short")
	r.put(job, 1, long)
	r.put(job, 2, "short")
	r.outputs(job, 1, 0, "short")
	r.outputs(job, 1, 1, long)
	r.outputs(job, 1, 2, "short")
}

func outputFullPage(r *rig) {
	job := r.run()
	half := strings.Repeat("h", 1<<19)
	for i := range 3 {
		r.put(job, i, half)
	}
	r.outputs(job, 1, 0, half, half)
	r.outputs(job, 1, 2, half)
}

func outputOfRuns(r *rig) {
	job := r.enqueue()
	for run := 1; run <= 3; run++ {
		got := r.rerun(job)
		r.outputs(got, run, 0)
		r.put(got, 0, fmt.Sprint("run ", run))
		if run < 3 { // so that the last one is shorter than those before
			r.put(got, 1, "more")
		}
		for other := range run + 3 {
			if other != run {
				r.noOutput(job.ID, other)
			}
		}
		r.apply(ref(got), overflow.Change{To: overflow.Available})
	}
	r.outputs(job, 3, 0, "run 3")
	r.noOutput(r.job().ID, 1)
}

func outputStays(r *rig) {
	for _, change := range []overflow.Change{
		{To: overflow.Completed, Keep: long}, {To: overflow.Discarded, Keep: long}, {To: overflow.Cancelled, Keep: long},
		{To: overflow.Waiting, Lane: "l"}, {To: overflow.Scheduled, After: long, Refund: true}, {To: overflow.Available},
	} {
		job := r.run()
		r.put(job, 0, "zero")
		r.put(job, 1, "one")
		r.apply(ref(job), change)
		r.outputs(job, 1, 0, "zero", "one")
		r.size(job, len("zeroone"))
	}
}

func outputWithEnd(r *rig) {
	for _, to := range []overflow.State{overflow.Completed, overflow.Discarded} {
		job := r.run()
		got := r.apply(ref(job), overflow.Change{To: to, Output: [][]byte{[]byte("a"), []byte("bc")}, Keep: long})
		if got.OutputSize != 3 {
			r.Errorf("OutputSize is %d, want 3", got.OutputSize)
		}
		r.outputs(job, 1, 0, "a", "bc")

		job = r.run()
		r.put(job, 0, "zero")
		got = r.apply(ref(job), overflow.Change{To: to, Output: [][]byte{[]byte("a"), []byte("bc")}, Keep: long})
		if got.OutputSize != 7 {
			r.Errorf("OutputSize is %d, want 7", got.OutputSize)
		}
		r.outputs(job, 1, 0, "zero", "a", "bc")
		r.outputs(job, 1, 2, "bc")
		r.size(job, 7)
	}
}

func headWithEnd(r *rig) {
	head := []byte("head\x00\xff")
	for _, to := range []overflow.State{overflow.Completed, overflow.Discarded} {
		job := r.run()
		if len(r.get(job.ID).Head) != 0 {
			r.Error("a job has a head that was just made")
		}
		r.apply(ref(job), overflow.Change{To: to, Head: head, Keep: long})
		if got := r.get(job.ID).Head; !bytes.Equal(got, head) {
			r.Errorf("the head is %q, want %q", got, head)
		}
	}
	job := r.enqueue()
	r.apply(outside(job), overflow.Change{To: overflow.Discarded, Head: head, Output: [][]byte{[]byte("told why")}, Keep: long})
	if got := r.get(job.ID); !bytes.Equal(got.Head, head) || got.OutputSize != 8 {
		r.Errorf("the head is %q and the size of the output %d of a job that never ran", got.Head, got.OutputSize)
	}
	r.outputs(job, 0, 0, "told why")
}
