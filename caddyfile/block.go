package caddyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseFunc reads what follows the current token, the name of an option. What
// it leaves unread is an error of its caller.
type parseFunc func(d *caddyfile.Dispenser) error

// option is what a block knows about one of its options.
type option struct {
	parse  parseFunc
	repeat bool   // may stand there more than once
	off    string // what turns it off, since the word off behind it does not; "" if nothing does
}

func once(parse parseFunc) option { return option{parse: parse} }

// but returns the option with what turns it off.
func (o option) but(off string) option {
	o.off = off
	return o
}

func many(parse parseFunc) option { return option{parse: parse, repeat: true} }

// block is a list of options in braces, one a line.
type block struct {
	name    string // in errors
	options map[string]option
	other   parseFunc // reads an unknown option; nil when there are none
}

// parse reads the block that opens on d's current line. Without one it reads nothing.
func (b block) parse(d *caddyfile.Dispenser) error {
	seen := map[string]caddyfile.Token{}
	previous := b.name
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if !startsLine(d) {
			if off := b.options[previous].off; name == "off" && off != "" {
				return d.Errf("unexpected 'off' on the line of %s: to turn it off, write %s", previous, off)
			}
			return d.Errf("unexpected '%s' on the line of %s: remove it, or write it on a line of its own", name, previous)
		}
		previous = name
		opt, known := b.options[name]
		first, repeated := seen[name]
		seen[name] = d.Token()

		var err error
		switch {
		case known && repeated && !opt.repeat:
			err = d.Errf("option '%s' of %s is already set at %s:%d; remove one of them", name, b.name, first.File, first.Line)
		case known:
			err = opt.parse(d)
		case b.other != nil:
			err = b.other(d)
		default:
			err = b.unknown(d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b block) unknown(d *caddyfile.Dispenser) error {
	if len(b.options) == 0 {
		return d.Errf("unknown option '%s': %s has no options", d.Val(), b.name)
	}
	return d.Errf("unknown option '%s' of %s%s: its options are %s",
		d.Val(), b.name, didYouMean(d.Val(), b.names()), strings.Join(b.names(), ", "))
}

// names returns the known options, sorted.
func (b block) names() []string { return slices.Sorted(maps.Keys(b.options)) }

// startsLine reports whether d's current token is the first on its line.
func startsLine(d *caddyfile.Dispenser) bool {
	d.Prev()
	if d.NextLine() {
		return true
	}
	d.Next()
	return false
}

// didYouMean returns a question to put behind an unknown word, "" when none of
// the known words is close.
func didYouMean(word string, known []string) string {
	if near := closest(word, known); near != "" {
		return fmt.Sprintf(" (did you mean '%s'?)", near)
	}
	return ""
}

// closest returns the known word that is at most two typing errors, and less
// than half its letters, away from word, or that has word in it, such as api_key has key; "" if there is none.
func closest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if len(word) > 2 && slices.Contains(strings.Split(k, "_"), word) {
			return k
		}
	}
	for _, k := range known {
		if max(len(k)-len(word), len(word)-len(k)) >= least {
			continue // at least so many letters too many or too few
		}
		if n := distance(word, k); n < least && 2*n < len(k) {
			best, least = k, n
		}
	}
	return best
}

// distance returns how many bytes must be inserted, removed, replaced or swapped
// with the next one to turn a into b.
func distance(a, b string) int {
	to := make([][]int, len(a)+1) // to[i][j] is from a[:i] to b[:j]
	for i := range to {
		to[i] = make([]int, len(b)+1)
		for j := range to[i] {
			if i == 0 || j == 0 {
				to[i][j] = i + j
				continue
			}
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			to[i][j] = min(to[i-1][j]+1, to[i][j-1]+1, to[i-1][j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				to[i][j] = min(to[i][j], to[i-2][j-2]+1)
			}
		}
	}
	return to[len(a)][len(b)]
}
