package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Option reads what follows the name of an option, d's current token. Its error says
// what is wrong and what to write instead.
type Option func(d *caddyfile.Dispenser) error

// Unmarshal reads the block of an adapter: base_url and header, and the options that are its
// own. what says what the adapter is, for the error of an unknown option.
func (o *Options) Unmarshal(d *caddyfile.Dispenser, what, example string, own map[string]Option) error {
	options := map[string]Option{"base_url": URLOption(&o.BaseURL, example), "header": o.header}
	maps.Copy(options, own)
	return Unmarshal(d, what, options)
}

// Unmarshal reads the block of an adapter that has the given options only.
func Unmarshal(d *caddyfile.Dispenser, what string, options map[string]Option) error {
	d.Next() // the adapter's name
	if name := d.Val(); d.NextArg() {
		return d.Errf("unexpected '%s': the options of %s go in a block { }", d.Val(), name)
	}
	for d.NextBlock(0) {
		option, ok := options[d.Val()]
		if !ok {
			names := slices.Sorted(maps.Keys(options))
			last := len(names) - 1
			return d.Errf("unknown option '%s' of %s: it knows %s and %s", d.Val(), what, strings.Join(names[:last], ", "), names[last])
		}
		if err := option(d); err != nil {
			return err
		}
	}
	return nil
}

// URLOption reads a URL, which may be given once, into v. A placeholder is checked when it is
// resolved.
func URLOption(v *string, example string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if err := Text(v, "one URL such as "+example)(d); err != nil || strings.Contains(*v, "{") {
			return err
		}
		if _, err := ParseURL(name, *v, example); err != nil {
			return d.Err(err.Error())
		}
		return nil
	}
}

// Text reads one word, which may be given once, into v. what says what it is, for the error when it is
// missing or there are more.
func Text(v *string, what string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *v != "" {
			return d.Errf("%s is given twice: remove one", name)
		}
		if !d.AllArgs(v) {
			return d.Errf("%s needs %s", name, what)
		}
		if *v == "" {
			return d.Errf("%s has an empty value: write one, or leave the option out", name)
		}
		return nil
	}
}

// OneOf reads one of the words, which may be given once, into v.
func OneOf(v *string, words ...string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if err := Text(v, strings.Join(words, " or "))(d); err != nil {
			return err
		}
		if !slices.Contains(words, *v) {
			return d.Errf("%s is %s, not '%s'", name, strings.Join(words, " or "), *v)
		}
		return nil
	}
}

// Switch reads on or off, which may be given once, into v.
func Switch(v **bool) Option {
	return func(d *caddyfile.Dispenser) error {
		if *v != nil {
			return d.Errf("%s is given twice: remove one", d.Val())
		}
		var word string
		if err := OneOf(&word, "on", "off")(d); err != nil {
			return err
		}
		on := word == "on"
		*v = &on
		return nil
	}
}

// header reads a header to send.
func (o *Options) header(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.Err("header needs a name and a value, such as: header X-Team platform")
	}
	if err := checkHeader(name); err != nil {
		return d.Err(err.Error())
	}
	name = http.CanonicalHeaderKey(name)
	if _, ok := o.Headers[name]; ok {
		return d.Errf("header %s is given twice: remove one", name)
	}
	if o.Headers == nil {
		o.Headers = make(map[string]string)
	}
	o.Headers[name] = value
	return nil
}
