package parsec2

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// Transport sends one request, a msgpack map, and returns its reply: Conn and RPC
// do.
type Transport interface {
	RoundTrip(ctx context.Context, request []byte) (reply []byte, err error)
}

// Call sends command with the fields of request and returns the ok reply. Its
// []byte belong to the caller. Any other status is a *protocol.Refusal.
func Call[Request, Reply any](ctx context.Context, transport Transport, command *rpc.Command[Request, Reply], request *Request) (*Reply, error) {
	message, err := roundTrip(ctx, transport, command.Form, request)
	if err != nil {
		return nil, err
	}
	reply := new(Reply)
	if err := wire.Unmarshal(message, reply); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", client.ErrProtocol, command.Name, err)
	}
	return reply, nil
}

// EventsListen calls events_listen, whose reply is an event. Without wait, a
// refusal of status no_events means that there is none.
func EventsListen(ctx context.Context, transport Transport, request *protocol.EventsListenRequest) (protocol.Event, error) {
	reply, err := roundTrip(ctx, transport, protocol.EventsListen.Form, request)
	if err != nil {
		return nil, err
	}
	return decodeEvent(reply)
}

// roundTrip returns an ok reply.
func roundTrip(ctx context.Context, transport Transport, command *rpc.Form, request any) ([]byte, error) {
	message, err := requestOf(command, fieldsOf(request))
	if err != nil {
		return nil, err
	}
	reply, err := transport.RoundTrip(ctx, message)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command.Name, err)
	}
	if err := checkReply(reply); err != nil {
		if _, refused := errors.AsType[*protocol.Refusal](err); refused {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %w", client.ErrProtocol, command.Name, err)
	}
	return reply, nil
}

func requestOf(command *rpc.Form, fields any) ([]byte, error) {
	return wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command.Name}}, fields)
}

// fieldsOf returns the fields of request that are sent.
func fieldsOf(request any) any {
	update, ok := request.(*protocol.AdministrationUpdateRequest)
	if !ok || update.ExpirationDate == nil || *update.ExpirationDate != protocol.Unchanged {
		return request
	}
	// A nil date would remove it.
	return &struct {
		OrganizationID             parsec.OrganizationID `wire:"organization_id"`
		UserProfileOutsiderAllowed *bool                 `wire:"user_profile_outsider_allowed,optional"`
	}{update.OrganizationID, update.UserProfileOutsiderAllowed}
}

// checkReply returns nil for an ok reply, a *protocol.Refusal for another
// status, and any other error for what is no reply.
func checkReply(reply []byte) error {
	if err := wire.ScanReply(reply); err != nil {
		return err
	}
	status, found := wire.LookupString(reply, "status")
	if !found {
		return errors.New("the reply has no status")
	}
	if protocol.Status(status) == protocol.StatusOK {
		return nil
	}
	refusal := &protocol.Refusal{Status: protocol.Status(status), Details: detailsOf(protocol.Status(status))}
	// Servers from 2.13 on may send no reason (docs/protocol/commands.md §1.3).
	refusal.Reason, _ = wire.LookupString(reply, "reason")
	if refusal.Details == nil {
		return refusal
	}
	if err := wire.Unmarshal(reply, refusal.Details); err != nil {
		return fmt.Errorf("status %s: %w", status, err)
	}
	return refusal
}

// detailsOf allocates the fields that a status comes with, nil for none.
func detailsOf(status protocol.Status) any {
	switch status {
	case protocol.StatusBadTimestamp:
		return new(protocol.BadTimestampDetails)
	case protocol.StatusRequireGreaterTimestamp:
		return new(protocol.RequireGreaterTimestampDetails)
	case protocol.StatusSequesterInconsistency:
		return new(protocol.SequesterInconsistencyDetails)
	case protocol.StatusRejectedBySequester:
		return new(protocol.RejectedBySequesterDetails)
	case protocol.StatusAlreadySubmitted:
		return new(protocol.AlreadySubmittedDetails)
	default:
		return nil
	}
}
