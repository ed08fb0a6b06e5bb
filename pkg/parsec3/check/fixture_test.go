//go:build !without_postgresql

package check_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/internal/whole"
	"parsec-server/pkg/check"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// fixture is an organization with something of everything, that our client has made on a
// server with PostgreSQL: alice and ada are ADMIN (ada was STANDARD before), bob and
// carol STANDARD, oscar OUTSIDER, and rita and sam are revoked. Bob has a phone. In the realm
// "work" alice is OWNER, bob MANAGER, carol CONTRIBUTOR, and oscar has left.
type fixture struct {
	t          *testing.T
	g          *testkit.Generations
	client     *client3.Client
	connection *pgx.Conn
	// tx is what is planted, and undone after each case.
	tx   pgx.Tx
	last parsec.DateTime

	organization                                    parsec.OrganizationID
	root                                            ed25519.PrivateKey
	alice, ada, bob, phone, carol, oscar, rita, sam *client3.Device
	service, over                                   parsec.SequesterServiceID
	work, home, gone                                parsec.RealmID
	vlob, other                                     parsec.VlobID
	block                                           parsec.BlockID
	firstSetup, setup                               parsec.DateTime
	enrolled, waiting                               parsec3.EnrollmentID
	invitationOfUser, invitationOfShamir            parsec3.AccessToken
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// now returns the time, later at each call.
func (f *fixture) now() parsec.DateTime {
	f.last = max(parsec.DateTimeOf(time.Now()), f.last+1)
	return f.last
}

func person(name string) client3.Person {
	return client3.Person{
		Label:       must(parsec3.ParseDeviceLabel(name)),
		HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name)),
	}
}

func (f *fixture) no(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// send has a device send what it has signed.
func send[Request, Reply any](f *fixture, by *client3.Device, command *rpc.Command[Request, Reply], request *Request, err error) *Reply {
	f.t.Helper()
	f.no(err)
	reply, err := client3.Call(f.t.Context(), f.client.Authenticated(by), command, request)
	f.no(err)
	return reply
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dsn := testkit.NewPostgres(t)
	f := &fixture{t: t, g: testkit.StartGenerations(t, testkit.GenerationsOptions{Database: dsn})}
	f.client = client3.New(f.g.Address, client3.LatestVersion, client.Options{})
	t.Cleanup(f.client.Close)
	f.connection = testkit.Connect(t, dsn)
	f.organization = must(parsec.ParseOrganizationID("CoolOrg"))
	f.found()
	f.addUsers()
	f.addRealms()
	f.addShamir()
	f.addInvitations()
	return f
}

type keyPair struct {
	Public  []byte `json:"public_der"`
	Private []byte `json:"private_pkcs8_der"`
}

func rsaKeys(t testing.TB) map[string]keyPair {
	t.Helper()
	return vectors.Load[struct {
		Keys struct {
			RSA map[string]keyPair `json:"rsa"`
		} `json:"keys"`
	}](t, "v5/certificates.json").Keys.RSA
}

func (f *fixture) authority() *rsa.PrivateKey {
	return must(x509.ParsePKCS8PrivateKey(rsaKeys(f.t)["sequester_authority"].Private)).(*rsa.PrivateKey)
}

// found bootstraps the organization as the client does, but keeps the root key.
func (f *fixture) found() {
	f.t.Helper()
	text := must(f.g.Organizations.Create(f.t.Context(), organization.Administrator{}, f.organization, organization.Change{}))
	token := must(parsec3.ParseAccessToken(text))
	f.root = ed25519.NewKeyFromSeed(make([]byte, 32))
	device, made, err := client3.NewOrganization(client3.Founding{Organization: f.organization}, person("alice"), f.now())
	f.no(err)
	date := f.now()
	user := must(certificate.Read[certificate.User](made.UserCertificate))
	first := must(certificate.Read[certificate.Device](made.DeviceCertificate))
	user.Timestamp, first.Timestamp = date, date
	request := &protocol.OrganizationBootstrapRequest{
		BootstrapToken: &token, RootVerifyKey: parsec.VerifyKey(f.root.Public().(ed25519.PublicKey)),
		UserCertificate: must(user.Sign(f.root)), RedactedUserCertificate: must(user.Redacted().Sign(f.root)),
		DeviceCertificate: must(first.Sign(f.root)), RedactedDeviceCertificate: must(first.Redacted().Sign(f.root)),
		SequesterAuthorityCertificate: must(certificate.SequesterAuthority{
			Timestamp: date, VerifyKeyDER: rsaKeys(f.t)["sequester_authority"].Public,
		}.Sign(f.root)),
	}
	device.RootVerifyKey = request.RootVerifyKey
	_, err = client3.Call(f.t.Context(), f.client.Anonymous(f.organization), protocol.OrganizationBootstrap, request)
	f.no(err)
	f.alice = device
	f.over, f.service = f.createService(), f.createService()
	f.no(f.g.Parsec3.RevokeSequesterService(f.t.Context(), f.organization,
		must(certificate.SequesterRevokedService{Timestamp: f.now(), ServiceID: f.over}.Sign(f.authority()))))
}

func (f *fixture) createService() parsec.SequesterServiceID {
	f.t.Helper()
	id := parsec.SequesterServiceID(parsec.NewUUID())
	f.no(f.g.Parsec3.CreateSequesterService(f.t.Context(), f.organization, must(certificate.SequesterService{
		Timestamp: f.now(), ServiceID: id, ServiceLabel: "service", EncryptionKeyDER: rsaKeys(f.t)["sequester_service"].Public,
	}.Sign(f.authority())), ""))
	return id
}

func (f *fixture) addUser(name string, profile parsec.UserProfile) *client3.Device {
	f.t.Helper()
	device, request, err := f.alice.NewUser(person(name), profile, f.now())
	send(f, f.alice, protocol.UserCreate, request, err)
	return device
}

func (f *fixture) addUsers() {
	f.t.Helper()
	f.ada, f.bob = f.addUser("ada", parsec.ProfileStandard), f.addUser("bob", parsec.ProfileStandard)
	f.carol, f.oscar = f.addUser("carol", parsec.ProfileStandard), f.addUser("oscar", parsec.ProfileOutsider)
	f.rita = f.addUser("rita", parsec.ProfileAdmin)
	phone, request, err := f.bob.NewDevice(must(parsec3.ParseDeviceLabel("phone")), f.now())
	send(f, f.bob, protocol.DeviceCreate, request, err)
	f.phone = phone
	f.sam = f.addUser("sam", parsec.ProfileStandard)
	f.revoke(f.rita)
	update, err := testclient3.UpdateProfile(f.alice, f.ada.User, parsec.ProfileAdmin, f.now())
	send(f, f.alice, protocol.UserUpdate, update, err)
	f.revoke(f.sam)
}

func (f *fixture) revoke(who *client3.Device) {
	f.t.Helper()
	revocation, err := testclient3.RevokeUser(f.alice, who.User, f.now())
	send(f, f.alice, protocol.UserRevoke, revocation, err)
}

func (f *fixture) rotate(realm parsec.RealmID, index uint64, members ...*client3.Device) {
	f.t.Helper()
	signed, err := certificate.RealmKeyRotation{
		Author: f.alice.ID, Timestamp: f.now(), RealmID: realm, KeyIndex: index, KeyCanary: []byte("canary"),
	}.Sign(f.alice.SigningKey)
	request := &protocol.RealmRotateKeyRequest{
		RealmKeyRotationCertificate: signed, KeysBundle: []byte("bundle"),
		PerParticipantKeysBundleAccess:      map[parsec3.UserID][]byte{},
		PerSequesterServiceKeysBundleAccess: map[parsec.SequesterServiceID][]byte{f.service: []byte("access")},
	}
	for _, member := range members {
		request.PerParticipantKeysBundleAccess[member.User] = []byte("access")
	}
	send(f, f.alice, protocol.RealmRotateKey, request, err)
}

func (f *fixture) share(by *client3.Device, realm parsec.RealmID, index uint64, with *client3.Device, role parsec.RealmRole) {
	f.t.Helper()
	signed, err := testclient3.CertifyRole(by, realm, with.User, role, f.now())
	send(f, by, protocol.RealmShare, &protocol.RealmShareRequest{
		RealmRoleCertificate: signed, RecipientKeysBundleAccess: []byte("access"), KeyIndex: index,
	}, err)
}

func (f *fixture) archive(realm parsec.RealmID, archiving parsec.ArchivingType, deletion *parsec.DateTime) {
	f.t.Helper()
	request, err := testclient3.ArchiveRealm(f.alice, realm, archiving, deletion, f.now())
	send(f, f.alice, protocol.RealmUpdateArchiving, request, err)
}

func (f *fixture) addRealm() parsec.RealmID {
	f.t.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	request, err := f.alice.NewRealm(realm, f.now())
	send(f, f.alice, protocol.RealmCreate, request, err)
	return realm
}

func (f *fixture) write(by *client3.Device, vlob parsec.VlobID, version uint32, index uint64) {
	f.t.Helper()
	if version == 1 {
		send(f, by, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: f.work, VlobID: vlob, KeyIndex: index, Timestamp: f.now(), Blob: []byte("blob"),
		}, nil)
		return
	}
	send(f, by, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		RealmID: f.work, VlobID: vlob, KeyIndex: index, Timestamp: f.now(), Version: version, Blob: []byte("a later blob"),
	}, nil)
}

func (f *fixture) addRealms() {
	f.t.Helper()
	f.work, f.home, f.gone = f.addRealm(), f.addRealm(), f.addRealm()
	f.vlob, f.other, f.block = parsec.VlobID(parsec.NewUUID()), parsec.VlobID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
	f.rotate(f.work, 1, f.alice)
	signed, err := certificate.RealmName{
		Author: f.alice.ID, Timestamp: f.now(), RealmID: f.work, KeyIndex: 1, EncryptedName: []byte("name"),
	}.Sign(f.alice.SigningKey)
	send(f, f.alice, protocol.RealmRename, &protocol.RealmRenameRequest{RealmNameCertificate: signed}, err)
	f.share(f.alice, f.work, 1, f.bob, parsec.RoleManager)
	f.share(f.bob, f.work, 1, f.carol, parsec.RoleContributor)
	f.share(f.bob, f.work, 1, f.oscar, parsec.RoleReader)
	f.write(f.alice, f.vlob, 1, 1)
	f.write(f.carol, f.other, 1, 1)
	unshared, err := testclient3.CertifyRole(f.bob, f.work, f.oscar.User, parsec.RoleNone, f.now())
	send(f, f.bob, protocol.RealmUnshare, &protocol.RealmUnshareRequest{RealmRoleCertificate: unshared}, err)
	f.rotate(f.work, 2, f.alice, f.bob, f.carol)
	f.write(f.phone, f.vlob, 2, 2)
	send(f, f.bob, protocol.BlockCreate, &protocol.BlockCreateRequest{RealmID: f.work, BlockID: f.block, KeyIndex: 2, Block: []byte("block")}, nil)
	f.archive(f.home, parsec.ArchivingArchived, nil)
	f.archive(f.home, parsec.ArchivingAvailable, nil)
	f.archive(f.gone, parsec.ArchivingDeletionPlanned, new(f.now().Add(365*24*time.Hour)))
}

func (f *fixture) setUpShamir() parsec.DateTime {
	f.t.Helper()
	date := f.now()
	setup := testclient3.ShamirSetup{
		Threshold: 2, Shares: map[parsec3.UserID]uint8{f.alice.User: 1, f.carol.User: 2}, RevealToken: parsec3.NewAccessToken(), Data: []byte("data"),
		Ciphered: map[parsec3.UserID][]byte{f.alice.User: []byte("shares"), f.carol.User: []byte("shares")},
	}
	request, err := setup.Request(f.bob, date)
	send(f, f.bob, protocol.ShamirRecoverySetup, request, err)
	return date
}

func (f *fixture) addShamir() {
	f.t.Helper()
	f.firstSetup = f.setUpShamir()
	deletion, err := testclient3.DeleteShamirSetup(f.bob, &testclient3.KnownSetup{
		CreatedOn: f.firstSetup, Shares: map[parsec3.UserID]uint8{f.alice.User: 1, f.carol.User: 2},
	}, f.now())
	send(f, f.bob, protocol.ShamirRecoveryDelete, deletion, err)
	f.setup = f.setUpShamir()
}

func (f *fixture) addInvitations() {
	f.t.Helper()
	f.invitationOfUser = send(f, f.alice, protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: "zack@example.com"}, nil).Token
	send(f, f.bob, protocol.InviteNewDevice, &protocol.InviteNewDeviceRequest{}, nil)
	f.invitationOfShamir = send(f, f.alice, protocol.InviteNewShamirRecovery, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: f.bob.User}, nil).Token
	for _, name := range []string{"erin", "frank"} {
		entity := testclient3.Entity(name + "@example.com")
		enrollment, request, err := testclient3.NewEnrollment(f.organization, entity, person(name))
		f.no(err)
		_, err = client3.Call(f.t.Context(), f.client.Anonymous(f.organization), protocol.AsyncEnrollmentSubmit, request)
		f.no(err)
		f.waiting = enrollment.ID
		if name == "erin" {
			f.enrolled = enrollment.ID
			listed := send(f, f.alice, protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{}, nil).Enrollments
			accept, err := testclient3.AcceptEnrollment(f.alice, &listed[0], parsec.ProfileStandard, testclient3.Entity("alice@example.com"), f.now())
			send(f, f.alice, protocol.AsyncEnrollmentAccept, accept, err)
		}
	}
}

// check returns the faults of the database as it is in the transaction.
func (f *fixture) check(ctx context.Context) (faults []check.Fault) {
	f.t.Helper()
	_, err := whole.Check(ctx, database.NewInspection(f.connection), whole.Options{Report: func(fault check.Fault) {
		faults = append(faults, fault)
	}})
	f.no(err)
	return faults
}

// planted runs plant in a transaction, where nothing keeps it from breaking the tables, and
// returns the faults that are found then.
func (f *fixture) planted(plant func()) []check.Fault {
	f.t.Helper()
	ctx := f.t.Context()
	var err error
	f.tx, err = f.connection.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	f.no(err)
	defer func() {
		if err := f.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			f.t.Error(err)
		}
	}()
	f.sql("SET LOCAL session_replication_role = replica") // without foreign keys
	plant()
	return f.check(ctx)
}

// sql runs a statement that must change something.
func (f *fixture) sql(sql string, args ...any) {
	f.t.Helper()
	tag, err := f.tx.Exec(f.t.Context(), sql, args...)
	if err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
	if (tag.Update() || tag.Delete() || tag.Insert()) && tag.RowsAffected() == 0 {
		f.t.Fatalf("%s: changes nothing", sql)
	}
}
