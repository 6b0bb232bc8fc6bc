package redisqueue

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the queue from Caddyfile tokens. Syntax:
//
//	redis [<url>] {
//		url               <url>
//		name              <name>            # default runestone
//		username          <user>            # instead of the url's
//		password          <password>
//		addresses         <host:port> ...   # further nodes of a cluster, or sentinels
//		cluster                             # if the url is the only address of one
//		master_name       <name>            # the sentinels' name of the server
//		sentinel_username <user>
//		sentinel_password <password>
//	}
//
// The url may stand in either place; all else may be left out.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the queue's name
	if d.NextArg() {
		r.URL = d.Val()
		if d.NextArg() {
			return d.Errf("unexpected argument '%s' of the redis queue; it has one, its url", d.Val())
		}
	}
	single := map[string]*string{
		"url": &r.URL, "name": &r.Name, "username": &r.Username, "password": &r.Password, "master_name": &r.MasterName,
		"sentinel_username": &r.SentinelUsername, "sentinel_password": &r.SentinelPassword,
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		name := d.Val()
		if seen[name] || name == "url" && r.URL != "" {
			return d.Errf("%s is set twice; remove one of the two", name)
		}
		seen[name] = true
		args := d.RemainingArgs()
		value := single[name]
		switch {
		case value != nil && (len(args) != 1 || args[0] == ""):
			return d.Errf("%s has %d values; give exactly one", name, len(args))
		case value != nil:
			*value = args[0]
		case name == "addresses" && len(args) == 0:
			return d.Errf("addresses has no values; give at least one, host:port")
		case name == "addresses":
			r.Addresses = args
		case name == "cluster" && len(args) > 0:
			return d.Errf("unexpected argument '%s' of cluster; it has none", args[0])
		case name == "cluster":
			r.Cluster = true
		default:
			return d.Errf("unrecognized option '%s' of the redis queue; use one of addresses, cluster, master_name, name, password, sentinel_password, sentinel_username, url, username", name)
		}
	}
	if r.URL == "" {
		return d.Err("the redis queue needs a url, such as {env.REDIS_URL}")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Redis)(nil)
