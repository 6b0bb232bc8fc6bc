package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// waitBuckets, in seconds: a job may start at once, or after a day.
var waitBuckets = []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}

// overflowMetrics are the collectors of what is queued.
type overflowMetrics struct {
	jobs      *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	enqueued  *prometheus.CounterVec
	runs      *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	wait      prometheus.Histogram
	finished  *prometheus.CounterVec
	rescued   *prometheus.CounterVec
	discarded *prometheus.CounterVec
	callbacks *prometheus.CounterVec
	calls     prometheus.Histogram
	healthy   *prometheus.GaugeVec
}

func (o *overflowMetrics) init(
	counter func(name, help string, labels ...string) *prometheus.CounterVec,
	histogram func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec,
) {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "runestone", Name: name, Help: help}, labels)
	}
	o.jobs = gauge("overflow_jobs", "Jobs in the queue, by what they do and their state.", "kind", "state")
	o.oldest = gauge("overflow_oldest_job_age_seconds", "Age of the oldest job that has not ended, 0 when there is none.", "kind")
	o.enqueued = counter("overflow_enqueued_total", "Requests that were queued.", "model", "priority")
	o.runs = counter("overflow_runs_total", "Runs of queued requests that have ended, by what came of them.", "provider", "model", "result")
	o.duration = histogram("overflow_run_duration_seconds", "How long runs took whose answer was recorded.", answerBuckets, "provider")
	o.wait = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "runestone", Name: "overflow_wait_seconds", Buckets: waitBuckets,
		Help: "From a request's being queued to its first run.",
	})
	o.finished = counter("overflow_finished_total", "Queued requests that have ended here: completed, discarded or cancelled.", "result")
	o.rescued = counter("overflow_rescued_total", "Jobs taken from processes that had died or fallen silent.", "kind")
	o.discarded = counter("overflow_discarded_total", "Jobs given up, by why.", "kind", "reason")
	o.callbacks = counter("callbacks_total", "Attempts to tell clients' servers that a job has ended.", "result", "status")
	o.calls = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "runestone", Name: "callback_duration_seconds", Buckets: tokenBuckets,
		Help: "How long the attempts to tell clients' servers took.",
	})
	o.healthy = gauge("health", "The latest hourly check: 1 when the component is as it should be, else 0.", "component")
}

func (o *overflowMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		o.jobs, o.oldest, o.enqueued, o.runs, o.duration, o.wait, o.finished,
		o.rescued, o.discarded, o.callbacks, o.calls, o.healthy,
	}
}

func (m *metrics) attachOverflow() {
	o := &m.overflow
	OverflowEnqueue.Attach(func(e OverflowEnqueued) {
		o.enqueued.WithLabelValues(m.model(e.Model), strconv.Itoa(e.Priority)).Inc()
	})
	OverflowDrainStart.Attach(func(e OverflowDrainStarted) {
		if e.Attempt == 1 {
			o.wait.Observe(e.Wait.Seconds())
		}
	})
	OverflowDrainStop.Attach(m.drainStop)
	OverflowRescue.Attach(func(e OverflowRescued) { o.rescued.WithLabelValues(e.Kind).Inc() })
	OverflowDiscard.Attach(func(e OverflowDiscarded) { o.discarded.WithLabelValues(e.Kind, e.Reason).Inc() })
	OverflowCallback.Attach(func(e OverflowCalledBack) {
		o.callbacks.WithLabelValues(e.Result, strconv.Itoa(e.Status)).Inc()
		o.calls.Observe(e.Duration.Seconds())
	})
	OverflowDepth.Attach(func(e OverflowDepthSeen) { o.jobs.WithLabelValues(e.Kind, e.State).Set(float64(e.Jobs)) })
	OverflowAge.Attach(func(e OverflowAgeSeen) { o.oldest.WithLabelValues(e.Kind).Set(e.Age.Seconds()) })
	HealthCheck.Attach(func(e HealthChecked) {
		value := 0.0
		if e.Healthy {
			value = 1
		}
		o.healthy.WithLabelValues(e.Component).Set(value)
	})
}

// drainStop counts a run. What it cost counts beside what live requests cost.
func (m *metrics) drainStop(e OverflowDrainStopped) {
	o, model := &m.overflow, m.model(e.Model)
	o.runs.WithLabelValues(e.Provider, model, e.Result).Inc()
	switch e.Result {
	case DrainCompleted:
		o.duration.WithLabelValues(e.Provider).Observe(e.Duration.Seconds())
		o.finished.WithLabelValues(e.Result).Inc()
	case DrainDiscarded, DrainCancelled:
		o.finished.WithLabelValues(e.Result).Inc()
	}
	if e.Provider == "" {
		return
	}
	m.tokens.WithLabelValues(e.Provider, model, "input").Add(float64(e.InputTokens))
	m.tokens.WithLabelValues(e.Provider, model, "output").Add(float64(e.OutputTokens))
	m.parts(e.Provider, model, e.CachedInputTokens, e.CacheWriteTokens, e.ReasoningTokens, e.CostUSD)
}
