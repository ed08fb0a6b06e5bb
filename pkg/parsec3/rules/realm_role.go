package rules

import (
	"context"
	"log/slog"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// Member is a user that has a role in a realm now.
type Member struct {
	User    parsec3.UserID
	Role    parsec.RealmRole
	Profile parsec.UserProfile
	Revoked bool
}

// RealmShare gives another user a role in a realm, or another one
// (docs/protocol/v5/commands.md §9.3).
func (r *Rules) RealmShare(ctx context.Context, author *Author, request *protocol.RealmShareRequest) (*protocol.RealmShareReply, error) {
	now := r.now()
	role, invalid := checkRole(author, now, request.RealmRoleCertificate)
	if invalid == nil && (role.UserID == author.User || role.Role == parsec.RoleNone) {
		invalid = errInvalidCertificate
	}
	err := r.update(ctx, author, now, realmScope(role.RealmID, role.Timestamp, invalid), func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		realm, target, present, err := roleChange(ctx, tx, role.UserID)
		if err != nil {
			return err
		}
		switch {
		case target.RevokedOn != nil:
			return protocol.Refuse(protocol.StatusRecipientRevoked)
		case !realm.Role.MayChange(present, role.Role):
			return errAuthorNotAllowed
		case target.Profile == parsec.ProfileOutsider && role.Role.Manages():
			return protocol.Refuse(protocol.StatusRoleIncompatibleWithOutsider)
		case present == role.Role:
			return realm.refuse(protocol.StatusRoleAlreadyGranted)
		case request.KeyIndex != realm.KeyIndex || realm.KeyIndex == 0:
			return realm.refuse(protocol.StatusBadKeyIndex)
		}
		return r.setRole(tx, author, realm, role, request.RealmRoleCertificate, request.RecipientKeysBundleAccess)
	})
	return &protocol.RealmShareReply{}, err
}

// RealmUnshare takes the role of another user in a realm
// (docs/protocol/v5/commands.md §9.4). The user may be revoked.
func (r *Rules) RealmUnshare(ctx context.Context, author *Author, request *protocol.RealmUnshareRequest) (*protocol.RealmUnshareReply, error) {
	now := r.now()
	role, invalid := checkRole(author, now, request.RealmRoleCertificate)
	if invalid == nil && (role.UserID == author.User || role.Role != parsec.RoleNone) {
		invalid = errInvalidCertificate
	}
	err := r.update(ctx, author, now, realmScope(role.RealmID, role.Timestamp, invalid), func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		realm, _, present, err := roleChange(ctx, tx, role.UserID)
		if err != nil {
			return err
		}
		switch {
		case !realm.Role.MayChange(present, parsec.RoleNone):
			return errAuthorNotAllowed
		case present == parsec.RoleNone:
			return realm.refuse(protocol.StatusRecipientAlreadyUnshared)
		}
		return r.setRole(tx, author, realm, role, request.RealmRoleCertificate, nil)
	})
	return &protocol.RealmUnshareReply{}, err
}

// RealmSelfPromoteToOwner makes the author OWNER of a realm that has no other who
// may act: the highest present role decides who may
// (docs/protocol/v5/commands.md §9.5).
func (r *Rules) RealmSelfPromoteToOwner(ctx context.Context, author *Author, request *protocol.RealmSelfPromoteToOwnerRequest) (*protocol.RealmSelfPromoteToOwnerReply, error) {
	now := r.now()
	role, invalid := checkOwnership(author, now, request.RealmRoleCertificate)
	err := r.update(ctx, author, now, realmScope(role.RealmID, role.Timestamp, invalid), func(tx Tx, user *User) error {
		if user.Profile == parsec.ProfileOutsider {
			return protocol.Refuse(protocol.StatusAuthorIsOutsider)
		}
		if invalid != nil {
			return invalid
		}
		realm, err := existingRealm(tx)
		if err != nil {
			return err
		}
		if err := realm.checkMember(); err != nil {
			return err
		}
		highest, err := highestRole(ctx, tx)
		if err != nil {
			return err
		}
		switch {
		case highest == parsec.RoleOwner:
			return realm.refuse(protocol.StatusActiveOwnerAlreadyExists)
		case highest.Rank() > realm.Role.Rank():
			return errAuthorNotAllowed
		}
		return r.setRole(tx, author, realm, role, request.RealmRoleCertificate, nil)
	})
	if err == nil {
		// The realm is lost to members with such clients, and nobody tells them.
		r.logger.WarnContext(ctx, "realm has an owner that promoted itself: clients before Parsec 3.9 cannot read its certificates any more",
			slog.String("organization", author.Organization.String()), slog.String("realm", role.RealmID.String()))
	}
	return &protocol.RealmSelfPromoteToOwnerReply{}, err
}

// checkRole loads a role certificate of the author.
func checkRole(author *Author, now parsec.DateTime, signed []byte) (certificate.RealmRole, error) {
	role, err := certificate.LoadRealmRole(signed, author.VerifyKey, author.Device)
	return role, checkCertificate(now, role.Timestamp, err)
}

// checkOwnership loads a role certificate by which its author becomes OWNER.
func checkOwnership(author *Author, now parsec.DateTime, signed []byte) (certificate.RealmRole, error) {
	role, invalid := checkRole(author, now, signed)
	if invalid == nil && (role.UserID != author.User || role.Role != parsec.RoleOwner) {
		invalid = errInvalidCertificate
	}
	return role, invalid
}

// roleChange returns what sharing and its end look at: the realm where the author
// has a role, the user whose role changes, and its present role.
func roleChange(ctx context.Context, tx Tx, id parsec3.UserID) (*Realm, *User, parsec.RealmRole, error) {
	realm, err := existingRealm(tx)
	if err != nil {
		return nil, nil, "", err
	}
	if err := realm.checkMember(); err != nil {
		return nil, nil, "", err
	}
	user, found, err := tx.User(ctx, id)
	if err != nil {
		return nil, nil, "", err
	}
	if !found {
		return nil, nil, "", protocol.Refuse(protocol.StatusRecipientNotFound)
	}
	present, err := tx.RealmRole(ctx, id)
	return realm, user, present, err
}

// setRole is what every change of a role ends with.
func (r *Rules) setRole(tx Tx, author *Author, realm *Realm, role certificate.RealmRole, signed, access []byte) error {
	if err := checkGreater(role.Timestamp, tx.Topics().Common, realm.Timestamp, realm.LastVlob); err != nil {
		return err
	}
	tx.SetRole(role.UserID, role.Role, access, signedBy(author, role.Timestamp, signed))
	emitRole(tx, author, role)
	return nil
}

// emitRole tells of a role that is given or taken.
func emitRole(tx Tx, author *Author, role certificate.RealmRole) {
	tx.Emit(event.Event{Organization: author.Organization, Body: notice.RealmCertificate{
		ID: notice.NewID(), Timestamp: role.Timestamp, Realm: role.RealmID,
		User: role.UserID, RoleRemoved: role.Role == parsec.RoleNone,
	}})
}

// highestRole returns the highest role of the members of the realm who may act: those
// that are revoked, or OUTSIDER, count as little here as for clients.
func highestRole(ctx context.Context, tx Tx) (parsec.RealmRole, error) {
	members, err := tx.Members(ctx)
	if err != nil {
		return "", err
	}
	highest := parsec.RoleNone
	for _, member := range members {
		if !member.Revoked && member.Profile != parsec.ProfileOutsider && member.Role.Rank() > highest.Rank() {
			highest = member.Role
		}
	}
	return highest, nil
}
