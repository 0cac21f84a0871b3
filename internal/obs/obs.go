// Package obs keeps what a server observes of itself, as metrics for Prometheus.
// Other packages name what they report in small interfaces of their own, which
// Metrics fulfils. No label holds what a stranger sends, so the number of series
// is bounded.
package obs

import (
	"context"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
)

// Metrics are the metrics of one server, and of its process.
type Metrics struct {
	Registry *prometheus.Registry

	jobs, sends            *prometheus.HistogramVec
	jobSuccess, jobFailing *prometheus.GaugeVec
	behind                 *prometheus.GaugeVec
	commits                *prometheus.HistogramVec
	group                  prometheus.Histogram
	reruns                 prometheus.Counter
	blobs                  *prometheus.HistogramVec
	findings, checked      *prometheus.GaugeVec
}

// seconds are the buckets of what takes from a fraction of a millisecond to a
// minute.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}

// New makes metrics for a server of a version.
func New(version string) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		jobs:     histogram("sluice_job_duration_seconds", "Time that a run of a background job took.", "name", "result"),
		jobSuccess: gauge("sluice_job_last_success_timestamp_seconds",
			"When a background job last succeeded on this server, in Unix time.", "name"),
		jobFailing: gauge("sluice_job_failing", "1 while the last run of a background job failed.", "name"),
		sends:      histogram("sluice_follower_send_seconds", "Time that sending to a follower of the logs took.", "follower", "result"),
		behind:     gauge("sluice_follower_behind_entries", "Entries of all logs that a follower does not have yet.", "follower"),
		commits:    histogram("sluice_commit_duration_seconds", "Time that a group of updates took, its commit included.", "result"),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_commit_group_size", Help: "Updates that shared a commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		reruns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_commit_reruns_total", Help: "Groups of updates that were run again.",
		}),
		blobs: histogram("sluice_blob_duration_seconds", "Time that an operation on stored bytes took.", "operation", "result"),
	}
	m.findings = gauge("sluice_fsck_findings", "Problems that the newest check of the database by this server found.", "check")
	m.checked = gauge("sluice_fsck_completed_timestamp_seconds",
		"When this server last completed a check of the database, in Unix time; 0 when it did not yet.", "check")
	build := gauge("sluice_build_info", "1, with the version of the server.", "version")
	build.WithLabelValues(version).Set(1)
	m.Registry.MustRegister(m.jobs, m.jobSuccess, m.jobFailing, m.sends, m.behind, m.commits, m.group, m.reruns, m.blobs, m.findings, m.checked, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// JobEnded implements jobs.Observer.
func (m *Metrics) JobEnded(job string, took time.Duration, err error) {
	m.jobs.WithLabelValues(job, result(err)).Observe(took.Seconds())
	failing := m.jobFailing.WithLabelValues(job)
	if err != nil {
		failing.Set(1)
		return
	}
	failing.Set(0)
	m.jobSuccess.WithLabelValues(job).SetToCurrentTime()
}

// FollowerBehind implements follow.Observer.
func (m *Metrics) FollowerBehind(follower string, behind int64) {
	m.behind.WithLabelValues(follower).Set(float64(behind))
}

// FollowerSent implements follow.Observer.
func (m *Metrics) FollowerSent(follower string, took time.Duration, err error) {
	m.sends.WithLabelValues(follower, result(err)).Observe(took.Seconds())
}

// FsckFindings implements fsck.Observer.
func (m *Metrics) FsckFindings(check string, n int) {
	m.findings.WithLabelValues(check).Set(float64(n))
}

// FsckCompleted implements fsck.Observer.
func (m *Metrics) FsckCompleted(check string, at time.Time) {
	seconds := 0.0
	if !at.IsZero() {
		seconds = float64(at.Unix())
	}
	m.checked.WithLabelValues(check).Set(seconds)
}

// Committed implements store.Observer.
func (m *Metrics) Committed(c store.Commit) {
	m.commits.WithLabelValues(result(c.Err)).Observe(c.Took.Seconds())
	m.group.Observe(float64(c.Updates))
	m.reruns.Add(float64(c.Runs - 1))
}

// WatchStore adds how many updates wait for the writer.
func (m *Metrics) WatchStore(waiting func() int64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_updates_waiting", Help: "Updates that wait for the writer of the database.",
	}, func() float64 { return float64(waiting()) }))
}

// Blobs gives b with its operations measured. Put and Open include the client's
// and the network's time as far as the operation itself waits for them.
func (m *Metrics) Blobs(b service.Blobs) service.Blobs { return timed{b, m} }

type timed struct {
	service.Blobs
	metrics *Metrics
}

// Uncached implements service.Cache.
func (t timed) Uncached() service.Blobs {
	if c, ok := t.Blobs.(service.Cache); ok {
		return timed{c.Uncached(), t.metrics}
	}
	return t
}

func (t timed) observe(operation string, began time.Time, err error) {
	if sluice.CodeOf(err) == sluice.CodeNotFound { // an answer, and no failure
		err = nil
	}
	t.metrics.blobs.WithLabelValues(operation, result(err)).Observe(time.Since(began).Seconds())
}

func (t timed) Put(ctx context.Context, key string, r io.Reader) (service.Stored, error) {
	began := time.Now()
	stored, err := t.Blobs.Put(ctx, key, r)
	t.observe("put", began, err)
	return stored, err
}

func (t timed) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	began := time.Now()
	content, err := t.Blobs.Open(ctx, key)
	t.observe("open", began, err)
	return content, err
}

func (t timed) Remove(ctx context.Context, key string) error {
	began := time.Now()
	err := t.Blobs.Remove(ctx, key)
	t.observe("remove", began, err)
	return err
}
