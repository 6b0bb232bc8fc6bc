package command

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

const (
	watchEvery = time.Second
	// rateWindow is how much of the past the rates are of.
	rateWindow = 30 * time.Second
	// barWidth is how wide the bar is where there is room for it.
	barWidth = 40
	// lanesShown is how many of the lanes are named.
	lanesShown = 4
)

// watch shows how the queue drains, until the context ends or the process does.
func (c *call) watch() error {
	screen := cupwriter.New(c.out, false)
	var view drainView
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		var q gateway.QueueStatus
		text, err := c.ask(http.MethodGet, "/runestone/queue", &q)
		switch {
		case err != nil && view.last == nil:
			return err
		case err != nil: // the gateway may be starting anew
			view.trouble = printable(err.Error())
		default:
			view.observe(&q, c.now())
		}
		switch {
		case c.json && err != nil:
			fmt.Fprintln(c.errs, view.trouble)
			err = nil
		case c.json:
			_, err = c.out.Write(text)
		case screen.IsTerminal():
			err = view.draw(screen)
		default:
			_, err = fmt.Fprintln(c.out, view.line(c.now()))
		}
		if err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return nil
		}
	}
}

// drainView is what has been seen of the queue since the command began.
type drainView struct {
	last *gateway.QueueStatus
	done int // requests that have ended meanwhile
	seen []drainSample
	// trouble says why nothing newer is known than last, "" if there is.
	trouble string
}

type drainSample struct {
	at         time.Time
	done, left int
}

// observe takes note of how the queue is now.
func (v *drainView) observe(q *gateway.QueueStatus, now time.Time) {
	if v.last != nil {
		// Those in a final state become fewer as they are removed or retried, and what
		// this process has ended leaves out what others have: both are too low at most.
		v.done += max(0, final(q)-final(v.last), int(q.Ended-v.last.Ended))
	}
	v.last, v.trouble = q, ""
	v.seen = append(v.seen, drainSample{now, v.done, left(q)})
	for len(v.seen) > 2 && now.Sub(v.seen[1].at) >= rateWindow {
		v.seen = v.seen[1:]
	}
}

// final returns how many requests are there that have ended, left how many have not.
func final(q *gateway.QueueStatus) int { return requests(q, true) }
func left(q *gateway.QueueStatus) int  { return requests(q, false) }

func requests(q *gateway.QueueStatus, ended bool) int {
	n := 0
	for state, jobs := range q.Jobs[overflow.Request] {
		if state.Final() == ended {
			n += jobs
		}
	}
	return n
}

// rates returns how many requests ended in a second, and by how many they became
// fewer; ok is whether that is known.
func (v *drainView) rates() (ended, drained float64, ok bool) {
	first, last := v.seen[0], v.seen[len(v.seen)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, 0, false
	}
	return float64(last.done-first.done) / seconds, float64(first.left-last.left) / seconds, true
}

// pace says how fast it goes and how long the rest takes.
func (v *drainView) pace() (rate, rest string) {
	ended, drained, ok := v.rates()
	rate = nothing
	if ok {
		rate = perTime(ended)
	}
	switch n := left(v.last); {
	case n == 0:
		rest = "nothing left"
	case v.last.Paused:
		rest = "paused"
	case !ok:
		rest = "time left not known yet"
	case drained <= 0:
		rest = "not getting shorter"
	default:
		rest = duration(float64(n)/drained) + " left"
	}
	return rate, rest
}

// perTime writes a rate.
func perTime(perSecond float64) string {
	switch {
	case perSecond >= 10:
		return count(int(perSecond+0.5)) + "/s"
	case perSecond >= 0.1 || perSecond == 0:
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return fmt.Sprintf("%.1f/min", 60*perSecond)
}

// percent returns how much of all has ended, in percent; 100 only if that is all.
func (v *drainView) percent() int {
	all := v.done + left(v.last)
	if all == 0 {
		return 100
	}
	return 100 * v.done / all
}

// line is the view in a line, for what is no terminal.
func (v *drainView) line(now time.Time) string {
	if v.trouble != "" {
		return now.Format(time.TimeOnly) + "  " + v.trouble
	}
	rate, rest := v.pace()
	jobs := v.last.Jobs[overflow.Request]
	parts := []string{
		now.Format(time.TimeOnly),
		fmt.Sprintf("%d of %d done (%d%%)", v.done, v.done+left(v.last), v.percent()),
		rate, rest,
	}
	for _, state := range overflow.States {
		if !state.Final() {
			parts = append(parts, fmt.Sprintf("%s %d", state, jobs[state]))
		}
	}
	parts = append(parts, "oldest "+duration(v.last.Oldest[overflow.Request]), fmt.Sprintf("callbacks %d", v.callbacks()))
	return strings.Join(parts, "  ")
}

// callbacks returns how many callbacks are still to be made.
func (v *drainView) callbacks() int {
	n := 0
	for state, jobs := range v.last.Jobs[overflow.Callback] {
		if !state.Final() {
			n += jobs
		}
	}
	return n
}

// draw replaces what is on the terminal.
func (v *drainView) draw(screen *cupwriter.Writer) error {
	width, height, err := screen.GetTermSize()
	if err != nil || width < 2 || height < 2 { // it has none, as some in containers
		width, height = 80, 25
	}
	// A line that is as wide as the terminal would be two.
	rows := v.rows(width - 1)
	rows = rows[:min(len(rows), height-1)]
	for _, row := range rows {
		fmt.Fprintln(screen, row)
	}
	return screen.Flush(len(rows))
}

// rows are the view as lines of at most so many cells.
func (v *drainView) rows(width int) []string {
	rate, rest := v.pace()
	q := v.last
	jobs := q.Jobs[overflow.Request]
	var rows []string
	row := func(name, text string) { rows = append(rows, cut(fmt.Sprintf("%-11s%s", name, text), width)) }

	text := fmt.Sprintf(" %3d%%  %s of %s done", v.percent(), count(v.done), count(v.done+left(q)))
	row("Requests", v.bar(min(barWidth, width-11-len(text)))+text)
	row("Rate", rate+", "+rest)
	row("Queued", fmt.Sprintf("%s available, %s waiting, %s scheduled",
		count(jobs[overflow.Available]), count(jobs[overflow.Waiting]), count(jobs[overflow.Scheduled])))
	row("Running", fmt.Sprintf("%s; this process has %s workers", count(jobs[overflow.Executing]), count(q.Workers)))
	row("Oldest", duration(q.Oldest[overflow.Request]))
	row("Waits for", v.lanes())
	row("Callbacks", fmt.Sprintf("%s to be made, the oldest %s", count(v.callbacks()), duration(q.Oldest[overflow.Callback])))
	if q.Bytes > 0 {
		text := humanize.IBytes(uint64(q.Bytes))
		if q.MaxBytes > 0 {
			text += " of " + humanize.IBytes(uint64(q.MaxBytes))
		}
		row("Stored", text)
	}
	if v.trouble != "" {
		row("Trouble", v.trouble)
	}
	return rows
}

// bar draws how much of all has ended.
func (v *drainView) bar(width int) string {
	var b bytes.Buffer
	all := v.done + left(v.last)
	s := decor.Statistics{AvailableWidth: max(0, width), Total: int64(all), Current: int64(v.done), Completed: v.done == all}
	if all == 0 {
		s.Total, s.Current = 1, 1
	}
	_ = mpb.BarStyle().Build().Fill(&b, s) // a buffer takes all
	return b.String()
}

// lanes says what most waiting requests wait for.
func (v *drainView) lanes() string {
	var lanes []gateway.LaneStatus
	for _, lane := range v.last.Lanes {
		if lane.Kind == overflow.Request {
			lanes = append(lanes, lane)
		}
	}
	slices.SortFunc(lanes, func(a, b gateway.LaneStatus) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Name, b.Name))
	})
	var parts []string
	for _, lane := range lanes[:min(len(lanes), lanesShown)] {
		parts = append(parts, fmt.Sprintf("%s %s", printable(lane.Name), count(lane.Waiting)))
	}
	if n := len(lanes) - len(parts); n > 0 {
		parts = append(parts, fmt.Sprintf("%d more", n))
	}
	return cmp.Or(strings.Join(parts, ", "), nothing)
}
