package caddyfile

import (
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/runestone-gateway/runestone/gateway"
)

// argument reads the one argument of the current option; what says what it is,
// for the error when it is missing.
func argument(d *caddyfile.Dispenser, what string) (string, error) {
	option := d.Val()
	if !d.NextArg() || d.Val() == "" {
		return "", d.Errf("%s needs %s", option, what)
	}
	return d.Val(), nil
}

// set sets v; the option has no argument.
func set(v *bool) parseFunc {
	return func(*caddyfile.Dispenser) error {
		*v = true
		return nil
	}
}

func text(v *string, what string) parseFunc {
	return func(d *caddyfile.Dispenser) (err error) {
		*v, err = argument(d, what)
		return err
	}
}

// setter takes one argument, and reports whether it is of the right form.
type setter func(arg string) bool

// values reads an argument for each of the setters; the first least of them
// must be there. what says what they are, for errors.
func values(what string, least int, setters ...setter) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		for i, set := range setters {
			if !d.NextArg() {
				if i < least {
					return d.Errf("%s needs %s", option, what)
				}
				return nil
			}
			if !set(d.Val()) {
				return d.Errf("%s is '%s'; write %s", option, d.Val(), what)
			}
		}
		return nil
	}
}

// orOff reads the word off, which in JSON is a negative number, or else what parse reads.
func orOff[N caddy.Duration | int | float64](v *N, parse parseFunc) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		if next(d).Text != "off" || !d.NextArg() {
			return parse(d)
		}
		*v = -1
		return nil
	}
}

// span takes a duration. Like every number that follows, it is more than zero,
// since in JSON zero would be the default.
func span[D ~int64](v *D) setter {
	return func(arg string) bool {
		parsed, err := caddy.ParseDuration(arg)
		*v = D(parsed)
		return err == nil && parsed > 0
	}
}

// count takes a whole number.
func count(v *int) setter {
	return func(arg string) bool {
		parsed, err := strconv.Atoi(arg)
		*v = parsed
		return err == nil && parsed > 0
	}
}

// share takes a number that may have a fraction.
func share(v *float64) setter {
	return func(arg string) bool {
		parsed, err := strconv.ParseFloat(arg, 64)
		*v = parsed
		return err == nil && parsed > 0
	}
}

func number(v *int, example string) parseFunc {
	return values("a whole number above 0, such as "+example, 1, count(v))
}

func duration[D ~int64](v *D, what string) parseFunc { return values(what, 1, span(v)) }

// timeout reads a duration, or off.
func timeout(v *caddy.Duration) parseFunc {
	return orOff(v, duration(v, "a duration such as 5s or 10m, or off"))
}

func size(v *int64) parseFunc {
	const what = "a size in one word such as 512KiB or 32MiB"
	read := values(what, 1, func(arg string) bool {
		parsed, err := humanize.ParseBytes(arg)
		*v = int64(parsed)
		return err == nil && parsed > 0 && parsed <= math.MaxInt64
	})
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		if err := read(d); err != nil {
			return err
		}
		if number := d.Val(); d.NextArg() { // its unit
			return d.Errf("%s is '%s %s'; write %s", option, number, d.Val(), what)
		}
		return nil
	}
}

// timeouts reads what bounds upstream calls. Syntax:
//
//	timeouts {
//		connect    <duration>|off
//		first_byte <duration>|off
//		idle       <duration>|off
//		total      <duration>|off
//	}
func (p *parser) timeouts(path string, v **gateway.Timeouts) parseFunc {
	return p.at(path, func(d *caddyfile.Dispenser) error {
		t := new(gateway.Timeouts)
		*v = t
		return block{name: "timeouts", options: map[string]option{
			"connect":    once(p.at(path+".connect", timeout(&t.Connect))),
			"first_byte": once(p.at(path+".first_byte", timeout(&t.FirstByte))),
			"idle":       once(p.at(path+".idle", timeout(&t.Idle))),
			"total":      once(p.at(path+".total", timeout(&t.Total))),
		}}.parse(d)
	})
}
