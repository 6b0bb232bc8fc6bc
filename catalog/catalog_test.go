package catalog

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/provider"
)

// entry is what models.json may say of a model.
type entry struct {
	Name         string   `json:"name"`
	Aliases      []string `json:"aliases"`
	Input        *float64 `json:"input"`
	Output       *float64 `json:"output"`
	CachedInput  *float64 `json:"cached_input"`
	Context      int      `json:"context"`
	MaxOutput    int      `json:"max_output"`
	Capabilities []string `json:"capabilities"`
}

// vendor is what models.json may say of a provider.
type vendor struct {
	ID      string   `json:"id"`
	Checked string   `json:"checked"` // when the sources last saw the provider's own list
	Sources []string `json:"sources"`
	Notes   string   `json:"notes"`
	Models  []entry  `json:"models"`
}

// document is models.json.
type document struct {
	Date      string   `json:"date"`
	Sources   []string `json:"sources"`
	Providers []vendor `json:"providers"`
}

func read(t *testing.T) (d document) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheFileSaysWhenAndWhenceItIs(t *testing.T) {
	t.Parallel()
	d := read(t)
	date, err := time.Parse(time.DateOnly, d.Date)
	if err != nil || len(d.Sources) == 0 {
		t.Errorf("date %q, %d sources: %v", d.Date, len(d.Sources), err)
	}
	for i, p := range d.Providers {
		if i > 0 && p.ID <= d.Providers[i-1].ID {
			t.Errorf("%s is not sorted", p.ID)
		}
		checked, err := time.Parse(time.DateOnly, p.Checked)
		if err != nil || checked.After(date) || date.Sub(checked) > 365*24*time.Hour {
			t.Errorf("%s was checked on %q: %v", p.ID, p.Checked, err)
		}
		if len(p.Sources) == 0 || len(p.Models) == 0 {
			t.Errorf("%s has %d sources and %d models", p.ID, len(p.Sources), len(p.Models))
		}
		for _, source := range p.Sources {
			if !strings.HasPrefix(source, "https://") {
				t.Errorf("%s: %q is no source", p.ID, source)
			}
		}
	}
}

func TestTheModelsOfTheFileAreSound(t *testing.T) {
	t.Parallel()
	for _, p := range read(t).Providers {
		names := map[string]bool{}
		for i, m := range p.Models {
			if i > 0 && m.Name <= p.Models[i-1].Name {
				t.Errorf("%s: %s is not sorted", p.ID, m.Name)
			}
			if !slices.IsSorted(m.Aliases) {
				t.Errorf("%s: the aliases of %s are not sorted", p.ID, m.Name)
			}
			for _, name := range append(m.Aliases, m.Name) {
				if name == "" || names[name] {
					t.Errorf("%s: %q is there twice", p.ID, name)
				}
				names[name] = true
			}
			for _, fault := range faults(m) {
				t.Errorf("%s: %s: %s", p.ID, m.Name, fault)
			}
		}
	}
}

// faults returns what is wrong with an entry by itself.
func faults(m entry) (faults []string) {
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, fault)
		}
	}
	if m.Input == nil || m.Output == nil {
		return []string{"it has no price"}
	}
	chats := slices.Contains(m.Capabilities, "chat")
	embeds := slices.Contains(m.Capabilities, "embeddings")
	check(chats != embeds, "it does not either chat or embed")
	check(chats == slices.Contains(m.Capabilities, "streaming"), "every chat model here streams, and no other")
	check(!embeds || len(m.Capabilities) == 1 && *m.Output == 0 && m.MaxOutput == 0, "it embeds and does more")
	check(*m.Input > 0 && *m.Input <= 100, "the price of its input is out of range")
	check(embeds || *m.Output >= *m.Input && *m.Output <= 20**m.Input, "the price of its output is not that of its input or more")
	check(m.CachedInput == nil || *m.CachedInput > 0 && *m.CachedInput < *m.Input, "its cached input is not cheaper")
	check(m.Context >= 512 && m.Context <= 10_000_000, "its context is out of range")
	check(m.MaxOutput >= 0 && m.MaxOutput < m.Context, "its output does not fit its context")
	known := provider.CapabilityNames()
	order := func(a, b string) int { return slices.Index(known, a) - slices.Index(known, b) }
	check(slices.IsSortedFunc(m.Capabilities, order), "its capabilities are not in their order")
	for i, name := range m.Capabilities {
		check(provider.ParseCapability(name) != 0 && !slices.Contains(m.Capabilities[:i], name), "capability "+name+" is unknown or there twice")
	}
	return faults
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ provider, model, want string }{
		{"openai", "gpt-4o", "gpt-4o"},
		{"openai", "gpt-4o-2024-08-06", "gpt-4o"},
		{"openai", "gpt-4o-latest", "gpt-4o"},
		{"openai", "gpt-4o-mini", "gpt-4o-mini"},
		{"openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"},
		{"openai", "gpt-5-2025-08-07", "gpt-5"},
		{"openai", "gpt-5.4-pro-2026-03-05", "gpt-5.4-pro"},
		{"openai", "text-embedding-3-small", "text-embedding-3-small"},
		{"anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"},
		{"anthropic", "claude-opus-5-5", "claude-opus-5-5"},
		{"gemini", "gemini-2.5-flash-001", "gemini-2.5-flash"},
		{"gemini", "gemini-flash-latest", "gemini-flash-latest"},
		{"mistral", "mistral-medium-latest", "mistral-medium-3-5"}, // an alias
		{"mistral", "codestral-embed-2505", "codestral-embed"},
		{"groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"},
		{"xai", "grok-4.20-0309", "grok-4.20"},
		{"xai", "grok-4.20-0309-reasoning", "grok-4.20-0309-reasoning"},
		{"cohere", "command-a-03-2025", "command-a-03-2025"},
		{"fireworks", "accounts/fireworks/models/kimi-k3", "accounts/fireworks/models/kimi-k3"},
		{"fireworks", "accounts/fireworks/models/deepseek-v4p1-flash-1017", "accounts/fireworks/models/deepseek-v4p1-flash"},

		{"openai", "gpt-4o-mini-tts", ""},
		{"openai", "gpt-4o-audio-preview", ""},
		{"openai", "gpt-4o-2024-08-06-ft", ""},
		{"openai", "gpt-4o-24-08-06", ""},
		{"openai", "gpt-4o-2024", "gpt-4o"}, // year and month, or month and day, as it may be
		{"openai", "gpt-4o2024-08-06", ""},
		{"openai", "gpt-4o-00#", ""},
		{"openai", "gpt-4o-", ""},
		{"openai", "gpt-4", ""},
		{"openai", "gpt-5.4-nano-pro", ""},
		{"openai", "GPT-4o", ""},
		{"openai", "-latest", ""},
		{"openai", "", ""},
		{"openai", "claude-opus-5", ""},
		{"anthropic", "claude-opus-4", ""},
		{"anthropic", "claude-opus-5-6", ""}, // a model of its own
		{"gemini", "gemini-2.5-flash-101", ""},
		{"nobody", "gpt-4o", ""},
		{"", "", ""},
	} {
		m, ok := Lookup(test.provider, test.model)
		if ok != (test.want != "") || m.Name != test.want {
			t.Errorf("%s of %s: got %q, %t, want %q", test.model, test.provider, m.Name, ok, test.want)
		}
	}
}

func TestLookupTellsAllThatTheFileSays(t *testing.T) {
	t.Parallel()
	for _, p := range read(t).Providers {
		models := Models(p.ID)
		if len(models) != len(p.Models) {
			t.Fatalf("%s has %d models, want %d", p.ID, len(models), len(p.Models))
		}
		for i, want := range p.Models {
			for _, name := range append(want.Aliases, want.Name) {
				got, ok := Lookup(p.ID, name)
				if !ok || got.Name != want.Name || got.Name != models[i].Name || !slices.Equal(got.Aliases, want.Aliases) {
					t.Errorf("%s: %s: got %+v, %t", p.ID, name, got, ok)
				}
				if got.Input != *want.Input || got.Output != *want.Output || got.Context != want.Context || got.MaxOutput != want.MaxOutput {
					t.Errorf("%s: %s: got %+v, want %+v", p.ID, name, got, want)
				}
				if (got.CachedInput == nil) != (want.CachedInput == nil) || got.CachedInput != nil && *got.CachedInput != *want.CachedInput {
					t.Errorf("%s: the cached input of %s: got %v, want %v", p.ID, name, got.CachedInput, want.CachedInput)
				}
				if !slices.Equal(got.Capabilities.Names(), want.Capabilities) {
					t.Errorf("%s: %s can %v, want %v", p.ID, name, got.Capabilities, want.Capabilities)
				}
			}
		}
	}
}

func TestModelsOfNobody(t *testing.T) {
	t.Parallel()
	if got := Models("nobody"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// Bare names are looked up for each request.
func TestLookupsDoNotAllocate(t *testing.T) {
	for name, look := range map[string]func(){
		"Lookup":             func() { Lookup("openai", "gpt-4o-2024-08-06") },
		"Lookup of no model": func() { Lookup("openai", "no-such-model-20250101") },
		"Models":             func() { Models("openai") },
	} {
		if n := testing.AllocsPerRun(100, look); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, p := range []string{"openai", "anthropic", "mistral", "nobody"} {
		for _, m := range []string{"gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929", "mistral-large-latest", "-latest", "-00", "é-001", ""} {
			f.Add(p, m)
		}
	}
	f.Fuzz(func(t *testing.T, p, name string) {
		m, ok := Lookup(p, name)
		if ok && name != m.Name && !slices.Contains(m.Aliases, name) {
			base := m.Name
			for _, alias := range m.Aliases {
				if strings.HasPrefix(name, alias) && len(alias) > len(base) {
					base = alias
				}
			}
			version, extends := strings.CutPrefix(name, base)
			if !extends || version != "-latest" && strings.Trim(version, "-0123456789") != "" {
				t.Errorf("%q was found as %s", name, m.Name)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	for name, look := range map[string]func(){
		"exact": func() { Lookup("openai", "gpt-4o") },
		"dated": func() { Lookup("openai", "gpt-4o-2024-08-06") },
		"none":  func() { Lookup("openai", "llama-3.3-70b-versatile") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				look()
			}
		})
	}
}
