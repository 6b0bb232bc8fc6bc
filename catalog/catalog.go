// Package catalog knows the prices, context lengths and capabilities of the well-known
// models of the well-known providers. The data is in models.json, with its date
// and its sources; what the configuration says of a model goes before it.
//
// The functions may be called concurrently and do not allocate. What they return is shared and must not
// be modified.
package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/runestone-gateway/runestone/provider"
)

// Model is a model of one provider.
type Model struct {
	Name string `json:"name"`
	// Aliases are further names that the provider has for the model.
	Aliases []string `json:"aliases"`

	// Input and Output are prices in USD per million tokens of text, at the provider's standard
	// rate. Where long prompts cost more, these are the prices of short ones. Of embeddings
	// Output is 0.
	Input  float64 `json:"input"`
	Output float64 `json:"output"`
	// CachedInput is the price of input that the provider had in its cache, nil when it has none
	// or it is not known.
	CachedInput *float64 `json:"cached_input"`
	// CacheWrite is the price of input that the provider puts into its cache, nil when that costs no more than
	// other input.
	CacheWrite *float64 `json:"cache_write"`
	// CacheWriteHour is the price of input that the provider keeps in its cache for an hour, nil when that costs
	// what CacheWrite says.
	CacheWriteHour *float64 `json:"cache_write_1h"`

	// Context is how many tokens input and output may have together.
	Context int `json:"context"`
	// MaxOutput is how many tokens the output may have, 0 when only Context bounds it.
	MaxOutput int `json:"max_output"`

	Capabilities provider.Capability `json:"-"`
}

// Lookup returns what is known of a provider's model. provider is a vendor's customary name
// in lower case, such as openai, gemini or xai. A model that is not listed under its name is found through
// the longest name of which it is a dated or numbered version, as gpt-4o-2024-08-06
// is of gpt-4o.
func Lookup(provider, model string) (Model, bool) {
	if m, ok := find(catalog().byName[provider], model); ok {
		return *m, true
	}
	return Model{}, false
}

// Models returns all models of a provider, sorted by name.
func Models(provider string) []Model { return catalog().models[provider] }

// versions are the endings that make a name that of a version of a model, shortest
// first. A # is any digit.
var versions = [...]string{
	"-00#",        // Google's stable versions
	"-####",       // month and day, or year and month
	"-latest",     // the newest, wherever it is not listed by itself
	"-########",   // Anthropic's dates
	"-####-##-##", // OpenAI's dates
}

// find returns what is under name or, failing that, under the longest name of which
// it is a version.
func find(under map[string]*Model, name string) (m *Model, ok bool) {
	if m, ok = under[name]; ok {
		return m, true
	}
	for _, version := range versions {
		if base, is := trimVersion(name, version); is {
			if m, ok = under[base]; ok {
				return m, true
			}
		}
	}
	return nil, false
}

// trimVersion returns name without an ending like version.
func trimVersion(name, version string) (base string, ok bool) {
	at := len(name) - len(version)
	if at < 0 {
		return "", false
	}
	for i := range len(version) {
		c := name[at+i]
		matches := c == version[i]
		if version[i] == '#' {
			matches = '0' <= c && c <= '9'
		}
		if !matches {
			return "", false
		}
	}
	return name[:at], true
}

// What Anthropic charges, as a part of the price of input, for putting input into its cache for five minutes, and for
// an hour (platform.claude.com/docs/en/about-claude/pricing).
const (
	anthropicCacheWrite     = 1.25
	anthropicCacheWriteHour = 2
)

//go:embed models.json
var file []byte

// index is the file made ready for look-ups.
type index struct {
	models map[string][]Model           // by provider
	byName map[string]map[string]*Model // by provider and name or alias
}

// catalog reads the file once. The tests see to it that it is as it should be.
var catalog = sync.OnceValue(func() *index {
	var data struct {
		Providers []struct {
			ID     string `json:"id"`
			Models []struct {
				Model
				Capabilities []string `json:"capabilities"`
			} `json:"models"`
		} `json:"providers"`
	}
	if err := json.Unmarshal(file, &data); err != nil {
		panic(fmt.Sprintf("catalog: models.json: %v", err))
	}
	c := &index{map[string][]Model{}, map[string]map[string]*Model{}}
	for _, p := range data.Providers {
		models := make([]Model, len(p.Models))
		byName := map[string]*Model{}
		for i, entry := range p.Models {
			models[i] = entry.Model
			if p.ID == "anthropic" && entry.CacheWrite == nil {
				write, hour := entry.Input*anthropicCacheWrite, entry.Input*anthropicCacheWriteHour
				models[i].CacheWrite, models[i].CacheWriteHour = &write, &hour
			}
			for _, name := range entry.Capabilities {
				models[i].Capabilities |= provider.ParseCapability(name)
			}
			for _, name := range append([]string{entry.Name}, entry.Aliases...) {
				byName[name] = &models[i]
			}
		}
		c.models[p.ID], c.byName[p.ID] = models, byName
	}
	return c
})
