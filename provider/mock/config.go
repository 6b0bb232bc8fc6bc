package mock

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider/httpapi"
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
	known := make(map[string]httpapi.Option, len(options))
	for name, set := range options {
		var value string
		known[name] = func(d *caddyfile.Dispenser) error {
			if err := httpapi.Text(&value, "one value")(d); err != nil {
				return err
			}
			if err := set(p, value); err != nil {
				return d.Errf("%s: %v", name, err)
			}
			return nil
		}
	}
	return httpapi.Unmarshal(d, "the mock provider", known)
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
