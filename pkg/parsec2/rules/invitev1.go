package rules

import (
	"context"
	"fmt"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// InvitationV1 is an invitation of API 1, to the user or the device of its
// key (docs/protocol/commands.md §9).
type InvitationV1 struct {
	Creator   parsec.DeviceID
	CreatedOn parsec.DateTime
}

// InviteeV1 is who an API 1 invitation is for: either a user or a device.
type InviteeV1 struct {
	User   parsec.UserID
	Device parsec.DeviceID
}

// topic has the events of the invitation.
func (i InviteeV1) topic(organization parsec.OrganizationID) event.Topic {
	if i.User != (parsec.UserID{}) {
		return notice.UserInviteTopic(organization, i.User)
	}
	return notice.DeviceInviteTopic(organization, i.Device)
}

// The limits of docs/protocol/commands.md §9.
const (
	invitationV1Validity = 3600 * time.Second
	invitationV1Wait     = 300 * time.Second
)

// UserInvite invites a user, then waits for its claim
// (docs/protocol/commands.md §9).
func (r *Rules) UserInvite(ctx context.Context, author *Author, request *protocol.InvitedUserRequest) (*protocol.InvitationClaimReply, error) {
	if err := checkAdministrator(author); err != nil {
		return nil, err
	}
	claimed, err := inviteV1[notice.UserClaimed](ctx, r, author, InviteeV1{User: request.UserID})
	return &protocol.InvitationClaimReply{EncryptedClaim: claimed.EncryptedClaim}, err
}

// DeviceInvite invites a device of the author's user, then waits for its claim
// (docs/protocol/commands.md §9).
func (r *Rules) DeviceInvite(ctx context.Context, author *Author, request *protocol.InvitedDeviceRequest) (*protocol.InvitationClaimReply, error) {
	device := author.User().Device(request.InvitedDeviceName)
	claimed, err := inviteV1[notice.DeviceClaimed](ctx, r, author, InviteeV1{Device: device})
	return &protocol.InvitationClaimReply{EncryptedClaim: claimed.EncryptedClaim}, err
}

// inviteV1 creates or replaces an invitation, then waits for its claim. The
// date is the only thing that ends it: the existence of the invitee hides it.
func inviteV1[Claimed event.Body](ctx context.Context, r *Rules, author *Author, invitee InviteeV1) (claimed Claimed, err error) {
	body, err := r.waitV1(ctx, invitee.topic(author.Organization), is[Claimed], func() error {
		return r.update(ctx, author, Scope{}, func(tx Tx, now parsec.DateTime) error {
			exists, err := inviteeExists(ctx, tx, invitee)
			if err != nil {
				return err
			}
			if exists {
				return protocol.Refuse(protocol.StatusAlreadyExists, "The invited user or device already exists.")
			}
			tx.PutInvitationV1(invitee, InvitationV1{Creator: author.Device, CreatedOn: now})
			return nil
		})
	})
	if err != nil {
		return claimed, err
	}
	return body.(Claimed), nil
}

func inviteeExists(ctx context.Context, tx Tx, invitee InviteeV1) (exists bool, err error) {
	if invitee.User != (parsec.UserID{}) {
		_, exists, err = tx.User(ctx, invitee.User)
	} else {
		_, exists, err = tx.Device(ctx, invitee.Device)
	}
	return exists, err
}

// UserCancelInvitation ends an invitation, if there is one
// (docs/protocol/commands.md §9).
func (r *Rules) UserCancelInvitation(ctx context.Context, author *Author, request *protocol.InvitedUserRequest) (*protocol.EmptyReply, error) {
	if err := checkAdministrator(author); err != nil {
		return nil, err
	}
	err := r.cancelV1(ctx, author, InviteeV1{User: request.UserID}, notice.UserInvitationCancelled{User: request.UserID})
	return &protocol.EmptyReply{}, err
}

// DeviceCancelInvitation ends an invitation, if there is one
// (docs/protocol/commands.md §9).
func (r *Rules) DeviceCancelInvitation(ctx context.Context, author *Author, request *protocol.InvitedDeviceRequest) (*protocol.EmptyReply, error) {
	device := author.User().Device(request.InvitedDeviceName)
	err := r.cancelV1(ctx, author, InviteeV1{Device: device}, notice.DeviceInvitationCancelled{Device: device})
	return &protocol.EmptyReply{}, err
}

func (r *Rules) cancelV1(ctx context.Context, author *Author, invitee InviteeV1, cancelled event.Body) error {
	return r.update(ctx, author, Scope{}, func(tx Tx, _ parsec.DateTime) error {
		_, found, err := tx.InvitationV1(ctx, invitee)
		if err != nil || !found {
			return err
		}
		tx.DeleteInvitationV1(invitee)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: cancelled})
		return nil
	})
}

// UserGetInvitationCreator returns who invites a user
// (docs/protocol/commands.md §9).
func (r *Rules) UserGetInvitationCreator(ctx context.Context, anonymous *Anonymous, request *protocol.UserGetInvitationCreatorRequest) (*protocol.InvitationCreatorReply, error) {
	return r.invitationV1Creator(ctx, anonymous.Organization, InviteeV1{User: request.InvitedUserID})
}

// DeviceGetInvitationCreator returns who invites a device
// (docs/protocol/commands.md §9).
func (r *Rules) DeviceGetInvitationCreator(ctx context.Context, anonymous *Anonymous, request *protocol.DeviceGetInvitationCreatorRequest) (*protocol.InvitationCreatorReply, error) {
	return r.invitationV1Creator(ctx, anonymous.Organization, InviteeV1{Device: request.InvitedDeviceID})
}

func (r *Rules) invitationV1Creator(ctx context.Context, organization parsec.OrganizationID, invitee InviteeV1) (*protocol.InvitationCreatorReply, error) {
	invitation, err := r.validInvitationV1(ctx, organization, invitee)
	if err != nil {
		return nil, err
	}
	facts, found, err := r.store.UserAndDevices(ctx, organization, invitation.Creator.User())
	if err != nil {
		return nil, err
	}
	device := findDevice(facts.Devices, invitation.Creator)
	if !found || device == nil {
		return nil, fmt.Errorf("read the creator of an invitation: no device %s", invitation.Creator)
	}
	return &protocol.InvitationCreatorReply{
		DeviceCertificate: device.Certificate,
		UserCertificate:   facts.User.Certificate,
		Trustchain:        facts.trustchain([]Device{*device}, false),
	}, nil
}

// validInvitationV1 refuses an invitation that may not be claimed any more as
// one that never was.
func (r *Rules) validInvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee InviteeV1) (*InvitationV1, error) {
	now := r.now()
	facts, err := r.store.InvitationV1(ctx, organization, invitee)
	if err != nil {
		return nil, err
	}
	if facts.Invitation == nil || facts.InviteeExists || now.Sub(facts.Invitation.CreatedOn) >= invitationV1Validity {
		return nil, protocol.Refuse(protocol.StatusNotFound, "No such invitation.")
	}
	return facts.Invitation, nil
}

// UserClaim answers an invitation, then waits for the creation of the user
// (docs/protocol/commands.md §9).
func (r *Rules) UserClaim(ctx context.Context, anonymous *Anonymous, request *protocol.UserClaimRequest) (*protocol.UserClaimReply, error) {
	created, err := claimV1[notice.UserCreated](ctx, r, anonymous.Organization, InviteeV1{User: request.InvitedUserID},
		notice.UserClaimed{User: request.InvitedUserID, EncryptedClaim: request.EncryptedClaim})
	return &protocol.UserClaimReply{
		UserCertificate: created.UserCertificate, DeviceCertificate: created.DeviceCertificate,
	}, err
}

// DeviceClaim answers an invitation, then waits for the creation of the device
// (docs/protocol/commands.md §9).
func (r *Rules) DeviceClaim(ctx context.Context, anonymous *Anonymous, request *protocol.DeviceClaimRequest) (*protocol.DeviceClaimReply, error) {
	created, err := claimV1[notice.DeviceCreated](ctx, r, anonymous.Organization, InviteeV1{Device: request.InvitedDeviceID},
		notice.DeviceClaimed{Device: request.InvitedDeviceID, EncryptedClaim: request.EncryptedClaim})
	return &protocol.DeviceClaimReply{
		DeviceCertificate: created.DeviceCertificate, EncryptedAnswer: created.EncryptedAnswer,
	}, err
}

// claimV1 hands the claim to whoever waits for it, then waits for the creation
// of the invitee. The claim is not stored.
func claimV1[Created event.Body](ctx context.Context, r *Rules, organization parsec.OrganizationID, invitee InviteeV1, claimed event.Body) (created Created, err error) {
	decided := func(body event.Body) bool {
		return is[Created](body) || is[notice.UserInvitationCancelled](body) || is[notice.DeviceInvitationCancelled](body)
	}
	decision, err := r.waitV1(ctx, invitee.topic(organization), decided, func() error {
		if _, err := r.validInvitationV1(ctx, organization, invitee); err != nil {
			return err
		}
		return r.store.Publish(ctx, event.Event{Organization: organization, Body: claimed})
	})
	if err != nil {
		return created, err
	}
	created, ok := decision.(Created)
	if !ok {
		return created, protocol.Refuse(protocol.StatusDenied, "The invitation is cancelled.")
	}
	return created, nil
}

// waitV1 returns the first event of the topic that is wanted. It listens
// before trigger runs, so that what trigger causes is not missed; an error of
// trigger ends the wait. It ends with ctx.Err() when ctx is done, and refuses
// with timeout after invitationV1Wait.
func (r *Rules) waitV1(ctx context.Context, topic event.Topic, wanted func(event.Body) bool, trigger func() error) (event.Body, error) {
	received := make(chan event.Body, 1)
	subscription := r.bus.Subscribe(func(e event.Event) {
		if !wanted(e.Body) {
			return
		}
		select {
		case received <- e.Body:
		default: // The first one decides.
		}
	}, topic)
	defer subscription.Close()
	if err := trigger(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(invitationV1Wait)
	defer timer.Stop()
	select {
	case body := <-received:
		return body, nil
	case <-timer.C:
		return nil, protocol.Refuse(protocol.StatusTimeout, "Nobody answered in time.")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// is reports whether body has the type B.
func is[B event.Body](body event.Body) bool {
	_, ok := body.(B)
	return ok
}

// InvitationV1Facts are nil for what does not exist.
type InvitationV1Facts struct {
	Invitation *InvitationV1
	// InviteeExists reports whether the user or device is created, revoked or
	// not.
	InviteeExists bool
}

// InviteV1Reader reads invitations of API 1.
type InviteV1Reader interface {
	// InvitationV1 reads the invitation, and whether the invitee exists.
	InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee InviteeV1) (InvitationV1Facts, error)
}

// InviteV1Tx is for invitations of API 1.
type InviteV1Tx interface {
	InvitationV1(ctx context.Context, invitee InviteeV1) (*InvitationV1, bool, error)
	// PutInvitationV1 creates or replaces the invitation.
	PutInvitationV1(invitee InviteeV1, invitation InvitationV1)
	DeleteInvitationV1(invitee InviteeV1)
}
