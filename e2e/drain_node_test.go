//go:build unix

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node is a gateway that a test ends and starts again, in its home and at its address.
type node struct {
	*gateway // its present life, or the last one
	name     string
	config   setup
	lives    int
	alive    bool
	mishaps  *mishaps
	past     string // the end of the log of the life before
}

// mishaps are what a test has done to gateways and queues.
type mishaps struct {
	list []mishap
	// unheard is how many receivers may have heard nothing, since gateways died three times
	// while they called them.
	unheard int
}

// mishap is something that may have a job run twice.
type mishap struct {
	life     string // whose run it may repeat, "" for any
	from, to time.Time
}

func (m *mishaps) add(life string, from time.Time) {
	m.list = append(m.list, mishap{life, from, time.Now()})
}

// underway is how much later than it was sent a request may be seen to arrive: on a busy machine its gateway
// may have died since.
const underway = 3 * time.Second

// explains reports whether a second run of a job may have followed the first.
func (m *mishaps) explains(first, second *served) bool {
	for _, what := range m.list {
		if (what.life == "" || what.life == first.life && second.life != first.life) &&
			what.from.Before(second.began) && what.to.Add(underway).After(first.began) {
			return true
		}
	}
	return false
}

// drainSetup is a gateway with one provider that queues whatever it is asked. Each life of
// it has its own key with the provider. more is the inside of the block overflow.
func drainSetup(l *ledger, queue string, more ...string) setup {
	return setup{
		Site: "runestone {\noverflow\n}",
		App: fmt.Sprintf(`drain_timeout 2s
		provider ledger openai {
			base_url %s/v1
			api_key {env.LIFE}
		}
		model %s {
			target ledger/%[2]s
		}
		%s
		overflow {
			%s
			%s
		}`, l.url, drainModel, steady, queue, strings.Join(more, "\n")),
	}
}

// newNode prepares a gateway, and sees to its end when the test is over.
func newNode(t testing.TB, name string, s setup, m *mishaps) *node {
	t.Helper()
	n := &node{gateway: prepare(t), name: name, config: s, mishaps: m}
	t.Cleanup(func() {
		if n.alive {
			n.finish()
			n.wantNoPanic()
		}
		if t.Failed() && n.past != "" {
			t.Logf("the end of the log of the life before:\n%s", n.past)
		}
	})
	return n
}

// life is the present one's name.
func (n *node) life() string { return n.name + "." + strconv.Itoa(n.lives) }

// begin starts the next life, and does not wait until it serves.
func (n *node) begin() {
	n.t.Helper()
	if n.lives++; n.lives > 1 {
		n.past = n.tail()
	}
	n.gateway = &gateway{t: n.t, dir: n.dir, admin: n.admin, site: n.site, exited: make(chan struct{})}
	s := n.config
	s.Env = append(slices.Clip(s.Env), "LIFE="+n.life())
	n.spawn(s)
	n.alive = true
}

// serve begins the next life and waits until it serves.
func (n *node) serve() {
	n.t.Helper()
	n.begin()
	n.serving()
}

func (n *node) serving() {
	n.t.Helper()
	if err := n.awaitServing(30 * time.Second); err != nil {
		n.t.Fatalf("the gateway does not serve: %v\n%s", err, n.stderr.String())
	}
}

// kill ends the life at once.
func (n *node) kill() {
	n.t.Helper()
	from := time.Now()
	_ = n.cmd.Process.Kill()
	n.buried(from)
}

// buried waits for the end of a life that was killed at a time.
func (n *node) buried(from time.Time) {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(patience):
		n.t.Fatal("the gateway survives SIGKILL")
	}
	n.alive = false
	n.mishaps.add(n.life(), from)
	n.wantNoAlarm()
	n.wantNoPanic()
}

// signal stops the process or has it go on.
func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) wantNoPanic() {
	n.t.Helper()
	if at := strings.Index(n.stderr.String(), "running a job panicked"); at >= 0 {
		n.t.Errorf("the gateway's log reports:\n%.6000s", n.stderr.String()[at:])
	}
}

// cpu returns how much processor time the life has used, as Linux tells.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		n.t.Skip("this test reads the gateway's processor time from /proc, which only Linux has")
	}
	// The name in parentheses may hold anything; the fields after it are fixed.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields, ticks := strings.Fields(rest), 0
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// depth returns how many request jobs the node says are in these states, or in all. It
// counts once a second.
func (n *node) depth(states ...string) int { n.t.Helper(); return n.count("request", states) }

func (n *node) count(kind string, states []string) int {
	n.t.Helper()
	seen, total := scrape(n.t, n.gateway), 0.0
	if len(states) == 0 {
		return int(seen.sum("runestone_overflow_jobs", "kind="+kind))
	}
	for _, s := range states {
		total += seen.sum("runestone_overflow_jobs", "kind="+kind, "state="+s)
	}
	return int(total)
}

// live are the states of jobs that have not ended.
var live = []string{"available", "waiting", "scheduled", "executing"}

// over waits until there are so many jobs, and all have ended; and as many callbacks, which
// have ended as well, since each end of a job is recorded with its callback.
func (n *node) over(jobs int) {
	n.t.Helper()
	is := func() bool {
		return n.count("request", nil) == jobs && n.count("callback", nil) == jobs &&
			n.count("request", live) == 0 && n.count("callback", live) == 0
	}
	for deadline := time.Now().Add(2 * patience); !is(); {
		if time.Now().After(deadline) {
			n.t.Errorf("%d requests were acknowledged; the queue has %d jobs, of which %d have not ended, and %d callbacks, of which %d have not",
				jobs, n.count("request", nil), n.count("request", live), n.count("callback", nil), n.count("callback", live))
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	n.mishaps.unheard = n.count("callback", []string{"discarded"})
}

// lost returns how many runs the node could not record since it had lost the job.
func (n *node) lost() int {
	n.t.Helper()
	return int(scrape(n.t, n.gateway).sum("runestone_overflow_runs_total", "result=lost"))
}
