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

// TOSAccept notes that the author's user accepts the terms of service
// (docs/protocol/v5/commands.md §8.9). The lock of the organization keeps them from
// changing between the comparison and the note, which would then stand for others.
func (r *Rules) TOSAccept(ctx context.Context, author *Author, request *protocol.TOSAcceptRequest) (*protocol.TOSAcceptReply, error) {
	now := r.now()
	err := r.update(ctx, author, now, Scope{Founding: true}, func(tx Tx, user *User) error {
		stored, _ := tx.Organization()
		switch {
		case stored.TOS == nil:
			return protocol.Refuse(protocol.StatusNoTOS)
		case stored.TOS.UpdatedOn != request.TOSUpdatedOn:
			return protocol.Refuse(protocol.StatusTOSMismatch)
		}
		// The clock of who changed them may be ahead of this one: the user would be
		// asked again until it is reached.
		tx.AcceptTOS(user.ID, max(now, stored.TOS.UpdatedOn))
		return nil
	})
	return &protocol.TOSAcceptReply{}, err
}
