package gateway

import (
	"net/http"
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

func TestAnOwnerIsTheSameWhicheverWayItsKeyComes(t *testing.T) {
	t.Parallel()
	of := func(name, value string) string { return credentialOwner(http.Header{name: {value}}) }
	same := of("Authorization", "Bearer sk-1")
	for name, got := range map[string]string{
		"another case of the scheme": of("Authorization", "bearer sk-1"),
		"X-Api-Key":                  of("X-Api-Key", "sk-1"),
		"white space":                of("X-Api-Key", " sk-1 "),
	} {
		if got != same {
			t.Errorf("%s: %q, want %q", name, got, same)
		}
	}
	for name, got := range map[string]string{
		"another key":    of("Authorization", "Bearer sk-2"),
		"no key":         credentialOwner(http.Header{}),
		"an empty one":   of("X-Api-Key", " "),
		"another scheme": of("Authorization", "Basic sk-1"),
	} {
		if got == same {
			t.Errorf("%s is the same owner", name)
		}
	}
	if got := of("X-Api-Key", ""); got != "" {
		t.Errorf("nobody is %q", got)
	}
}

func TestNoKeyOfAQueryIsStored(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                 "",
		"api-version=1&x=%20":              "api-version=1&x=%20",
		"key=secret":                       "",
		"a=1&KEY=secret&b=2&api%5Fkey=s&c": "a=1&b=2&c",
		"monkey=1&access_token=s":          "monkey=1",
	} {
		if got := withoutCredentials(query); got != want {
			t.Errorf("%q becomes %q, want %q", query, got, want)
		}
	}
}

// The end of one queue leaves the others to be told of room at a target.
func TestEnginesLeaveTheListOneByOne(t *testing.T) {
	t.Parallel()
	var list engineList
	var opened []*overflow.Engine
	for range 3 {
		engine := overflow.NewEngine(queuetest.NewQueue(), zap.NewNop())
		t.Cleanup(func() { _ = engine.Close() })
		opened = append(opened, engine)
		list.add(engine)
	}
	list.remove(opened[1])
	list.freed()
	if got := *list.list.Load(); !slices.Equal(got, []*overflow.Engine{opened[0], opened[2]}) {
		t.Errorf("%d engines are left, want the first and the last", len(got))
	}
}
