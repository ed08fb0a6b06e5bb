package memory

import (
	"bytes"
	"context"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// copyServices shares only bytes with the list.
func copyServices(services []rules.SequesterService) []rules.SequesterService {
	list := slices.Clone(services)
	for i := range list {
		list[i].DisabledOn = organizationstore.CopyOf(list[i].DisabledOn)
	}
	return list
}

// SequesterServices implements rules.SequesterReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]rules.SequesterService, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return copyServices(o.services), err
}

// SequesterServices implements rules.SequesterTx.
func (t *tx) SequesterServices(context.Context) ([]rules.SequesterService, error) {
	return copyServices(t.organization.services), nil
}

// PutSequesterService implements rules.SequesterTx.
func (t *tx) PutSequesterService(service rules.SequesterService) {
	service.Certificate = bytes.Clone(service.Certificate)
	service.DisabledOn = organizationstore.CopyOf(service.DisabledOn)
	t.Queue("PutSequesterService", t.scope.LockOrganization, func() {
		services := &t.organization.services
		i := slices.IndexFunc(*services, func(s rules.SequesterService) bool { return s.ID == service.ID })
		if i < 0 {
			*services = append(*services, service)
			return
		}
		(*services)[i] = service
	})
}
