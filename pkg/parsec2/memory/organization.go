package memory

import (
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// organization is the state of an organization. Reading one that has nothing but
// a cell is valid.
type organization struct {
	*organizationstore.Cell

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

func newOrganization(in *organizationstore.Cell) *organization {
	return &organization{
		Cell:          in,
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

// PutOrganization implements rules.OrganizationTx.
func (t *tx) PutOrganization(organization rules.Organization) {
	if t.Allow("PutOrganization", t.scope.LockOrganization) {
		t.Tx.PutOrganization(organization)
	}
}
