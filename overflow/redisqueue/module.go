package redisqueue

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// DefaultName is the name of a queue that has none of its own.
const DefaultName = "runestone"

func init() { caddy.RegisterModule(Redis{}) }

// Redis is the module runestone.queues.redis: jobs are kept in Redis 7.0 or later, or in
// Valkey, for as many gateways as use the same server and name.
//
// To lose nothing that was acknowledged, the server needs appendonly yes, appendfsync
// always and maxmemory-policy noeviction; the log says so if it has other settings. After a
// failover, what the replica had not received is lost.
//
// A user of the server needs ~{name}:* for keys, &{name}:* for channels, and +@all -@admin
// -@dangerous +info +config|get for commands; of these the last two are needed only to
// see how durable the server is.
type Redis struct {
	// URL is the server: redis://user:password@host:6379/0, or with rediss for TLS. The parts but
	// the host may be left out. Placeholders are resolved. Required.
	URL string `json:"url"`
	// Addresses are further nodes, host:port, of a cluster, or further sentinels if there is a MasterName.
	Addresses []string `json:"addresses,omitempty"`
	// Cluster says that the server is a cluster although URL is the only address.
	Cluster bool `json:"cluster,omitempty"`
	// MasterName is what the sentinels call the server. URL and Addresses are the sentinels'
	// then, but URL's user, password and database are the server's.
	MasterName string `json:"master_name,omitempty"`
	// Username and Password, unless "", are used instead of URL's. Placeholders are resolved.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// SentinelUsername and SentinelPassword are for the sentinels. Placeholders are resolved.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`
	// Name tells queues on one server apart: all keys begin with it, in braces. It
	// has letters, digits, dots, dashes and underscores, at most 64. Default runestone.
	Name string `json:"name,omitempty"`

	options *redis.UniversalOptions // with secrets
	name    string
}

// CaddyModule implements [caddy.Module].
func (Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.queues.redis", New: func() caddy.Module { return new(Redis) }}
}

// validName is what a name may be. A brace in it would put keys into several hash slots.
var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Provision implements [caddy.Provisioner]. It connects to nothing. Its errors hold no secret.
func (r *Redis) Provision(caddy.Context) error {
	r.name = r.Name
	if r.name == "" {
		r.name = DefaultName
	}
	if !validName.MatchString(r.name) {
		return fmt.Errorf("name is '%s'; write up to 64 letters, digits, dots, dashes and underscores", r.name)
	}
	if r.URL == "" {
		return errors.New("url is missing; write the server's, such as {env.REDIS_URL} or redis://localhost:6379")
	}
	address, err := resolve("url", r.URL)
	if err != nil {
		return err
	}
	options, err := parseURL(address)
	if err != nil {
		return err
	}
	for _, secret := range []struct {
		field, text string
		to          *string
	}{
		{"username", r.Username, &options.Username},
		{"password", r.Password, &options.Password},
		{"sentinel_username", r.SentinelUsername, &options.SentinelUsername},
		{"sentinel_password", r.SentinelPassword, &options.SentinelPassword},
	} {
		if secret.text == "" {
			continue
		}
		if *secret.to, err = resolve(secret.field, secret.text); err != nil {
			return err
		}
	}
	if err := r.nodes(options); err != nil {
		return err
	}
	r.options = options
	return nil
}

// nodes adds what makes a cluster, or a server that sentinels watch.
func (r *Redis) nodes(o *redis.UniversalOptions) error {
	for _, address := range r.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("addresses: '%s' is no address; write host:port", address)
		}
		if slices.Contains(o.Addrs, address) {
			return fmt.Errorf("addresses: %s is there twice, or is url's; remove one", address)
		}
		o.Addrs = append(o.Addrs, address)
	}
	o.MasterName = r.MasterName
	cluster := r.Cluster || len(r.Addresses) > 0 && r.MasterName == ""
	switch {
	case r.Cluster && r.MasterName != "":
		return errors.New("cluster and master_name exclude each other; remove one")
	case cluster && o.DB != 0:
		return fmt.Errorf("url names database %d, and a cluster has only 0; remove it", o.DB)
	case r.MasterName == "" && r.SentinelUsername+r.SentinelPassword != "":
		return errors.New("sentinel_username and sentinel_password need a master_name")
	}
	o.IsClusterMode = cluster
	if o.TLSConfig != nil && (cluster || r.MasterName != "") {
		o.TLSConfig.ServerName = "" // each node has a name of its own
	}
	return nil
}

// placeholder is one that may be shown.
var placeholder = regexp.MustCompile(`^\{(env|file)\.[^{}]+\}$`)

// resolve returns a field without its placeholders. An error does not tell what is in it.
func resolve(field, text string) (string, error) {
	value, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	value = strings.TrimSpace(value)
	switch {
	case err == nil && value != "":
		return value, nil
	case placeholder.MatchString(text) && field == "url":
		return "", fmt.Errorf("url: %s is empty; set it to the server's, such as redis://localhost:6379", text)
	case placeholder.MatchString(text):
		return "", fmt.Errorf("%s: %s is empty; set the variable or the file that it names", field, text)
	}
	return "", fmt.Errorf("%s is empty or has a placeholder in it that is empty or unknown; write one such as {env.REDIS_URL}", field)
}

// parseURL reads a server's URL. Its errors do not show the URL, which may hold a password.
func parseURL(text string) (*redis.UniversalOptions, error) {
	const want = "write one such as redis://user:password@localhost:6379/0, or with rediss:// for TLS"
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("url cannot be read; " + want + ", and special characters in the password as %40 and the like")
	}
	if !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("url does not begin with redis://, rediss:// or unix://; " + want)
	}
	for name := range u.Query() {
		if name != "db" && name != "skip_verify" {
			return nil, errors.New("url has a parameter that is not known; only db and skip_verify are")
		}
	}
	o, err := redis.ParseURL(text)
	if err != nil || o.DB < 0 {
		return nil, errors.New("url's database is no number, or something else in it is wrong; " + want)
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
	}, nil
}

// Key implements [overflow.Opener]: the addresses, the database, the name, and what tells other
// credentials from these, in this process only.
func (r *Redis) Key() string {
	o := r.options
	addresses := slices.Sorted(slices.Values(o.Addrs))
	parts := []string{strings.Join(addresses, ","), r.MasterName, strconv.Itoa(o.DB), r.name}
	if secrets := [4]string{o.Username, o.Password, o.SentinelUsername, o.SentinelPassword}; secrets != [4]string{} {
		parts = append(parts, strconv.FormatUint(maphash.Comparable(keySeed, secrets), 36))
	}
	return "redis:" + strings.Join(parts, "/")
}

var keySeed = maphash.MakeSeed()

// Open implements [overflow.Opener].
func (r *Redis) Open(logger *zap.Logger) (overflow.Queue, error) {
	return open(r.options, r.name, logger), nil
}

// Interface guards
var (
	_ caddy.Provisioner = (*Redis)(nil)
	_ overflow.Opener   = (*Redis)(nil)
)
