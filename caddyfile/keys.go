package caddyfile

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/keys"
)

// keysConfig returns the configuration of keys, which two options fill.
func (p *parser) keysConfig() *keys.Config {
	if p.config.Keys == nil {
		p.config.Keys = new(keys.Config)
	}
	return p.config.Keys
}

// key reads an API key. Syntax:
//
//	key <name> {
//		secret        <placeholder> [<end>]
//		secret_sha256 <hash> [<end>]
//		models        <model>...
//		routes        <route>...
//		priority      0|1|2|3
//		metadata      <name> <value>
//		limits        { ... }
//		model_limits  <model> { ... }
//		ends          <end>
//		disabled
//	}
func (p *parser) key(d *caddyfile.Dispenser) error {
	k := new(keys.Key)
	c := p.keysConfig()
	p.mark(fmt.Sprintf("keys.keys[%d]", len(c.Keys)), d)
	var err error
	if k.Name, err = argument(d, "a name, such as team-a"); err != nil {
		return err
	}
	for _, other := range c.Keys {
		if other.Name == k.Name {
			return d.Errf("the key '%s' is there twice; put both secrets into one, or give one another name", k.Name)
		}
	}
	path := fmt.Sprintf("keys.keys[%d]", len(c.Keys))
	c.Keys = append(c.Keys, k)
	return block{name: "key", options: map[string]option{
		"secret":        many(p.keySecret(path, k, false)),
		"secret_sha256": many(p.keySecret(path, k, true)),
		"models":        once(p.at(path+".models", words(&k.Models, "models that the key may ask for, such as smart fast gpt-*"))),
		"routes":        once(p.at(path+".routes", words(&k.Routes, "kinds of calls that the key may make, such as chat embeddings"))),
		"priority":      once(p.at(path+".priority", wholeFrom0(&k.Priority, "a whole number from 0, which is served first, to 3"))),
		"metadata":      many(p.at(path+".metadata", metadata(&k.Metadata))),
		"limits":        once(p.limits(path+".limits", &k.Limits)),
		"model_limits":  many(p.modelLimits(path+".model_limits", &k.ModelLimits)),
		"ends":          once(values(endForm, 1, end(&k.Ends))),
		"disabled":      once(set(&k.Disabled)),
	}}.parse(d)
}

// keys reads what holds for all keys, and where further ones are. Syntax:
//
//	keys {
//		file         <path>
//		stored
//		limits       { ... }
//		model_limits <model> { ... }
//		redis        <url> {
//			name <name>
//			away open|closed
//		}
//	}
func (p *parser) keys(d *caddyfile.Dispenser) error {
	c := p.keysConfig()
	p.mark("keys", d)
	return block{name: "keys", options: map[string]option{
		"file":         once(text(&c.File, "the path of a file with keys")),
		"stored":       once(set(&c.Stored)),
		"limits":       once(p.limits("keys.limits", &c.Limits)),
		"model_limits": many(p.modelLimits("keys.model_limits", &c.ModelLimits)),
		"redis":        once(p.at("keys.redis", keysRedis(&c.Redis))),
	}}.parse(d)
}

// endForm is how the end of something is written.
const endForm = "a time such as 2027-01-31T00:00:00Z"

func end(v *time.Time) setter {
	return func(arg string) bool {
		parsed, err := time.Parse(time.RFC3339, arg)
		*v = parsed
		return err == nil
	}
}

// keySecret adds a secret and perhaps its end. Whatever stands there may be a secret, so errors quote nothing.
func (p *parser) keySecret(path string, k *keys.Key, hashed bool) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		p.mark(fmt.Sprintf("%s.secret %d", path, len(k.Secrets)+1), d)
		option, args := d.Val(), d.RemainingArgs()
		if len(args) < 1 || len(args) > 2 {
			return d.Errf("%s takes a secret, and perhaps %s when it ends; for several, repeat the option", option, endForm)
		}
		s := keys.Secret{Secret: args[0]}
		if hashed {
			s = keys.Secret{SHA256: args[0]}
		}
		if len(args) == 2 && !end(&s.Ends)(args[1]) {
			return d.Errf("behind its secret, %s takes %s", option, endForm)
		}
		k.Secrets = append(k.Secrets, s)
		return nil
	}
}

func words(v *[]string, what string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		if *v = d.RemainingArgs(); len(*v) == 0 {
			return d.Errf("%s needs %s", option, what)
		}
		return nil
	}
}

func wholeFrom0(v *int, what string) parseFunc {
	return values(what, 1, func(arg string) bool {
		parsed, err := strconv.Atoi(arg)
		*v = parsed
		return err == nil && parsed >= 0
	})
}

func metadata(v *map[string]string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		var name, value string
		if !d.AllArgs(&name, &value) {
			return d.Err("metadata takes a name and a value, such as: metadata team billing")
		}
		if _, twice := (*v)[name]; twice {
			return d.Errf("metadata %s is there twice; remove one", name)
		}
		if *v == nil {
			*v = make(map[string]string)
		}
		(*v)[name] = value
		return nil
	}
}

// limits reads what bounds use. Syntax:
//
//	limits {
//		requests    <count> <window>
//		tokens      <count> <window>
//		concurrency <count>
//		budget      <usd> <period>
//	}
func (p *parser) limits(path string, v **keys.Limits) parseFunc {
	return p.at(path, func(d *caddyfile.Dispenser) error {
		l := new(keys.Limits)
		*v = l
		return block{name: "limits", options: map[string]option{
			"requests": once(p.at(path+".requests", func(d *caddyfile.Dispenser) error {
				l.Requests = new(keys.Rate)
				return values("a number and a window, such as 600 1m", 2, large(&l.Requests.N), span(&l.Requests.Window))(d)
			})),
			"tokens": once(p.at(path+".tokens", func(d *caddyfile.Dispenser) error {
				l.Tokens = new(keys.Rate)
				return values("a number and a window, such as 2000000 1m", 2, large(&l.Tokens.N), span(&l.Tokens.Window))(d)
			})),
			"concurrency": once(p.at(path+".concurrency", values("a whole number above 0, such as 50", 1, large(&l.Concurrency)))),
			"budget": once(p.at(path+".budget", func(d *caddyfile.Dispenser) error {
				l.Budget = new(keys.Budget)
				return values("an amount in USD and a period, such as 100.00 30d", 2, share(&l.Budget.USD), span(&l.Budget.Period))(d)
			})),
		}}.parse(d)
	})
}

func (p *parser) modelLimits(path string, v *map[string]*keys.Limits) parseFunc {
	return p.at(path, func(d *caddyfile.Dispenser) error {
		model, err := argument(d, "the name of a model")
		if err != nil {
			return err
		}
		if _, twice := (*v)[model]; twice {
			return d.Errf("model_limits %s is there twice; put both into one", model)
		}
		if *v == nil {
			*v = make(map[string]*keys.Limits)
		}
		var l *keys.Limits
		err = p.limits(path+"."+strconv.Quote(model), &l)(d)
		(*v)[model] = l
		return err
	})
}

// large takes a whole number that may be larger than an int.
func large(v *int64) setter {
	return func(arg string) bool {
		parsed, err := strconv.ParseInt(arg, 10, 64)
		*v = parsed
		return err == nil && parsed > 0 && parsed < math.MaxInt64
	}
}

func keysRedis(v **keys.Redis) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		r := new(keys.Redis)
		*v = r
		args := d.RemainingArgs()
		if len(args) != 1 { // it may hold a password, so that it is not quoted
			return d.Err("redis takes the URL of a server, best as a placeholder such as {env.REDIS_URL}")
		}
		r.URL = args[0]
		return block{name: "redis", options: map[string]option{
			"name": once(text(&r.Name, "a name that tells gateways apart")),
			"away": once(text(&r.Away, "open or closed")),
		}}.parse(d)
	}
}
