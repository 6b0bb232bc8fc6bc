package main

import (
	"fmt"
	"time"

	"github.com/runestone-gateway/runestone/bench/load"
	"github.com/runestone-gateway/runestone/bench/upstream"
)

// scenario is one kind of traffic and the figures that describe it.
type scenario struct {
	name    string
	plan    load.Plan // without addresses and PIDs
	streams upstream.Options
	columns []column // the first is the cost that modes are compared by
}

// disturbance is the part of the machine others took, in percent. Memory does
// not depend on it.
func (s *scenario) disturbance(r load.Result) float64 {
	if s.plan.Kind == load.Open {
		return 0
	}
	return foreignColumn.value(r)
}

// noStreams is for scenarios whose requests do not ask for any.
var noStreams = upstream.Options{Chunks: 1, Every: time.Second}

// scenarios returns all scenarios, in the order they are run.
func scenarios(quick, includeUsage bool) []scenario {
	all := []scenario{
		completions("64 connections, 1 KB prompts", 64, 1<<10, 20_000, 2_000),
		completions("16 connections, 100 KB prompts", 16, 100<<10, 6_000, 600),
		fastStreams(includeUsage),
		openStreams(includeUsage),
	}
	if !quick {
		return all
	}
	for i := range all {
		plan := &all[i].plan
		plan.WarmUp /= 4
		if plan.Kind != load.Open {
			plan.Total /= 8
			continue
		}
		plan.Connections /= 8
		all[i].name = openName(plan.Connections)
		plan.Settle /= 2
		plan.Hold /= 4
		plan.Stagger /= 4
		plan.Sample /= 2
		all[i].streams.Chunks /= 2
		plan.Chunks /= 2
	}
	return all
}

func completions(name string, connections, promptBytes, total, warmUp int) scenario {
	return scenario{
		name: name,
		plan: load.Plan{
			Kind:        load.Requests,
			Connections: connections,
			Total:       total,
			WarmUp:      warmUp,
			PromptBytes: promptBytes,
			Timeout:     30 * time.Second,
		},
		streams: noStreams,
		columns: requestColumns,
	}
}

// fastStreams loads the gateway with 20,000 chunks a second. A stream takes one
// second, over which the connections are staggered, so that streams begin and
// end all the time, as they do behind a real gateway.
func fastStreams(includeUsage bool) scenario {
	shape := upstream.Options{Chunks: 100, Every: 10 * time.Millisecond}
	return scenario{
		name: "200 streams of 100 chunks every 10 ms",
		plan: load.Plan{
			Kind:         load.Streams,
			Connections:  200,
			Total:        1_200,
			WarmUp:       200,
			PromptBytes:  1 << 10,
			Chunks:       shape.Chunks,
			IncludeUsage: includeUsage,
			Stagger:      time.Duration(shape.Chunks) * shape.Every,
			Timeout:      time.Minute,
		},
		streams: shape,
		columns: streamColumns,
	}
}

// openStreams counts the memory of streams that do little. They last as long as
// opening, holding and sampling them takes, and somewhat longer.
func openStreams(includeUsage bool) scenario {
	const streams = 2_000
	shape := upstream.Options{Chunks: 16, Every: time.Second}
	return scenario{
		name: openName(streams),
		plan: load.Plan{
			Kind:         load.Open,
			Connections:  streams,
			WarmUp:       400,
			PromptBytes:  1 << 10,
			Chunks:       shape.Chunks,
			IncludeUsage: includeUsage,
			Stagger:      4 * time.Second,
			Settle:       2 * time.Second,
			Hold:         5 * time.Second,
			Sample:       3 * time.Second,
			Timeout:      time.Minute,
		},
		streams: shape,
		columns: openColumns,
	}
}

func openName(streams int) string { return fmt.Sprintf("%d open streams", streams) }
