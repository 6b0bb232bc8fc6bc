// Command caddy is the development build: Caddy with the modules that
// xcaddy.json names, built by `go build` with this module's own go.sum.
// internal/manifest's check keeps the two the same.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/mholt/caddy-ratelimit"

	_ "github.com/runestone-gateway/runestone"
)

func main() { caddycmd.Main() }
