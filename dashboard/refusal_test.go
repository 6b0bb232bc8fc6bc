package dashboard_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/runestone-gateway/runestone/caddyfile"
	_ "github.com/runestone-gateway/runestone/provider/mock"
)

// load does what `caddy validate` does.
func load(t *testing.T, site string) error {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	text := []byte("{\n\tadmin off\n\tauto_https off\n\trunestone {\n\t\tprovider mock\n\t}\n}\n" + site)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return validate(t, adapted)
}

func validate(t *testing.T, text []byte) error {
	t.Helper()
	config := new(caddy.Config)
	if err := json.Unmarshal(text, config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(config)
}

const basicAuth = "basic_auth {\n ops $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"

// Only a dashboard that nobody from elsewhere can see, or who has shown credentials, is accepted.
func TestWhereADashboardMayBe(t *testing.T) {
	for _, test := range []struct {
		name, site string
		refused    bool
	}{
		{"on every address", ":4001 {\n runestone_dashboard\n}", true},
		{"by a name, which is no listener", "http://localhost:4001 {\n runestone_dashboard\n}", true},
		{"on a public address", ":4001 {\n bind 203.0.113.7\n runestone_dashboard\n}", true},
		{"on a private address", ":4001 {\n bind 10.0.0.7\n runestone_dashboard\n}", true},
		{"on a name that may lead anywhere", ":4001 {\n bind example.com\n runestone_dashboard\n}", true},
		{"on one address of its own and one of all", ":4001 {\n bind 127.0.0.1 0.0.0.0\n runestone_dashboard\n}", true},
		{"on the loopback address", ":4001 {\n bind 127.0.0.1\n runestone_dashboard\n}", false},
		{"on both loopback addresses", ":4001 {\n bind 127.0.0.1 ::1\n runestone_dashboard\n}", false},
		{"on localhost", ":4001 {\n bind localhost\n runestone_dashboard\n}", false},
		{"on a Unix socket", "http:// {\n bind unix//tmp/dash.sock\n runestone_dashboard\n}", false},
		{"on a private address that is allowed", ":4001 {\n bind 10.0.0.7\n runestone_dashboard {\n allow_private\n }\n}", false},
		{"on every address, with private ones allowed", ":4001 {\n runestone_dashboard {\n allow_private\n }\n}", true},
		{"on a public address, with private ones allowed", ":4001 {\n bind 8.8.8.8\n runestone_dashboard {\n allow_private\n }\n}", true},
		{"behind a password", ":4001 {\n" + basicAuth + "runestone_dashboard\n}", false},
		{"behind a password, in a site with a name", "http://dash.example.com:4001 {\n" + basicAuth + "runestone_dashboard\n}", false},
		{"behind a password, below a path", ":4001 {\n handle_path /dash/* {\n" + basicAuth + "runestone_dashboard\n }\n}", false},
		{"behind the password of its site, below a path", ":4001 {\n" + basicAuth + " handle_path /dash/* {\n runestone_dashboard\n }\n}", false},
		{"with a password before another path only", ":4001 {\n handle /other/* {\n" + basicAuth + "respond hi\n }\n handle {\n runestone_dashboard\n }\n}", true},
		{"with a password after it", ":4001 {\n route {\n runestone_dashboard\n" + basicAuth + "}\n}", true},
		{"with a password in another site", "http://a.example:4001 {\n" + basicAuth + "respond hi\n}\nhttp://b.example:4001 {\n runestone_dashboard\n}", true},
		{"one behind a password and one not", ":4001 {\n handle /a/* {\n" + basicAuth + "runestone_dashboard\n }\n handle {\n runestone_dashboard\n }\n}", true},
		{"behind what cannot be seen", ":4001 {\n runestone_dashboard {\n external_auth\n }\n}", false},
		{"in a route that is invoked", "&(dash) {\n runestone_dashboard\n}\n:4001 {\n invoke dash\n}", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := load(t, test.site)
			switch {
			case test.refused && err == nil:
				t.Error("it is accepted")
			case test.refused && (!strings.Contains(err.Error(), "everybody could see") || !strings.Contains(err.Error(), "bind 127.0.0.1")):
				t.Errorf("the error does not say what to write: %v", err)
			case !test.refused && err != nil:
				t.Error(err)
			}
		})
	}
}

// Client certificates do as well, if every way in needs one.
func TestClientCertificates(t *testing.T) {
	for _, test := range []struct {
		name, policies string
		refused        bool
	}{
		{"none", `[]`, true},
		{"every policy", `[{"client_authentication": {"mode": "require_and_verify"}}]`, false},
		{"one of two", `[{"match": {"sni": ["a.example"]}, "client_authentication": {"mode": "require_and_verify"}}, {}]`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XDG_DATA_HOME", t.TempDir())
			err := validate(t, []byte(`{"admin": {"disabled": true}, "apps": {"runestone": {"providers": {"mock": {"adapter": {"type": "mock"}}}},
				"http": {"servers": {"s": {"listen": [":4001"], "automatic_https": {"disable": true}, "tls_connection_policies": `+test.policies+`,
				"routes": [{"handle": [{"handler": "runestone_dashboard"}]}]}}}}}`))
			if (err != nil) != test.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}
