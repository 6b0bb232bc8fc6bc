package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// newJobsCommand returns the command runestone jobs.
func newJobsCommand() *cobra.Command {
	jobs := &cobra.Command{
		Use:   "jobs [list|show|retry|cancel|discard|pause|resume]",
		Short: "Shows and changes what is in the overflow queue",
		Long:  jobsHelp,
		Args:  cobra.NoArgs,
		RunE:  onAdmin((*call).listJobs),
	}
	flags := jobs.PersistentFlags()
	flags.BoolP("json", "j", false, "Print JSON")
	addressFlags(jobs)

	list := &cobra.Command{
		Use:   "list [--state <states>] [--model <name>] [--owner <owner>] [--kind <kind>] [--limit <number>] | --watch",
		Short: "Lists jobs, or shows how the queue drains",
		Long:  listHelp,
		Args:  cobra.NoArgs,
		RunE:  onAdmin((*call).listJobs),
	}
	for _, cmd := range []*cobra.Command{jobs, list} {
		addFilters(cmd)
		cmd.Flags().IntP("limit", "n", gateway.DefaultPageSize, "How many jobs to list at most")
		cmd.Flags().BoolP("watch", "w", false, "Show how the queue drains, every second, until Ctrl-C")
	}
	jobs.AddCommand(list,
		&cobra.Command{
			Use:   "show <id>",
			Short: "Shows a job",
			Long:  "\nPrints all that is known of a job, but nothing of what was asked and answered.",
			Args:  cobra.ExactArgs(1),
			RunE:  onAdmin((*call).showJob),
		},
		&cobra.Command{
			Use:   "pause",
			Short: "Has no further requests taken from the queue",
			Long:  "\nHas every gateway that shares the queue take no further requests from it, until\n'caddy runestone jobs resume'. Those that run go on, new ones are still queued, and\ncallbacks are still made.",
			Args:  cobra.NoArgs,
			RunE:  onAdmin((*call).pause),
		},
		&cobra.Command{
			Use:   "resume",
			Short: "Has requests taken from the queue again",
			Long:  "\nEnds what 'caddy runestone jobs pause' began.",
			Args:  cobra.NoArgs,
			RunE:  onAdmin((*call).resume),
		})
	for i := range gateway.JobActions {
		jobs.AddCommand(newActionCommand(&gateway.JobActions[i]))
	}
	return jobs
}

func newActionCommand(action *gateway.JobAction) *cobra.Command {
	help := actionHelp[action.Name]
	cmd := &cobra.Command{
		Use:   action.Name + " <id>... | --all [--state <states>] [--model <name>] [--owner <owner>] [--kind <kind>]",
		Short: help.short,
		Long: "\n" + help.long + `

With --all it does that to all jobs that match the filters, of which there has to be
--state, --model or --owner, and prints how many these were. Without --state it is
those that are ` + action.Usual() + `; without --kind it is requests,
no callbacks. It does not ask whether you are sure: list them first, with the same
filters.`,
		RunE: onAdmin(func(c *call) error { return c.act(action) }),
	}
	addFilters(cmd)
	cmd.Flags().Bool("all", false, "All jobs that match the filters")
	return cmd
}

// filterFlags are the flags that say which jobs are meant. Each is a parameter of the
// jobs API.
var filterFlags = [...]string{"state", "model", "owner", "kind"}

func addFilters(cmd *cobra.Command) {
	cmd.Flags().StringSliceP("state", "s", nil, "Only jobs in this state; several are separated by commas")
	cmd.Flags().StringP("model", "m", "", "Only jobs for this model, as clients name it; of callbacks, for this host")
	cmd.Flags().StringP("owner", "o", "", "Only jobs of this owner, as 'show' prints it")
	cmd.Flags().StringP("kind", "k", "", "Only jobs of this kind: request or callback")
}

// filters returns the parameters that the flags ask for.
func (c *call) filters() url.Values {
	query := make(url.Values)
	for _, name := range filterFlags {
		switch {
		case !c.flags.Changed(name):
		case name == "state":
			states, _ := c.flags.GetStringSlice(name) // it is one
			query.Set(name, strings.Join(states, ","))
		default:
			query.Set(name, c.flags.String(name))
		}
	}
	return query
}

// list prints a table of jobs, or watches the queue.
func (c *call) listJobs() error {
	query, limit := c.filters(), c.flags.Int("limit")
	if c.flags.Bool("watch") {
		if len(query) > 0 || c.flags.Changed("limit") {
			return errors.New("--watch is of the whole queue; leave out the filters and --limit")
		}
		return c.watch()
	}
	if limit < 1 {
		return errors.New("--limit is at least 1")
	}
	list := gateway.JobList{Jobs: []*overflow.Job{}}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(list.Jobs), gateway.MaxPageSize)))
		var page gateway.JobList
		if _, err := c.ask(http.MethodGet, "/runestone/jobs?"+query.Encode(), &page); err != nil {
			return err
		}
		list.Jobs, list.Next = append(list.Jobs, page.Jobs...), page.Next
		if page.Next == "" || len(list.Jobs) >= limit {
			break
		}
		query.Set("before", page.Next)
	}
	if c.json {
		return c.printJSON(list)
	}
	return printJobs(c.out, &list, c.now())
}

// show prints a job.
func (c *call) showJob() error {
	uri, err := jobURI(c.args[0])
	if err != nil {
		return err
	}
	var job overflow.Job
	text, err := c.ask(http.MethodGet, uri, &job)
	if err != nil {
		return err
	}
	if c.json {
		_, err = c.out.Write(text)
		return err
	}
	return printJob(c.out, &job, c.now())
}

// jobURI returns where a job is in the API.
func jobURI(id string) (string, error) {
	if !overflow.ValidID(id) {
		return "", fmt.Errorf("%q is no job's ID; these are job_ and 32 hexadecimal digits", id)
	}
	return "/runestone/jobs/" + id, nil
}

// act does something with the jobs that are named, or with all that match.
func (c *call) act(action *gateway.JobAction) error {
	filters, all := c.filters(), c.flags.Bool("all")
	switch {
	case all && len(c.args) > 0:
		return errors.New("give either IDs of jobs or --all")
	case all && !filters.Has("state") && !filters.Has("model") && !filters.Has("owner"):
		return fmt.Errorf("say which jobs are to be %s: give --state, --model or --owner", action.Done)
	case all:
		return c.actOnAll(action, filters)
	case len(filters) > 0:
		return errors.New("filters are for --all, which does it to all that match; leave out either")
	case len(c.args) == 0:
		return errors.New("give IDs of jobs, or --all and filters")
	}
	var failed []error
	for _, id := range c.args {
		uri, err := jobURI(id)
		if err != nil {
			return err
		}
		var job overflow.Job
		text, err := c.ask(http.MethodPost, uri+"/"+action.Name, &job)
		switch {
		case err == nil && c.json:
			_, err = c.out.Write(text)
		case err == nil:
			_, err = fmt.Fprintf(c.out, "%s is %s\n", job.ID, stateWords(&job))
		case len(c.args) > 1 && refusedJob(err):
			fmt.Fprintln(c.errs, err)
			failed = append(failed, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d jobs could not be %s", len(failed), len(c.args), action.Done)
	}
	return nil
}

// actOnAll does something with all jobs that match.
func (c *call) actOnAll(action *gateway.JobAction, filters url.Values) error {
	var sum gateway.JobBatch
	filters.Set("limit", strconv.Itoa(gateway.MaxPageSize))
	for {
		var batch gateway.JobBatch
		if _, err := c.ask(http.MethodPost, "/runestone/jobs/"+action.Name+"?"+filters.Encode(), &batch); err != nil {
			if sum.Changed > 0 {
				return fmt.Errorf("%s jobs were %s, and then: %w", count(sum.Changed), action.Done, err)
			}
			return err
		}
		sum.Changed += batch.Changed
		sum.Skipped += batch.Skipped
		if batch.Next == "" {
			break
		}
		filters.Set("before", batch.Next)
	}
	if c.json {
		return c.printJSON(sum)
	}
	text := count(sum.Changed) + " jobs were " + action.Done
	if sum.Changed == 1 {
		text = "1 job was " + action.Done
	}
	if sum.Skipped > 0 {
		text += "; " + count(sum.Skipped) + " had moved on meanwhile"
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

func (c *call) pause() error {
	return c.setPaused("pause", "paused: no further requests are taken from the queue (%s still running)\n", overflow.Executing)
}

func (c *call) resume() error {
	return c.setPaused("resume", "resumed: requests are taken from the queue again (%s available)\n", overflow.Available)
}

// setPaused pauses or resumes and prints a text with the number of requests in a state.
func (c *call) setPaused(verb, format string, state overflow.State) error {
	var q gateway.QueueStatus
	text, err := c.ask(http.MethodPost, "/runestone/queue/"+verb, &q)
	if err != nil {
		return err
	}
	if c.json {
		_, err = c.out.Write(text)
	} else {
		_, err = fmt.Fprintf(c.out, format, count(q.Jobs[overflow.Request][state]))
	}
	return err
}

func (c *call) printJSON(v any) error {
	return json.NewEncoder(c.out).Encode(v)
}

// count writes a number as people read it: 12,345.
func count(n int) string { return humanize.Comma(int64(n)) }
