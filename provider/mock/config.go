package mock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// options sets each field from its Caddyfile value.
var options = map[string]func(*Provider, string) error{
	"words_per_second": func(p *Provider, s string) (err error) {
		p.WordsPerSecond, err = parseRate(s)
		return err
	},
	"latency": func(p *Provider, s string) error {
		d, err := parseLatency(s)
		p.Latency = caddy.Duration(d)
		return err
	},
	"jitter": func(p *Provider, s string) error {
		d, err := parseLatency(s)
		p.Jitter = caddy.Duration(d)
		return err
	},
	"error_rate": func(p *Provider, s string) (err error) {
		p.ErrorRate, err = parseShare(s)
		return err
	},
	"status": func(p *Provider, s string) (err error) {
		p.Status, err = parseInt(s, minStatus, maxStatus)
		return err
	},
	"truncate": func(p *Provider, s string) (err error) {
		p.Truncate, err = parseShare(s)
		return err
	},
	"words": func(p *Provider, s string) (err error) {
		p.Words, err = parseInt(s, 1, maxWords)
		return err
	},
	"seed": func(p *Provider, s string) (err error) {
		if p.Seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			return fmt.Errorf("%q is not a whole number of 64 bits; give one such as 42", s)
		}
		return nil
	},
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	mock {
//		words_per_second <number>    # default 50; -1 for no pauses
//		latency          <duration>  # default 0
//		jitter           <duration>  # default 0
//		error_rate       <0..1>      # default 0
//		status           <400..599>  # default 503
//		truncate         <0..1>      # default 0
//		words            <number>    # default 50
//		seed             <number>    # default 0
//	}
//
// Every option may be left out, and so may the block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the adapter's name
	if d.NextArg() {
		return d.Errf("unexpected argument '%s' of the mock provider; put its options in a block", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		name := d.Val()
		set, ok := options[name]
		if !ok {
			return d.Errf("unrecognized option '%s' of the mock provider; use one of %s",
				name, strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		}
		if seen[name] {
			return d.Errf("%s is set twice; remove one of the two", name)
		}
		seen[name] = true
		args := d.RemainingArgs()
		if len(args) != 1 {
			return d.Errf("%s has %d values; give exactly one", name, len(args))
		}
		if err := set(p, args[0]); err != nil {
			return d.Errf("%s: %v", name, err)
		}
	}
	return nil
}

// Validate implements [caddy.Validator]. A zero stands for the default.
func (p *Provider) Validate() error {
	var errs []error
	check := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if p.WordsPerSecond != 0 {
		check("words_per_second", checkRate(p.WordsPerSecond))
	}
	check("latency", checkLatency(time.Duration(p.Latency)))
	check("jitter", checkLatency(time.Duration(p.Jitter)))
	check("error_rate", checkShare(p.ErrorRate))
	if p.Status != 0 {
		check("status", checkInt(p.Status, minStatus, maxStatus))
	}
	check("truncate", checkShare(p.Truncate))
	if p.Words != 0 {
		check("words", checkInt(p.Words, 1, maxWords))
	}
	return errors.Join(errs...)
}

var (
	_ caddyfile.Unmarshaler = (*Provider)(nil)
	_ caddy.Validator       = (*Provider)(nil)
)
