package memory

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

// organization is the state of an organization. Reading its zero value, an
// organization that does not exist, is valid.
type organization struct {
	mu sync.RWMutex
	// facts is nil until the organization exists.
	facts    *backend.Organization
	services []backend.SequesterService // in creation order

	users     map[parsec.UserID]*backend.User
	devices   map[parsec.DeviceID]*backend.Device
	devicesOf map[parsec.UserID][]*backend.Device // in creation order
	// humans gives the user, not revoked, who has an e-mail.
	humans map[string]parsec.UserID
	tally  tally

	realms map[parsec.RealmID]*realm
	// realmsOf gives the realms where a user has a role.
	realmsOf map[parsec.UserID]map[parsec.RealmID]*realm
	vlobs    map[parsec.VlobID]*vlob
	blocks   map[parsec.BlockID]backend.Block
	uploads  map[parsec.BlockID]backend.BlockUpload
	// dataSize and metadataSize are the sums of those of the realms.
	dataSize, metadataSize uint64

	messages      map[parsec.UserID][]backend.Message // the index of an item is its place + 1
	invitations   map[parsec.InvitationToken]*invitation
	invitationsV1 map[backend.InviteeV1]backend.InvitationV1

	shamirs      []backend.ShamirSetup // the current ones, in creation order
	revealTokens map[parsec.UUID]bool  // of all setups

	enrollments []backend.PKIEnrollment // in order of submission
}

func newOrganization() *organization {
	return &organization{
		users:         map[parsec.UserID]*backend.User{},
		devices:       map[parsec.DeviceID]*backend.Device{},
		devicesOf:     map[parsec.UserID][]*backend.Device{},
		humans:        map[string]parsec.UserID{},
		tally:         tally{active: map[parsec.UserProfile]int{}, revoked: map[parsec.UserProfile]int{}},
		realms:        map[parsec.RealmID]*realm{},
		realmsOf:      map[parsec.UserID]map[parsec.RealmID]*realm{},
		vlobs:         map[parsec.VlobID]*vlob{},
		blocks:        map[parsec.BlockID]backend.Block{},
		uploads:       map[parsec.BlockID]backend.BlockUpload{},
		messages:      map[parsec.UserID][]backend.Message{},
		invitations:   map[parsec.InvitationToken]*invitation{},
		invitationsV1: map[backend.InviteeV1]backend.InvitationV1{},
		revealTokens:  map[parsec.UUID]bool{},
	}
}

// copyOrganization shares only bytes with o.
func copyOrganization(o *backend.Organization) *backend.Organization {
	if o == nil {
		return nil
	}
	value := *o
	value.RootVerifyKey = copyOf(value.RootVerifyKey)
	value.ExpirationDate = copyOf(value.ExpirationDate)
	value.ActiveUsersLimit = copyOf(value.ActiveUsersLimit)
	value.BootstrappedOn = copyOf(value.BootstrappedOn)
	return &value
}

// copyServices shares only bytes with the list.
func copyServices(services []backend.SequesterService) []backend.SequesterService {
	list := slices.Clone(services)
	for i := range list {
		list[i].DisabledOn = copyOf(list[i].DisabledOn)
	}
	return list
}

// Organization implements backend.OrganizationReader.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*backend.Organization, bool, error) {
	o, err := s.read(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer o.mu.RUnlock()
	return copyOrganization(o.facts), o.facts != nil, nil
}

// OrganizationStatistics implements backend.OrganizationReader.
func (s *Store) OrganizationStatistics(ctx context.Context, id parsec.OrganizationID) (backend.Statistics, error) {
	o, err := s.read(ctx, id)
	if err != nil {
		return backend.Statistics{}, err
	}
	defer o.mu.RUnlock()
	return o.statistics(nil), nil
}

// SequesterServices implements backend.OrganizationReader.
func (s *Store) SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]backend.SequesterService, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return nil, err
	}
	defer o.mu.RUnlock()
	return copyServices(o.services), nil
}

// Organization implements backend.OrganizationTx.
func (t *tx) Organization() (*backend.Organization, bool) {
	return copyOrganization(t.organization.facts), t.organization.facts != nil
}

// PutOrganization implements backend.OrganizationTx.
func (t *tx) PutOrganization(organization backend.Organization) {
	value := copyOrganization(&organization)
	value.SequesterAuthorityCertificate = bytes.Clone(value.SequesterAuthorityCertificate)
	value.SequesterVerifyKeyDER = bytes.Clone(value.SequesterVerifyKeyDER)
	allowed := t.scope.LockOrganization && value.ID == t.scope.Organization
	t.queue("PutOrganization", allowed, func() { t.organization.facts = value })
}

// SequesterServices implements backend.OrganizationTx.
func (t *tx) SequesterServices(context.Context) ([]backend.SequesterService, error) {
	return copyServices(t.organization.services), nil
}

// PutSequesterService implements backend.OrganizationTx.
func (t *tx) PutSequesterService(service backend.SequesterService) {
	service.Certificate = bytes.Clone(service.Certificate)
	service.DisabledOn = copyOf(service.DisabledOn)
	t.queue("PutSequesterService", t.scope.LockOrganization, func() {
		services := &t.organization.services
		i := slices.IndexFunc(*services, func(s backend.SequesterService) bool { return s.ID == service.ID })
		if i < 0 {
			*services = append(*services, service)
			return
		}
		(*services)[i] = service
	})
}
