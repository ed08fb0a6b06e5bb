package metrics

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

const (
	// surveyPeriod is the time between two surveys: each reads a row of every
	// organization.
	surveyPeriod = 5 * time.Minute
	// surveyLimit bounds each.
	surveyLimit = time.Minute
)

// Surveyor sums up what organizations hold.
type Surveyor interface {
	Survey(ctx context.Context, at *parsec.DateTime) iter.Seq2[organization.Surveyed, error]
}

// Survey counts organizations, their users and their bytes from time to time. All
// servers of a database find the same.
type Survey struct {
	from                        Surveyor
	now                         func() parsec.DateTime
	logger                      *slog.Logger
	organizations, users, bytes *prometheus.GaugeVec
}

// NewSurvey has the metrics tell what Run finds. It must be called once.
func NewSurvey(m *Metrics, from Surveyor, now func() parsec.DateTime, logger *slog.Logger) *Survey {
	s := &Survey{
		from: from, now: now, logger: logger,
		organizations: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parsec_organizations", Help: "Organizations of all servers of the database, as last counted.",
		}, []string{"state"}),
		users: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parsec_users", Help: "Users of all organizations, as last counted.",
		}, []string{"profile", "state"}),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parsec_stored_bytes", Help: "Bytes of all organizations, as last counted.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(s.organizations, s.users, s.bytes)
	return s
}

// Run counts until ctx is done. While there is no database, what was counted last stays.
func (s *Survey) Run(ctx context.Context) {
	ticker := time.NewTicker(surveyPeriod)
	defer ticker.Stop()
	for {
		if err := s.count(ctx); err != nil && ctx.Err() == nil {
			s.logger.DebugContext(ctx, "organizations are not counted", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Survey) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	states := map[string]float64{"active": 0, "expired": 0, "not_bootstrapped": 0}
	active, revoked := map[parsec.UserProfile]uint64{}, map[parsec.UserProfile]uint64{}
	var data, metadata uint64
	for surveyed, err := range s.from.Survey(ctx, nil) {
		if err != nil {
			return err
		}
		states[stateOf(&surveyed.Organization, s.now())]++
		data += surveyed.Statistics.DataSize
		metadata += surveyed.Statistics.MetadataSize
		for _, profile := range parsec.UserProfiles {
			active[profile] += surveyed.Statistics.Active[profile]
			revoked[profile] += surveyed.Statistics.Revoked[profile]
		}
	}
	for state, count := range states {
		s.organizations.WithLabelValues(state).Set(count)
	}
	for _, profile := range parsec.UserProfiles {
		s.users.WithLabelValues(string(profile), "active").Set(float64(active[profile]))
		s.users.WithLabelValues(string(profile), "revoked").Set(float64(revoked[profile]))
	}
	s.bytes.WithLabelValues("data").Set(float64(data))
	s.bytes.WithLabelValues("metadata").Set(float64(metadata))
	return nil
}

// stateOf is the value of a label.
func stateOf(o *organization.Organization, now parsec.DateTime) string {
	switch {
	case o.Expired(now):
		return "expired"
	case o.BootstrappedOn == nil:
		return "not_bootstrapped"
	default:
		return "active"
	}
}
