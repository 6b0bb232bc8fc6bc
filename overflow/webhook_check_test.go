package overflow

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestCheckOfURLs(t *testing.T) {
	t.Parallel()
	strict := CallbackConfig{Allow: []string{"hooks.example.com", "*.apps.example.com", "bücher.example", "8.8.8.8", "2606:4700::1111"}}
	dev := CallbackConfig{Allow: []string{"*"}, AllowPrivate: []string{"127.0.0.0/8", "::1/128"}}
	all := CallbackConfig{Allow: []string{"*"}}
	const host, scheme, example, port = "is not one that may be called from here", "must begin with https://", "must be one such as", "port must be"
	for name, test := range map[string]struct {
		config CallbackConfig
		url    string
		host   string
		err    string // what it contains
	}{
		"an allowed host":                  {strict, "https://hooks.example.com/jobs?x=1", "hooks.example.com", ""},
		"without a path":                   {strict, "https://hooks.example.com", "hooks.example.com", ""},
		"in other letters and with a dot":  {strict, "HTTPS://Hooks.EXAMPLE.com./", "hooks.example.com", ""},
		"on 443":                           {strict, "https://hooks.example.com:443/", "hooks.example.com", ""},
		"on 8443":                          {strict, "https://hooks.example.com:8443/", "hooks.example.com", ""},
		"with an empty port":               {strict, "https://hooks.example.com:/", "hooks.example.com", ""},
		"on another port":                  {strict, "https://hooks.example.com:8080/", "", port},
		"on port 0":                        {dev, "https://hooks.example.com:0/", "", port},
		"on a port too high":               {dev, "https://hooks.example.com:65536/", "", port},
		"on a port that is a word":         {dev, "https://hooks.example.com:https/", "", example},
		"below an allowed name":            {strict, "https://a.apps.example.com/", "a.apps.example.com", ""},
		"far below it":                     {strict, "https://b.a.apps.example.com/", "b.a.apps.example.com", ""},
		"the name itself":                  {strict, "https://apps.example.com/", "", host},
		"a name that ends like it":         {strict, "https://evilapps.example.com/", "", host},
		"below a name that is exact":       {strict, "https://a.hooks.example.com/", "", host},
		"a name that begins like it":       {strict, "https://hooks.example.com.evil.com/", "", host},
		"an international name":            {strict, "https://BÜCHER.example/", "xn--bcher-kva.example", ""},
		"the same in ASCII":                {strict, "https://xn--bcher-kva.example/", "xn--bcher-kva.example", ""},
		"an address":                       {strict, "https://8.8.8.8/", "8.8.8.8", ""},
		"an address, IPv4-mapped":          {strict, "https://[::ffff:808:808]/", "8.8.8.8", ""},
		"an address of IPv6":               {strict, "https://[2606:4700:0::1111]:8443/", "2606:4700::1111", ""},
		"another address":                  {strict, "https://8.8.4.4/", "", host},
		"an address on another port":       {strict, "https://8.8.8.8:8080/", "", "may not be called on port 8080"},
		"plain HTTP":                       {strict, "http://hooks.example.com/", "", scheme},
		"another scheme":                   {dev, "ftp://hooks.example.com/", "", scheme},
		"no scheme":                        {strict, "hooks.example.com/jobs", "", example},
		"no host":                          {strict, "https:///jobs", "", example},
		"no slashes":                       {strict, "https:hooks.example.com", "", example},
		"nothing":                          {strict, "", "", example},
		"a user":                           {strict, "https://me@hooks.example.com/", "", "neither user name nor password"},
		"an empty user":                    {strict, "https://@hooks.example.com/", "", "neither user name nor password"},
		"a host for a user":                {strict, "https://hooks.example.com:x@evil.com/", "", "neither user name nor password"},
		"a fragment":                       {strict, "https://hooks.example.com/#x", "", "fragment"},
		"an empty fragment":                {strict, "https://hooks.example.com/#", "", "fragment"},
		"a backslash":                      {all, `https://hooks.example.com\@evil.com/`, "", ""},
		"a line end":                       {all, "https://hooks.example.com/\r\nX: y", "", example},
		"a space in the host":              {all, "https://hooks example.com/", "", example},
		"2048 bytes":                       {strict, "https://hooks.example.com/" + strings.Repeat("x", 2048-26), "hooks.example.com", ""},
		"2049 bytes":                       {strict, "https://hooks.example.com/" + strings.Repeat("x", 2049-26), "", "longer than 2048 bytes"},
		"any host":                         {all, "https://example.org/", "example.org", ""},
		"any public address":               {all, "https://9.9.9.9/", "9.9.9.9", ""},
		"a private address":                {all, "https://10.0.0.1/", "", "10.0.0.1 is not a public address"},
		"loopback, IPv4-mapped":            {all, "https://[::ffff:127.0.0.1]/", "", "127.0.0.1 is not a public address"},
		"an address with a zone":           {all, "https://[fe80::1%25eth0]/", "", example},
		"an address of IPv4 in brackets":   {all, "https://[127.0.0.1]/", "", example},
		"a name in brackets":               {all, "https://[example.org]/", "", example},
		"an address of IPv6 without them":  {all, "https://2606:4700::1111/", "", example},
		"a decimal address":                {all, "https://2130706433/", "", example},
		"a hexadecimal address":            {all, "https://0x7f.1/", "", example},
		"an octal address":                 {all, "https://0177.0.0.1/", "", example},
		"an address with a dot":            {all, "https://127.0.0.1./", "", example},
		"an address in wide digits":        {all, "https://１２７.0.0.1/", "", example},
		"a name that ends in digits":       {all, "https://example.1/", "", example},
		"a name with digits":               {all, "https://1.example/", "1.example", ""},
		"an underscore":                    {all, "https://my_app.example/", "my_app.example", ""},
		"two dots":                         {all, "https://example..org/", "", example},
		"two dots at the end":              {all, "https://example.org../", "", example},
		"a dot alone":                      {all, "https://./", "", example},
		"a hyphen at the end":              {all, "https://example-.org/", "", example},
		"a label too long":                 {all, "https://" + strings.Repeat("a", 64) + ".org/", "", example},
		"a name too long":                  {all, "https://" + strings.Repeat("a.", 126) + "org/", "", example},
		"an encoded dot":                   {all, "https://example%2eorg/", "", example},
		"bytes that are not UTF-8":         {all, "https://\x85.example/", "", example},
		"the same, encoded":                {all, "https://%85.example/", "", example},
		"a star":                           {all, "https://*.example.org/", "", example},
		"a name that is no Punycode":       {all, "https://xn--a.example/", "", example},
		"plain HTTP to an opened address":  {dev, "http://127.0.0.1:9000/", "127.0.0.1", ""},
		"plain HTTP to loopback of IPv6":   {dev, "http://[::1]:9000/", "::1", ""},
		"plain HTTP to a name":             {dev, "http://localhost:9000/", "localhost", ""}, // to be judged at dial
		"another port of a name":           {dev, "https://example.org:9000/", "example.org", ""},
		"plain HTTP to another address":    {dev, "http://8.8.8.8/", "", "may not be called by plain HTTP"},
		"another port of another address":  {dev, "https://8.8.8.8:9000/", "", "may not be called on port 9000"},
		"an address that is not opened":    {dev, "http://10.0.0.1/", "", "10.0.0.1 is not a public address"},
		"an opened address, not on a list": {CallbackConfig{Allow: []string{"localhost"}, AllowPrivate: dev.AllowPrivate}, "http://127.0.0.1/", "", host},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.config.Secrets = []string{testSecret(1)}
			c, err := newCallbacks(&test.config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.check(test.url)
			if test.host != "" && err != nil {
				t.Error(err)
			}
			if test.host == "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want an error with %q", err, test.err)
			}
			if got != test.host {
				t.Errorf("got %q, want %q", got, test.host)
			}
		})
	}
}

// A URL that is accepted is called at the host that was checked, and that host is allowed.
func FuzzCheck(f *testing.F) {
	for _, u := range []string{
		"https://hooks.example.com/jobs?x=1", "https://A.Example.com.:8443/", "https://BÜCHER.example/", "https://[2606:4700::1111]/",
		"http://127.0.0.1:9000/", "http://[::ffff:127.0.0.1]/", "https://me@h/", "https://h/#", "https://1.1.1.1./", "https://0x7f.1/",
		"https://１.１.１.１/", "https://a%2eb/", "https://[::1%25lo]/", "https:h", "//h", "https://h:0443/a b", "https://h\\@e/", "https://xn--a-/", "http://\x85",
	} {
		f.Add(u)
	}
	secrets := []string{testSecret(1)}
	strict, err := newCallbacks(&CallbackConfig{Allow: []string{"hooks.example.com", "*.example.com", "bücher.example"}, Secrets: secrets})
	dev, err2 := newCallbacks(&CallbackConfig{Allow: []string{"*"}, AllowPrivate: []string{"127.0.0.0/8", "::1/128"}, Secrets: secrets})
	if err := errors.Join(err, err2); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, c := range []*callbacks{strict, dev} {
			host, err := c.check(raw)
			if err != nil {
				continue
			}
			u, err := c.parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if host == "" || host != strings.ToLower(host) || strings.HasSuffix(host, ".") || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("the host %q is not normalised", host)
			}
			// What is sent is parsed once more on the way.
			req, err := http.NewRequest("POST", u.String(), nil)
			if err != nil || req.URL.Hostname() != host || req.URL.User != nil || req.URL.Fragment != "" {
				t.Errorf("%q becomes %v, with %v", raw, req, err)
			}
			again, err := c.parse(u.String())
			if err == nil && again.String() != u.String() {
				t.Errorf("%s becomes %s", u, again)
			}
			if err != nil && len(u.String()) <= maxCallbackURL {
				t.Errorf("%s is not accepted again: %v", u, err)
			}
			if c == strict && (u.Scheme != "https" || host != "xn--bcher-kva.example" && !strings.HasSuffix(host, ".example.com") || u.Port() != "" && u.Port() != "8443") {
				t.Errorf("%q is accepted, as %s", raw, u)
			}
		}
	})
}

func TestConfigurationErrorsSayWhatToWrite(t *testing.T) {
	t.Setenv("RUNESTONE_TEST_SECRET", testSecret(1)+"\n")
	t.Setenv("RUNESTONE_TEST_EMPTY", "")
	good := []string{testSecret(1)}
	short := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23))
	long := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))
	for name, test := range map[string]struct {
		config CallbackConfig
		err    string // how it begins, "" for none
	}{
		"all of it":                       {CallbackConfig{Allow: []string{"*", "*.Example.com.", "hooks.example.com", "::1"}, AllowPrivate: []string{"::1/128"}, Secrets: good}, ""},
		"a placeholder":                   {CallbackConfig{Allow: []string{"*"}, Secrets: []string{"{env.RUNESTONE_TEST_SECRET}", testSecret(2)}}, ""},
		"no hosts":                        {CallbackConfig{Secrets: good}, "allow is empty; write"},
		"a URL for a host":                {CallbackConfig{Allow: []string{"a.com", "https://b.com/"}, Secrets: good}, `allow[1]: "https://b.com/" is not a host; write`},
		"a host with a port":              {CallbackConfig{Allow: []string{"b.com:443"}, Secrets: good}, `allow[0]: "b.com:443" is not a host; write`},
		"a star inside":                   {CallbackConfig{Allow: []string{"a.*.com"}, Secrets: good}, `allow[0]: "a.*.com" is not a host; write`},
		"a star without a dot":            {CallbackConfig{Allow: []string{"*a.com"}, Secrets: good}, `allow[0]: "*a.com" is not a host; write`},
		"a star and a dot":                {CallbackConfig{Allow: []string{"*."}, Secrets: good}, `allow[0]: "*." is not a host; write`},
		"a star before an address":        {CallbackConfig{Allow: []string{"*.8.8.8.8"}, Secrets: good}, `allow[0]: "*.8.8.8.8" is not a host; write`},
		"an empty host":                   {CallbackConfig{Allow: []string{""}, Secrets: good}, `allow[0]: "" is not a host; write`},
		"an address that can never match": {CallbackConfig{Allow: []string{"10.0.0.1"}, Secrets: good}, "allow[0]: 10.0.0.1 is not a public address and would never be called; add"},
		"an address for a range":          {CallbackConfig{Allow: []string{"*"}, AllowPrivate: []string{"::1/128", "127.0.0.1"}, Secrets: good}, `allow_private[1]: "127.0.0.1" is not a range`},
		"an address within a range":       {CallbackConfig{Allow: []string{"*"}, AllowPrivate: []string{"10.0.0.1/8"}, Secrets: good}, `allow_private[0]: "10.0.0.1/8" is not a range`},
		"a range of IPv4-mapped ones":     {CallbackConfig{Allow: []string{"*"}, AllowPrivate: []string{"::ffff:127.0.0.0/104"}, Secrets: good}, `allow_private[0]: "::ffff:127.0.0.0/104" is not a range`},
		"no secrets":                      {CallbackConfig{Allow: []string{"*"}}, "secrets is empty; write"},
		"a secret without its prefix":     {CallbackConfig{Allow: []string{"*"}, Secrets: []string{testSecret(1)[6:]}}, "secrets[0] is not whsec_ and the base64 of 24 to 64 bytes; make one"},
		"a secret that is short":          {CallbackConfig{Allow: []string{"*"}, Secrets: []string{testSecret(1), short}}, "secrets[1] is not whsec_"},
		"a secret that is long":           {CallbackConfig{Allow: []string{"*"}, Secrets: []string{long}}, "secrets[0] is not whsec_"},
		"a secret that is no base64":      {CallbackConfig{Allow: []string{"*"}, Secrets: []string{"whsec_" + strings.Repeat("!", 40)}}, "secrets[0] is not whsec_"},
		"a secret with stray bits":        {CallbackConfig{Allow: []string{"*"}, Secrets: []string{strings.TrimSuffix(testSecret(1), "E=") + "F="}}, "secrets[0] is not whsec_"},
		"a secret with a line end inside": {CallbackConfig{Allow: []string{"*"}, Secrets: []string{testSecret(1)[:20] + "\n" + testSecret(1)[20:]}}, "secrets[0] is not whsec_"},
		"a secret twice":                  {CallbackConfig{Allow: []string{"*"}, Secrets: []string{testSecret(1), testSecret(1)}}, "secrets[1] is the same as secrets[0]; remove one"},
		"a variable that is not set":      {CallbackConfig{Allow: []string{"*"}, Secrets: []string{"{env.RUNESTONE_TEST_EMPTY}"}}, "secrets[0]: {env.RUNESTONE_TEST_EMPTY} is empty; set"},
		"a timeout that is too long":      {CallbackConfig{Allow: []string{"*"}, Secrets: good, Timeout: caddy.Duration(2 * time.Minute)}, "timeout must be above 0 and at most 1m0s, not 2m0s"},
		"a timeout below 0":               {CallbackConfig{Allow: []string{"*"}, Secrets: good, Timeout: -1}, "timeout must be above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newCallbacks(&test.config)
			if test.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.err) {
				t.Fatalf("got %v, want %s", err, test.err)
			}
			for _, secret := range test.config.Secrets {
				if secret[0] != '{' && strings.Contains(err.Error(), secret[len(secret)-20:]) {
					t.Errorf("the error holds the secret: %v", err)
				}
			}
		})
	}
}

func TestWithoutConfigurationNobodyIsCalled(t *testing.T) {
	t.Parallel()
	c, err := newCallbacks(nil)
	if c != nil || err != nil {
		t.Fatalf("got %v and %v, want neither", c, err)
	}
	if _, err := c.check("https://hooks.example.com/"); err == nil {
		t.Error("a URL was accepted")
	}
	want := delivery{blocked: true, err: "callbacks are not available here"}
	if got := c.send(t.Context(), &webhook{URL: "https://hooks.example.com/"}, time.Now()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
