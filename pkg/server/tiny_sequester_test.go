package server_test

import (
	"context"
	"slices"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// sequesteringWing is a tinyWing with sequester services, whose certificates are their
// ids. It implements organization.Sequestering.
type sequesteringWing struct {
	*tinyWing
	services []organization.SequesterService
}

// refusing is what a certificate has sequesteringWing return.
var refusing = map[string]error{
	"invalid": organization.ErrInvalidCertificate,
	"ahead":   organization.ErrDateAhead,
	"late":    &organization.GreaterTimestampError{Last: onSecond},
}

// onSecond is the second in which fixtures begin: it is shown without a fraction.
const onSecond parsec.DateTime = 1704164645_000_000

func (w *sequesteringWing) check(id parsec.OrganizationID) error {
	if id != coolOrg {
		return organization.ErrNotSequestered
	}
	return nil
}

// load returns the service of a certificate.
func (w *sequesteringWing) load(id parsec.OrganizationID, signed []byte) (parsec.SequesterServiceID, *organization.SequesterService, error) {
	if err := w.check(id); err != nil {
		return parsec.SequesterServiceID{}, nil, err
	}
	if err := refusing[string(signed)]; err != nil {
		return parsec.SequesterServiceID{}, nil, err
	}
	var service parsec.SequesterServiceID
	copy(service[:], signed)
	return service, w.find(service), nil
}

func (w *sequesteringWing) find(id parsec.SequesterServiceID) *organization.SequesterService {
	i := slices.IndexFunc(w.services, func(service organization.SequesterService) bool { return service.ID == id })
	if i < 0 {
		return nil
	}
	return &w.services[i]
}

// SequesterServices implements organization.Sequestering.
func (w *sequesteringWing) SequesterServices(_ context.Context, id parsec.OrganizationID) ([]organization.SequesterService, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.services), w.check(id)
}

// CreateSequesterService implements organization.Sequestering.
func (w *sequesteringWing) CreateSequesterService(_ context.Context, id parsec.OrganizationID, signed []byte, webhookURL string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	service, known, err := w.load(id, signed)
	switch {
	case err != nil:
		return err
	case known != nil:
		return organization.ErrServiceExists
	}
	w.services = append(w.services, organization.SequesterService{ID: service, Label: "Label", WebhookURL: webhookURL, CreatedOn: onSecond})
	return nil
}

// RevokeSequesterService implements organization.Sequestering.
func (w *sequesteringWing) RevokeSequesterService(_ context.Context, id parsec.OrganizationID, signed []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known, err := w.load(id, signed)
	switch {
	case err != nil:
		return err
	case known == nil:
		return organization.ErrServiceNotFound
	case known.RevokedOn != nil:
		return organization.ErrServiceRevoked
	}
	known.RevokedOn = &reference
	return nil
}

// ConfigureSequesterService implements organization.Sequestering.
func (w *sequesteringWing) ConfigureSequesterService(_ context.Context, id parsec.OrganizationID, service parsec.SequesterServiceID, webhookURL string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(id); err != nil {
		return err
	}
	known := w.find(service)
	if known == nil {
		return organization.ErrServiceNotFound
	}
	known.WebhookURL = webhookURL
	return nil
}
