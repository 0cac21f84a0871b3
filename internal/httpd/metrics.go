package httpd

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/internal/service"
)

// metrics are the metrics of a server. No label holds text from a client, so their number is bounded.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec // by route, method and class of status
	sent     prometheus.Counter
	uploaded prometheus.Counter
	unrouted *series
}

func newMetrics(registry *prometheus.Registry) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	m := &metrics{
		registry: registry,
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_duration_seconds", Help: "Time from the head of a request to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"route", "method", "status"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_sent_bytes_total", Help: "Bytes of files sent.",
		}),
		uploaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_uploaded_bytes_total", Help: "Bytes of uploads received, including failed uploads.",
		}),
	}
	m.registry.MustRegister(m.requests, m.sent, m.uploaded)
	m.unrouted = m.series("unrouted", "any")
	return m
}

// watch adds metrics of how far signing is behind the logs.
func (m *metrics) watch(state func() service.LogState) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_unsigned_entries", Help: "Entries that no checkpoint covers yet, in all logs.",
		}, func() float64 { return float64(state().Unsigned) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_unsigned_seconds",
			Help: "Longest time that a log with unsigned entries has had no checkpoint, as this process saw it.",
		}, func() float64 { return state().Behind.Seconds() }))
}

// watchScrub adds metrics of the progress and the findings of the scrub.
func (m *metrics) watchScrub(state func() service.ScrubState) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_damaged_files", Help: "Active files whose bytes are missing or changed, as the scrub found.",
		}, func() float64 { return float64(state().Damaged) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_scrub_progress_ratio", Help: "Part of its current pass that the scrub has done, from 0 to 1.",
		}, func() float64 { return state().Share }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_scrub_completed_timestamp_seconds",
			Help: "When the newest complete pass of the scrub ended; 0 before the first.",
		}, func() float64 {
			if at := state().Completed; !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_scrub_read_bytes_total", Help: "Bytes that the scrub has read in this process.",
		}, func() float64 { return float64(state().Read) }))
}

// classes are the classes of status codes. The first is for requests without an answer.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// series observes one route. It looks up the histogram of each class of status when it first needs it.
type series struct {
	metrics       *metrics
	route, method string
	seen          [len(classes)]atomic.Pointer[prometheus.Observer]
}

func (m *metrics) series(route, method string) *series {
	return &series{metrics: m, route: route, method: method}
}

// observe counts an answered request. The status is 0 when there was no answer.
func (s *series) observe(status int, seconds float64) {
	class := min(status/100, len(classes)-1)
	o := s.seen[class].Load()
	if o == nil {
		found := s.metrics.requests.WithLabelValues(s.route, s.method, classes[class])
		o = &found
		s.seen[class].Store(o)
	}
	(*o).Observe(seconds)
}

// Metrics serves the metrics of the server in the text format of Prometheus. It checks no key: serve it on a listener
// of its own.
func (s *Server) Metrics() http.Handler {
	return promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
}
