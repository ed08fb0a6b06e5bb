package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// UserCreate adds a user with its first device
// (docs/protocol/v5/commands.md §8.2).
func (r *Rules) UserCreate(ctx context.Context, author *Author, request *protocol.UserCreateRequest) (*protocol.UserCreateReply, error) {
	now := r.now()
	created, invalid := loadUserCreate(author, now, signedUser{
		user: request.UserCertificate, redactedUser: request.RedactedUserCertificate,
		device: request.DeviceCertificate, redactedDevice: request.RedactedDeviceCertificate,
	})
	scope := Scope{Common: Exclusive}
	if invalid == nil {
		scope.Date = created.userCertificate.Timestamp
	}
	err := r.update(ctx, author, now, scope, func(tx Tx, user *User) error {
		if err := checkAdministrator(user); err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		return addUser(ctx, tx, author, created)
	})
	return &protocol.UserCreateReply{}, err
}

// addUser makes the checks 6 to 9 of user_create, under an exclusive lock of the common
// topic, and adds the user.
func addUser(ctx context.Context, tx Tx, author *Author, created *newUser) error {
	if err := checkActiveUsersLimit(ctx, tx); err != nil {
		return err
	}
	if err := checkNobodyElse(ctx, tx, created); err != nil {
		return err
	}
	if err := checkGreater(created.userCertificate.Timestamp, tx.Topics().Common); err != nil {
		return err
	}
	tx.CreateUser(created.user, created.userCertificate, created.device, created.deviceCertificate)
	emitCommon(tx, author, created.userCertificate.Timestamp)
	return nil
}

// loadUserCreate makes the checks 2 to 5 of user_create.
func loadUserCreate(author *Author, now parsec.DateTime, signed signedUser) (*newUser, error) {
	loaded, err := loadNewUser(signed, author.VerifyKey, author.Device)
	if err != nil {
		return nil, err
	}
	if !loaded.sameDate() {
		return nil, errInvalidCertificate
	}
	if err := checkBallpark(now, loaded.user.Timestamp); err != nil {
		return nil, err
	}
	if !loaded.sameUser() || !loaded.redacts() {
		return nil, errInvalidCertificate
	}
	created := loaded.stored()
	return &created, nil
}

func checkAdministrator(user *User) error {
	if user.Profile != parsec.ProfileAdmin {
		return protocol.Refuse(protocol.StatusAuthorNotAllowed)
	}
	return nil
}

// checkAdministrator makes the checks of what an ADMIN reads.
func (s *Standing) checkAdministrator(now parsec.DateTime) error {
	if err := s.check(now); err != nil {
		return err
	}
	return checkAdministrator(s.User)
}

func checkActiveUsersLimit(ctx context.Context, tx Tx) error {
	stored, found := tx.Organization()
	if !found || stored.ActiveUsersLimit == nil {
		return nil
	}
	active, err := tx.ActiveUsers(ctx)
	if err != nil {
		return err
	}
	if active >= *stored.ActiveUsersLimit {
		return protocol.Refuse(protocol.StatusActiveUsersLimitReached)
	}
	return nil
}

// checkNobodyElse refuses the ids of a user and a device that exist, or existed,
// and the e-mail of an active user.
func checkNobodyElse(ctx context.Context, tx Tx, created *newUser) error {
	_, userExists, err := tx.User(ctx, created.user.ID)
	if err != nil {
		return err
	}
	deviceExists, err := tx.DeviceExists(ctx, created.device.ID)
	if err != nil {
		return err
	}
	if userExists || deviceExists {
		return protocol.Refuse(protocol.StatusUserAlreadyExists)
	}
	_, taken, err := tx.UserByEmail(ctx, created.user.HumanHandle.Email())
	if err != nil {
		return err
	}
	if taken {
		return protocol.Refuse(protocol.StatusHumanHandleAlreadyTaken)
	}
	return nil
}

// emitCommon tells everybody of a certificate of the common topic.
func emitCommon(tx Tx, author *Author, timestamp parsec.DateTime) {
	tx.Emit(event.Event{Organization: author.Organization, Body: notice.CommonCertificate{ID: notice.NewID(), Timestamp: timestamp}})
}

// UserUpdate changes the profile of another user
// (docs/protocol/v5/commands.md §8.4). Who becomes an OUTSIDER does so after every
// certificate that made it OWNER or MANAGER: clients check those against the profile
// of their date. They hold still, as whoever adds one shares the common topic.
func (r *Rules) UserUpdate(ctx context.Context, author *Author, request *protocol.UserUpdateRequest) (*protocol.UserUpdateReply, error) {
	now := r.now()
	update, invalid := loadUserUpdate(author, now, request)
	err := r.update(ctx, author, now, Scope{Common: Exclusive, Date: update.Timestamp}, func(tx Tx, user *User) error {
		if err := checkAdministrator(user); err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		target, found, err := tx.User(ctx, update.UserID)
		switch {
		case err != nil:
			return err
		case !found:
			return protocol.Refuse(protocol.StatusUserNotFound)
		case target.RevokedOn != nil:
			return protocol.Refuse(protocol.StatusUserRevoked)
		case target.Profile == update.NewProfile:
			return protocol.Refuse(protocol.StatusUserNoChanges)
		}
		last := tx.Topics().Common
		if update.NewProfile == parsec.ProfileOutsider {
			traces, err := tx.Traces(ctx, target.ID)
			if err != nil {
				return err
			}
			last = max(last, traces.Managing)
		}
		if err := checkGreater(update.Timestamp, last); err != nil {
			return err
		}
		tx.UpdateProfile(target.ID, update.NewProfile, signedBy(author, update.Timestamp, request.UserUpdateCertificate))
		emitCommon(tx, author, update.Timestamp)
		tx.Emit(event.Event{Organization: author.Organization, Body: notice.UserUpdated{User: target.ID, Profile: update.NewProfile}})
		return nil
	})
	return &protocol.UserUpdateReply{}, err
}

// loadUserUpdate makes the checks 2 to 4 of user_update.
func loadUserUpdate(author *Author, now parsec.DateTime, request *protocol.UserUpdateRequest) (certificate.UserUpdate, error) {
	update, err := certificate.LoadUserUpdate(request.UserUpdateCertificate, author.VerifyKey, author.Device)
	return update, checkOther(author, update.UserID, checkCertificate(now, update.Timestamp, err))
}

// checkOther refuses a certificate, unless it is refused already, by which an author
// changes itself.
func checkOther(author *Author, target parsec3.UserID, invalid error) error {
	if invalid == nil && target == author.User {
		return errInvalidCertificate
	}
	return invalid
}

// signedBy returns a certificate of the author as stored.
func signedBy(author *Author, timestamp parsec.DateTime, bytes []byte) Certificate {
	return Certificate{Timestamp: timestamp, Author: author.Device, Bytes: bytes}
}

// UserRevoke revokes another user for ever (docs/protocol/v5/commands.md §8.5).
//
// An active ADMIN always remains: the author is one, and not the target, and of two
// who revoke each other the second waits for the common topic and then finds itself
// revoked.
//
// The revocation is later than all that clients would otherwise find signed by, or
// meant for, a user that is revoked: with the common topic exclusively locked no
// realm grows, and with that of Shamir recovery shared neither does it.
func (r *Rules) UserRevoke(ctx context.Context, author *Author, request *protocol.UserRevokeRequest) (*protocol.UserRevokeReply, error) {
	now := r.now()
	revoked, invalid := loadUserRevoke(author, now, request)
	err := r.update(ctx, author, now, Scope{Common: Exclusive, Shamir: Shared, Date: revoked.Timestamp}, func(tx Tx, user *User) error {
		if err := checkAdministrator(user); err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		common := tx.Topics().Common
		target, found, err := tx.User(ctx, revoked.UserID)
		switch {
		case err != nil:
			return err
		case !found:
			return protocol.Refuse(protocol.StatusUserNotFound)
		case target.RevokedOn != nil:
			return protocol.RefuseAsOfCommon(protocol.StatusUserAlreadyRevoked, common)
		}
		traces, err := tx.Traces(ctx, target.ID)
		if err != nil {
			return err
		}
		if err := checkGreater(revoked.Timestamp, common, traces.Realms, traces.Given, traces.Signed, traces.Shamir); err != nil {
			return err
		}
		tx.RevokeUser(target.ID, signedBy(author, revoked.Timestamp, request.RevokedUserCertificate))
		emitCommon(tx, author, revoked.Timestamp)
		tx.Emit(event.Event{Organization: author.Organization, Body: notice.UserRevokedOrFrozen{User: target.ID}})
		return nil
	})
	return &protocol.UserRevokeReply{}, err
}

// loadUserRevoke makes the checks 2 to 4 of user_revoke.
func loadUserRevoke(author *Author, now parsec.DateTime, request *protocol.UserRevokeRequest) (certificate.RevokedUser, error) {
	revoked, err := certificate.LoadRevokedUser(request.RevokedUserCertificate, author.VerifyKey, author.Device)
	return revoked, checkOther(author, revoked.UserID, checkCertificate(now, revoked.Timestamp, err))
}

// ListFrozenUsers lists the users that are frozen, revoked ones included, for an
// ADMIN (docs/protocol/v5/commands.md §8.6).
func (r *Rules) ListFrozenUsers(ctx context.Context, author *Author, _ *protocol.ListFrozenUsersRequest) (*protocol.ListFrozenUsersReply, error) {
	now := r.now()
	standing, frozen, err := r.store.FrozenUsers(ctx, author.Organization, author.Device)
	if err != nil {
		return nil, err
	}
	if err := standing.checkAdministrator(now); err != nil {
		return nil, err
	}
	return &protocol.ListFrozenUsersReply{FrozenUsers: frozen}, nil
}

// User is a user as it is now.
type User struct {
	ID          parsec3.UserID
	HumanHandle parsec.HumanHandle
	// Profile is the one of its last update.
	Profile   parsec.UserProfile
	CreatedOn parsec.DateTime
	// RevokedOn is nil for an active user.
	RevokedOn *parsec.DateTime
	Frozen    bool
	// AcceptedTOS is the date of the last terms of service that the user has accepted,
	// nil for none.
	AcceptedTOS *parsec.DateTime
}

// UserReader reads users.
type UserReader interface {
	organization.ActivityReader
	// FrozenUsers lists the users that are frozen, by date of creation.
	FrozenUsers(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (Standing, []parsec3.UserID, error)
	// Users lists all users, by date of creation.
	Users(ctx context.Context, organization parsec.OrganizationID) ([]User, error)
}

// UserTx is for users.
type UserTx interface {
	// User returns a user, false if there is none.
	User(ctx context.Context, id parsec3.UserID) (*User, bool, error)
	// UserByEmail returns the user with an e-mail that is not revoked, false if
	// there is none.
	UserByEmail(ctx context.Context, email string) (*User, bool, error)
	// ActiveUsers counts those that are not revoked.
	ActiveUsers(ctx context.Context) (uint64, error)
	// Traces returns what the revocation of a user, and its change to OUTSIDER,
	// must follow (docs/protocol/v5/commands.md §8.4 and §8.5).
	Traces(ctx context.Context, id parsec3.UserID) (Traces, error)

	// CreateUser adds a user with its first device and their certificates, which
	// share one date.
	CreateUser(user User, certificate Certificate, device Device, deviceCertificate Certificate)
	// UpdateProfile sets the profile of a user.
	UpdateProfile(id parsec3.UserID, profile parsec.UserProfile, certificate Certificate)
	// RevokeUser revokes a user as of the certificate's date.
	RevokeUser(id parsec3.UserID, certificate Certificate)
	// FreezeUser keeps a user out, or lets it in again.
	FreezeUser(id parsec3.UserID, frozen bool)
	// AcceptTOS notes that a user accepts the terms of service of a date, unless it has
	// accepted later ones.
	AcceptTOS(id parsec3.UserID, of parsec.DateTime)
}

// Traces are dates that a user has left in an organization; zero for none.
type Traces struct {
	// Realms is the last date of the topics of the realms where the user has a
	// role now, and of the vlobs in them.
	Realms parsec.DateTime
	// Signed is the last date of what the devices of the user have signed:
	// certificates and vlobs, in any realm.
	Signed parsec.DateTime
	// Shamir is the last date of the Shamir certificates whose owner or recipient
	// is the user.
	Shamir parsec.DateTime
	// Given is the last date of the certificates that gave the user a role, in realms
	// that it has left too, and Managing that of OWNER and MANAGER.
	Given, Managing parsec.DateTime
}
