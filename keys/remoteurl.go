package keys

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience is how long a request waits for Redis at most. Its limits are worth no more.
const patience = 500 * time.Millisecond

// resolveURL returns a text without its placeholders. The error tells nothing of what is in it.
func resolveURL(text string) (string, error) {
	value, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	if value = strings.TrimSpace(value); err != nil || value == "" {
		if placeholder.MatchString(text) {
			return "", errors.New("redis: url: " + text + " is empty; set it to the server's, such as redis://localhost:6379")
		}
		return "", errors.New("redis: url is empty or has a placeholder in it that is empty or unknown; write one such as {env.REDIS_URL}")
	}
	return value, nil
}

var errURL = errors.New("redis: url cannot be read; write one such as redis://user:password@localhost:6379/0, or with rediss:// for TLS, and special characters in the password as %40 and the like")

// parseURL returns what a URL means to go-redis. Its errors do not show the URL, which may hold a password.
func parseURL(text string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errURL
	}
	if !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("redis: url does not begin with redis://, rediss:// or unix://; write one such as redis://user:password@localhost:6379/0")
	}
	query := u.Query()
	for name := range query {
		if !slices.Contains([]string{"addr", "master_name", "username", "password", "db", "skip_verify"}, name) {
			return nil, errors.New("redis: url has a parameter that is not known; only addr, master_name, username, password, db and skip_verify are")
		}
	}
	o := &redis.UniversalOptions{
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DisableIdentity:          true, // CLIENT SETINFO is newer than the oldest server
		Protocol:                 2,
		ContextTimeoutEnabled:    true,
		DialTimeout:              patience, DialerRetries: 1,
		ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		MaxRetries: -1, // what is sent twice counts twice
	}
	switch {
	case query.Has("master_name"):
		f, err := redis.ParseFailoverURL(text)
		if err != nil {
			return nil, errURL
		}
		o.Addrs, o.MasterName, o.DB, o.TLSConfig = f.SentinelAddrs, f.MasterName, f.DB, f.TLSConfig
		o.Username, o.Password = f.Username, f.Password
		o.SentinelUsername, o.SentinelPassword = f.SentinelUsername, f.SentinelPassword
	case query.Has("addr"):
		c, err := redis.ParseClusterURL(text)
		if err != nil {
			return nil, errURL
		}
		o.Addrs, o.TLSConfig, o.IsClusterMode = c.Addrs, c.TLSConfig, true
		o.Username, o.Password = c.Username, c.Password
	default:
		s, err := redis.ParseURL(text)
		if err != nil || s.DB < 0 {
			return nil, errURL
		}
		o.Addrs, o.DB, o.TLSConfig = []string{s.Addr}, s.DB, s.TLSConfig
		o.Username, o.Password = s.Username, s.Password
	}
	if o.TLSConfig != nil && len(o.Addrs) > 1 {
		o.TLSConfig.ServerName = "" // each node has a name of its own
	}
	return o, nil
}
