package rules

import (
	"bytes"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// User is a user as stored.
type User struct {
	ID          parsec.UserID
	Profile     parsec.UserProfile
	HumanHandle parsec.HumanHandle
	// Certificate and RedactedCertificate are byte-identical to what the
	// certifier sent. Without redacted form both are the same.
	Certificate         []byte
	RedactedCertificate []byte
	// Certifier is zero for the first user, signed by the root key.
	Certifier parsec.DeviceID
	CreatedOn parsec.DateTime
	// Revocation is nil for an active user. A stored revocation counts at
	// once, even dated in the near future.
	Revocation *Revocation
	Frozen     bool
}

// Revocation is the end of a user.
type Revocation struct {
	Certificate []byte
	Certifier   parsec.DeviceID
	On          parsec.DateTime
}

// UserGet returns the certificates of a user, redacted for OUTSIDER authors
// (docs/protocol/commands.md §4).
func (r *Rules) UserGet(ctx context.Context, author *Author, request *protocol.UserGetRequest) (*protocol.UserGetReply, error) {
	facts, found, err := r.store.UserAndDevices(ctx, author.Organization, request.UserID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, protocol.Refuse(protocol.StatusNotFound, "No such user.")
	}
	redacted := author.Profile == parsec.ProfileOutsider
	reply := &protocol.UserGetReply{
		UserCertificate:    facts.User.certificate(redacted),
		DeviceCertificates: make([][]byte, 0, len(facts.Devices)),
		Trustchain:         facts.trustchain(facts.Devices, redacted),
	}
	if facts.User.Revocation != nil {
		reply.RevokedUserCertificate = facts.User.Revocation.Certificate
	}
	for i := range facts.Devices {
		reply.DeviceCertificates = append(reply.DeviceCertificates, facts.Devices[i].certificate(redacted))
	}
	return reply, nil
}

// UserCreate creates a user with its first device
// (docs/protocol/commands.md §4).
func (r *Rules) UserCreate(ctx context.Context, author *Author, request *protocol.UserCreateRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	user, device, err := checkUserCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createUser(ctx, author, now, user, device)
}

// UserCreateV1 is UserCreate in the form of API 1.
func (r *Rules) UserCreateV1(ctx context.Context, author *Author, request *protocol.UserCreateV1Request) (*protocol.EmptyReply, error) {
	now := r.now()
	user, device, err := checkUserCreateV1(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createUser(ctx, author, now, user, device)
}

func (r *Rules) createUser(ctx context.Context, author *Author, now parsec.DateTime, user User, device Device) (*protocol.EmptyReply, error) {
	err := r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		return addUser(ctx, tx, author, user, device)
	})
	return &protocol.EmptyReply{}, err
}

// addUser adds a user to an organization once, as user_create does. The
// transaction locks the organization.
func addUser(ctx context.Context, tx Tx, author *Author, user User, device Device) error {
	stored, exists, err := tx.User(ctx, user.ID)
	if err != nil {
		return err
	}
	if exists {
		if again, err := sameUser(ctx, tx, stored, user, device); err != nil || again {
			return err
		}
	}
	if err := checkActiveUsersLimit(ctx, tx); err != nil {
		return err
	}
	if err := checkNobodyElse(ctx, tx, user, exists); err != nil {
		return err
	}
	createUser(tx, author, user, device)
	return nil
}

func checkActiveUsersLimit(ctx context.Context, tx Tx) error {
	organization, found := tx.Organization()
	if !found || organization.ActiveUsersLimit == nil {
		return nil
	}
	active, _, err := tx.ActiveUsers(ctx)
	if err != nil {
		return err
	}
	if active >= *organization.ActiveUsersLimit {
		return protocol.Refuse(protocol.StatusActiveUsersLimitReached, "The organization has reached its limit of active users.")
	}
	return nil
}

// checkNobodyElse refuses the id of a user that exists, and the e-mail of an
// active one.
func checkNobodyElse(ctx context.Context, tx Tx, user User, exists bool) error {
	if exists {
		return protocol.Refuse(protocol.StatusAlreadyExists, "This user already exists.")
	}
	if user.HumanHandle != (parsec.HumanHandle{}) {
		if taken, err := tx.HumanTaken(ctx, user.HumanHandle.Email()); err != nil {
			return err
		} else if taken {
			return protocol.Refuse(protocol.StatusAlreadyExists, "Another active user has this e-mail address.")
		}
	}
	return nil
}

// createUser has the effects of addUser.
func createUser(tx Tx, author *Author, user User, device Device) {
	tx.CreateUser(user)
	tx.CreateDevice(device)
	tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.UserCreated{
		User: user.ID, UserCertificate: user.Certificate, DeviceCertificate: device.Certificate,
	}})
}

// UserRevoke revokes another user for ever (docs/protocol/commands.md §4).
//
// An active ADMIN always remains: the transaction locks the organization, and
// the author, who is one and is not the target, is still active inside it. Of
// two who revoke each other the second finds itself revoked.
//
// The date is not compared with what the target signed (§1.8, last Improve):
// with dates ahead of the clock a user could hold off its own revocation.
func (r *Rules) UserRevoke(ctx context.Context, author *Author, request *protocol.UserRevokeRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	id, revocation, err := checkUserRevoke(author, now, request)
	if err != nil {
		return nil, err
	}
	err = r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		facts, err := tx.Recovery(ctx, id)
		if err != nil {
			return err
		}
		if facts.Claimer == nil {
			return protocol.Refuse(protocol.StatusNotFound, "No such user.")
		}
		if facts.Claimer.Revocation != nil {
			return protocol.Refuse(protocol.StatusAlreadyRevoked, "This user is already revoked.")
		}
		if facts.Invitation != nil { // There is nobody to recover.
			endInvitation(tx, author.Organization, facts.Invitation, protocol.InvitationCancelled, now)
		}
		tx.RevokeUser(id, revocation)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.UserRevoked{User: id}})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// UserFacts is a user with what verifies it.
type UserFacts struct {
	User    User
	Devices []Device
	// ChainDevices and ChainUsers are what Follow finds of Certifiers, each once,
	// in any order.
	ChainDevices []Device
	ChainUsers   []User
}

// UserReader reads users and their devices.
type UserReader interface {
	// UserAndDevices reads a user, all its devices in creation order, and the
	// users and devices that lead from their certifiers to the root key
	// (docs/protocol/commands.md §4, trustchain).
	UserAndDevices(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) (UserFacts, bool, error)
}

// UserTx is for users; its effects need LockOrganization.
type UserTx interface {
	// Author returns the user of the scope's author; false if the device or
	// user does not exist.
	Author() (*User, bool)
	User(ctx context.Context, id parsec.UserID) (*User, bool, error)
	// UserByEmail returns the user that is not revoked and has this e-mail.
	UserByEmail(ctx context.Context, email string) (*User, bool, error)
	// HumanTaken reports whether a user that is not revoked has this e-mail.
	HumanTaken(ctx context.Context, email string) (bool, error)
	// ActiveUsers counts the users that are not revoked, and among them the
	// administrators that are neither frozen.
	ActiveUsers(ctx context.Context) (users, administrators uint64, err error)

	// CreateUser creates a user that is neither revoked nor frozen.
	CreateUser(user User)
	RevokeUser(id parsec.UserID, revocation Revocation)
	FreezeUser(id parsec.UserID, frozen bool)
}

// sameUser compares a stored user, and its first device.
func sameUser(ctx context.Context, tx Tx, stored *User, user User, device Device) (bool, error) {
	if !bytes.Equal(stored.Certificate, user.Certificate) || !bytes.Equal(stored.RedactedCertificate, user.RedactedCertificate) {
		return false, nil
	}
	first, exists, err := tx.Device(ctx, device.ID)
	return err == nil && exists && sameDevice(first, device), err
}
