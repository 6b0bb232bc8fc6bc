package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/runestone-gateway/runestone/bench/load"
)

// allocsSeconds is how long allocations are recorded, after the CPU.
const allocsSeconds = 3

// profile repeats a scenario with Caddy's admin endpoint on and writes profiles
// of the gateway. This is a run of its own because profiling costs CPU; last is
// a measurement of the mode, which tells how fast it goes.
func (r *runner) profile(ctx context.Context, s *scenario, m mode, last load.Result) error {
	return r.surrounded(ctx, s, m, true, func(plan load.Plan, g *gateway) error {
		if plan.Kind != load.Open {
			// More than can be done before the profiles are taken.
			seconds := float64(r.opts.profileSeconds+allocsSeconds) + 5
			plan.Total = int(float64(last.Done)/last.Elapsed.Seconds()*seconds) + plan.Connections
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var (
			measuring = make(chan struct{})
			ended     = make(chan error, 1)
		)
		go func() {
			_, err := r.load(ctx, plan, func() { close(measuring) })
			ended <- err
		}()
		select {
		case <-measuring:
		case err := <-ended:
			return errors.Join(errors.New("the load ended early"), err)
		}
		err := r.fetchProfiles(ctx, s, m, g, plan.Kind)
		cancel()
		<-ended // by being cancelled: its error says nothing
		return err
	})
}

// fetchProfiles takes what explains the scenario's cost: CPU and allocations
// under load, or what is on the heap and who is waiting when streams are open.
func (r *runner) fetchProfiles(ctx context.Context, s *scenario, m mode, g *gateway, kind load.Kind) error {
	type source struct{ path, suffix string }
	sources := []source{
		{fmt.Sprintf("profile?seconds=%d", r.opts.profileSeconds), "cpu"},
		{fmt.Sprintf("allocs?seconds=%d", allocsSeconds), "allocs"},
	}
	if kind == load.Open {
		sources = []source{{"heap?gc=1", "heap"}, {"goroutine", "goroutines"}}
	}
	name := regexp.MustCompile(`\W+`).ReplaceAllString(s.name, "_")
	for _, src := range sources {
		file := filepath.Join(r.opts.profileDir, fmt.Sprintf("%s.%s.%s.pprof", name, m, src.suffix))
		if err := fetch(ctx, "http://"+g.admin+"/debug/pprof/"+src.path, file); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "wrote", file)
	}
	return nil
}

func fetch(ctx context.Context, url, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.300s", url, response.Status, body)
	}
	return os.WriteFile(file, body, 0o644)
}
