package memory

import (
	"context"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// copyServices shares nothing with the list.
func copyServices(services []rules.SequesterService) []rules.SequesterService {
	list := slices.Clone(services)
	for i := range list {
		list[i].RevokedOn = organizationstore.CopyOf(list[i].RevokedOn)
	}
	return list
}

// service returns the place of a service, -1 if there is none.
func (o *organization) service(id parsec.SequesterServiceID) int {
	return slices.IndexFunc(o.services, func(s rules.SequesterService) bool { return s.ID == id })
}

// SequesterServices implements rules.SequesterReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]rules.SequesterService, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return copyServices(o.services), err
}

// Services implements rules.SequesterTx.
func (t *tx) Services(context.Context) ([]rules.SequesterService, error) {
	return copyServices(t.organization.services), nil
}

// CreateService implements rules.SequesterTx.
func (t *tx) CreateService(service rules.SequesterService, certificate rules.Certificate) {
	possible := t.organization.service(service.ID) < 0 && service.RevokedOn == nil
	t.queueSequester("CreateService", possible, certificate, func() {
		t.organization.services = append(t.organization.services, service)
	})
}

// RevokeService implements rules.SequesterTx.
func (t *tx) RevokeService(id parsec.SequesterServiceID, certificate rules.Certificate) {
	place := t.organization.service(id)
	possible := place >= 0 && t.organization.services[place].RevokedOn == nil
	t.queueSequester("RevokeService", possible, certificate, func() {
		t.organization.services[place].RevokedOn = &certificate.Timestamp
	})
}

// ConfigureService implements rules.SequesterTx.
func (t *tx) ConfigureService(id parsec.SequesterServiceID, webhookURL string) {
	place := t.organization.service(id)
	t.Queue("ConfigureService", place >= 0, func() { t.organization.services[place].WebhookURL = webhookURL })
}
