package rules

import (
	"context"
	"math"
	"strings"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// UserGet gives the certificates of a user, redacted for OUTSIDER authors
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
		Trustchain:         trustchain(facts.ChainDevices, facts.ChainUsers, redacted),
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
func (r *Rules) UserCreate(ctx context.Context, author *Author, request *protocol.UserCreateRequest) (*protocol.UserCreateReply, error) {
	now := r.now()
	user, device, err := checkUserCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createUser(ctx, author, now, user, device)
}

// UserCreateV1 is UserCreate in the form of API 1.
func (r *Rules) UserCreateV1(ctx context.Context, author *Author, request *protocol.UserCreateV1Request) (*protocol.UserCreateReply, error) {
	now := r.now()
	user, device, err := checkUserCreateV1(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createUser(ctx, author, now, user, device)
}

func (r *Rules) createUser(ctx context.Context, author *Author, now parsec.DateTime, user User, device Device) (*protocol.UserCreateReply, error) {
	err := r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		return addUser(ctx, tx, author, user, device)
	})
	if err != nil {
		return nil, err
	}
	return &protocol.UserCreateReply{}, nil
}

// addUser is how user_create adds a user to an organization, once. The
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
	tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: event.UserCreated{
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
func (r *Rules) UserRevoke(ctx context.Context, author *Author, request *protocol.UserRevokeRequest) (*protocol.UserRevokeReply, error) {
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
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: event.UserRevoked{User: id}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &protocol.UserRevokeReply{}, nil
}

// UserFind searches users by their ids (API 1; docs/protocol/commands.md §4).
func (r *Rules) UserFind(ctx context.Context, author *Author, request *protocol.UserFindRequest) (*protocol.UserFindReply, error) {
	if err := refuseOutsider(author); err != nil {
		return nil, err
	}
	reply := &protocol.UserFindReply{Results: []parsec.UserID{}, Page: request.Page, PerPage: request.PerPage}
	query := UserQuery{
		ByID:        true,
		OmitRevoked: request.OmitRevoked,
		Now:         r.now(),
		Offset:      pageOffset(request.Page, request.PerPage),
		Limit:       request.PerPage,
	}
	if request.Query != "" {
		part, err := parsec.ParseUserID(request.Query)
		if err != nil {
			return reply, nil //nolint:nilerr // no user has it in its id
		}
		query.Words = []string{part.String()}
	}
	users, total, err := r.store.FindUsers(ctx, author.Organization, query)
	if err != nil {
		return nil, err
	}
	for i := range users {
		reply.Results = append(reply.Results, users[i].ID)
	}
	reply.Total = total
	return reply, nil
}

// HumanFind searches users by the people behind them
// (docs/protocol/commands.md §4).
func (r *Rules) HumanFind(ctx context.Context, author *Author, request *protocol.HumanFindRequest) (*protocol.HumanFindReply, error) {
	if err := refuseOutsider(author); err != nil {
		return nil, err
	}
	now := r.now()
	users, total, err := r.store.FindUsers(ctx, author.Organization, UserQuery{
		Words:        strings.Fields(request.Query),
		OmitRevoked:  request.OmitRevoked,
		OmitNonHuman: request.OmitNonHuman,
		Now:          now,
		Offset:       pageOffset(request.Page, request.PerPage),
		Limit:        request.PerPage,
	})
	if err != nil {
		return nil, err
	}
	reply := &protocol.HumanFindReply{
		Results: make([]protocol.HumanFindResult, 0, len(users)),
		Page:    request.Page, PerPage: request.PerPage, Total: total,
	}
	for i := range users {
		reply.Results = append(reply.Results, protocol.HumanFindResult{
			UserID:      users[i].ID,
			HumanHandle: users[i].HumanHandle,
			Revoked:     users[i].Revocation != nil && users[i].Revocation.On <= now,
		})
	}
	return reply, nil
}

func refuseOutsider(author *Author) error {
	if author.Profile == parsec.ProfileOutsider {
		return protocol.Refuse(protocol.StatusNotAllowed, "Outsiders may not search users.")
	}
	return nil
}

// pageOffset is how many results come before a page. It stays within an int64,
// whatever the page.
func pageOffset(page, perPage uint64) uint64 {
	if page-1 > math.MaxInt64/perPage {
		return math.MaxInt64
	}
	return (page - 1) * perPage
}
