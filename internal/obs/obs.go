// Package obs collects the metrics of a server for Prometheus. Metrics implements the
// small observer interfaces of other packages. No label has a value that a client can
// choose, so the number of series is bounded.
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

// Metrics holds the metrics of one server and of its process.
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

	mails                                *prometheus.CounterVec
	mailsWaiting, mailAge, mailsNotTaken prometheus.Gauge
}

// seconds are the buckets of durations from half a millisecond to a minute.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}

// New returns the metrics of a server with the given version.
func New(version string) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		jobs: histogram("sluice_job_duration_seconds",
			"Duration of the runs of background jobs.", "name", "result"),
		jobSuccess: gauge("sluice_job_last_success_timestamp_seconds",
			"Unix time of the last success of a background job on this server.", "name"),
		jobFailing: gauge("sluice_job_failing", "1 if the last run of a background job failed, else 0.", "name"),
		sends: histogram("sluice_follower_send_seconds",
			"Duration of sends to followers of the logs.", "follower", "result"),
		behind: gauge("sluice_follower_behind_entries",
			"Entries of all logs that a follower has not received yet.", "follower"),
		commits: histogram("sluice_commit_duration_seconds",
			"Duration of groups of updates, including their commit.", "result"),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_commit_group_size", Help: "Updates per commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		reruns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_commit_reruns_total", Help: "Repeated runs of groups of updates.",
		}),
		blobs: histogram("sluice_blob_duration_seconds",
			"Duration of operations on stored bytes.", "operation", "result"),
	}
	m.findings = gauge(
		"sluice_fsck_findings",
		"Problems that the newest check of the database by this server found.",
		"check",
	)
	m.checked = gauge("sluice_fsck_completed_timestamp_seconds",
		"When this server last completed a check of the database, in Unix time; 0 when it did not yet.", "check")
	m.newMailMetrics()
	build := gauge("sluice_build_info", "1, with the version of the server.", "version")
	build.WithLabelValues(version).Set(1)
	m.Registry.MustRegister(m.jobs, m.jobSuccess, m.jobFailing, m.sends, m.behind, m.commits, m.group, m.reruns,
		m.blobs, m.findings, m.checked, m.mails, m.mailsWaiting, m.mailAge, m.mailsNotTaken, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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

// mailResults are the values of a label: see mail.Observer.
var mailResults = []string{"sent", "retried", "given_up", "withheld"}

func (m *Metrics) newMailMetrics() {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m.mails = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mails_total", Help: "Attempts of this server to send a mail, by how they ended.",
	}, []string{"kind", "result"})
	for _, kind := range service.MailKinds {
		for _, result := range mailResults {
			m.mails.WithLabelValues(string(kind), result)
		}
	}
	m.mailsWaiting = gauge("sluice_mails_waiting", "Mails of all servers whose time has come and that are not sent yet.")
	m.mailAge = gauge("sluice_mail_oldest_seconds", "How long the oldest of the waiting mails waits.")
	m.mailsNotTaken = gauge("sluice_mail_server_failing",
		"1 if this server could not connect to the mail server or sign in at its last attempt, else 0.")
}

// MailEnded implements mail.Observer.
func (m *Metrics) MailEnded(kind service.MailKind, result string) {
	m.mails.WithLabelValues(string(kind), result).Inc()
}

// MailServerFailing implements mail.Observer.
func (m *Metrics) MailServerFailing(failing bool) {
	value := 0.0
	if failing {
		value = 1
	}
	m.mailsNotTaken.Set(value)
}

// MailsWaiting notes the state of the mails at a time.
func (m *Metrics) MailsWaiting(s service.MailState, now time.Time) {
	age := time.Duration(0)
	if !s.Oldest.IsZero() {
		age = max(0, now.Sub(s.Oldest))
	}
	m.mailsWaiting.Set(float64(s.Waiting))
	m.mailAge.Set(age.Seconds())
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

// WatchStore adds a metric of the updates that wait for the writer.
func (m *Metrics) WatchStore(waiting func() int64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_updates_waiting", Help: "Updates waiting for the writer of the database.",
	}, func() float64 { return float64(waiting()) }))
}

// Blobs wraps b to measure its operations. The duration of Put includes the time that
// it waits for its reader.
func (m *Metrics) Blobs(b service.Blobs) service.Blobs {
	return timed{b, m, m.blobs.WithLabelValues("open", result(nil))}
}

type timed struct {
	service.Blobs
	metrics *Metrics
	opened  prometheus.Observer // for what each download does
}

// Uncached implements service.Cache.
func (t timed) Uncached() service.Blobs {
	if c, ok := t.Blobs.(service.Cache); ok {
		return timed{c.Uncached(), t.metrics, t.opened}
	}
	return t
}

func (t timed) observe(operation string, began time.Time, err error) {
	if sluice.CodeOf(err) == sluice.CodeNotFound { // not a failure of the store
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

// Stage measures an upload in steps as one put: the time that Append and Commit
// take together. An upload that is refused between the two is not measured.
func (t timed) Stage(ctx context.Context, key string) (service.Stage, error) {
	began := time.Now()
	stage, err := t.Blobs.Stage(ctx, key)
	if err != nil {
		t.observe("put", began, err)
		return nil, err
	}
	return &timedStage{Stage: stage, timed: t, took: time.Since(began)}, nil
}

// Resume measures what is added to a saved stage as one put.
func (t timed) Resume(ctx context.Context, key string) (service.Stage, error) {
	stage, err := t.Blobs.Resume(ctx, key)
	if err != nil {
		return nil, err
	}
	return &timedStage{Stage: stage, timed: t}, nil
}

type timedStage struct {
	service.Stage
	timed timed
	took  time.Duration // so far
}

func (s *timedStage) Append(ctx context.Context, offset int64, r io.Reader) error {
	began := time.Now().Add(-s.took)
	err := s.Stage.Append(ctx, offset, r)
	s.took = time.Since(began)
	if err != nil {
		s.timed.observe("put", began, err)
	}
	return err
}

func (s *timedStage) Commit(ctx context.Context) (service.Stored, error) {
	began := time.Now().Add(-s.took)
	stored, err := s.Stage.Commit(ctx)
	s.timed.observe("put", began, err)
	return stored, err
}

func (t timed) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	began := time.Now()
	content, err := t.Blobs.Open(ctx, key)
	if err != nil {
		t.observe("open", began, err)
		return nil, err
	}
	t.opened.Observe(time.Since(began).Seconds())
	return content, nil
}

func (t timed) Remove(ctx context.Context, key string) error {
	began := time.Now()
	err := t.Blobs.Remove(ctx, key)
	t.observe("remove", began, err)
	return err
}
