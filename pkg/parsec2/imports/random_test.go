//go:build !without_postgresql

package imports_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// randomUser is a user of a random official server, with its first device.
type randomUser struct {
	row, deviceRow int64
	device         parsec.DeviceID
	key            ed25519.PrivateKey
	profile        parsec.UserProfile
	revoked        bool
}

// randomRealm is a realm of it.
type randomRealm struct {
	row, revisionRow int64
	id               parsec.RealmID
	revision         int
	maintained       bool
	index            int
	owner            *randomUser
	roles            map[*randomUser]parsec.RealmRole
	vlobs            []parsec.VlobID
	heads            map[parsec.VlobID]int
}

// randomServer does what an official server would, at random: it writes the rows that
// official servers write.
type randomServer struct {
	t            *testing.T
	random       *rand.Rand
	connection   *pgx.Conn
	organization int64
	now          parsec.DateTime
	users        []*randomUser
	realms       []*randomRealm
	messages     map[int64]int
}

func newRandomServer(t *testing.T, connection *pgx.Conn, random *rand.Rand) *randomServer {
	t.Helper()
	s := &randomServer{t: t, random: random, connection: connection, now: moving.Date - 1_000_000_000_000, messages: map[int64]int{}}
	root := s.newKey()
	s.organization = s.insert(`INSERT INTO organization (organization_id, bootstrap_token, root_verify_key, is_expired, user_profile_outsider_allowed, _bootstrapped_on, _created_on, minimum_archiving_period)
VALUES ('Random', '', $1, false, true, now(), now(), 0) RETURNING _id`, []byte(root.Public().(ed25519.PublicKey)))
	s.addUser(nil, root, parsec.ProfileAdmin)
	return s
}

// tick returns a later date.
func (s *randomServer) tick() parsec.DateTime {
	s.now += parsec.DateTime(1 + s.random.Int64N(5_000_000))
	return s.now
}

func (s *randomServer) newKey() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(s.random.Uint32())
	}
	return ed25519.NewKeyFromSeed(seed)
}

func (s *randomServer) uuid() (id [16]byte) {
	for i := range id {
		id[i] = byte(s.random.Uint32())
	}
	return id
}

// insert returns the number of the row.
func (s *randomServer) insert(sql string, args ...any) (number int64) {
	s.t.Helper()
	if err := s.connection.QueryRow(s.t.Context(), sql, args...).Scan(&number); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return number
}

func sure[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// addUser adds one with a device; nil is the root key.
func (s *randomServer) addUser(by *randomUser, key ed25519.PrivateKey, profile parsec.UserProfile) {
	date := s.tick()
	name := fmt.Sprintf("user%d", len(s.users))
	one := &randomUser{device: sure(parsec.ParseDeviceID(name + "@pc")), key: s.newKey(), profile: profile}
	var author parsec.DeviceID
	var certifier *int64
	if by != nil {
		author, key, certifier = by.device, by.key, &by.deviceRow
	}
	user := certificate.User{
		Author: author, Timestamp: date, UserID: one.device.User(), Profile: profile,
		HumanHandle: sure(parsec.ParseHumanHandle(name+"@example.com", "User "+name)), PublicKey: parsec.PublicKey(s.newKey().Seed()),
	}
	device := certificate.Device{
		Author: author, Timestamp: date, DeviceID: one.device, DeviceLabel: sure(parsec.ParseDeviceLabel("pc")),
		VerifyKey: parsec.VerifyKey(one.key.Public().(ed25519.PublicKey)),
	}
	human := s.insert("INSERT INTO human (organization, email, label) VALUES ($1, $2, $3) RETURNING _id", s.organization, name+"@example.com", "User "+name)
	one.row = s.insert(`INSERT INTO user_ (organization, user_id, user_certificate, redacted_user_certificate, user_certifier, created_on, human, profile, frozen)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING _id`, s.organization, name, sure(user.Sign(key)), sure(user.Redacted().Sign(key)), certifier, date.Time(), human,
		string(profile), s.random.IntN(8) == 0)
	one.deviceRow = s.insert(`INSERT INTO device (organization, user_, device_id, device_certificate, redacted_device_certificate, device_certifier, created_on, device_label)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'pc') RETURNING _id`, s.organization, one.row, one.device.String(), sure(device.Sign(key)), sure(device.Redacted().Sign(key)), certifier, date.Time())
	s.users = append(s.users, one)
}

// anybody returns a user who is not revoked.
func (s *randomServer) anybody() *randomUser {
	for {
		if one := s.users[s.random.IntN(len(s.users))]; !one.revoked {
			return one
		}
	}
}

func (s *randomServer) revoke() {
	one, admin := s.anybody(), s.users[0]
	if one == admin {
		return
	}
	date := s.tick()
	signed := sure(certificate.RevokedUser{Author: admin.device, Timestamp: date, UserID: one.device.User()}.Sign(admin.key))
	s.insert("UPDATE user_ SET revoked_on = $2, revoked_user_certificate = $3, revoked_user_certifier = $4 WHERE _id = $1 RETURNING _id",
		one.row, date.Time(), signed, admin.deviceRow)
	one.revoked = true
}

func (s *randomServer) addRealm() {
	owner := s.anybody()
	r := &randomRealm{id: s.uuid(), revision: 1, owner: owner, roles: map[*randomUser]parsec.RealmRole{}, heads: map[parsec.VlobID]int{}}
	r.row = s.insert("INSERT INTO realm (organization, realm_id, encryption_revision) VALUES ($1, $2, 1) RETURNING _id", s.organization, [16]byte(r.id))
	r.revisionRow = s.insert("INSERT INTO vlob_encryption_revision (realm, encryption_revision) VALUES ($1, 1) RETURNING _id", r.row)
	s.grant(r, owner, parsec.RoleOwner)
	s.realms = append(s.realms, r)
}

func (s *randomServer) grant(r *randomRealm, to *randomUser, role parsec.RealmRole) {
	date := s.tick()
	signed := sure(certificate.RealmRole{Author: r.owner.device, Timestamp: date, RealmID: r.id, UserID: to.device.User(), Role: role}.Sign(r.owner.key))
	var stored *string
	if role != parsec.RoleNone {
		stored = new(string(role))
	}
	s.insert("INSERT INTO realm_user_role (realm, user_, role, certificate, certified_by, certified_on) VALUES ($1, $2, $3, $4, $5, $6) RETURNING _id",
		r.row, to.row, stored, signed, r.owner.deviceRow, date.Time())
	r.roles[to] = role
}

func (s *randomServer) share(r *randomRealm) {
	to := s.anybody()
	roles := []parsec.RealmRole{parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleNone}
	role := roles[s.random.IntN(len(roles))]
	if to == r.owner || r.owner.revoked || r.roles[to] == role || to.profile == parsec.ProfileOutsider && role.Manages() {
		return
	}
	s.grant(r, to, role)
	if s.random.IntN(2) == 0 { // Some as two shares at once leave them: with one index.
		s.messages[to.row] += s.random.IntN(2)
		s.insert(`INSERT INTO message (organization, recipient, timestamp, index, sender, body) VALUES ($1, $2, $3, $4, $5, $6) RETURNING _id`,
			s.organization, to.row, s.tick().Time(), s.messages[to.row], r.owner.deviceRow, s.bytes())
	}
}

func (s *randomServer) bytes() []byte {
	id := s.uuid()
	return id[:s.random.IntN(len(id)+1)]
}

func (s *randomServer) write(r *randomRealm) {
	by := s.anybody()
	if r.maintained || !r.roles[by].Writes() {
		return
	}
	vlob, version := parsec.VlobID(s.uuid()), 1
	if len(r.vlobs) > 0 && s.random.IntN(3) > 0 {
		vlob = r.vlobs[s.random.IntN(len(r.vlobs))]
		version = r.heads[vlob] + 1
	} else {
		r.vlobs = append(r.vlobs, vlob)
	}
	r.heads[vlob] = version
	r.index++
	blob := s.bytes()
	atom := s.insert(`INSERT INTO vlob_atom (organization, vlob_encryption_revision, vlob_id, version, blob, size, author, created_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING _id`, s.organization, r.revisionRow, [16]byte(vlob), version, blob, len(blob), by.deviceRow, s.tick().Time())
	s.insert("INSERT INTO realm_vlob_update (realm, index, vlob_atom) VALUES ($1, $2, $3) RETURNING _id", r.row, r.index, atom)
	if s.random.IntN(3) == 0 {
		s.insert("INSERT INTO block (organization, block_id, realm, author, size, created_on) VALUES ($1, $2, $3, $4, $5, $6) RETURNING _id",
			s.organization, s.uuid(), r.row, by.deviceRow, s.random.IntN(1000), s.tick().Time())
	}
}

// reencrypt begins a reencryption, or saves some of one, which may end it.
func (s *randomServer) reencrypt(r *randomRealm) {
	if !r.maintained {
		if r.owner.revoked {
			return
		}
		r.maintained = true
		r.revision++
		s.insert("INSERT INTO vlob_encryption_revision (realm, encryption_revision) VALUES ($1, $2) RETURNING _id", r.row, r.revision)
		s.insert(`UPDATE realm SET encryption_revision = $2, maintenance_type = 'REENCRYPTION', maintenance_started_on = $3, maintenance_started_by = $4
WHERE _id = $1 RETURNING _id`, r.row, r.revision, s.tick().Time(), r.owner.deviceRow)
		return
	}
	next := s.insert("SELECT _id FROM vlob_encryption_revision WHERE realm = $1 AND encryption_revision = $2", r.row, r.revision)
	most := s.random.IntN(12)
	testkit.Execute(s.t, s.connection, `
INSERT INTO vlob_atom (organization, vlob_encryption_revision, vlob_id, version, blob, size, author, created_on)
SELECT x.organization, $2, x.vlob_id, x.version, x.blob || 'r', x.size + 1, x.author, x.created_on FROM vlob_atom x WHERE x.vlob_encryption_revision = $1
    AND NOT EXISTS (SELECT FROM vlob_atom y WHERE y.vlob_encryption_revision = $2 AND y.vlob_id = x.vlob_id AND y.version = x.version)
ORDER BY md5(x.vlob_id::text || x.version) LIMIT $3`, r.revisionRow, next, most)
	done := s.insert("SELECT count(*) FROM vlob_atom x WHERE x.vlob_encryption_revision = $1", next)
	if done == int64(r.index) {
		r.maintained, r.revisionRow = false, next
		s.insert("UPDATE realm SET maintenance_type = NULL, maintenance_started_on = NULL, maintenance_started_by = NULL WHERE _id = $1 RETURNING _id", r.row)
	}
}

// step does one thing.
func (s *randomServer) step() {
	if len(s.realms) == 0 || s.random.IntN(15) == 0 {
		s.addRealm()
		return
	}
	r := s.realms[s.random.IntN(len(s.realms))]
	switch s.random.IntN(12) {
	case 0:
		profiles := []parsec.UserProfile{parsec.ProfileAdmin, parsec.ProfileStandard, parsec.ProfileOutsider}
		s.addUser(s.users[0], nil, profiles[s.random.IntN(len(profiles))])
	case 1:
		if s.random.IntN(3) == 0 {
			s.revoke()
		}
	case 2, 3, 4:
		s.share(r)
	case 5, 6:
		s.reencrypt(r)
	default:
		s.write(r)
	}
}

// TestRandomServers imports random states of official servers, some of them while they go
// on. What comes is sound, and the same as if it had come at once.
func TestRandomServers(t *testing.T) {
	t.Parallel()
	const steps = 300
	seeds := uint64(4)
	if testkit.Long() {
		seeds = 60
	}
	official := testkit.LoadOfficial(t, "2.17")
	official.Rows = map[string][]map[string]*string{"migration": official.Rows["migration"]}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 22))
			from, owner := testkit.NewOfficial(t, official)
			server := newRandomServer(t, testkit.Connect(t, owner), random)
			parts := testkit.NewPostgres(t)
			for i := range steps {
				server.step()
				if i%(steps/3) == steps/4 {
					ctx, cancel := context.WithCancel(t.Context())
					_ = moving.Run(ctx, t, wing, from, parts, imports.Choices{RangeRows: 1 + random.IntN(9)}, &moving.Killer{Left: 1 + random.IntN(15), Kill: cancel})
					cancel()
				}
			}
			report := moving.Move(t, wing, from, parts, imports.Choices{RangeRows: 1 + random.IntN(9)})
			if report.Stopped() {
				t.Errorf("%q", moving.Findings(report))
			}
			whole := testkit.NewPostgres(t)
			moving.Move(t, wing, from, whole, imports.Choices{})
			if want, have := moving.Dump(t, whole), moving.Dump(t, parts); want != have {
				t.Errorf("it is another one:\n%s", moving.Difference(want, have))
			}
		})
	}
}
