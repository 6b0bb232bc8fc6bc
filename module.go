// Package runestone is an LLM gateway made of Caddy modules. Importing it
// registers them all:
//
//	http.handlers.runestone   the handler             handler/
//	http.handlers.runestone_dashboard   the status page   dashboard/
//	runestone                 the app that it asks    gateway/
//	admin.api.runestone       status                  gateway/
//	http.reverse_proxy.circuit_breakers.runestone      breaker/
//	runestone.providers.*     upstream APIs           provider/
//	runestone.policies.*      choice of target        policy/
//	runestone.queues.*        where overflow waits    overflow/
//
// the Caddyfile's directive and global option, caddyfile/, and the command
// caddy runestone, command/. A request goes from handler to gateway to provider.
// Packages import only downward; a test holds the rule.
package runestone

import (
	_ "github.com/runestone-gateway/runestone/breaker"
	_ "github.com/runestone-gateway/runestone/caddyfile"
	_ "github.com/runestone-gateway/runestone/command"
	_ "github.com/runestone-gateway/runestone/dashboard"
	_ "github.com/runestone-gateway/runestone/gateway"
	_ "github.com/runestone-gateway/runestone/handler"
	_ "github.com/runestone-gateway/runestone/overflow/boltqueue"
	_ "github.com/runestone-gateway/runestone/overflow/redisqueue"
	_ "github.com/runestone-gateway/runestone/policy"
	_ "github.com/runestone-gateway/runestone/provider/anthropic"
	_ "github.com/runestone-gateway/runestone/provider/azure"
	_ "github.com/runestone-gateway/runestone/provider/gemini"
	_ "github.com/runestone-gateway/runestone/provider/mock"
	_ "github.com/runestone-gateway/runestone/provider/openai"
)
