package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

// policies returns every policy as a configuration without options has it.
func policies(t testing.TB) map[string]Selector {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	all := map[string]Selector{}
	for _, info := range caddy.GetModules("runestone.policies") {
		module, err := ctx.LoadModuleByID(string(info.ID), nil)
		if err != nil {
			t.Fatal(err)
		}
		all[info.ID.Name()] = module.(Selector)
	}
	if len(all) != 6 {
		t.Fatalf("there are %d policies, want 6", len(all))
	}
	return all
}

// targetsOf returns targets of these weights that nothing is known of.
func targetsOf(weights ...int) []*Target {
	targets := make([]*Target, len(weights))
	for i, w := range weights {
		targets[i] = &Target{Provider: string(rune('a' + i)), Weight: w, Stats: new(Stats)}
	}
	return targets
}

// some returns some of targets, at least one, in their order.
func some(random *rand.Rand, targets []*Target) []*Target {
	for {
		var left []*Target
		for _, t := range targets {
			if random.IntN(2) == 0 {
				left = append(left, t)
			}
		}
		if left != nil {
			return left
		}
	}
}

// tally asks n times and returns how often each target was the answer.
func tally(n int, s Selector, targets []*Target, r *provider.Request) map[*Target]int {
	counts := map[*Target]int{}
	for range n {
		counts[s.Select(targets, r)]++
	}
	return counts
}

func TestEveryPolicyTakesOneOfTheTargetsAndLeavesThemAlone(t *testing.T) {
	t.Parallel()
	for name, selector := range policies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			targets := targetsOf(0, 1, 2, 3, 1_000_000)
			targets[1].Price = &Price{Input: 1}
			targets[3].Stats = nil // a foreign test's
			for range 10_000 {
				offered := some(random, targets)
				before := slices.Clone(offered)
				r := &provider.Request{Stream: random.IntN(2) == 0}
				got := selector.Select(offered, r)
				if !slices.Equal(offered, before) {
					t.Fatal("it modified the targets")
				}
				if !slices.Contains(offered, got) {
					t.Fatalf("it took %+v, which was not offered", got)
				}
				if s := got.Stats; s != nil && random.IntN(4) > 0 {
					s.Observe(r.Stream, time.Duration(random.Int64N(1e9)))
				} else if s != nil {
					s.Failed()
				}
			}
		})
	}
}

// The race detector watches, and no call may be lost from the books.
func TestEveryPolicyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	for name, selector := range policies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targets := targetsOf(3, 2, 1)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 600 {
						r := &provider.Request{Stream: i%2 == 0}
						s := selector.Select(targets[(i+g)%3:], r).Stats
						s.Begin()
						if i%7 == 0 {
							s.Failed()
						} else {
							s.Observe(r.Stream, time.Millisecond)
						}
						s.End()
					}
				})
			}
			wg.Wait()
			for _, target := range targets {
				if n := target.Stats.InFlight(); n != 0 {
					t.Errorf("%d calls of %s are still under way", n, target.Provider)
				}
			}
		})
	}
}

func TestNoPolicyAllocates(t *testing.T) {
	targets, r := benchmarkTargets(), &provider.Request{}
	for name, selector := range policies(t) {
		if n := testing.AllocsPerRun(100, func() { selector.Select(targets, r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestPoliciesWithoutOptionsRefuseAny(t *testing.T) {
	t.Parallel()
	for name, selector := range policies(t) {
		if name == "latency" {
			continue
		}
		for rest, want := range map[string]string{ // "" is no error
			"":                   "",
			" {\n}":              "",
			" now":               "policy " + name + " takes no options, but here is 'now'; remove it, at Testfile:1",
			" {\n\tretries 3\n}": "policy " + name + " takes no options, but here is 'retries'; remove it, at Testfile:2",
		} {
			checkError(t, name+rest, selector.(caddyfile.Unmarshaler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(name+rest)), want)
		}
	}
}

// checkError complains unless err says what is wanted; "" is no error.
func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%q: got %v, want %q", what, err, want)
	}
}

// benchmarkTargets returns targets that all policies have to look at closely.
func benchmarkTargets() []*Target {
	targets := targetsOf(5, 4, 3, 2, 1)
	for i, t := range targets {
		t.Price = &Price{Input: float64(i), Output: float64(i)}
		t.Stats.Observe(true, time.Second)
		t.Stats.Observe(false, time.Second)
	}
	return targets
}

func BenchmarkSelect(b *testing.B) {
	for name, selector := range policies(b) {
		b.Run(name, func(b *testing.B) {
			targets, r := benchmarkTargets(), &provider.Request{Stream: true}
			b.ReportAllocs()
			for b.Loop() {
				selector.Select(targets, r)
			}
		})
	}
}

func BenchmarkSelectParallel(b *testing.B) {
	for name, selector := range policies(b) {
		b.Run(name, func(b *testing.B) {
			targets, r := benchmarkTargets(), &provider.Request{Stream: true}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					selector.Select(targets, r)
				}
			})
		})
	}
}
