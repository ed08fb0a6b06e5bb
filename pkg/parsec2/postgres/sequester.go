package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

func listServices(into *[]rules.SequesterService, organization parsec.OrganizationID) database.Statement {
	return database.List(into, `
SELECT s.service_id, s.label, s.certificate, s.webhook_url, s.created_on, s.disabled_on
FROM organization o JOIN sequester_service s ON s.organization = o.id
WHERE o.organization_id = $1
ORDER BY s.id`, []any{organization.String()}, func(s *rules.SequesterService) []any {
		return []any{(*database.UUID)(&s.ID), (*database.Text)(&s.Label), &s.Certificate, &s.WebhookURL, (*database.Integer)(&s.CreatedOn), database.OptionalDate(&s.DisabledOn)}
	})
}

// SequesterServices implements rules.SequesterReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]rules.SequesterService, error) {
	var services []rules.SequesterService
	err := s.One(ctx, listServices(&services, organization))
	return services, err
}

// SequesterServices implements rules.SequesterTx. The organization's lock
// keeps it as it is.
func (t *tx) SequesterServices(context.Context) ([]rules.SequesterService, error) {
	var services []rules.SequesterService
	err := t.Ask(listServices(&services, t.scope.Organization))
	return services, err
}

// PutSequesterService implements rules.SequesterTx.
func (t *tx) PutSequesterService(service rules.SequesterService) {
	t.QueueOne(`
INSERT INTO sequester_service (organization, service_id, label, certificate, webhook_url, created_on, disabled_on)
SELECT o.id, $2, $3, $4, $5, $6, $7 FROM organization o WHERE o.organization_id = $1
ON CONFLICT (organization, service_id) DO UPDATE SET label = excluded.label, certificate = excluded.certificate,
    webhook_url = excluded.webhook_url, created_on = excluded.created_on, disabled_on = excluded.disabled_on`,
		t.organizationName(), database.Key(service.ID), []byte(service.Label), database.NotNull(service.Certificate), service.WebhookURL,
		int64(service.CreatedOn), database.Date(service.DisabledOn))
}
