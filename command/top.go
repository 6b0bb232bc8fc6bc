package command

import (
	"context"
	"io"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gdamore/tcell/v3"
	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"github.com/vbauerster/cupwriter"

	"github.com/runestone-gateway/runestone/gateway"
)

var topHelp = `
Shows, every second, what the gateway that is running does: requests, tokens, cost and
latency, the line and the overflow queue, the providers with the states of their
circuit breakers, and the targets and keys of one of them.

  Tab, arrows  select a provider
  PgUp, PgDn   its other targets, if there are more than the screen has room for
  p            pause, and go on
  q            quit

Rates are of the last 10 seconds, and latencies of what ended in them: the median, and
what 95% are within. FAILED of a provider is of calls to it, as the client may have been
served by another; of a target it is the calls in the breaker's window.

With NO_COLOR in the environment it has no colours. If its output is no terminal it
prints what there is to see once, after a second.

It asks the admin endpoint at '` + caddy.DefaultAdminListen + `', unless --address or the
configuration given with --config says another.`

// newTopCommand returns the command runestone top.
func newTopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Shows what the running gateway does, every second",
		Long:  topHelp,
		Args:  cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.RunE = onAdmin(func(c *call) error {
		ctx, stop := signal.NotifyContext(c.ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		return runTop(ctx, c.address, c.out)
	})
	return cmd
}

// runTop shows the gateway until the user has enough or the context ends.
func runTop(ctx context.Context, address string, out io.Writer) error {
	t := &top{address: address, every: watchEvery, now: time.Now, view: topView{address: address}}
	first, err := t.poll()
	if err != nil {
		return err // there is no gateway: no screen has to be made to say so
	}
	t.view.observe(first)
	if cupwriter.New(out, false).IsTerminal() {
		// A terminal that cannot be drawn upon gets text, like what is none.
		if screen, err := tcell.NewScreen(); err == nil && screen.Init() == nil {
			defer screen.Fini()
			t.live(ctx, screen)
			return nil
		}
	}
	return t.once(ctx, out)
}

// top is a run of the command.
type top struct {
	address string
	every   time.Duration
	now     func() time.Time
	view    topView
}

// poll asks the gateway what it does.
func (t *top) poll() (*topSample, error) {
	var s topSample
	if _, err := askJSON(t.address, http.MethodGet, "/runestone/status", nil, &s.status); err != nil {
		return nil, err
	}
	text, err := askAdmin(t.address, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	s.at = t.now()
	if s.counts, err = readCounts(text); err != nil {
		return nil, err
	}
	if s.status.Overflow != nil && s.status.Overflow.Error == "" {
		var q gateway.QueueStatus
		if _, err := askJSON(t.address, http.MethodGet, "/runestone/queue", nil, &q); err == nil { // else its age is not known
			s.queue = &q
		}
	}
	return &s, nil
}

// once prints what there is to see, after as long as rates take.
func (t *top) once(ctx context.Context, out io.Writer) error {
	select {
	case <-time.After(t.every):
	case <-ctx.Done():
		return nil
	}
	s, err := t.poll()
	if err != nil {
		return err
	}
	t.view.observe(s)
	_, err = io.WriteString(out, t.view.plain())
	return err
}

// live shows it on a screen.
func (t *top) live(ctx context.Context, screen tcell.Screen) {
	type answer struct {
		sample *topSample
		err    error
	}
	ticker := time.NewTicker(t.every)
	defer ticker.Stop()
	answers, asking := make(chan answer, 1), false
	for {
		draw(screen, &t.view)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !asking && !t.view.paused {
				asking = true
				go func() {
					s, err := t.poll()
					answers <- answer{s, err}
				}()
			}
		case a := <-answers:
			asking = false
			switch {
			case t.view.paused:
			case a.err != nil: // the gateway may be starting anew
				t.view.trouble = printable(a.err.Error())
			default:
				t.view.observe(a.sample)
			}
		case event, ok := <-screen.EventQ():
			if !ok {
				return // the terminal is gone
			}
			switch event := event.(type) {
			case *tcell.EventKey:
				if !t.view.press(keyOf(event)) {
					return
				}
			case *tcell.EventResize:
				screen.Sync()
			}
		}
	}
}

// keyOf returns what a key is for.
func keyOf(event *tcell.EventKey) topKey {
	switch event.Key() {
	case tcell.KeyEscape, tcell.KeyCtrlC:
		return keyQuit
	case tcell.KeyTab, tcell.KeyDown, tcell.KeyRight:
		return keyDown
	case tcell.KeyBacktab, tcell.KeyUp, tcell.KeyLeft:
		return keyUp
	case tcell.KeyPgUp:
		return keyPageUp
	case tcell.KeyPgDn:
		return keyPageDown
	}
	switch event.Str() {
	case "q":
		return keyQuit
	case "p", " ":
		return keyPause
	case "j":
		return keyDown
	case "k":
		return keyUp
	}
	return keyNone
}

// topStyles are how the tones look: by the terminal's own colours, or without any.
func topStyles(colours bool) map[topTone]tcell.Style {
	plain := tcell.StyleDefault
	styles := map[topTone]tcell.Style{
		tonePlain: plain, toneFaint: plain.Dim(true), toneStrong: plain.Bold(true), toneSelected: plain.Reverse(true),
		toneGood: plain, toneWarn: plain.Bold(true), toneBad: plain.Bold(true).Underline(true),
	}
	if colours {
		styles[toneGood] = plain.Foreground(tcell.PaletteColor(2))
		styles[toneWarn] = plain.Foreground(tcell.PaletteColor(3))
		styles[toneBad] = plain.Foreground(tcell.PaletteColor(1)).Bold(true)
	}
	return styles
}

// draw puts a view on a screen.
func draw(screen tcell.Screen, v *topView) {
	screen.Clear()
	width, height := screen.Size()
	put(screen, v.rows(width, height))
	screen.Show()
}

// put writes rows on a screen, which may have become smaller since they were made.
func put(screen tcell.Screen, rows []topRow) {
	styles := topStyles(screen.Colors() > 0)
	for y, row := range rows {
		x := 0
		for _, s := range row {
			screen.PutStrStyled(x, y, s.text, styles[s.tone])
			x += runewidth.StringWidth(s.text)
		}
	}
}
