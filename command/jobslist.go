package command

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// Widths of the columns whose content is of any length.
const (
	modelWidth = 32
	noteWidth  = 72
)

// printJobs writes jobs as a table.
func printJobs(w io.Writer, l *gateway.JobList, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "ID\tKIND\tSTATE\tMODEL\tPRIORITY\tATTEMPT\tAGE\tNOTE\n")
	for _, job := range l.Jobs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d of %d\t%s\t%s\n", job.ID, job.Kind, job.State,
			cmp.Or(cut(printable(job.Model), modelWidth), nothing), job.Priority, job.Attempt, job.MaxAttempts,
			ago(now, job.CreatedAt), cmp.Or(cut(jobNote(job, now), noteWidth), nothing))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if l.Next != "" {
		_, err := fmt.Fprintf(w, "\nThere may be more: list them with filters, or more with --limit.\n")
		return err
	}
	return nil
}

// jobNote is what else there is to say of a job in a line.
func jobNote(job *overflow.Job, now time.Time) string {
	var text string
	switch job.State {
	case overflow.Waiting:
		text = "for room at " + job.Lane
	case overflow.Scheduled:
		text = "in " + ago(job.RunAt, now)
	case overflow.Executing:
		text = "for " + ago(now, job.StartedAt)
		if job.CancelAsked {
			text += ", to be cancelled"
		}
	case overflow.Completed, overflow.Cancelled:
		text = ago(now, job.EndedAt) + " ago"
	case overflow.Discarded:
		text = job.Reason
	}
	if job.Error != "" && text != "" {
		text += ": "
	}
	return printable(text + job.Error)
}

// stateWords is the state with what belongs to it.
func stateWords(job *overflow.Job) string {
	switch {
	case job.State == overflow.Executing && job.CancelAsked:
		return "executing, to be cancelled"
	case job.State == overflow.Waiting && job.Lane != "":
		return "waiting for room at " + printable(job.Lane)
	case job.State == overflow.Discarded && job.Reason != "":
		return "discarded: " + printable(job.Reason)
	}
	return string(job.State)
}

// printJob writes all there is to say of a job.
func printJob(w io.Writer, job *overflow.Job, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, cmp.Or(printable(value), nothing)) }
	at := func(name string, at time.Time) {
		if at.IsZero() {
			return
		}
		text := at.In(now.Location()).Format(time.DateTime)
		if at.After(now) {
			text += ", in " + ago(at, now)
		} else {
			text += ", " + ago(now, at) + " ago"
		}
		row(name, text)
	}
	row("ID", job.ID)
	row("Kind", string(job.Kind))
	row("State", stateWords(job))
	if job.Error != "" {
		row("Error", job.Error)
	}
	if job.Kind == overflow.Callback {
		row("Host", job.Model)
	} else {
		row("Model", job.Model)
	}
	row("Owner", job.Owner)
	if job.Parent != "" {
		row("Tells of", job.Parent)
	}
	row("Priority", fmt.Sprint(job.Priority))
	row("Attempt", fmt.Sprintf("%d of %d", job.Attempt, job.MaxAttempts))
	row("Runs", runsWords(job))
	at("Queued", job.CreatedAt)
	at("Available", job.RunAt)
	at("Started", job.StartedAt)
	at("Leased until", job.LeaseUntil)
	at("Ended", job.EndedAt)
	if !job.State.Final() {
		at("Deadline", job.Deadline)
	}
	at("Removed", job.KeepUntil)
	row("Output", humanize.IBytes(uint64(max(0, job.OutputSize))))
	return t.Flush()
}

// runsWords says how often a job ran, and how often in vain without its fault.
func runsWords(job *overflow.Job) string {
	text := fmt.Sprint(job.Run)
	if job.Crashes > 0 {
		text += fmt.Sprintf("; %d ended without a word", job.Crashes)
	}
	if job.Snoozes > 0 {
		text += fmt.Sprintf("; the last %d found nobody to take it", job.Snoozes)
	}
	return text
}

// ago returns how long before now a moment was.
func ago(now, at time.Time) string {
	if at.IsZero() || now.IsZero() {
		return nothing
	}
	// A moment is no time, but never nothing.
	return duration(max(now.Sub(at), time.Millisecond).Seconds())
}

// printable returns a text with nothing in it that a terminal would obey: parts of it
// are clients' and providers'.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// cut returns as much of a text as fits into so many cells of a terminal.
func cut(text string, width int) string { return runewidth.Truncate(text, width, "…") }
