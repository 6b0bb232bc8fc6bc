package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// topTone is how a piece of text is to look, where there are colours.
type topTone int

const (
	tonePlain topTone = iota
	toneFaint
	toneStrong
	toneGood
	toneWarn
	toneBad
	toneSelected
)

// topSpan is a piece of a row, topRow one of the screen, from its left.
type (
	topSpan struct {
		text string
		tone topTone
	}
	topRow []topSpan
)

func (r topRow) String() string {
	var b strings.Builder
	for _, s := range r {
		b.WriteString(s.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// From where a share of failures is worth a look, and where it is bad.
const (
	failedWarn = 0.01
	failedBad  = 0.05
)

// rows are the view on a screen of so many cells. There is a row fewer than the screen has
// lines, or as many.
func (v *topView) rows(width, height int) []topRow {
	const (
		around = 6 // the headings, the keys, the lines between, and the help
		least  = 2 // a provider and a target
	)
	rows := v.head(width, width >= 76)
	rows = append(rows[:max(1, min(len(rows), height-around-least-1))], nil)
	providers, targets := v.providerRows(), v.targetRows(v.targets(v.selected))
	room := height - len(rows) - around
	above := max(1, min(len(providers)-1, max(room/2, room-len(targets)+1)))
	below := max(1, room-above)

	at := max(0, slices.IndexFunc(v.last().status.Providers, func(p gateway.ProviderStatus) bool { return p.Name == v.selected }))
	rows = append(rows, layout(scrolled(providers, max(0, at-above+1), above), width)...)
	rows = append(rows, nil, v.keysRow(width))
	v.skipped = max(0, min(v.skipped, len(targets)-1-below))
	rows = append(rows, layout(scrolled(targets, v.skipped, below), width)...)
	if hidden := len(targets) - 1 - below; hidden > 0 {
		rows = append(rows, topRow{{fmt.Sprintf("PgUp, PgDn: %d more", hidden), toneFaint}}.fit(width))
	} else {
		rows = append(rows, nil)
	}
	for len(rows) < height-1 {
		rows = append(rows, nil)
	}
	rows = rows[:max(0, min(len(rows), height-1))]
	return append(rows, topRow{{"q quit   Tab, arrows: provider   p " + map[bool]string{true: "go on", false: "pause"}[v.paused], toneFaint}}.fit(width))
}

// plain is the whole view as text, for what is no terminal.
func (v *topView) plain() string {
	const wide = 1000
	rows := append(v.head(wide, false), nil)
	rows = append(rows, layout(v.providerRows(), wide)...)
	rows = append(rows, nil)
	rows = append(rows, layout(v.targetRows(v.targets("")), wide)...)
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(row.String() + "\n")
	}
	return b.String()
}

// scrolled returns a table's heading and some of what is below it.
func scrolled(table [][]topSpan, from, n int) [][]topSpan {
	body := table[1:]
	from = min(from, len(body))
	return append([][]topSpan{table[0]}, body[from:min(len(body), from+n)]...)
}

// fact is something of the whole gateway, with its name.
type fact struct {
	name  string
	value topSpan
}

// head is what there is to say of the whole gateway, in one or two columns.
func (v *topView) head(width int, two bool) []topRow {
	const nameWidth, column = 13, 40
	state := topSpan{v.last().at.Format(time.TimeOnly), toneFaint}
	switch {
	case v.trouble != "":
		state = topSpan{"Trouble: " + v.trouble, toneBad}
	case v.paused:
		state = topSpan{"paused since " + state.text, toneWarn}
	}
	rows := []topRow{{{"Runestone at " + printable(v.address) + "  ", toneStrong}, state}}
	facts := v.facts()
	for i := 0; i < len(facts); i++ {
		row := topRow{{pad(facts[i].name, nameWidth, false), toneFaint}, facts[i].value}
		if two && i+1 < len(facts) {
			row[1].text = pad(cut(row[1].text, column-nameWidth-1), column-nameWidth, false)
			row = append(row, topSpan{pad(facts[i+1].name, nameWidth, false), toneFaint}, facts[i+1].value)
			i++
		}
		rows = append(rows, row)
	}
	for i := range rows {
		rows[i] = rows[i].fit(width)
	}
	return rows
}

func (v *topView) facts() []fact {
	s := &v.last().status
	r, known := v.rates("")
	rate := func(perSecond float64) string {
		if !known {
			return nothing
		}
		return perTime(perSecond)
	}
	failed := topSpan{rate(r.requests) + failedWords(r.failed), failedTone(r.failed)}
	open := count(int(s.OpenRequests))
	if n := int(v.last().counts.all.streams); n > 0 {
		open += ", " + count(n) + " streaming"
	}
	cost := nothing
	if known {
		cost = usd(r.usdPerHour) + " an hour"
	}
	line := topSpan{text: fmt.Sprintf("%s of %s", count(s.Line.Waiting), count(s.Line.Length))}
	if s.Line.Waiting > 0 {
		line.tone = toneWarn
	}
	facts := []fact{
		{"Requests", failed}, {"Open", topSpan{text: open}},
		{"Tokens", topSpan{text: rate(r.input) + " in, " + rate(r.output) + " out"}}, {"Cost", topSpan{text: cost}},
		{"First token", topSpan{text: quantiles(r.first)}}, {"Whole answer", topSpan{text: quantiles(r.whole)}},
		{"In line", line}, {"Over limits", topSpan{text: rate(v.limited())}},
	}
	if s.Overflow == nil {
		return facts
	}
	queue := topSpan{text: overflowWords(s.Overflow)} // may be long: the last has a row of its own
	if q := v.last().queue; q != nil && q.Oldest[overflow.Request] > 0 {
		queue.text += "; the oldest " + duration(q.Oldest[overflow.Request])
	}
	if s.Overflow.Paused || s.Overflow.Error != "" {
		queue.tone = toneWarn
	}
	return append(facts, fact{"Queue", queue})
}

// providerRows is the table of providers, with its heading.
func (v *topView) providerRows() [][]topSpan {
	table := [][]topSpan{heading("PROVIDER", "BREAKERS", "CALLS", "FAILED", "IN FLIGHT", "FIRST", "TOKENS", "COST/H")}
	for i := range v.last().status.Providers {
		p := &v.last().status.Providers[i]
		r, known := v.rates(p.Name)
		calls, failed, tokens, cost := nothing, nothing, nothing, nothing
		if known {
			calls, tokens, cost = perTime(r.calls), perTime(r.output), usd(r.usdPerHour)
		}
		if r.calls > 0 {
			failed = fmt.Sprintf("%.1f%%", 100*r.callsFailed)
		}
		name := topSpan{text: printable(p.Name)}
		if p.Name == v.selected {
			name.tone = toneSelected
		}
		table = append(table, []topSpan{
			name, v.providerState(p), {text: calls}, {failed, failedTone(r.callsFailed)},
			{text: count(v.inFlight(p.Name))}, {text: duration(r.first[0])}, {text: tokens}, {text: cost},
		})
	}
	return table
}

// targetRows is a table of targets, with its heading.
func (v *topView) targetRows(targets []*targetReport) [][]topSpan {
	table := [][]topSpan{heading("TARGET", "BREAKER", "FAILED", "PAUSED", "IN FLIGHT", "WAITING", "FIRST", "ANSWER")}
	for _, t := range targets {
		state := topSpan{strings.ReplaceAll(t.Breaker.State, "_", "-"), toneGood}
		switch {
		case t.Breaker.State == breaker.Open.String():
			state = topSpan{strings.TrimSuffix("open "+duration(t.Breaker.OpenFor), " "+nothing), toneBad}
		case t.Breaker.State != breaker.Closed.String():
			state.tone = toneWarn
		}
		table = append(table, []topSpan{
			{text: printable(t.Provider + "/" + cmp.Or(t.Model, "*"))}, state, {text: t.Breaker.failed()},
			{text: duration(t.Breaker.PausedFor)}, {text: t.inFlight()}, {text: count(t.Waiting)},
			{text: duration(t.FirstToken)}, {text: duration(t.Whole)},
		})
	}
	return table
}

// keysRow is the credentials of the selected provider.
func (v *topView) keysRow(width int) topRow {
	row := topRow{{"Keys of " + printable(cmp.Or(v.selected, nothing)) + ": ", toneFaint}}
	for _, p := range v.last().status.Providers {
		if p.Name != v.selected {
			continue
		}
		for i := range p.Credentials {
			c := &p.Credentials[i]
			tone := toneGood
			if c.State != "ok" {
				tone = toneWarn
			}
			text := printable(c.Name + " " + credentialWords(c))
			if i > 0 {
				text = ", " + text
			}
			row = append(row, topSpan{text, tone})
		}
	}
	return row.fit(width)
}

// heading makes a table's first row.
func heading(names ...string) []topSpan {
	row := make([]topSpan, len(names))
	for i, name := range names {
		row[i] = topSpan{name, toneStrong}
	}
	return row
}

// layout puts a table's columns beside each other. All but the first two are numbers, and
// stand at the right. Where it is wider than the screen, the first column gives way.
func layout(table [][]topSpan, width int) []topRow {
	const between, narrowest = 2, 8
	widths := make([]int, len(table[0]))
	total := between * (len(widths) - 1)
	for i := range widths {
		for _, row := range table {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i].text))
		}
		total += widths[i]
	}
	if over := total - width; over > 0 {
		widths[0] = max(min(narrowest, widths[0]), widths[0]-over)
	}
	rows := make([]topRow, len(table))
	for y, cells := range table {
		for i, cell := range cells {
			if i > 0 {
				rows[y] = append(rows[y], topSpan{text: strings.Repeat(" ", between)})
			}
			rows[y] = append(rows[y], topSpan{pad(cut(cell.text, widths[i]), widths[i], i > 1), cell.tone})
		}
		rows[y] = rows[y].fit(width)
	}
	return rows
}

// fit returns as much of a row as there are cells for.
func (r topRow) fit(width int) topRow {
	for i, s := range r {
		w := runewidth.StringWidth(s.text)
		switch {
		case width <= 0:
			return r[:i:i]
		case w > width:
			return append(r[:i:i], topSpan{cut(s.text, width), s.tone})
		}
		width -= w
	}
	return r
}

// pad fills a text with blanks up to a width: after it, or before it if it is to stand at the right.
func pad(text string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(0, width-runewidth.StringWidth(text)))
	if right {
		return blanks + text
	}
	return text + blanks
}

func failedWords(share float64) string {
	if share == 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f%% failed", 100*share)
}

func failedTone(share float64) topTone {
	switch {
	case share >= failedBad:
		return toneBad
	case share >= failedWarn:
		return toneWarn
	}
	return tonePlain
}

// quantiles writes a median and a 95th percentile.
func quantiles(q [2]float64) string {
	if q[1] == 0 {
		return nothing
	}
	return duration(q[0]) + ", 95% within " + duration(q[1])
}

// usd writes an amount of money, with as many places as tell something.
func usd(amount float64) string {
	if amount > 0 && amount < 0.1 {
		return fmt.Sprintf("$%.4f", amount)
	}
	return fmt.Sprintf("$%.2f", amount)
}
