package policy

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func TestFailoverTriesTargetsInTheirOrder(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	module, err := ctx.LoadModuleByID("runestone.policies.failover", nil)
	if err != nil {
		t.Fatal(err)
	}
	targets := []*Target{{Provider: "a", Model: "m"}, {Provider: "b", Model: "m"}, {Provider: "a", Model: "n"}}
	for left := targets; len(left) > 0; left = left[1:] {
		if got := module.(Selector).Select(left, &provider.Request{}); got != left[0] {
			t.Errorf("of %d targets it took %+v", len(left), got)
		}
	}
}

func TestFailoverCaddyfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" is no error
		"failover":                   "",
		"failover {\n}":              "",
		"failover now":               "wrong argument count or unexpected line ending after 'now', at Testfile:1",
		"failover {\n\tretries 3\n}": "policy failover takes no options, but here is 'retries', at Testfile:2",
	} {
		err := new(Failover).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
