package parsec2_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// transportFunc is a server that needs no network.
type transportFunc func(request []byte) ([]byte, error)

func (f transportFunc) RoundTrip(_ context.Context, request []byte) ([]byte, error) {
	return f(request)
}

func replying(fields map[string]any) parsec2.Transport {
	return transportFunc(func([]byte) ([]byte, error) { return wire.Marshal(fields) })
}

func ping(ctx context.Context, transport parsec2.Transport) (*protocol.PingReply, error) {
	return parsec2.Call(ctx, transport, protocol.Ping, &protocol.PingRequest{Ping: "x"})
}

func TestRefusals(t *testing.T) {
	service := parsec.SequesterServiceID(parsec.NewUUID())
	for _, item := range []struct {
		reply map[string]any
		want  protocol.Refusal
	}{
		{map[string]any{"status": "not_found", "reason": "None such."},
			protocol.Refusal{Status: protocol.StatusNotFound, Reason: "None such."}},
		{map[string]any{"status": "not_found"}, protocol.Refusal{Status: protocol.StatusNotFound}},
		{map[string]any{"status": "not_found", "reason": nil}, protocol.Refusal{Status: protocol.StatusNotFound}},
		{map[string]any{"status": "of_the_future"}, protocol.Refusal{Status: "of_the_future"}},
		{map[string]any{
			"status": "bad_timestamp", "reason": "r",
			"ballpark_client_early_offset": 300.0, "ballpark_client_late_offset": 320.0,
			"backend_timestamp": reference, "client_timestamp": reference + 1,
		}, protocol.Refusal{Status: protocol.StatusBadTimestamp, Reason: "r", Details: &protocol.BadTimestampDetails{
			BallparkClientEarlyOffset: 300, BallparkClientLateOffset: 320,
			BackendTimestamp: reference, ClientTimestamp: reference + 1,
		}}},
		{map[string]any{"status": "require_greater_timestamp", "reason": "r", "strictly_greater_than": reference},
			protocol.Refusal{Status: protocol.StatusRequireGreaterTimestamp, Reason: "r",
				Details: &protocol.RequireGreaterTimestampDetails{StrictlyGreaterThan: reference}}},
		{map[string]any{
			"status": "sequester_inconsistency", "reason": "r",
			"sequester_authority_certificate": []byte("a"), "sequester_services_certificates": [][]byte{[]byte("s")},
		}, protocol.Refusal{Status: protocol.StatusSequesterInconsistency, Reason: "r",
			Details: &protocol.SequesterInconsistencyDetails{
				AuthorityCertificate: []byte("a"), ServicesCertificates: [][]byte{[]byte("s")},
			}}},
		{map[string]any{
			"status": "rejected_by_sequester_service", "reason": "Virus.", "service_id": service, "service_label": "Scan",
		}, protocol.Refusal{Status: protocol.StatusRejectedBySequester, Reason: "Virus.",
			Details: &protocol.RejectedBySequesterDetails{ServiceID: service, ServiceLabel: "Scan"}}},
	} {
		_, err := ping(t.Context(), replying(item.reply))
		refusal, ok := errors.AsType[*protocol.Refusal](err)
		if !ok || !reflect.DeepEqual(*refusal, item.want) {
			t.Errorf("%v: error %#v", item.reply, err)
		}
	}
}

func TestMalformedReplies(t *testing.T) {
	for name, reply := range map[string][]byte{
		"empty":            {},
		"no msgpack":       {0xC1},
		"list":             must(wire.Marshal([]string{"ok"})),
		"no status":        must(wire.Marshal(map[string]any{"pong": "x"})),
		"status no text":   must(wire.Marshal(map[string]any{"status": 1, "pong": "x"})),
		"field missing":    must(wire.Marshal(map[string]any{"status": "ok"})),
		"field of another": must(wire.Marshal(map[string]any{"status": "ok", "pong": 1})),
		"details missing":  must(wire.Marshal(map[string]any{"status": "bad_timestamp", "reason": "r"})),
	} {
		_, err := ping(t.Context(), transportFunc(func([]byte) ([]byte, error) { return reply, nil }))
		if !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, refused := errors.AsType[*protocol.Refusal](err); refused {
			t.Errorf("%s: a refusal", name)
		}
	}
}

func TestCallLosesNoTransportError(t *testing.T) {
	lost := errors.New("lost")
	if _, err := ping(t.Context(), transportFunc(func([]byte) ([]byte, error) { return nil, lost })); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
}

// TestEveryCommandIsSent fails for a form of a command whose request the client
// cannot send.
func TestEveryCommandIsSent(t *testing.T) {
	var sent map[any]any
	c := serve(t, rpcHandler(t, func(request map[any]any) { sent = request }))
	transport := c.AnonymousRPC(alice(t).Organization, parsec.APIVersion{Major: 3})
	for _, command := range commands.All() {
		request := command.NewRequest()
		sent = nil
		_, err := parsec2.RoundTrip(t.Context(), transport, command, request)
		if sent["cmd"] != command.Name {
			t.Errorf("%s %T: sent %v, error %v", command.Name, request, sent, err)
		}
		if !errors.Is(err, protocol.Refuse("tested", "")) {
			t.Errorf("%s %T: error %v", command.Name, request, err)
		}
	}
}

func TestAdministrationUpdateSendsWhatChanges(t *testing.T) {
	organization := alice(t).Organization
	yes, date, unchanged := true, reference, protocol.Unchanged
	for _, item := range []struct {
		request protocol.AdministrationUpdateRequest
		want    map[any]any
	}{
		{protocol.AdministrationUpdateRequest{ExpirationDate: &unchanged, UserProfileOutsiderAllowed: &yes},
			map[any]any{"user_profile_outsider_allowed": true}},
		{protocol.AdministrationUpdateRequest{ExpirationDate: &date},
			map[any]any{"user_profile_outsider_allowed": nil, "expiration_date": reference}},
		{protocol.AdministrationUpdateRequest{},
			map[any]any{"user_profile_outsider_allowed": nil, "expiration_date": nil}},
	} {
		var sent map[any]any
		c := serve(t, rpcHandler(t, func(request map[any]any) { sent = request }))
		item.request.OrganizationID = organization
		item.want["cmd"] = "organization_update"
		item.want["organization_id"] = "CoolOrg"
		_, _ = parsec2.Call(t.Context(), c.AnonymousRPC(organization, parsec.APIVersion{Major: 3}), protocol.AdministrationUpdate, &item.request)
		if !reflect.DeepEqual(sent, item.want) {
			t.Errorf("sent %v, want %v", sent, item.want)
		}
	}
}
