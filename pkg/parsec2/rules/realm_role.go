package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// RoleCertificate is one entry of a realm's list of role certificates.
type RoleCertificate struct {
	Realm       parsec.RealmID
	User        parsec.UserID
	Role        parsec.RealmRole
	Certificate []byte
	Author      parsec.DeviceID
	CertifiedOn parsec.DateTime
}

// RealmUpdateRoles changes or removes the role of another user
// (docs/protocol/commands.md §6).
//
// A realm keeps an OWNER: nobody changes its own role, and the author of a
// demotion is an OWNER still inside the transaction that excludes every other
// on the realm.
func (r *Rules) RealmUpdateRoles(ctx context.Context, author *Author, request *protocol.RealmUpdateRolesRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	role, err := checkRealmUpdateRoles(author, now, request)
	if err != nil {
		return nil, err
	}
	err = r.updateAt(ctx, author, now, Scope{Realm: role.Realm, By: RealmExclusive}, func(tx Tx) error {
		if err := checkRoleUpdate(ctx, tx, now, role); err != nil {
			return err
		}
		tx.AddRole(role)
		tx.TouchRoleChange(author.User(), role.CertifiedOn)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmRolesUpdated{
			Realm: role.Realm, User: role.User, Role: role.Role,
		}})
		if len(request.RecipientMessage) == 0 {
			return nil
		}
		return sendMessages(ctx, tx, author, role.CertifiedOn, []parsec.UserID{role.User}, func(parsec.UserID) []byte {
			return request.RecipientMessage
		})
	})
	return &protocol.EmptyReply{}, err
}

// checkRoleUpdate applies the part of the table that needs the state, from row
// 5 on.
func checkRoleUpdate(ctx context.Context, tx Tx, now parsec.DateTime, role RoleCertificate) error {
	user, found, err := tx.User(ctx, role.User)
	if err != nil {
		return err
	}
	if !found {
		return protocol.Refuse(protocol.StatusNotFound, "No such user.")
	}
	if user.Profile == parsec.ProfileOutsider && role.Role.Manages() {
		return protocol.Refuse(protocol.StatusIncompatibleProfile, "An outsider may not have this role.")
	}
	realm, found := tx.Realm()
	if found {
		if err := realm.checkNotDeleted(now); err != nil {
			return err
		}
	}
	if user.Revocation != nil {
		return protocol.Refuse(protocol.StatusUserRevoked, "The user is revoked.")
	}
	if !found {
		return errRealmNotFound
	}
	target, err := tx.Member(ctx, role.User)
	if err != nil {
		return err
	}
	return cmp.Or(
		realm.checkNoMaintenance(),
		realm.Member.checkRoleChange(target.Role, role.Role),
		checkNotGranted(&target, role.Role),
		checkRoleCausality(&realm.Member, &target, role.Role, role.CertifiedOn),
	)
}

func checkNotGranted(target *Member, wanted parsec.RealmRole) error {
	if target.Role == wanted {
		return protocol.Refuse(protocol.StatusAlreadyGranted, "The user has this role already.")
	}
	return nil
}

// sendMessages adds a message to the list of each recipient, and an event.
func sendMessages(ctx context.Context, tx Tx, author *Author, timestamp parsec.DateTime, recipients []parsec.UserID, body func(parsec.UserID) []byte) error {
	counts, err := tx.MessageCounts(ctx, recipients)
	if err != nil {
		return err
	}
	for _, recipient := range recipients {
		index := counts[recipient] + 1
		tx.AddMessage(Message{
			Recipient: recipient, Index: index, Sender: author.Device, Timestamp: timestamp, Body: body(recipient),
		})
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.MessageReceived{
			Recipient: recipient, Index: index,
		}})
	}
	return nil
}

// checkReader wants any current role.
func (m *Member) checkReader() error {
	if m.Role == parsec.RoleNone {
		return errNoRole
	}
	return nil
}

// checkWriter wants a role that writes data.
func (m *Member) checkWriter() error {
	return m.checkRole(m.Role.Writes())
}

// checkOwner wants an OWNER.
func (m *Member) checkOwner() error {
	return m.checkRole(m.Role == parsec.RoleOwner)
}

// checkRoleChange wants a role that may change another user's from present to
// wanted.
func (m *Member) checkRoleChange(present, wanted parsec.RealmRole) error {
	return m.checkRole(m.Role.MayChange(present, wanted))
}

// checkRole refuses a role that is not high enough.
func (m *Member) checkRole(enough bool) error {
	switch {
	case enough:
		return nil
	case m.Role == parsec.RoleNone:
		return errNoRole
	default:
		return errRoleTooLow
	}
}

// checkRoleCausality is C3, C4, C5 and C6 for the target of a role change, and
// C9 for its author.
//
// C6 also holds from OWNER to MANAGER: otherwise the change could be dated
// before one that only an OWNER may author, and the certificates of the realm
// would not replay (§10, invariant 22).
func checkRoleCausality(author, target *Member, wanted parsec.RealmRole, timestamp parsec.DateTime) error {
	if target.Role == parsec.RoleOwner {
		if err := checkAfter(timestamp, target.LastArchivingChange); err != nil {
			return err
		}
	}
	if err := checkAfter(timestamp, target.RoleCertifiedOn); err != nil {
		return err
	}
	if wanted == parsec.RoleReader || wanted == parsec.RoleNone {
		if err := checkAfter(timestamp, target.LastVlobUpdate); err != nil {
			return err
		}
	}
	if wanted != parsec.RoleOwner {
		if err := checkAfter(timestamp, target.LastRoleChange); err != nil {
			return err
		}
	}
	return checkAfter(timestamp, author.RoleCertifiedOn)
}
