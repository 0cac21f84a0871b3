package download

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"sluice"
	"sluice/internal/gate"
)

// metrics counts the requests for links.
type metrics struct {
	redemptions *prometheus.CounterVec // by outcome and refusal
	allowed     prometheus.Counter     // the one of redemptions that every download needs
}

func newMetrics(registry *prometheus.Registry, links *gate.Gate) *metrics {
	m := &metrics{redemptions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_redemptions_total", Help: "Requests for a link's URL, by outcome and the rule that refused.",
	}, []string{"outcome", "refusal"})}
	deliveries := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_deliveries_waiting", Help: "Entries of ended downloads that are not committed yet.",
	}, func() float64 { return float64(links.DeliveriesWaiting()) })
	registry.MustRegister(m.redemptions, deliveries)
	m.allowed = m.redemptions.WithLabelValues(string(sluice.Allowed), "")
	return m
}

// redeemed counts a request for the URL of a link, by its outcome.
func (m *metrics) redeemed(err error) {
	if err == nil {
		m.allowed.Inc()
		return
	}
	outcome, refusal := "failed", ""
	switch err {
	case gate.ErrAsk:
		outcome = "asked"
	case gate.ErrUnnamed:
		outcome = "renamed"
	}
	var e *sluice.Error
	if errors.As(err, &e) {
		switch {
		case e.Reason != "":
			outcome, refusal = string(sluice.Refused), string(e.Reason)
		case e.Code == sluice.CodeRateLimited:
			outcome, refusal = string(sluice.Refused), "too_many_guesses"
		case e.Code == sluice.CodeNotFound:
			outcome = "unknown"
		}
	}
	m.redemptions.WithLabelValues(outcome, refusal).Inc()
}
