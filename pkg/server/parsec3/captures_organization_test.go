package parsec3_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// realmCertificate returns the one of the realm with an index in the last reply to
// certificate_get, and its date.
func (r *replay) realmCertificate(exchange string, index int) ([]byte, parsec.DateTime) {
	r.t.Helper()
	e := r.exchange(exchange)
	for _, list := range e.Reply.Decoded.fields(r.t)["realm_certificates"].(map[any]any) {
		signed := list.([]any)[index].([]byte)
		return signed, r.dateOf(signed)
	}
	r.t.Fatalf("%s has no certificates of a realm", exchange)
	return nil, 0
}

// dateOf reads the date of a signed payload.
func (r *replay) dateOf(signed []byte) parsec.DateTime {
	r.t.Helper()
	encoded, err := certificate.Unpack(signed[ed25519.SignatureSize:])
	r.ok(err)
	var dated struct {
		Timestamp parsec.DateTime `wire:"timestamp"`
	}
	r.ok(wire.Microseconds.Unmarshal(encoded, &dated))
	return dated.Timestamp
}

const everything = "certificate_get, everything"

// missing has rule send what stands between two exchanges and is recorded only as a
// certificate of the realm.
func missing[Request, Reply any](r *replay, author *rules.Author, index int, rule func(context.Context, *rules.Author, *Request) (*Reply, error), request func(signed []byte) *Request) {
	r.t.Helper()
	signed, date := r.realmCertificate(everything, index)
	r.at(max(date, r.clock.Now()))
	_, err := rule(r.ctx, author, request(signed))
	r.ok(err)
}

func userOf(r *replay, exchange string, index int) parsec3.UserID {
	content := r.exchange(exchange).Reply.Certificates[index].Content.fields(r.t)
	return parsec3.UserID(content["user_id"].(parsec.UUID))
}

// replayOrganization replays the recording of an organization.
func replayOrganization(r *replay) {
	const name = "Captured446272c"
	first := r.exchange("organization_bootstrap")
	r.setClock(&first.Request)
	r.at(r.clock.Now().Add(-time.Second))
	r.found(&first.Request)
	alice := r.author("alice@dev1", name, userOf(r, everything, 0))
	bob := r.author("bob@dev1", name, userOf(r, everything, 3))
	mallory := userOf(r, everything, 5)

	r.playThrough("existence probe", "user_create STANDARD")
	r.createMallory(alice)
	r.playThrough("user_create: date too old", "certificate_get by OUTSIDER (redacted)")
	missing(r, alice, 0, r.rules.RealmCreate, func(signed []byte) *protocol.RealmCreateRequest {
		return &protocol.RealmCreateRequest{RealmRoleCertificate: signed}
	})
	r.playThrough("realm_share before any rotation", "realm_rotate_key")
	missing(r, alice, 2, r.rules.RealmRename, func(signed []byte) *protocol.RealmRenameRequest {
		return &protocol.RealmRenameRequest{RealmNameCertificate: signed}
	})
	share := func(access []byte, index uint64) func([]byte) *protocol.RealmShareRequest {
		return func(signed []byte) *protocol.RealmShareRequest {
			return &protocol.RealmShareRequest{RealmRoleCertificate: signed, RecipientKeysBundleAccess: access, KeyIndex: index}
		}
	}
	missing(r, alice, 3, r.rules.RealmShare, share(r.recordedAccess(), 1))
	missing(r, alice, 4, r.rules.RealmShare, share(nil, 1))
	r.playThrough("realm_share: MANAGER to an OUTSIDER", "realm_share: MANAGER to an OUTSIDER")

	listening := r.listen("bob: from before the vlob writes, ended by the TOS change")
	r.playThrough("vlob_create", "realm_rotate_key: participants")
	r.rotateAgain(alice, bob, mallory)
	r.playThrough("realm_unshare", "realm_unshare")
	missing(r, alice, 7, r.rules.RealmShare, share(nil, 2))
	r.playThrough("realm_self_promote_to_owner: active owner", "realm_update_archiving: too short")
	archive := func(signed []byte) *protocol.RealmUpdateArchivingRequest {
		return &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: signed}
	}
	missing(r, alice, 8, r.rules.RealmUpdateArchiving, archive)
	r.playThrough("vlob_create: archived", "vlob_create: archived")
	r.change(name, organization.Change{MinimumArchivingPeriod: new(uint64(0))})
	r.playThrough("realm_update_archiving DELETION_PLANNED", "realm_update_archiving DELETION_PLANNED")
	missing(r, alice, 10, r.rules.RealmUpdateArchiving, archive)
	r.change(name, organization.Change{MinimumArchivingPeriod: new(uint64(2592000))})
	r.playThrough("shamir_recovery_setup", "certificate_get by a recipient, only shamir new")
	r.inviteToRecover(alice)
	r.playThrough("invite_new_shamir_recovery", "invited command after the deletion")
	r.playThrough("organization_info", "user_update")
	r.changeTOS(name)
	listening.expect()

	r.playThrough("command with TOS not accepted", "tos_accept")
	r.change(name, organization.Change{TOS: &organization.TOSChange{}})
	r.freeze(name, mallory)
	r.playThrough("command of a frozen user", "498 old token")
	r.cancelInvitation(alice)
	r.playThrough("403 unknown invitation", "CORS preflight")
	r.promote(alice, bob)
	for _, stream := range []string{"bob: resumed after the third last id of the stream above, then a keepalive", "bob: unknown Last-Event-ID", "406"} {
		r.listen(stream).expect()
	}
	r.hearOfInvitation(alice)
	listening = r.listen("bob: revoked: his COMMON_CERTIFICATE, then the end")
	r.revoke(alice, bob.User, listening.recorded.dateOf(r.t, 1))
	listening.expect()
	r.change(name, organization.Change{Expired: new(true)})
	r.play(r.exchange("460 expired organization"))
}

// replaySequestered replays the recording of a sequestered organization.
func replaySequestered(r *replay) {
	const name = "CaptureSeqd446272c"
	const last = "certificate_get with a sequester topic"
	first := r.exchange("organization_bootstrap, sequestered")
	r.setClock(&first.Request)
	r.found(&first.Request)
	r.playThrough(first.Name, "create a sequester service")
	olga := r.author("olga@dev1", name, userOf(r, last, 0))
	signed, date := r.realmCertificate(last, 0)
	r.at(date)
	_, err := r.rules.RealmCreate(r.ctx, olga, &protocol.RealmCreateRequest{RealmRoleCertificate: signed})
	r.ok(err)
	r.playThrough("realm_rotate_key: sequester_service_mismatch", last)
}

// found creates an organization whose bootstrap takes the token of a request.
func (r *replay) found(request *capturedRequest) {
	r.t.Helper()
	id, err := parsec.ParseOrganizationID(organizationOf(request))
	r.ok(err)
	r.ok(r.store.ChangeOrganization(r.ctx, id, func(tx organization.Tx) error {
		created := organization.Founding{InitialOutsiderAllowed: true}.New(id, r.clock.Now())
		created.BootstrapToken = r.bootstrapTokenOf(request)
		tx.PutOrganization(created)
		return nil
	}))
}

// bootstrapTokenOf returns the token of a bootstrap, in hexadecimal digits.
func (r *replay) bootstrapTokenOf(request *capturedRequest) string {
	r.t.Helper()
	var sent protocol.OrganizationBootstrapRequest
	r.ok(wire.Microseconds.Unmarshal(request.Raw, &sent))
	return sent.BootstrapToken.String()
}

// playThrough plays the exchanges from one to another, in order.
func (r *replay) playThrough(from, to string) {
	r.t.Helper()
	playing := false
	for _, e := range r.captured.Exchanges {
		playing = playing || e.Name == from
		if playing {
			r.play(e)
		}
		if e.Name == to {
			return
		}
	}
	r.t.Fatalf("no exchange is called %q", to)
}

// change is what an administrator does between two exchanges.
func (r *replay) change(name string, change organization.Change) {
	r.t.Helper()
	of, err := parsec.ParseOrganizationID(name)
	r.ok(err)
	r.ok(r.administration.Update(r.ctx, organization.Administrator{}, of, change))
}

// changeTOS sets the terms of service at the recorded date.
func (r *replay) changeTOS(name string) {
	r.t.Helper()
	reply := r.exchange("tos_get").Reply.Decoded.fields(r.t)
	urls := map[string]string{}
	for locale, url := range reply["per_locale_urls"].(map[any]any) {
		urls[locale.(string)] = url.(string)
	}
	r.at(reply["updated_on"].(parsec.DateTime))
	r.change(name, organization.Change{TOS: &organization.TOSChange{PerLocaleURLs: urls}})
}

func (r *replay) freeze(name string, user parsec3.UserID) {
	r.t.Helper()
	of, err := parsec.ParseOrganizationID(name)
	r.ok(err)
	_, err = r.administration.FreezeUser(r.ctx, organization.Administrator{}, of, organization.UserChoice{ID: user.String()}, true)
	r.ok(err)
}

// createMallory creates the user of which only the certificates are recorded.
func (r *replay) createMallory(alice *rules.Author) {
	r.t.Helper()
	common := func(exchange string, index int) []byte {
		reply := r.exchange(exchange).Reply.Decoded.fields(r.t)
		return reply["common_certificates"].([]any)[index].([]byte)
	}
	const redacted = "certificate_get by OUTSIDER (redacted)"
	request := &protocol.UserCreateRequest{
		UserCertificate: common(everything, 5), DeviceCertificate: common(everything, 6),
		RedactedUserCertificate: common(redacted, 5), RedactedDeviceCertificate: common(redacted, 6),
	}
	r.at(r.dateOf(request.UserCertificate))
	_, err := r.rules.UserCreate(r.ctx, alice, request)
	r.ok(err)
}

// recordedAccess is bob's to the first keys bundle.
func (r *replay) recordedAccess() []byte {
	return r.exchange("realm_get_keys_bundle").Reply.Decoded.fields(r.t)["keys_bundle_access"].([]byte)
}

// rotateAgain adds the second key.
func (r *replay) rotateAgain(alice, bob *rules.Author, mallory parsec3.UserID) {
	r.t.Helper()
	missing(r, alice, 5, r.rules.RealmRotateKey, func(signed []byte) *protocol.RealmRotateKeyRequest {
		return &protocol.RealmRotateKeyRequest{
			RealmKeyRotationCertificate:    signed,
			PerParticipantKeysBundleAccess: map[parsec3.UserID][]byte{alice.User: {}, bob.User: {}, mallory: {}},
		}
	})
}

// promote makes a realm whose only OWNER is revoked, and of which bob is a member,
// and plays his promotion in it. The dates are those of the recorded events.
func (r *replay) promote(alice, bob *rules.Author) {
	r.t.Helper()
	e := r.exchange("realm_self_promote_to_owner")
	realm := parsec.RealmID(e.Request.Certificates[0].Content.fields(r.t)["realm_id"].(parsec.UUID))
	ownerKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	owner := &rules.Author{
		Organization: alice.Organization, Device: parsec3.DeviceID{7}, User: parsec3.UserID{7},
		VerifyKey: parsec.VerifyKey(ownerKey.Public().(ed25519.PublicKey)), API: alice.API,
	}
	created, rest := 4, r.recordedStream("bob: resumed after the third last id of the stream above, then a keepalive")
	next := func() parsec.DateTime {
		date := rest.dateOf(r.t, created)
		created++
		r.at(date)
		return date
	}
	r.ok(r.createOwner(alice, owner, next()))
	signRole := func(user parsec3.UserID, role parsec.RealmRole) []byte {
		signed, err := certificate.RealmRole{Author: owner.Device, Timestamp: next(), RealmID: realm, UserID: user, Role: role}.Sign(ownerKey)
		r.ok(err)
		return signed
	}
	_, err := r.rules.RealmCreate(r.ctx, owner, &protocol.RealmCreateRequest{RealmRoleCertificate: signRole(owner.User, parsec.RoleOwner)})
	r.ok(err)
	rotation, err := certificate.RealmKeyRotation{Author: owner.Device, Timestamp: next(), RealmID: realm, KeyIndex: 1}.Sign(ownerKey)
	r.ok(err)
	_, err = r.rules.RealmRotateKey(r.ctx, owner, &protocol.RealmRotateKeyRequest{
		RealmKeyRotationCertificate: rotation, PerParticipantKeysBundleAccess: map[parsec3.UserID][]byte{owner.User: {}},
	})
	r.ok(err)
	_, err = r.rules.RealmShare(r.ctx, owner, &protocol.RealmShareRequest{RealmRoleCertificate: signRole(bob.User, parsec.RoleManager), KeyIndex: 1})
	r.ok(err)
	r.revoke(alice, owner.User, next())
	r.play(e)
}

// revoke has alice revoke a user.
func (r *replay) revoke(alice *rules.Author, user parsec3.UserID, date parsec.DateTime) {
	r.t.Helper()
	r.at(date)
	revoked, err := certificate.RevokedUser{Author: alice.Device, Timestamp: date, UserID: user}.Sign(r.signingKey("alice@dev1"))
	r.ok(err)
	_, err = r.rules.UserRevoke(r.ctx, alice, &protocol.UserRevokeRequest{RevokedUserCertificate: revoked})
	r.ok(err)
}

func (r *replay) createOwner(alice, owner *rules.Author, date parsec.DateTime) error {
	handle, err := parsec3.ParseHumanHandle("owner@example.com", "Owner")
	r.ok(err)
	label, err := parsec3.ParseDeviceLabel("laptop")
	r.ok(err)
	user := certificate.User{Author: alice.Device, Timestamp: date, UserID: owner.User, HumanHandle: handle, Profile: parsec.ProfileStandard}
	device := certificate.Device{
		Author: alice.Device, Timestamp: date, UserID: owner.User, DeviceID: owner.Device, DeviceLabel: label,
		VerifyKey: owner.VerifyKey, Purpose: parsec3.PurposeStandard,
	}
	request := &protocol.UserCreateRequest{}
	for _, of := range []struct {
		into *[]byte
		sign func(ed25519.PrivateKey) ([]byte, error)
	}{
		{&request.UserCertificate, user.Sign}, {&request.RedactedUserCertificate, user.Redacted().Sign},
		{&request.DeviceCertificate, device.Sign}, {&request.RedactedDeviceCertificate, device.Redacted().Sign},
	} {
		*of.into, err = of.sign(r.signingKey("alice@dev1"))
		r.ok(err)
	}
	_, err = r.rules.UserCreate(r.ctx, alice, request)
	return err
}
