package hostile_test

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// newUser has the founder create a user.
func (s *siege) newUser(profile parsec.UserProfile) *parsec2.Device {
	s.Helper()
	user, request, err := s.founder.NewUser(person("bob"), profile, now())
	s.ok(err)
	_, err = parsec2.Call(s.ctx, s.client.AuthenticatedRPC(s.founder, latest), protocol.UserCreate, request)
	s.ok(err)
	return user
}

var latest = parsec.APIVersion{Major: 3, Minor: 4}

// authenticated returns a WebSocket of a device.
func (h *hostile) authenticated(device *parsec2.Device) error {
	challenge, err := h.upgraded()
	if err != nil {
		return err
	}
	signed := message(wire.Field{Key: "type", Value: "signed_answer"}, wire.Field{Key: "answer", Value: challenge})
	if err := h.send(message(
		wire.Field{Key: "handshake", Value: "answer"}, wire.Field{Key: "type", Value: "AUTHENTICATED"},
		wire.Field{Key: "client_api_version", Value: latest}, wire.Field{Key: "organization_id", Value: device.Organization},
		wire.Field{Key: "device_id", Value: device.ID}, wire.Field{Key: "rvk", Value: device.RootVerifyKey},
		wire.Field{Key: "answer", Value: append(ed25519.Sign(device.SigningKey, signed), signed...)}), false); err != nil {
		return err
	}
	return h.accepted()
}

// everybody has each hostile client authenticate, then act.
func (s *siege) everybody(count int, device *parsec2.Device, act func(h *hostile)) {
	s.each(count, func(i int) {
		h, err := s.dial(i)
		if err == nil {
			err = h.authenticated(device)
		}
		if err == nil {
			act(h)
		}
	})
}

// Each client asks for all the messages of a user, and reads no reply.
func TestReadersOfMessages(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		user := s.newUser(parsec.ProfileStandard)
		s.writeMessages(user, 16<<20)
		s.everybody(count, user, func(h *hostile) {
			_ = h.send(message(wire.Field{Key: "cmd", Value: "message_get"}, wire.Field{Key: "offset", Value: 0}), false)
		})
	})
}

// writeMessages sends messages to a user, as large as they may be.
func (s *siege) writeMessages(user *parsec2.Device, total int) {
	s.Helper()
	founder := s.client.AuthenticatedRPC(s.founder, latest)
	realm := parsec.RealmID(parsec.NewUUID())
	request, err := s.founder.NewRealm(realm, now())
	s.ok(err)
	_, err = parsec2.Call(s.ctx, founder, protocol.RealmCreate, request)
	s.ok(err)
	sizes := []int{900 << 10, 128 << 10, 64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10}
	roles := []parsec.RealmRole{parsec.RoleReader, parsec.RoleContributor}
	for sent := 0; sent < total; {
		grant, err := s.founder.UpdateRole(realm, user.ID.User(), roles[0], now())
		s.ok(err)
		grant.RecipientMessage = make([]byte, sizes[0])
		_, err = parsec2.Call(s.ctx, founder, protocol.RealmUpdateRoles, grant)
		if errors.Is(err, protocol.Refuse(protocol.StatusBadMessage, "")) && len(sizes) > 1 {
			sizes = sizes[1:]
			continue
		}
		s.ok(err)
		sent += sizes[0]
		slices.Reverse(roles)
	}
}

// Each client asks for a large block, and reads no reply.
func TestReadersOfBlocks(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		founder := s.client.AuthenticatedRPC(s.founder, latest)
		realm, block := parsec.RealmID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
		request, err := s.founder.NewRealm(realm, now())
		s.ok(err)
		_, err = parsec2.Call(s.ctx, founder, protocol.RealmCreate, request)
		s.ok(err)
		_, err = parsec2.Call(s.ctx, founder, protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block, RealmID: realm, Block: make([]byte, 1<<20)})
		s.ok(err)
		other, added, err := s.founder.NewDevice(must(parsec.ParseDeviceName("other")), must(parsec.ParseDeviceLabel("other")), now())
		s.ok(err)
		_, err = parsec2.Call(s.ctx, founder, protocol.DeviceCreate, added)
		s.ok(err)
		s.everybody(count, other, func(h *hostile) {
			_ = h.send(message(wire.Field{Key: "cmd", Value: "block_read"}, wire.Field{Key: "block_id", Value: block}), false)
		})
	})
}

// Each client sends the larger part of the largest message.
func TestUnfinishedMessages(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		user := s.newUser(parsec.ProfileOutsider)
		part := make([]byte, 1<<20)
		s.everybody(count, user, func(h *hostile) {
			_ = h.SetWriteDeadline(time.Now().Add(10 * time.Second)) // the server may stop reading
			_ = h.begin(16 << 20)
			for range 15 {
				if _, err := h.Write(part); err != nil {
					return
				}
			}
		})
	})
}

// Each client pings as fast as it can: nobody who listens loses its connection.
func TestPings(t *testing.T) {
	const pings = 40
	besiege(t, nil, func(s *siege, count int) {
		user := s.newUser(parsec.ProfileOutsider)
		listener, err := s.client.DialAuthenticated(s.ctx, s.founder)
		s.ok(err)
		defer listener.CloseNow()
		_, err = parsec2.Call(s.ctx, listener, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{})
		s.ok(err)
		s.everybody(count, user, func(h *hostile) {
			for range pings {
				if err := h.send(message(wire.Field{Key: "cmd", Value: "ping"}, wire.Field{Key: "ping", Value: "x"}), false); err != nil {
					return
				}
				if _, err := h.receive(); err != nil {
					return
				}
			}
		})
		if _, err := parsec2.Call(s.ctx, listener, protocol.Ping, &protocol.PingRequest{Ping: "x"}); err != nil {
			s.Errorf("who listens lost its connection: %v", err)
		}
	})
}
