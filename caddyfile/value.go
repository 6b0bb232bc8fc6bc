package caddyfile

import (
	"math"

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

// duration reads a duration longer than zero, since in JSON zero would be the default.
func duration(v *caddy.Duration, what string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		arg, err := argument(d, what)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(arg)
		if err != nil || parsed <= 0 {
			return d.Errf("%s is '%s'; write %s", option, arg, what)
		}
		*v = caddy.Duration(parsed)
		return nil
	}
}

// timeout reads a duration, or the word off, which in JSON is a negative one.
func timeout(v *caddy.Duration) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		if d.NextArg() {
			if d.Val() == "off" {
				*v = -1
				return nil
			}
			d.Prev()
		}
		return duration(v, "a duration such as 5s or 10m, or off")(d)
	}
}

const sizeExample = "a size in one word such as 512KiB or 32MiB"

func size(v *int64) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		arg, err := argument(d, sizeExample)
		if err != nil {
			return err
		}
		parsed, err := humanize.ParseBytes(arg)
		if err != nil || parsed == 0 || parsed > math.MaxInt64 {
			return d.Errf("%s is '%s'; write %s", option, arg, sizeExample)
		}
		*v = int64(parsed)
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
