package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the mode observed has that runestone has not, by the names that -telemetry knows. Metrics are not
// among them: they are always counted.
const (
	accessLog = "access_log" // each request, with all its headers, into a file
	usageLog  = "usage_log"  // each request, into another
	tracing   = "tracing"    // each request and each call, to a collector beside the gateway
	dashboard = "dashboard"  // which nobody looks at
)

var allTelemetry = []string{accessLog, usageLog, tracing, dashboard}

func parseTelemetry(list string) ([]string, error) {
	parts := strings.Split(list, ",")
	for _, part := range parts {
		if !slices.Contains(allTelemetry, part) {
			return nil, fmt.Errorf("-telemetry: %q is none of %v", part, allTelemetry)
		}
	}
	return parts, nil
}

// observed returns what the mode adds to the configuration and to the environment.
func (r *runner) observed() (p parts, env []string) {
	for _, part := range r.opts.telemetry {
		switch part {
		case accessLog:
			p.site += fmt.Sprintf("\n\tlog {\n\t\toutput file %s\n\t}", filepath.Join(r.dir, "access.log"))
		case usageLog:
			p.app += "\n\t\tusage_log"
			p.global += fmt.Sprintf("\n\tlog usage {\n\t\tinclude runestone.usage\n\t\toutput file %s\n\t}", filepath.Join(r.dir, "usage.log"))
		case tracing:
			p.site += "\n\ttracing"
			env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.collector, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_TRACES_EXPORTER=otlp")
		case dashboard:
			p.more = "\nhttp://localhost:0 {\n\tbind 127.0.0.1\n\trunestone_dashboard\n}\n"
		}
	}
	return p, env
}

// startCollector starts what takes spans and forgets them. It is a part of this process, so that what it takes of
// the CPU counts as others'.
func (r *runner) startCollector(ctx context.Context) (stop func(), err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.collector = ln.Addr().String()
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	go func() { _ = server.Serve(ln) }()
	return func() { _ = server.Close() }, nil
}
