package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"
)

// Limits of the configuration.
const (
	minDuration     = caddy.Duration(time.Millisecond)
	maxDrainTimeout = caddy.Duration(24 * time.Hour)

	minMaxBody = 1 << 10
	maxMaxBody = 4 << 30
)

// Problem is one thing that is wrong with a Config.
type Problem struct {
	// Path leads to it through the JSON, e.g. models.smart.targets[0].
	Path string
	// Message says what is wrong and what to write instead. It makes sense
	// without the Path.
	Message string
}

// Error returns the path and the message.
func (p Problem) Error() string { return p.Path + ": " + p.Message }

// Check returns all that is wrong with c, in the order of its fields and of the
// names in them. Whether modules exist and secrets resolve is found out when
// the configuration is loaded.
//
// With no Providers it is not known yet which ones the environment will bring,
// so names of providers are not checked. Once they are known, Check finds the
// rest on a Config that holds them.
func (c *Config) Check() []Problem {
	k := checker{Config: c}
	k.providers()
	k.models()
	k.aliases()
	k.limits()
	return k.problems
}

// checker collects the problems of a Config.
type checker struct {
	*Config
	problems []Problem
}

func (k *checker) addf(path, format string, args ...any) {
	k.problems = append(k.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (k *checker) providers() {
	marked := ""
	for _, name := range slices.Sorted(maps.Keys(k.Providers)) {
		path := "providers." + name
		k.name(path, "provider", name)
		if strings.Contains(name, "/") {
			k.addf(path, "provider name %q contains a slash, which separates provider and model in a target; choose a name without", name)
		}
		p := k.Providers[name]
		if p == nil {
			k.addf(path, "provider '%s' is null; give it an adapter", name)
			continue
		}
		k.provider(path, name, p)
		if p.Passthrough && marked != "" {
			k.addf(path+".passthrough", "providers '%s' and '%s' are both marked passthrough; mark at most one", marked, name)
		}
		if p.Passthrough {
			marked = name
		}
	}
}

func (k *checker) provider(path, name string, p *Provider) {
	var adapter struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(p.AdapterRaw, &adapter); err != nil || adapter.Type == "" {
		k.addf(path+".adapter", `provider '%s' has no adapter; write one such as {"type": "openai"}`, name)
	}
	for i, key := range p.APIKeys {
		if strings.TrimSpace(key) == "" {
			k.addf(fmt.Sprintf("%s.api_keys[%d]", path, i), "an API key of provider '%s' is empty; write a placeholder such as {env.NAME}, or leave the key out", name)
		}
	}
	k.timeouts(path+".timeouts", p.Timeouts)
}

func (k *checker) models() {
	for _, name := range slices.Sorted(maps.Keys(k.Models)) {
		path := "models." + name
		k.name(path, "model", name)
		m := k.Models[name]
		if m == nil || len(m.Targets) == 0 {
			k.addf(path+".targets", "model '%s' has no targets; give it at least one, written provider/model", name)
			continue
		}
		seen := map[string]bool{}
		for i, t := range m.Targets {
			path := fmt.Sprintf("%s.targets[%d]", path, i)
			if t == nil {
				k.addf(path, "a target of model '%s' is null; remove it", name)
				continue
			}
			target := t.Provider + "/" + t.Model
			if seen[target] {
				k.addf(path, "model '%s' has target '%s' twice; remove one", name, target)
				continue
			}
			seen[target] = true
			k.target(path, t.Provider, t.Model)
		}
	}
}

// target checks a target of a model, or of an alias that is written as one.
func (k *checker) target(path, provider, model string) {
	_, known := k.Providers[provider]
	switch {
	case provider == "":
		k.addf(path, "target '/%s' names no provider; write provider/model", model)
	case model == "":
		k.addf(path, "target '%s' names no model; write provider/model", provider)
	case strings.Contains(provider, "/"):
		k.addf(path, "target provider %q contains a slash; only its model may", provider)
	case !isName(provider) || !isName(model):
		k.addf(path, "target %q contains a space or an invisible character; remove it", provider+"/"+model)
	case !known && len(k.Providers) > 0:
		k.addf(path, "target '%s/%s' names provider '%s', which is not configured; configured: %s",
			provider, model, provider, strings.Join(slices.Sorted(maps.Keys(k.Providers)), ", "))
	}
}

func (k *checker) aliases() {
	for _, name := range slices.Sorted(maps.Keys(k.Aliases)) {
		path := "aliases." + name
		k.name(path, "alias", name)
		if _, ok := k.Models[name]; ok {
			k.addf(path, "alias '%s' has the name of a model, which would be found first; rename one of them", name)
			continue
		}
		if cycle := k.cycle(name); cycle == nil {
			k.aliasTarget(path, name, k.Aliases[name])
		} else if name == slices.Min(cycle) {
			k.addf(path, "alias '%s' leads back to itself (%s); let one of them name a model or provider/model",
				name, strings.Join(append(cycle, name), " -> "))
		}
	}
}

// aliasTarget checks what alias leads to, one step ahead.
func (k *checker) aliasTarget(path, alias, to string) {
	_, isModel := k.Models[to]
	_, isAlias := k.Aliases[to]
	provider, model, isTarget := strings.Cut(to, "/")
	switch {
	case isModel || isAlias:
	case isTarget:
		k.target(path, provider, model)
	case !isName(to):
		k.addf(path, "alias '%s' leads to %q, which is no name; let it name a model or provider/model", alias, to)
	default:
		k.addf(path, "alias '%s' leads to '%s', which is neither a model nor an alias; for a provider's own model write provider/%s", alias, to, to)
	}
}

// cycle returns the aliases from name until name comes again, nil if it doesn't.
func (k *checker) cycle(name string) []string {
	chain := []string{name}
	for range k.Aliases {
		next := k.Aliases[chain[len(chain)-1]]
		if next == name {
			return chain
		}
		_, isModel := k.Models[next]
		if _, isAlias := k.Aliases[next]; isModel || !isAlias {
			return nil
		}
		chain = append(chain, next)
	}
	return nil // into a cycle of others
}

func (k *checker) limits() {
	switch k.ReportModel {
	case "", "requested", "upstream":
	default:
		k.addf("report_model", "report_model is %q; write requested or upstream", k.ReportModel)
	}
	k.timeouts("timeouts", k.Timeouts)
	if k.MaxBody != 0 && (k.MaxBody < minMaxBody || k.MaxBody > maxMaxBody) {
		k.addf("max_body", "max_body is %d bytes; write a size from 1 KiB (1024) to 4 GiB (4294967296)", k.MaxBody)
	}
	if d := k.DrainTimeout; d != 0 && (d < minDuration || d > maxDrainTimeout) {
		k.addf("drain_timeout", "drain_timeout is %s; write a duration from 1ms to 24h, with its unit", time.Duration(d))
	}
}

func (k *checker) timeouts(path string, t *Timeouts) {
	if t == nil {
		return
	}
	for _, f := range []struct {
		name string
		d    caddy.Duration
	}{
		{"connect", t.Connect}, {"first_byte", t.FirstByte}, {"idle", t.Idle}, {"total", t.Total},
	} {
		// A number without a unit in JSON counts nanoseconds, which nobody means.
		if f.d > 0 && f.d < minDuration {
			k.addf(path+"."+f.name, "timeout %s is %s; write at least 1ms, with its unit", f.name, time.Duration(f.d))
		}
	}
}

// name checks a name that the user gives to a provider, a model or an alias.
func (k *checker) name(path, what, name string) {
	switch {
	case name == "":
		k.addf(path, "a %s has the empty name; give it one", what)
	case !isName(name):
		k.addf(path, "%s name %q contains a space or an invisible character; choose a name without", what, name)
	}
}

// isName reports whether s can be seen whole: it is not empty and has no
// spaces, control characters or invalid UTF-8.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
	})
}
