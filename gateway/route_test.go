package gateway

import (
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
)

func TestCapabilities(t *testing.T) {
	t.Parallel()
	const kinds = provider.Kinds
	for name, test := range map[string]struct {
		list []string
		want provider.Capability
	}{
		"none said means all":         {nil, provider.AllCapabilities},
		"streaming goes without word": {[]string{"chat", "tools"}, provider.Chat | provider.Tools | provider.Streaming},
		"unless it is denied":         {[]string{"chat", "no_streaming"}, provider.Chat},
		"no kind said means any kind": {[]string{"vision"}, kinds | provider.Vision | provider.Streaming},
		"embeddings only":             {[]string{"embeddings"}, provider.Embeddings | provider.Streaming},
	} {
		if got := capabilities(test.list); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// named returns a configured model with targets that are called by their number.
func named(name string, targets ...*target) *route {
	r := newRoute(name, targets...)
	r.named = true
	return r
}

func TestOnlyTargetsThatCanAreAsked(t *testing.T) {
	t.Parallel()
	can := func(model string, context int, list ...string) *target {
		return &target{Target: policy.Target{Provider: "p", Model: model, Context: context}, up: new(upstream), can: capabilities(list)}
	}
	plain, seeing, tooled := can("plain", 1000, "chat"), can("seeing", 8000, "chat", "vision"), can("tooled", 4000, "chat", "tools")
	anything := &target{Target: policy.Target{Provider: "p", Model: "anything"}, up: new(upstream), can: provider.AllCapabilities}
	all := named("all", plain, seeing, tooled)
	a := &App{routes: map[string]*route{
		"all": all, "one": named("one", plain), "open": named("open", anything), "eyes": named("eyes", seeing),
	}}
	direct := newRoute("p/plain", plain)
	for name, test := range map[string]struct {
		route *route
		needs provider.Needs
		want  string // models, or the code and the end of the message
	}{
		"nothing special":                     {all, provider.Needs{Capabilities: provider.Chat}, "plain seeing tooled"},
		"of a request that is not known":      {all, provider.Needs{}, "plain seeing tooled"},
		"vision":                              {all, provider.Needs{Capabilities: provider.Chat | provider.Vision}, "seeing"},
		"a name that is not configured":       {direct, provider.Needs{Capabilities: provider.Chat | provider.Vision}, "plain"},
		"longer than some":                    {all, provider.Needs{Capabilities: provider.Chat, InputTokens: 3000, OutputTokens: 500}, "seeing tooled"},
		"longer than all, by estimate":        {all, provider.Needs{Capabilities: provider.Chat, InputTokens: 12000}, "seeing"},
		"longer than all, for certain":        {all, provider.Needs{Capabilities: provider.Chat, InputTokens: 50000}, "context_length_exceeded at most 8000. Models that do: open."},
		"what no target has":                  {all, provider.Needs{Capabilities: provider.Chat | provider.Audio}, "unsupported_capability needs: audio. Models that do: open."},
		"what no one target has all of":       {all, provider.Needs{Capabilities: provider.Chat | provider.Vision | provider.Tools}, "unsupported_capability needs: chat, tools, vision. Models that do: open."},
		"vision of one that has none":         {a.routes["one"], provider.Needs{Capabilities: provider.Chat | provider.Vision}, "unsupported_capability needs: vision. Models that do: all, eyes, open."},
		"an embedding of a model for chats":   {a.routes["one"], provider.Needs{Capabilities: provider.Embeddings}, "unsupported_capability needs: embeddings. Models that do: open."},
		"anything of one that is not bounded": {a.routes["open"], provider.Needs{Capabilities: provider.AllCapabilities, InputTokens: 1e9}, "anything"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, told := test.route.able(a, &provider.Request{API: dialect.Chat, Needs: test.needs})
			if told != nil {
				code, end, _ := strings.Cut(test.want, " ")
				if told.Code != code || !strings.HasSuffix(told.Message, end) || told.Status != 400 || !told.Final {
					t.Errorf("got %d %s %q, want %s", told.Status, told.Code, told.Message, test.want)
				}
				return
			}
			var models []string
			for _, target := range r.targets {
				models = append(models, target.Model)
			}
			if got := strings.Join(models, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if len(all.targets) != 3 {
		t.Error("a request has changed the configuration")
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	half, write, hour := 0.5, 2.5, 4.0
	usage := dialect.Usage{Input: 1_000_000, CachedInput: 400_000, Output: 100_000, Reasoning: 50_000}
	for name, test := range map[string]struct {
		price *policy.Price
		more  dialect.Usage
		want  float64
		known bool
	}{
		"by tokens":                       {&policy.Price{Input: 2, Output: 10}, dialect.Usage{}, 3, true},
		"with a price for the cache":      {&policy.Price{Input: 2, Output: 10, CachedInput: &half}, dialect.Usage{}, 2.4, true},
		"with what was put there":         {&policy.Price{Input: 2, Output: 10, CacheWrite: &write}, dialect.Usage{CacheWrite: 200_000, CacheWriteHour: 100_000}, 3.1, true},
		"with what was put for an hour":   {&policy.Price{Input: 2, Output: 10, CacheWrite: &write, CacheWriteHour: &hour}, dialect.Usage{CacheWrite: 200_000, CacheWriteHour: 100_000}, 3.25, true},
		"for an hour at no special price": {&policy.Price{Input: 2, Output: 10}, dialect.Usage{CacheWrite: 200_000, CacheWriteHour: 100_000}, 3, true},
		"for nothing":                     {&policy.Price{}, dialect.Usage{}, 0, true},
		"unknown":                         {nil, dialect.Usage{}, 0, false},
	} {
		u := usage
		u.Merge(test.more)
		a := Answer{call: &call{usage: u}, price: test.price}
		if got, known := a.Cost(); known != test.known || got < test.want-1e-9 || got > test.want+1e-9 {
			t.Errorf("%s: got %v %t, want %v", name, got, known, test.want)
		}
	}
}
