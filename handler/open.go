package handler

import (
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/gateway"
)

// warnIfOpen logs that everybody who reaches a listener can use the gateway, at its owner's cost. That
// is as it should be where only this machine reaches it.
func warnIfOpen(logger *zap.Logger, app *gateway.App, listen []string) {
	if !app.Open() {
		return
	}
	for _, address := range listen {
		if !local(address) {
			logger.Warn("no API keys are configured: everybody who reaches this address can use the gateway; "+
				"add a key to the global option runestone", zap.String("address", address))
			return
		}
	}
}

// local reports whether nobody but this machine reaches a listener.
func local(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return false
	}
	if parsed.IsUnixNetwork() || parsed.Host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(parsed.Host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
