package redisqueue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const secret = "s3cr3t-w0rd"

func TestProvision(t *testing.T) {
	t.Setenv("QUEUE_TEST_URL", "rediss://anna:"+secret+"@queue.example.com/3")
	t.Setenv("QUEUE_TEST_PASSWORD", secret)
	t.Setenv("QUEUE_TEST_EMPTY", "")
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("redis://:"+secret+"@10.0.0.1:7000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config Redis
		key    string // wanted
		err    string // or this in the error
	}{
		"a variable":               {Redis{URL: "{env.QUEUE_TEST_URL}"}, "redis:queue.example.com:6379//3/runestone", ""},
		"a file":                   {Redis{URL: "{file." + file + "}"}, "redis:10.0.0.1:7000//0/runestone", ""},
		"a part is a variable":     {Redis{URL: "redis://:{env.QUEUE_TEST_PASSWORD}@localhost"}, "redis:localhost:6379//0/runestone", ""},
		"a name":                   {Redis{URL: "redis://localhost", Name: "blue.1"}, "redis:localhost:6379//0/blue.1", ""},
		"a socket":                 {Redis{URL: "unix:///run/redis.sock?db=2"}, "redis:/run/redis.sock//2/runestone", ""},
		"a user of its own":        {Redis{URL: "redis://localhost", Username: "bert", Password: "{env.QUEUE_TEST_PASSWORD}"}, "redis:localhost:6379//0/runestone", ""},
		"a cluster":                {Redis{URL: "rediss://c:7001", Addresses: []string{"b:7000"}}, "redis:b:7000,c:7001//0/runestone", ""},
		"a cluster of one address": {Redis{URL: "redis://c:7001", Cluster: true}, "redis:c:7001//0/runestone", ""},
		"sentinels": {
			Redis{URL: "redis://s1:26379/1", Addresses: []string{"s2:26379"}, MasterName: "main", SentinelPassword: "{env.QUEUE_TEST_PASSWORD}"},
			"redis:s1:26379,s2:26379/main/1/runestone", "",
		},

		"no URL":                {Redis{}, "", "url is missing; write the server's, such as {env.REDIS_URL}"},
		"an empty variable":     {Redis{URL: "{env.QUEUE_TEST_EMPTY}"}, "", "url: {env.QUEUE_TEST_EMPTY} is empty; set it to the server's, such as redis://localhost:6379"},
		"a variable not set":    {Redis{URL: "{env.QUEUE_TEST_NONE}"}, "", "url: {env.QUEUE_TEST_NONE} is empty"},
		"an empty part":         {Redis{URL: "redis://:" + secret + "{env.QUEUE_TEST_EMPTY}@localhost"}, "", "has a placeholder in it that is empty or unknown"},
		"an unknown part":       {Redis{URL: "redis://:{" + secret + "}@localhost"}, "", "has a placeholder in it that is empty or unknown"},
		"an empty password":     {Redis{URL: "redis://localhost", Password: "{env.QUEUE_TEST_EMPTY}"}, "", "password: {env.QUEUE_TEST_EMPTY} is empty"},
		"no scheme":             {Redis{URL: "localhost:6379"}, "", "does not begin with redis://"},
		"another scheme":        {Redis{URL: "http://:" + secret + "@localhost"}, "", "does not begin with redis://"},
		"a broken URL":          {Redis{URL: "redis://:" + secret + "%zz@localhost"}, "", "url cannot be read"},
		"no number":             {Redis{URL: "redis://:" + secret + "@localhost/" + secret}, "", "url's database is no number"},
		"a negative number":     {Redis{URL: "redis://localhost/-1"}, "", "url's database is no number"},
		"a parameter":           {Redis{URL: "redis://localhost?" + secret + "=5"}, "", "only db and skip_verify are"},
		"braces in the name":    {Redis{URL: "redis://localhost", Name: "{a}"}, "", "name is '{a}'; write up to 64 letters"},
		"a long name":           {Redis{URL: "redis://localhost", Name: strings.Repeat("a", 65)}, "", "write up to 64 letters"},
		"no port":               {Redis{URL: "redis://localhost", Addresses: []string{"b"}}, "", "'b' is no address; write host:port"},
		"an address twice":      {Redis{URL: "redis://localhost", Addresses: []string{"localhost:6379"}}, "", "localhost:6379 is there twice"},
		"a cluster's database":  {Redis{URL: "redis://localhost/2", Cluster: true}, "", "database 2, and a cluster has only 0"},
		"cluster and sentinels": {Redis{URL: "redis://localhost", Cluster: true, MasterName: "m"}, "", "exclude each other"},
		"sentinels' password":   {Redis{URL: "redis://localhost", SentinelPassword: secret}, "", "need a master_name"},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.config
			err := r.Provision(caddy.Context{})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("the error is %v, want %q in it", err, test.err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds the secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			secrets := r.options.Username + r.options.Password + r.options.SentinelPassword
			if got, ok := strings.CutPrefix(r.Key(), test.key); !ok || (got != "") != (secrets != "") || strings.Contains(got, secret) {
				t.Errorf("the key is %s, want %s and, for its credentials, something more", r.Key(), test.key)
			}
			multi := r.options.IsClusterMode || r.options.MasterName != ""
			if tls := r.options.TLSConfig; tls != nil && (tls.ServerName == "") != multi {
				t.Errorf("the server's name for TLS is %q", tls.ServerName)
			}
		})
	}
}

// A reload with another password must not go on with the connections of the old one.
func TestKeyTellsCredentialsApart(t *testing.T) {
	t.Parallel()
	key := func(password string) string {
		r := Redis{URL: "redis://localhost", Password: password}
		if err := r.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		return r.Key()
	}
	first, other, again := key("a"), key("b"), key("a")
	if first == other || first != again {
		t.Errorf("the keys are %s and %s for two passwords, and %s for the first again", first, other, again)
	}
}

func TestProvisionTakesTheUser(t *testing.T) {
	t.Parallel()
	r := Redis{URL: "redis://anna:a@localhost"}
	if err := r.Provision(caddy.Context{}); err != nil || r.options.Username != "anna" || r.options.Password != "a" {
		t.Errorf("of the URL: %q, %q, error %v", r.options.Username, r.options.Password, err)
	}
	r.Username, r.Password = "bert", "b"
	if err := r.Provision(caddy.Context{}); err != nil || r.options.Username != "bert" || r.options.Password != "b" {
		t.Errorf("of the options: %q, %q, error %v", r.options.Username, r.options.Password, err)
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"redis {env.REDIS_URL}":                    "",
		"redis {\n url redis://a\n}":               "",
		"redis redis://a {\n name x\n cluster\n}":  "",
		"redis redis://a {\n addresses b:1 c:1\n}": "",
		"redis":                                     "the redis queue needs a url, such as {env.REDIS_URL}",
		"redis redis://a redis://b":                 "unexpected argument 'redis://b' of the redis queue; it has one, its url",
		"redis redis://a {\n url redis://b\n}":      "url is set twice; remove one of the two",
		"redis redis://a {\n name x\n name y\n}":    "name is set twice; remove one of the two",
		"redis redis://a {\n name\n}":               "name has 0 values; give exactly one",
		"redis redis://a {\n password a b\n}":       "password has 2 values; give exactly one",
		"redis redis://a {\n addresses\n}":          "addresses has no values",
		"redis redis://a {\n cluster yes\n}":        "unexpected argument 'yes' of cluster; it has none",
		"redis redis://a {\n pool 5\n}":             "unrecognized option 'pool' of the redis queue; use one of addresses, cluster,",
		"redis redis://a {\n master_name a\n}":      "",
		"redis redis://a {\n sentinel_password a\n": "",
	} {
		r := new(Redis)
		err := r.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: the error is %v, want %q", text, err, want)
		}
	}
	r := new(Redis)
	all := "redis {env.U} {\n name n\n username u\n password p\n addresses a:1 b:2\n cluster\n master_name m\n sentinel_username su\n sentinel_password sp\n}"
	if err := r.UnmarshalCaddyfile(caddyfile.NewTestDispenser(all)); err != nil {
		t.Fatal(err)
	}
	got := strings.Join([]string{r.URL, r.Name, r.Username, r.Password, r.MasterName, r.SentinelUsername, r.SentinelPassword, strings.Join(r.Addresses, ",")}, " ")
	if want := "{env.U} n u p m su sp a:1,b:2"; got != want || !r.Cluster {
		t.Errorf("got %s, want %s", got, want)
	}
}
