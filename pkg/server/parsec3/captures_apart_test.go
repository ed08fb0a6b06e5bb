package parsec3_test

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// state is an organization as an exchange needs it, put into the store: the
// certificates that made it are not recorded.
type state struct {
	*replay
	// author is an ADMIN, the first user.
	author *rules.Author
	// accesses are those of the sequester services to each key.
	accesses map[parsec.SequesterServiceID][]byte
}

// founder is the first user of an organization, with its first device, which is a
// recorded one, on the date of the founding. The authority, "" for none, has the
// organization sequestered.
type founder struct {
	organization, device, authority string
	on                              parsec.DateTime
	// Anybody, if they are not said.
	user         parsec3.UserID
	email, label string
}

func (r *replay) foundBy(f founder) *state {
	r.t.Helper()
	s := &state{r, r.author(f.device, f.organization, f.user), map[parsec.SequesterServiceID][]byte{}}
	r.at(f.on)
	founded := organization.Founding{InitialOutsiderAllowed: true}.New(s.author.Organization, f.on)
	founded.RootVerifyKey, founded.BootstrappedOn, founded.Generation = &s.author.VerifyKey, &f.on, organization.Parsec3
	var authority *rules.Certificate
	if f.authority != "" {
		authority = new(s.signed(f.on))
		founded.SequesterAuthorityCertificate = authority.Bytes
		founded.SequesterVerifyKeyDER = r.captured.SequesterAuthorities[f.authority].PublicDER
	}
	user, device := s.person(s.author, cmp.Or(f.email, "founder@example.com"), cmp.Or(f.label, "Founder"), f.on)
	s.update(rules.Scope{Founding: true, Common: rules.Exclusive}, func(tx rules.Tx) {
		tx.PutOrganization(founded)
		tx.Found(user, s.signed(f.on), device, s.signed(f.on), authority)
	})
	return s
}

// signed returns a certificate of a date, whose bytes nobody reads.
func (s *state) signed(on parsec.DateTime) rules.Certificate {
	return rules.Certificate{Timestamp: on, Author: s.author.Device, Bytes: []byte("certificate"), Redacted: []byte("redacted")}
}

// person returns the user and the device of who is to be an author.
func (s *state) person(author *rules.Author, email, label string, on parsec.DateTime) (rules.User, rules.Device) {
	s.t.Helper()
	handle, err := parsec3.ParseHumanHandle(email, label)
	s.ok(err)
	return rules.User{ID: author.User, HumanHandle: handle, Profile: parsec.ProfileAdmin, CreatedOn: on},
		rules.Device{ID: author.Device, User: author.User, VerifyKey: author.VerifyKey, CreatedOn: on}
}

func (s *state) addUser(author *rules.Author, email, label string, on parsec.DateTime) {
	s.t.Helper()
	user, device := s.person(author, email, label, on)
	s.update(rules.Scope{Common: rules.Exclusive}, func(tx rules.Tx) { tx.CreateUser(user, s.signed(on), device, s.signed(on)) })
}

func (s *state) update(scope rules.Scope, change func(rules.Tx)) {
	s.t.Helper()
	scope.Organization, scope.Author = s.author.Organization, s.author.Device
	s.ok(s.store.Update(s.ctx, scope, func(tx rules.Tx) error {
		change(tx)
		return nil
	}))
}

func (s *state) inRealm(realm parsec.RealmID, change func(rules.Tx)) {
	s.t.Helper()
	s.update(rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Exclusive}, change)
}

func (s *state) createRealm(realm parsec.RealmID, on parsec.DateTime) {
	s.t.Helper()
	s.inRealm(realm, func(tx rules.Tx) { tx.CreateRealm(s.author.User, s.signed(on)) })
}

// rotateKey adds a key for the author, for other members, and for the services.
func (s *state) rotateKey(realm parsec.RealmID, index uint64, on parsec.DateTime, others ...parsec3.UserID) {
	s.t.Helper()
	rotation := rules.KeyRotation{KeyIndex: index, Participants: map[parsec3.UserID][]byte{s.author.User: {}}, Services: s.accesses}
	for _, other := range others {
		rotation.Participants[other] = []byte{}
	}
	scope := rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Exclusive, Sequester: rules.Shared}
	s.update(scope, func(tx rules.Tx) { tx.RotateKey(rotation, s.signed(on)) })
}

// write writes the versions from one to another of the vlob of a request, the first on
// a date, each a microsecond later than the one before.
func (s *state) write(e *capturedExchange, key uint64, from, to uint32, on parsec.DateTime, blob []byte) {
	s.t.Helper()
	realm, vlob := s.realmOf(e), s.vlobOf(e)
	for version := from; version <= to; version++ {
		s.at(max(on, s.clock.Now()))
		var err error
		if version == 1 {
			_, err = s.rules.VlobCreate(s.ctx, s.author, &protocol.VlobCreateRequest{RealmID: realm, VlobID: vlob, KeyIndex: key, Timestamp: on, Blob: blob})
		} else {
			_, err = s.rules.VlobUpdate(s.ctx, s.author, &protocol.VlobUpdateRequest{
				RealmID: realm, VlobID: vlob, KeyIndex: key, Timestamp: on, Version: version, Blob: blob,
			})
		}
		s.ok(err)
		on++
	}
}

// stored returns an organization.
func (r *replay) stored(name string) *organization.Organization {
	r.t.Helper()
	id, err := parsec.ParseOrganizationID(name)
	r.ok(err)
	found, err := r.administration.Find(r.ctx, id)
	r.ok(err)
	return found
}

// linkToken returns how links have a token.
func (r *replay) linkToken(token string) string {
	r.t.Helper()
	raw, err := hex.DecodeString(token)
	r.ok(err)
	return base64.RawURLEncoding.EncodeToString(slices.Concat([]byte{0xc4, byte(len(raw))}, raw))
}

// date reads one of the recording.
func (r *replay) date(clock string) parsec.DateTime {
	r.t.Helper()
	date, err := parsec.ParseDateTime("2026-11-28T" + clock + "Z")
	r.ok(err)
	return date
}

// realmOf and vlobOf return what a request is about.
func (r *replay) realmOf(e *capturedExchange) parsec.RealmID {
	r.t.Helper()
	return parsec.RealmID(e.Request.Decoded.fields(r.t)["realm_id"].(parsec.UUID))
}

func (r *replay) vlobOf(e *capturedExchange) parsec.VlobID {
	r.t.Helper()
	return parsec.VlobID(e.Request.Decoded.fields(r.t)["vlob_id"].(parsec.UUID))
}

// pingDevice is a recorded device that is one of any organization.
const pingDevice = "Org77b2e3d7ca96 device aba42149"

// replayApart replays exchanges each of which is of an organization of its own.
func replayApart(r *replay) {
	r.foundBy(founder{organization: "Org77b2e3d7ca96", device: pingDevice, on: r.date("22:06:40")})
	r.play(r.exchange("ping"))
	r.play(r.exchange("server_config_full"))
	r.play(r.exchange("scws_service_mutual_challenges"))
	replayConflict(r)
	replayUnsent(r)
	replayDeleted(r)
	replayRefused(r)
	replayAdministration(r)
	replayInvitations(r)
}

func replayConflict(r *replay) {
	e := r.exchange("vlob_update, conflict")
	s := r.foundBy(founder{organization: "Day6b0b4837", device: "Day6b0b4837 device f5eacc07", on: r.date("21:36:00")})
	s.createRealm(r.realmOf(e), r.date("21:36:01"))
	s.rotateKey(r.realmOf(e), 1, r.date("21:36:02"))
	s.rotateKey(r.realmOf(e), 2, r.date("21:36:03"))
	s.write(e, 2, 1, 3, r.date("21:36:04"), nil)
	r.play(e)
}

func replayUnsent(r *replay) {
	e := r.exchange("vlob_read_batch of an entry that is not sent yet")
	reply := e.Reply.Decoded.fields(r.t)
	s := r.foundBy(founder{
		organization: "Day6b0b450b", device: "Day6b0b450b device f6df44c9",
		on: reply["needed_common_certificate_timestamp"].(parsec.DateTime),
	})
	s.createRealm(r.realmOf(e), reply["needed_realm_certificate_timestamp"].(parsec.DateTime))
	r.play(e)
}

func replayDeleted(r *replay) {
	e := r.exchange("official client: vlob_poll_changes, deleted realm")
	s := r.foundBy(founder{organization: "More5904423", device: "More5904423 device 89b69be2", on: r.date("22:28:00")})
	s.createRealm(r.realmOf(e), r.date("22:28:01"))
	s.inRealm(r.realmOf(e), func(tx rules.Tx) { tx.MarkRealmDeleted() })
	r.play(e)
}

func replayRefused(r *replay) {
	e := r.exchange("official client: vlob_update, refused by a webhook")
	reply := e.Reply.Decoded.fields(r.t)
	service := parsec.SequesterServiceID(reply["service_id"].(parsec.UUID))
	s := r.foundBy(founder{
		organization: "More5905519S519", device: "More5905519S519 device 44015b59", authority: "sequester_authority_0", on: r.date("22:38:00"),
	})
	s.addService(service, "https://service.example", r.date("22:38:01"))
	s.createRealm(r.realmOf(e), r.date("22:38:02"))
	s.rotateKey(r.realmOf(e), 1, r.date("22:38:03"))
	s.write(e, 1, 1, 2, r.date("22:38:04"), nil)
	r.refusal = protocol.RefuseForSequester(service, new(reply["reason"].(string)))
	r.play(e)
}

func (s *state) addService(id parsec.SequesterServiceID, webhookURL string, on parsec.DateTime) {
	s.t.Helper()
	s.update(rules.Scope{Sequester: rules.Exclusive}, func(tx rules.Tx) {
		s.accesses[id] = []byte{}
		tx.CreateService(rules.SequesterService{ID: id, Label: "Service", WebhookURL: webhookURL, CreatedOn: on}, s.signed(on))
	})
}

// replayAdministration replays requests of administrators.
func replayAdministration(r *replay) {
	r.foundBy(founder{organization: "Orgb2432105e5bd", device: pingDevice, on: r.date("22:02:00")})
	r.play(r.exchange("REST: organization_create_exists"))
	replayUsers(r)

	late, configured := r.exchange("REST: sequester_greater"), r.exchange("REST: sequester_config")
	var service struct {
		ID string `json:"service_id"`
	}
	r.ok(json.Unmarshal(configured.Request.JSON, &service))
	id, err := parsec.ParseUUID(service.ID)
	r.ok(err)
	s := r.foundBy(founder{organization: "Org225a6f36844c", device: pingDevice, authority: "sequester_authority_0", on: r.date("22:04:00")})
	s.addService(parsec.SequesterServiceID(id), "https://service.example", late.Request.Certificates[0].Content.fields(r.t)["timestamp"].(parsec.DateTime))
	r.play(late)
	r.play(configured)
}

func replayUsers(r *replay) {
	e := r.exchange("REST: users")
	var listed struct {
		Users []struct {
			ID    string `json:"user_id"`
			Email string `json:"user_email"`
			Name  string `json:"user_name"`
		} `json:"users"`
	}
	r.ok(json.Unmarshal(e.Reply.JSON, &listed))
	var s *state
	for i, user := range listed.Users {
		id, err := parsec3.ParseUserID(user.ID)
		r.ok(err)
		on := r.date("22:03:00").Add(time.Duration(i) * time.Second)
		if i == 0 {
			s = r.foundBy(founder{organization: "Orgaa6d9637b802", device: pingDevice, on: on, user: id, email: user.Email, label: user.Name})
			continue
		}
		s.addUser(&rules.Author{User: id, Device: parsec3.DeviceID(parsec.NewUUID())}, user.Email, user.Name, on)
	}
	r.play(e)
}

// replayDay replays the day of an organization.
func replayDay(r *replay) {
	const name = "Day6b0b44dc"
	play := func(exchanges ...string) {
		for _, exchange := range exchanges {
			r.play(r.exchangeOf(name, exchange))
		}
	}
	r.at(r.date("21:17:00"))
	r.play(r.exchange("organization create by the command line"))
	first := r.exchange("organization_bootstrap, not sequestered")
	r.found(&first.Request)
	play(first.Name, "certificate_get of a new device")

	s := &state{replay: r, author: r.author(name+" device eb11afad", name, userOf(r, "certificate_get of a new device", 0))}
	s.replayGreeting()
	share := r.exchangeOf(name, "realm_share").Request.Certificates[0].Content.fields(r.t)
	realm := parsec.RealmID(share["realm_id"].(parsec.UUID))
	bob := r.author(name+" device 1307c708", name, parsec3.UserID(share["user_id"].(parsec.UUID)))
	const nothingNew = "certificate_get, nothing new, with a map of realms"
	var another parsec.RealmID
	for known := range r.exchange(nothingNew).Request.Decoded.fields(r.t)["realm_after"].(map[any]any) {
		if id := parsec.RealmID(known.(parsec.UUID)); id != realm {
			another = id
		}
	}
	carol := &rules.Author{User: parsec3.UserID{1}, Device: parsec3.DeviceID{1}}
	s.addUser(carol, "carol@example.com", "Carol", r.date("21:18:59"))
	s.addUser(bob, "bob@example.com", "Bob", r.date("21:19:01.188916"))
	play("realm_create", "realm_rotate_key, first", "realm_get_keys_bundle", "realm_rename, initial name", "realm_rename by a device that did not know of the name")
	s.createRealm(another, r.date("21:19:22.341632"))
	play("realm_share")
	s.giveRole(realm, carol.User, parsec.RoleReader, r.date("21:19:35.813558"))
	play("realm_share, same role")
	s.giveRole(realm, carol.User, parsec.RoleManager, r.date("21:19:36.835875"))
	play(nothingNew)
	s.rotateKey(realm, 2, r.date("21:19:45.823134"), bob.User, carol.User)
	play("vlob_poll_changes", "vlob_create", "vlob_update", "block_create of a small file")

	read := r.exchangeOf(name, "vlob_read_batch").Reply.Decoded.fields(r.t)["items"].([]any)[0].([]any)
	written := r.exchangeOf(name, "vlob_update")
	s.write(written, 2, 3, 7, r.date("21:20:00"), nil)
	s.write(written, 2, 8, 8, read[4].(parsec.DateTime), read[5].([]byte))
	play("vlob_read_batch")
	reading := r.exchange("block_read of a small file")
	_, err := r.rules.BlockCreate(r.ctx, s.author, &protocol.BlockCreateRequest{
		BlockID: parsec.BlockID(reading.Request.Decoded.fields(r.t)["block_id"].(parsec.UUID)), RealmID: realm, KeyIndex: 2,
		Block: reading.Reply.Decoded.fields(r.t)["block"].([]byte),
	})
	r.ok(err)
	play(reading.Name)
	for _, stream := range []string{"event stream with keepalives", "event stream resumed", "event stream resumed after a restart: missed_events"} {
		r.listen(stream).expect()
	}
}

func (s *state) giveRole(realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole, on parsec.DateTime) {
	s.t.Helper()
	s.inRealm(realm, func(tx rules.Tx) { tx.SetRole(user, role, nil, s.signed(on)) })
}
