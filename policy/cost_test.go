package policy

import (
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

func TestCostTakesTheCheapestForTheRequest(t *testing.T) {
	t.Parallel()
	// Per million tokens: input, output. A nil price is unknown.
	cheapInput, cheapOutput := &Price{Input: 1, Output: 10}, &Price{Input: 3, Output: 2}
	free := new(Price)
	for name, test := range map[string]struct {
		prices []*Price
		needs  provider.Needs
		want   int
	}{
		"a long input and a short answer go to cheap input":        {[]*Price{cheapOutput, cheapInput}, provider.Needs{InputTokens: 10_000, OutputTokens: 10}, 1},
		"a short input goes to cheap output":                       {[]*Price{cheapInput, cheapOutput}, provider.Needs{InputTokens: 10}, 1},
		"an input of 1000 tokens is supposed":                      {[]*Price{cheapOutput, cheapInput}, provider.Needs{OutputTokens: 249}, 1},
		"it is no more than that":                                  {[]*Price{cheapInput, cheapOutput}, provider.Needs{OutputTokens: 251}, 1},
		"an answer of 500 tokens is supposed":                      {[]*Price{cheapOutput, cheapInput}, provider.Needs{InputTokens: 2001}, 1},
		"it is no less than that":                                  {[]*Price{cheapInput, cheapOutput}, provider.Needs{InputTokens: 1999}, 1},
		"a client that allows more is not supposed to need it":     {[]*Price{cheapOutput, cheapInput}, provider.Needs{InputTokens: 2001, OutputTokens: 100_000}, 1},
		"the same cost keeps the order":                            {[]*Price{cheapOutput, cheapInput}, provider.Needs{InputTokens: 2000}, 0},
		"the same price keeps the order, with unknown ones before": {[]*Price{nil, cheapInput, cheapInput}, provider.Needs{}, 1},
		"an unknown price comes last":                              {[]*Price{nil, cheapInput}, provider.Needs{}, 1},
		"unknown prices keep the order":                            {[]*Price{nil, nil}, provider.Needs{}, 0},
		"nothing is cheaper than free":                             {[]*Price{cheapInput, nil, free, free}, provider.Needs{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targets := targetsOf(make([]int, len(test.prices))...)
			for i, price := range test.prices {
				targets[i].Price = price
			}
			if got := (Cost{}).Select(targets, &provider.Request{Needs: test.needs}); got != targets[test.want] {
				t.Errorf("it took %s, want %s", got.Provider, targets[test.want].Provider)
			}
		})
	}
}
