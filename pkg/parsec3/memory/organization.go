package memory

import (
	"context"

	organizations "parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// organization is the state of an organization. Reading one that has nothing but
// a cell is valid.
type organization struct {
	*organizationstore.Cell

	topics rules.Topics
	// common and sequester are the certificates of the topics, in order of date; of
	// the same date, the user's before the device's.
	common, sequester []rules.Certificate

	users   map[parsec3.UserID]*user
	devices map[parsec3.DeviceID]*rules.Device
	// ids are those of the users, in order of creation.
	ids []parsec3.UserID
	// humans holds, by e-mail, the user who has it and is not revoked.
	humans map[string]parsec3.UserID

	realms  map[parsec.RealmID]*realm
	blocks  map[parsec.BlockID]rules.Block
	uploads map[parsec.BlockID]rules.BlockUpload
	usage   rules.Usage

	services []rules.SequesterService // in order of creation

	invitations map[parsec3.AccessToken]*rules.Invitation
	// tokens are those of the invitations, in order of creation.
	tokens []parsec3.AccessToken
	// setups are those of Shamir recovery of each user, in order of date.
	setups map[parsec3.UserID][]*rules.ShamirSetup
	// wrongReveals are the dates of wrong tokens for an invitation to recover.
	wrongReveals map[parsec3.AccessToken][]parsec.DateTime
	enrollments  map[parsec3.EnrollmentID]*enrollment
	attempts     map[parsec3.GreetingAttemptID]*attempt
}

func newOrganization(in *organizationstore.Cell) *organization {
	return &organization{
		Cell:    in,
		users:   map[parsec3.UserID]*user{},
		devices: map[parsec3.DeviceID]*rules.Device{},
		humans:  map[string]parsec3.UserID{},
		realms:  map[parsec.RealmID]*realm{},
		blocks:  map[parsec.BlockID]rules.Block{},
		uploads: map[parsec.BlockID]rules.BlockUpload{},

		invitations:  map[parsec3.AccessToken]*rules.Invitation{},
		wrongReveals: map[parsec3.AccessToken][]parsec.DateTime{},
		setups:       map[parsec3.UserID][]*rules.ShamirSetup{},
		enrollments:  map[parsec3.EnrollmentID]*enrollment{},
		attempts:     map[parsec3.GreetingAttemptID]*attempt{},
	}
}

// Usage implements rules.OrganizationReader.
func (s *Store) Usage(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.standing(author), o.usage, err
}

// StatisticsOf implements rules.OrganizationReader. It scans the data.
func (s *Store) StatisticsOf(ctx context.Context, ids []parsec.OrganizationID, at *parsec.DateTime) ([]organizations.Statistics, error) {
	all := make([]organizations.Statistics, len(ids))
	for i, id := range ids {
		cell, _ := s.Cell(id)
		cell.RLock()
		all[i] = stateOf(cell).statistics(at)
		cell.RUnlock()
	}
	return all, ctx.Err()
}

// statistics returns the statistics at a date, or now if at is nil.
func (o *organization) statistics(at *parsec.DateTime) organizations.Statistics {
	until := func(date parsec.DateTime) bool { return at == nil || date <= *at }
	statistics := organizations.NewStatistics()
	for _, user := range o.users {
		switch {
		case !until(user.facts.CreatedOn):
		case user.facts.RevokedOn != nil && until(*user.facts.RevokedOn):
			statistics.Revoked[user.profileAt(until)]++
		default:
			statistics.Active[user.profileAt(until)]++
		}
	}
	for _, realm := range o.realms {
		if realm.facts.Deleted || !until(realm.createdOn) {
			continue
		}
		statistics.Realms++
		for _, vlob := range realm.vlobs {
			for i := range vlob.versions {
				if until(vlob.versions[i].Timestamp) {
					statistics.MetadataSize += uint64(len(vlob.versions[i].Blob))
				}
			}
		}
	}
	for _, block := range o.blocks {
		if until(block.CreatedOn) {
			statistics.DataSize += block.Size
		}
	}
	return statistics
}

// PutOrganization implements rules.OrganizationTx.
func (t *tx) PutOrganization(organization organizations.Organization) {
	if t.Allow("PutOrganization", t.scope.Founding) {
		t.Tx.PutOrganization(organization)
	}
}

// Found implements rules.OrganizationTx. What another generation kept of the
// organization goes: it is of no generation before.
func (t *tx) Found(user rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate, authority *rules.Certificate) {
	if _, founded := t.State.(*organization); !t.Allow("Found", t.scope.Founding && !founded) {
		return
	}
	certificate, deviceCertificate = copyCertificate(certificate), copyCertificate(deviceCertificate)
	founded := newOrganization(t.Cell)
	founded.topics.Common = certificate.Timestamp
	founded.addUser(user, certificate, device, deviceCertificate)
	if authority != nil {
		founded.topics.Sequester = authority.Timestamp
		founded.sequester = append(founded.sequester, copyCertificate(*authority))
	}
	t.Queue("Found", true, func() { t.State = founded })
}
