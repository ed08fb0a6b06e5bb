package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

const selectServices = `
SELECT s.service_id, s.label, s.webhook_url, s.created_on, s.revoked_on
FROM parsec3.sequester_service s
WHERE s.organization = $1
ORDER BY s.created_on, s.service_id`

func readServices(into *[]rules.SequesterService, organization parsec.OrganizationID) database.Statement {
	return database.List(into, selectServices, []any{organization.String()}, func(s *rules.SequesterService) []any {
		return []any{(*database.UUID)(&s.ID), (*database.Text)(&s.Label), &s.WebhookURL, (*database.Integer)(&s.CreatedOn), database.OptionalDate(&s.RevokedOn)}
	})
}

// SequesterServices implements rules.SequesterReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) (services []rules.SequesterService, err error) {
	err = s.One(ctx, readServices(&services, organization))
	return services, err
}

// Services implements rules.SequesterTx.
func (t *tx) Services(context.Context) (services []rules.SequesterService, err error) {
	if t.batch.services == nil {
		err = t.Ask(readServices(&t.batch.services, t.scope.Organization))
	}
	return t.batch.services, err
}

// CreateService implements rules.SequesterTx.
func (t *tx) CreateService(service rules.SequesterService, certificate rules.Certificate) {
	t.QueueOne(`
INSERT INTO parsec3.sequester_service (organization, service_id, label, webhook_url, created_on)
VALUES ($1, $2, $3, $4, $5)`,
		t.organizationName(), database.Key(service.ID), []byte(service.Label), service.WebhookURL, int64(service.CreatedOn))
	t.certify(sequester, outside, 0, certificate)
}

// RevokeService implements rules.SequesterTx.
func (t *tx) RevokeService(id parsec.SequesterServiceID, certificate rules.Certificate) {
	t.QueueOne(`
UPDATE parsec3.sequester_service s SET revoked_on = $3
WHERE s.organization = $1 AND s.service_id = $2 AND s.revoked_on IS NULL`,
		t.organizationName(), database.Key(id), int64(certificate.Timestamp))
	t.certify(sequester, outside, 0, certificate)
}

// ConfigureService implements rules.SequesterTx.
func (t *tx) ConfigureService(id parsec.SequesterServiceID, webhookURL string) {
	t.QueueOne("UPDATE parsec3.sequester_service s SET webhook_url = $3 WHERE s.organization = $1 AND s.service_id = $2",
		t.organizationName(), database.Key(id), webhookURL)
}
