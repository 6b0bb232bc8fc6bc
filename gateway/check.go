package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
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

	maxWeight     = 1_000_000
	maxPrice      = 1_000_000 // USD per million tokens
	maxAttempts   = 20
	maxBackoff    = caddy.Duration(time.Hour)
	maxBudget     = 1
	maxLineWait   = caddy.Duration(time.Hour)
	maxLineLength = 1_000_000
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
	k.overflow()
	k.keys()
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
	k.apiKeys(path+".api_keys", name, p.APIKeys)
	if p.MaxConcurrency != nil {
		k.invalid(path+".max_concurrency", "max_concurrency of provider '"+name+"'", p.MaxConcurrency.Validate())
	}
	k.timeouts(path+".timeouts", p.Timeouts)
	if d := p.Probe; d != 0 && (d < minProbe || d > maxProbe) {
		k.addf(path+".probe", "probe of provider '%s' is %s; write a duration from 1s to 24h, with its unit", name, time.Duration(d))
	}
}

// noPlaceholder are ways of naming a variable that others know, and a placeholder that does not end.
var noPlaceholder = regexp.MustCompile(`^(\$.+|%\w+%|env[.:].+|\{[^}]*|[A-Z][A-Z0-9]*(_[A-Z0-9]+)*_(KEY|TOKEN))$`)

// apiKeys checks the credentials of a provider. A message never holds one.
func (k *checker) apiKeys(path, name string, keys []APIKey) {
	first := map[string]int{}
	for i, key := range keys {
		path, number := fmt.Sprintf("%s[%d]", path, i), i+1
		text := strings.TrimSpace(key.Key)
		switch same, repeated := first[text]; {
		case text == "":
			k.addf(path, "an API key of provider '%s' is empty; write a placeholder such as {env.NAME}, or leave the key out", name)
		case strings.HasPrefix(text, "Bearer "):
			k.addf(path, "API key %d of provider '%s' begins with 'Bearer', which the gateway writes itself; leave that out", number, name)
		case noPlaceholder.MatchString(text):
			k.addf(path, "API key %d of provider '%s' looks like a placeholder and is none; write one such as {env.NAME}", number, name)
		case repeated:
			k.addf(path, "API keys %d and %d of provider '%s' are the same; remove one, and give the other a weight if it is to be used more", same, number, name)
		default:
			first[text] = number
		}
		k.weight(path+".weight", fmt.Sprintf("API key %d of provider '%s'", number, name), key.Weight)
	}
}

func (k *checker) weight(path, what string, weight int) {
	if weight < 0 || weight > maxWeight {
		k.addf(path, "%s has weight %d; write a whole number from 1 to %d", what, weight, maxWeight)
	}
}

// invalid adds what a Validate has found, which names the field first.
func (k *checker) invalid(path, what string, err error) {
	if err == nil {
		return
	}
	found := []error{err}
	if joined := (interface{ Unwrap() []error })(nil); errors.As(err, &joined) {
		found = joined.Unwrap()
	}
	for _, err := range found {
		k.addf(path+fieldOf(err.Error()), "%s: %v", what, err)
	}
}

func (k *checker) limits() {
	switch k.ReportModel {
	case "", "requested", "upstream":
	default:
		k.addf("report_model", "report_model is %q; write requested or upstream", k.ReportModel)
	}
	if k.Breaker != nil {
		k.invalid("breaker", "breaker", k.Breaker.Validate())
	}
	k.retry()
	k.line()
	k.timeouts("timeouts", k.Timeouts)
	if k.MaxBody != 0 && (k.MaxBody < minMaxBody || k.MaxBody > maxMaxBody) {
		k.addf("max_body", "max_body is %d bytes; write a size from 1 KiB (1024) to 4 GiB (4294967296)", k.MaxBody)
	}
	if d := k.DrainTimeout; d != 0 && (d < minDuration || d > maxDrainTimeout) {
		k.addf("drain_timeout", "drain_timeout is %s; write a duration from 1ms to 24h, with its unit", time.Duration(d))
	}
}

func (k *checker) retry() {
	r := k.Retry
	if r == nil {
		return
	}
	if r.Attempts < 0 || r.Attempts > maxAttempts {
		k.addf("retry.attempts", "attempts is %d; write a whole number from 1 to %d, the first call included", r.Attempts, maxAttempts)
	}
	k.backoff("retry.backoff", "backoff", r.Backoff)
	k.backoff("retry.max_backoff", "the longest backoff", r.MaxBackoff)
	if r.MaxBackoff > 0 && r.MaxBackoff < r.Backoff {
		k.addf("retry.max_backoff", "the longest backoff is %s and the first %s; write the first, then one that is as long or longer",
			time.Duration(r.MaxBackoff), time.Duration(r.Backoff))
	}
	if r.Budget > maxBudget {
		k.addf("retry.budget", "budget is %v; write a share up to %d, such as 0.2 for one further call in five", r.Budget, maxBudget)
	}
	k.hedge("retry.hedge_after", "retry", r.HedgeAfter)
}

func (k *checker) backoff(path, what string, d caddy.Duration) {
	if d != 0 && (d < minDuration || d > maxBackoff) {
		k.addf(path, "%s is %s; write a duration from 1ms to 1h, with its unit", what, time.Duration(d))
	}
}

// hedge checks when a second target is asked, which is a further attempt.
func (k *checker) hedge(path, what string, after caddy.Duration) {
	switch {
	case after <= 0:
	case after < minDuration:
		k.addf(path, "the hedge of %s comes after %s; write at least 1ms, with its unit", what, time.Duration(after))
	case k.Retry != nil && k.Retry.Attempts == 1:
		k.addf(path, "the hedge of %s is a second call, and attempts is 1; allow at least 2, or remove the hedge", what)
	}
}

func (k *checker) line() {
	l := k.Line
	if l == nil {
		return
	}
	if l.Wait > 0 && l.Wait < minDuration || l.Wait > maxLineWait {
		k.addf("line.wait", "wait is %s; write a duration from 1ms to 1h, with its unit", time.Duration(l.Wait))
	}
	if l.Length < 0 || l.Length > maxLineLength {
		k.addf("line.length", "length is %d; write a whole number from 1 to %d", l.Length, maxLineLength)
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
