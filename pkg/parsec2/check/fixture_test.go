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
	"parsec-server/internal/testkit/vectors"
	"parsec-server/internal/whole"
	"parsec-server/pkg/check"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// fixture is an organization with something of everything, that our client has made on a
// server with PostgreSQL: alice is ADMIN, bob and carol STANDARD, oscar OUTSIDER, and rita,
// an ADMIN, is revoked. Bob has a phone. In the realm "work", which has been reencrypted
// and is being so again, alice is OWNER, bob MANAGER, carol CONTRIBUTOR, and oscar has left.
type fixture struct {
	t          *testing.T
	g          *testkit.Generations
	client     *parsec2.Client
	connection *pgx.Conn
	// tx is what is planted, and undone after each case.
	tx   pgx.Tx
	last parsec.DateTime

	organization                          parsec.OrganizationID
	root                                  ed25519.PrivateKey
	alice, bob, phone, carol, oscar, rita *parsec2.Device
	service                               parsec.SequesterServiceID
	work, home                            parsec.RealmID
	vlob, other                           parsec.VlobID
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

func person(device string) parsec2.Person {
	id := must(parsec.ParseDeviceID(device))
	return parsec2.Person{
		ID: id, Label: must(parsec.ParseDeviceLabel(id.Name().String())),
		HumanHandle: must(parsec.ParseHumanHandle(id.User().String()+"@example.com", id.User().String())),
	}
}

func (f *fixture) no(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

var version = parsec.APIVersion{Major: 3, Minor: 4}

// send has a device send what it has signed.
func send[Request, Reply any](f *fixture, by *parsec2.Device, command *rpc.Command[Request, Reply], request *Request, err error) *Reply {
	f.t.Helper()
	f.no(err)
	reply, err := parsec2.Call(f.t.Context(), f.client.AuthenticatedRPC(by, version), command, request)
	f.no(err)
	return reply
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dsn := testkit.NewPostgres(t)
	f := &fixture{t: t, g: testkit.StartGenerations(t, testkit.GenerationsOptions{Database: dsn})}
	f.client = parsec2.New(f.g.Address, client.Options{})
	t.Cleanup(f.client.Close)
	f.connection = testkit.Connect(t, dsn)
	f.organization = must(parsec.ParseOrganizationID("Org2"))
	f.found()
	f.addUsers()
	f.addRealms()
	f.reencrypt()
	f.addRest()
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

// found bootstraps the organization as the client does, but keeps the root key.
func (f *fixture) found() {
	f.t.Helper()
	token := must(f.g.Organizations.Create(f.t.Context(), organization.Administrator{}, f.organization, organization.Change{}))
	f.root = ed25519.NewKeyFromSeed(make([]byte, 32))
	address := f.g.Address.BootstrapAddress(f.organization, token)
	device, made, err := parsec2.NewOrganization(address, person("alice@laptop"), f.now())
	f.no(err)
	user := must(certificate.Read[certificate.User](made.UserCertificate))
	first := must(certificate.Read[certificate.Device](made.DeviceCertificate))
	keys := rsaKeys(f.t)
	made.RootVerifyKey = parsec.VerifyKey(f.root.Public().(ed25519.PublicKey))
	made.UserCertificate, made.RedactedUserCertificate = must(user.Sign(f.root)), must(user.Redacted().Sign(f.root))
	made.DeviceCertificate, made.RedactedDeviceCertificate = must(first.Sign(f.root)), must(first.Redacted().Sign(f.root))
	made.SequesterAuthorityCertificate = must(certificate.SequesterAuthority{
		Timestamp: user.Timestamp, VerifyKeyDER: keys["sequester_authority"].Public,
	}.Sign(f.root))
	_, err = parsec2.Call(f.t.Context(), f.client.AnonymousRPC(f.organization, version), protocol.OrganizationBootstrap, made)
	f.no(err)
	device.RootVerifyKey = made.RootVerifyKey
	f.alice, f.service = device, parsec.SequesterServiceID(parsec.NewUUID())
	authority := must(x509.ParsePKCS8PrivateKey(keys["sequester_authority"].Private)).(*rsa.PrivateKey)
	f.no(f.g.Parsec2.CreateSequesterService(f.t.Context(), f.organization, must(certificate.SequesterService{
		Timestamp: f.now(), ServiceID: f.service, ServiceLabel: "service", EncryptionKeyDER: keys["sequester_service"].Public,
	}.Sign(authority)), ""))
}

func (f *fixture) addUser(device string, profile parsec.UserProfile) *parsec2.Device {
	f.t.Helper()
	made, request, err := f.alice.NewUser(person(device), profile, f.now())
	send(f, f.alice, protocol.UserCreate, request, err)
	return made
}

func (f *fixture) addUsers() {
	f.t.Helper()
	f.bob, f.carol = f.addUser("bob@desk", parsec.ProfileStandard), f.addUser("carol@desk", parsec.ProfileStandard)
	f.oscar, f.rita = f.addUser("oscar@desk", parsec.ProfileOutsider), f.addUser("rita@desk", parsec.ProfileAdmin)
	phone, request, err := f.bob.NewDevice(must(parsec.ParseDeviceID("bob@phone")).Name(), must(parsec.ParseDeviceLabel("phone")), f.now())
	send(f, f.bob, protocol.DeviceCreate, request, err)
	f.phone = phone
	revocation, err := f.alice.RevokeUser(f.rita.ID.User(), f.now())
	send(f, f.alice, protocol.UserRevoke, revocation, err)
}

func (f *fixture) give(by *parsec2.Device, with *parsec2.Device, role parsec.RealmRole) {
	f.t.Helper()
	request, err := by.UpdateRole(f.work, with.ID.User(), role, f.now())
	f.no(err)
	request.RecipientMessage = []byte("message")
	send(f, by, protocol.RealmUpdateRoles, request, nil)
}

func (f *fixture) addRealm() parsec.RealmID {
	f.t.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	request, err := f.alice.NewRealm(realm, f.now())
	send(f, f.alice, protocol.RealmCreate, request, err)
	return realm
}

func (f *fixture) copies() map[parsec.SequesterServiceID][]byte {
	return map[parsec.SequesterServiceID][]byte{f.service: []byte("copy")}
}

func (f *fixture) addRealms() {
	f.t.Helper()
	f.work, f.home = f.addRealm(), f.addRealm()
	f.vlob, f.other = parsec.VlobID(parsec.NewUUID()), parsec.VlobID(parsec.NewUUID())
	f.give(f.alice, f.bob, parsec.RoleManager)
	f.give(f.bob, f.carol, parsec.RoleContributor)
	f.give(f.bob, f.oscar, parsec.RoleReader)
	for vlob, by := range map[parsec.VlobID]*parsec2.Device{f.vlob: f.alice, f.other: f.carol} {
		send(f, by, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: f.work, EncryptionRevision: 1, VlobID: vlob, Timestamp: f.now(), Blob: []byte("blob"), SequesterBlob: f.copies(),
		}, nil)
	}
	send(f, f.phone, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		EncryptionRevision: 1, VlobID: f.vlob, Timestamp: f.now(), Version: 2, Blob: []byte("a later blob"), SequesterBlob: f.copies(),
	}, nil)
	send(f, f.alice, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: f.home, EncryptionRevision: 1, VlobID: parsec.VlobID(parsec.NewUUID()), Timestamp: f.now(), Blob: []byte("blob"), SequesterBlob: f.copies(),
	}, nil)
	send(f, f.bob, protocol.BlockCreate, &protocol.BlockCreateRequest{RealmID: f.work, BlockID: parsec.BlockID(parsec.NewUUID()), Block: []byte("block")}, nil)
	f.give(f.bob, f.oscar, parsec.RoleNone)
	for _, configuration := range []protocol.ArchivingConfiguration{
		{Type: parsec.ArchivingArchived}, {Type: parsec.ArchivingDeletionPlanned, DeletionDate: new(f.now().Add(365 * 24 * time.Hour))},
	} {
		request, err := f.alice.UpdateArchiving(f.home, configuration, f.now())
		send(f, f.alice, protocol.RealmUpdateArchiving, request, err)
	}
}

// reencrypt does it once, and leaves it in the middle the second time.
func (f *fixture) reencrypt() {
	f.t.Helper()
	for revision, whole := range []bool{true, false} {
		next := uint64(revision) + 2
		start := &protocol.RealmStartReencryptionRequest{
			RealmID: f.work, EncryptionRevision: next, Timestamp: f.now(), PerParticipantMessage: map[parsec.UserID][]byte{},
		}
		for _, member := range []*parsec2.Device{f.alice, f.bob, f.carol} {
			start.PerParticipantMessage[member.ID.User()] = []byte("key")
		}
		send(f, f.alice, protocol.RealmStartReencryption, start, nil)
		batch := send(f, f.alice, protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
			RealmID: f.work, EncryptionRevision: next, Size: 10,
		}, nil).Batch
		if !whole {
			batch = batch[:1]
		}
		send(f, f.alice, protocol.VlobSaveReencryptionBatch, &protocol.VlobSaveReencryptionBatchRequest{RealmID: f.work, EncryptionRevision: next, Batch: batch}, nil)
		if whole {
			send(f, f.alice, protocol.RealmFinishReencryption, &protocol.RealmFinishReencryptionRequest{RealmID: f.work, EncryptionRevision: next}, nil)
		}
	}
}

// addRest sets up a Shamir recovery of bob, and invites.
func (f *fixture) addRest() {
	f.t.Helper()
	date := f.now()
	brief := certificate.ShamirBrief{
		Author: f.bob.ID, Timestamp: date, Threshold: 2, PerRecipientShares: map[parsec.UserID]uint64{f.alice.ID.User(): 1, f.carol.ID.User(): 2},
	}
	setup := &protocol.ShamirRecoverySetupData{CipheredData: []byte("data"), RevealToken: parsec.NewUUID(), Brief: must(brief.Sign(f.bob.SigningKey))}
	for recipient := range brief.PerRecipientShares {
		setup.Shares = append(setup.Shares, must(certificate.ShamirShare{
			Author: f.bob.ID, Timestamp: date, Recipient: recipient, CipheredShare: []byte("share"),
		}.Sign(f.bob.SigningKey)))
	}
	send(f, f.bob, protocol.ShamirRecoverySetup, &protocol.ShamirRecoverySetupRequest{Setup: setup}, nil)
	send(f, f.bob, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationDevice}, nil)
	send(f, f.alice, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: f.bob.ID.User()}, nil)
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
