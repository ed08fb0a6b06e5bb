package rules

import (
	"context"

	"parsec-server/pkg/parsec3/protocol"
)

// TOSGet returns the terms of service of the organization
// (docs/protocol/v5/commands.md §8.9).
func (r *Rules) TOSGet(ctx context.Context, author *Author, _ *protocol.TOSGetRequest) (*protocol.TOSGetReply, error) {
	now := r.now()
	standing, err := r.store.Authentication(ctx, author.Organization, author.Device)
	if err != nil {
		return nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, err
	}
	tos := standing.Organization.TOS
	if tos == nil {
		return nil, protocol.Refuse(protocol.StatusNoTOS)
	}
	return &protocol.TOSGetReply{PerLocaleURLs: tos.PerLocaleURLs, UpdatedOn: tos.UpdatedOn}, nil
}

// TOSAccept notes which terms of service the author's user accepts
// (docs/protocol/v5/commands.md §8.9): should they change meanwhile, the note does not
// stand for the new ones.
func (r *Rules) TOSAccept(ctx context.Context, author *Author, request *protocol.TOSAcceptRequest) (*protocol.TOSAcceptReply, error) {
	now := r.now()
	err := r.update(ctx, author, now, Scope{}, func(tx Tx, user *User) error {
		stored, _ := tx.Organization()
		switch {
		case stored.TOS == nil:
			return protocol.Refuse(protocol.StatusNoTOS)
		case stored.TOS.UpdatedOn != request.TOSUpdatedOn:
			return protocol.Refuse(protocol.StatusTOSMismatch)
		}
		tx.AcceptTOS(user.ID, stored.TOS.UpdatedOn)
		return nil
	})
	return &protocol.TOSAcceptReply{}, err
}
