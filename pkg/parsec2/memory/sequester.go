package memory

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// copyServices shares only bytes with the list.
func copyServices(services []rules.SequesterService) []rules.SequesterService {
	list := slices.Clone(services)
	for i := range list {
		list[i].DisabledOn = copyOf(list[i].DisabledOn)
	}
	return list
}

// SequesterServices implements rules.SequesterReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]rules.SequesterService, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return nil, err
	}
	defer o.RUnlock()
	return copyServices(o.services), nil
}

// SequesterServices implements rules.SequesterTx.
func (t *tx) SequesterServices(context.Context) ([]rules.SequesterService, error) {
	return copyServices(t.organization.services), nil
}

// PutSequesterService implements rules.SequesterTx.
func (t *tx) PutSequesterService(service rules.SequesterService) {
	service.Certificate = bytes.Clone(service.Certificate)
	service.DisabledOn = copyOf(service.DisabledOn)
	t.queue("PutSequesterService", t.scope.LockOrganization, func() {
		services := &t.organization.services
		i := slices.IndexFunc(*services, func(s rules.SequesterService) bool { return s.ID == service.ID })
		if i < 0 {
			*services = append(*services, service)
			return
		}
		(*services)[i] = service
	})
}
