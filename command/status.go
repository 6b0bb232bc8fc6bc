package command

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

var statusHelp = `
Prints the open requests, the line, the overflow queue if it is in use, the models,
the providers with the states of their credentials, and the targets of the gateway
that is running.

A target is provider/model. provider/* stands for all models of a provider that the
configuration does not name, and is listed once it has something to show.

  BREAKER      the circuit breaker's state: closed (calls go through), half-open
               (probes do), or open, and in how long the target is tried again
  FAILED       the calls that failed, of those in the breaker's window
  PAUSED       the rest of a pause that the target has asked for
  IN FLIGHT    the calls under way, and how many there may be if there is a limit
  WAITING      the requests in line for it
  FIRST TOKEN  the recent time to the first token of streams
  ANSWER       the recent time to the end of answers that are no streams

It asks the admin endpoint at '` + caddy.DefaultAdminListen + `', unless --address or the
configuration given with --config says another. With --json it prints what that
answers.`

// newStatusCommand returns the command runestone status.
func newStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--json] [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Shows what the running gateway does",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE:  onAdmin((*call).printStatus),
	}
	cmd.Flags().BoolP("json", "j", false, "Print JSON")
	addressFlags(cmd)
	return cmd
}

// printStatus is the command runestone status.
func (c *call) printStatus() error {
	var s statusReport
	text, err := c.ask(http.MethodGet, "/runestone/status", &s)
	switch {
	case err != nil:
		return err
	case c.json:
		_, err = c.out.Write(text)
		return err
	}
	return s.print(c.out)
}

// statusReport is gateway.Status as its JSON has it: the breakers' states are words.
type statusReport struct {
	gateway.Status
	Targets []targetReport `json:"targets"`
}

type targetReport struct {
	gateway.TargetStatus
	Breaker breakerReport `json:"breaker"`
}

type breakerReport struct {
	gateway.BreakerStatus
	State string `json:"state"`
}

// nothing is what a cell shows that has nothing to say.
const nothing = "-"

// print writes the report as tables.
func (s *statusReport) print(w io.Writer) error {
	// An empty line ends a table: the columns after it have their own widths.
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Open requests\t%d\n", s.OpenRequests)
	fmt.Fprintf(t, "In line\t%d of %d\n", s.Line.Waiting, s.Line.Length)
	if s.Overflow != nil {
		fmt.Fprintf(t, "Overflow\t%s\n", overflowWords(s.Overflow))
	}
	fmt.Fprintf(t, "Models\t%s\n", cmp.Or(strings.Join(s.Models, ", "), nothing))

	fmt.Fprintf(t, "\nPROVIDER\tCREDENTIAL\tSTATE\n")
	for _, p := range s.Providers {
		for _, c := range p.Credentials {
			fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, c.Name, credentialWords(&c))
		}
	}

	fmt.Fprintf(t, "\nTARGET\tBREAKER\tFAILED\tPAUSED\tIN FLIGHT\tWAITING\tFIRST TOKEN\tANSWER\n")
	for _, target := range s.Targets {
		if target.Model == "" && target.idle() {
			continue
		}
		fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", target.Provider, cmp.Or(target.Model, "*"),
			target.Breaker.state(), target.Breaker.failed(), duration(target.Breaker.PausedFor),
			target.inFlight(), target.Waiting, duration(target.FirstToken), duration(target.Whole))
	}
	return t.Flush()
}

// credentialWords is a credential's state with all that belongs to it.
func credentialWords(c *gateway.CredentialStatus) string {
	text := c.State
	if c.For > 0 {
		join := " for "
		if c.State == "refused" {
			join = ", tried in "
		}
		text += join + duration(c.For)
	}
	if len(c.Models) > 0 {
		text += ": " + strings.Join(c.Models, ", ")
	}
	return text
}

// overflowWords is the queue in a line.
func overflowWords(s *gateway.OverflowStatus) string {
	if s.Error != "" {
		return printable(s.Error)
	}
	var parts []string
	for _, kind := range overflow.Kinds {
		var counts []string
		for _, state := range overflow.States {
			if n := s.Jobs[kind][state]; n > 0 {
				counts = append(counts, fmt.Sprintf("%s %s", count(n), state))
			}
		}
		if len(counts) == 0 {
			continue
		}
		text := strings.Join(counts, ", ")
		if kind == overflow.Callback {
			text = "callbacks: " + text
		}
		parts = append(parts, text)
	}
	if s.Paused {
		parts = append(parts, "paused")
	}
	return cmp.Or(strings.Join(parts, "; "), "empty")
}

// idle reports whether nothing is known of the target but its name and limit.
func (t *targetReport) idle() bool {
	b := &t.Breaker
	return b.State == breaker.Closed.String() && b.PausedFor == 0 && b.Calls == 0 &&
		t.InFlight == 0 && t.Waiting == 0 && t.FirstToken == 0 && t.Whole == 0
}

func (t *targetReport) inFlight() string {
	if t.Limit == 0 {
		return strconv.Itoa(t.InFlight)
	}
	return fmt.Sprintf("%d of %d", t.InFlight, t.Limit)
}

func (b *breakerReport) state() string {
	switch {
	case b.State != breaker.Open.String():
		return strings.ReplaceAll(b.State, "_", "-")
	case b.OpenFor > 0:
		return "open, tried in " + duration(b.OpenFor)
	}
	return "open, next call tries"
}

func (b *breakerReport) failed() string {
	if b.Calls == 0 {
		return nothing
	}
	return fmt.Sprintf("%d of %d", b.Failures, b.Calls)
}

// duration writes seconds as exactly as people want to know them: 340ms, 1.2s, 1m30s.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return nothing
	case d < time.Second:
		return max(d.Round(time.Millisecond), time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
