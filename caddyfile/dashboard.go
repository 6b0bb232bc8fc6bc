package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/runestone-gateway/runestone/dashboard"
)

// parseDashboard sets up the dashboard from Caddyfile tokens. Syntax:
//
//	runestone_dashboard [<matcher>] {
//		allow_private
//		external_auth
//		read_only
//	}
func parseDashboard(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // directive name
	if h.NextArg() {
		return nil, h.Errf("unexpected '%s': the directive runestone_dashboard takes only a matcher, and its options go in a block { }", h.Val())
	}
	v := new(dashboard.Handler)
	err := block{
		name: "runestone_dashboard",
		options: map[string]option{
			"allow_private": once(set(&v.AllowPrivate)),
			"external_auth": once(set(&v.ExternalAuth)),
			"read_only":     once(set(&v.ReadOnly)),
		},
	}.parse(h.Dispenser)
	return v, err
}
