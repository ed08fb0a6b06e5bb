package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// organization is the state of an organization. Reading its zero value, an
// organization that does not exist, is valid.
type organization struct {
	mu sync.RWMutex
	// facts is nil until the organization exists.
	facts    *rules.Organization
	services []rules.SequesterService // in creation order

	users     map[parsec.UserID]*rules.User
	devices   map[parsec.DeviceID]*rules.Device
	devicesOf map[parsec.UserID][]*rules.Device // in creation order
	// userNumbers and deviceNumbers are in creation order: the number of an item
	// is its place + 1.
	userNumbers   []parsec.UserID
	deviceNumbers []parsec.DeviceID
	// humans holds, by e-mail, the user who has it and is not revoked.
	humans map[string]parsec.UserID
	tally  tally

	realms map[parsec.RealmID]*realm
	// realmsOf holds the realms where a user has a role.
	realmsOf map[parsec.UserID]map[parsec.RealmID]*realm
	vlobs    map[parsec.VlobID]*vlob
	blocks   map[parsec.BlockID]rules.Block
	uploads  map[parsec.BlockID]rules.BlockUpload
	// dataSize and metadataSize are the sums of those of the realms.
	dataSize, metadataSize uint64

	messages      map[parsec.UserID][]rules.Message // the index of an item is its place + 1
	invitations   map[parsec.InvitationToken]*invitation
	invitationsV1 map[rules.InviteeV1]rules.InvitationV1

	shamirs      []rules.ShamirSetup  // the current ones, in creation order
	revealTokens map[parsec.UUID]bool // of all setups

	enrollments []rules.PKIEnrollment // in order of submission
}

func newOrganization() *organization {
	return &organization{
		users:         map[parsec.UserID]*rules.User{},
		devices:       map[parsec.DeviceID]*rules.Device{},
		devicesOf:     map[parsec.UserID][]*rules.Device{},
		humans:        map[string]parsec.UserID{},
		tally:         tally{active: map[parsec.UserProfile]int{}, revoked: map[parsec.UserProfile]int{}},
		realms:        map[parsec.RealmID]*realm{},
		realmsOf:      map[parsec.UserID]map[parsec.RealmID]*realm{},
		vlobs:         map[parsec.VlobID]*vlob{},
		blocks:        map[parsec.BlockID]rules.Block{},
		uploads:       map[parsec.BlockID]rules.BlockUpload{},
		messages:      map[parsec.UserID][]rules.Message{},
		invitations:   map[parsec.InvitationToken]*invitation{},
		invitationsV1: map[rules.InviteeV1]rules.InvitationV1{},
		revealTokens:  map[parsec.UUID]bool{},
	}
}

// copyOrganization shares only bytes with o.
func copyOrganization(o *rules.Organization) *rules.Organization {
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

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*rules.Organization, bool, error) {
	o, err := s.read(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer o.mu.RUnlock()
	return copyOrganization(o.facts), o.facts != nil, nil
}

// Organizations implements organization.Store.
func (s *Store) Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]rules.Organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	all := make([]*organization, 0, len(s.organizations))
	for id, o := range s.organizations {
		if id.String() > after.String() {
			all = append(all, o)
		}
	}
	s.mu.RUnlock()
	var page []rules.Organization
	for _, o := range all {
		o.mu.RLock()
		if until == nil || o.facts.CreatedOn <= *until {
			page = append(page, *copyOrganization(o.facts))
		}
		o.mu.RUnlock()
	}
	slices.SortFunc(page, func(a, b rules.Organization) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return page[:min(limit, len(page))], nil
}

// ChangeOrganization implements organization.Store.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organizations.Tx) error) error {
	return s.Update(ctx, rules.Scope{Organization: id, LockOrganization: true}, func(tx rules.Tx) error { return rule(tx) })
}

// Organization implements rules.OrganizationTx.
func (t *tx) Organization() (*rules.Organization, bool) {
	return copyOrganization(t.organization.facts), t.organization.facts != nil
}

// PutOrganization implements rules.OrganizationTx.
func (t *tx) PutOrganization(organization rules.Organization) {
	value := copyOrganization(&organization)
	value.SequesterAuthorityCertificate = bytes.Clone(value.SequesterAuthorityCertificate)
	value.SequesterVerifyKeyDER = bytes.Clone(value.SequesterVerifyKeyDER)
	allowed := t.scope.LockOrganization && value.ID == t.scope.Organization
	t.queue("PutOrganization", allowed, func() { t.organization.facts = value })
}
