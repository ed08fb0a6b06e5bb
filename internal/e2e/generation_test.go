package e2e_test

import (
	"bytes"
	"errors"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// generation is how the clients of one version do what others do otherwise.
type generation struct {
	name    string
	version parsec.APIVersion
	// overHTTP reports whether commands and events do not use WebSocket.
	overHTTP bool
	// anonymous reports whether people and devices have no name.
	anonymous bool
	bootstrap func(w *world, g generation, organization parsec.OrganizationID, request *protocol.OrganizationBootstrapRequest)
	addUser   func(w *world, g generation, author *peer, person parsec2.Person, profile parsec.UserProfile) *parsec2.Device
	addDevice func(w *world, g generation, author *peer, name parsec.DeviceName) *parsec2.Device
}

var generations = []generation{
	{
		name: "1.2", version: parsec.APIVersion{Major: 1, Minor: 2}, anonymous: true,
		bootstrap: bootstrapInFirst, addUser: claimUser, addDevice: claimDevice,
	}, {
		name: "2.4", version: parsec.APIVersion{Major: 2, Minor: 4},
		bootstrap: bootstrapInFirst, addUser: createUser, addDevice: createDevice,
	}, {
		name: "2.10", version: parsec.APIVersion{Major: 2, Minor: 10},
		bootstrap: bootstrapOverHTTP, addUser: createUser, addDevice: createDevice,
	}, {
		name: "3.4", version: parsec.APIVersion{Major: 3, Minor: 4},
		bootstrap: bootstrapOverHTTP, addUser: createUser, addDevice: createDevice,
	}, {
		name: "3.4 over HTTP", version: parsec.APIVersion{Major: 3, Minor: 4}, overHTTP: true,
		bootstrap: bootstrapOverHTTP, addUser: createUser, addDevice: createDevice,
	},
}

var (
	inAPI1 = generations[0]
	inAPI2 = generations[1]
	inAPI3 = generations[3]
)

// peer is a connected device that sends commands.
type peer struct {
	parsec2.Transport
	w      *world
	device *parsec2.Device
	// conn is nil over HTTP.
	conn *parsec2.Conn
}

// user returns the user of the peer.
func (p *peer) user() parsec.UserID { return p.device.ID.User() }

// person has a human handle and a label in the generations that know them.
func (g generation) person(device string) parsec2.Person {
	id := deviceID(device)
	person := parsec2.Person{ID: id}
	if !g.anonymous {
		person.Label = must(parsec.ParseDeviceLabel("The " + id.Name().String()))
		person.HumanHandle = must(parsec.ParseHumanHandle(id.User().String()+"@example.com", id.User().String()))
	}
	return person
}

// found creates and bootstraps an organization, and returns its first device.
func (g generation) found(w *world, organization, device string) *parsec2.Device {
	w.t.Helper()
	return g.foundAt(w, w.create(organization), device)
}

// foundByREST is found, where the administrator uses REST.
func (g generation) foundByREST(w *world, organization, device string) *parsec2.Device {
	w.t.Helper()
	id := must(parsec.ParseOrganizationID(organization))
	token, err := w.client.Administration(testkit.AdministrationToken).Create(w.ctx, id, client.OrganizationSettings{})
	if err != nil {
		w.t.Fatalf("create %s: %v", organization, err)
	}
	return g.foundAt(w, w.Address.BootstrapAddress(id, token), device)
}

func (g generation) foundAt(w *world, address parsec.BootstrapAddress, device string) *parsec2.Device {
	w.t.Helper()
	founder, request, err := parsec2.NewOrganization(address, g.person(device), w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	g.bootstrap(w, g, founder.Organization, request)
	return founder
}

// connect must be accepted.
func (g generation) connect(w *world, device *parsec2.Device) *peer {
	w.t.Helper()
	if g.overHTTP {
		return &peer{Transport: w.client.AuthenticatedRPC(device, g.version), w: w, device: device}
	}
	conn, err := w.client.DialAuthenticated(w.ctx, device, g.version)
	if err != nil {
		w.t.Fatalf("connect as %s: %v", device.ID, err)
	}
	w.t.Cleanup(conn.CloseNow)
	return &peer{Transport: conn, w: w, device: device, conn: conn}
}

// bootstrapInFirst is the way of clients up to 2.8. Those of API 1 have no
// redacted certificates.
func bootstrapInFirst(w *world, g generation, organization parsec.OrganizationID, request *protocol.OrganizationBootstrapRequest) {
	w.t.Helper()
	version := parsec.APIVersion{Major: 1, Minor: 3}
	first := parsec2.OrganizationBootstrapV1(request)
	if g.version.Major == 1 {
		version = g.version
		first.RedactedUserCertificate, first.RedactedDeviceCertificate = nil, nil
	}
	conn, err := w.client.DialAnonymous(w.ctx, organization, nil, version)
	if err != nil {
		w.t.Fatalf("connect to bootstrap: %v", err)
	}
	defer conn.Close()
	ok(w, conn, protocol.OrganizationBootstrapV1, first)
}

// bootstrapOverHTTP is the way of clients from 2.9 on.
func bootstrapOverHTTP(w *world, g generation, organization parsec.OrganizationID, request *protocol.OrganizationBootstrapRequest) {
	w.t.Helper()
	ok(w, w.client.AnonymousRPC(organization, g.version), protocol.OrganizationBootstrap, request)
}

func createUser(w *world, _ generation, author *peer, person parsec2.Person, profile parsec.UserProfile) *parsec2.Device {
	w.t.Helper()
	user, request, err := author.device.NewUser(person, profile, w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	ok(w, author, protocol.UserCreate, request)
	return user
}

func createDevice(w *world, g generation, author *peer, name parsec.DeviceName) *parsec2.Device {
	w.t.Helper()
	label := g.person(author.user().Device(name).String()).Label
	device, request, err := author.device.NewDevice(name, label, w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	ok(w, author, protocol.DeviceCreate, request)
	return device
}

// claimUser has a claimer and its inviter meet, as in API 1.
func claimUser(w *world, g generation, author *peer, person parsec2.Person, profile parsec.UserProfile) *parsec2.Device {
	w.t.Helper()
	id := person.ID.User()
	invited := async(w, author, protocol.UserInvite, &protocol.InvitedUserRequest{UserID: id})
	claimer := connectClaimer(w, g, author)
	checkCreator(w, author, claimer, protocol.UserGetInvitationCreator, &protocol.UserGetInvitationCreatorRequest{InvitedUserID: id})
	claim := content("claim of "+id.String(), 300)
	claimed := async(w, claimer, protocol.UserClaim, &protocol.UserClaimRequest{InvitedUserID: id, EncryptedClaim: claim})
	if got := wait(w, invited); !bytes.Equal(got.EncryptedClaim, claim) {
		w.t.Errorf("claim of %s: %x", id, got.EncryptedClaim)
	}
	user, request, err := author.device.NewUser(person, profile, w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	ok(w, author, protocol.UserCreateV1, testclient.UserCreateV1(request))
	reply := wait(w, claimed)
	if !bytes.Equal(reply.UserCertificate, request.UserCertificate) || !bytes.Equal(reply.DeviceCertificate, request.DeviceCertificate) {
		w.t.Errorf("claimer of %s: other certificates", id)
	}
	return user
}

// claimDevice has a claimer and its inviter meet, as in API 1.
func claimDevice(w *world, g generation, author *peer, name parsec.DeviceName) *parsec2.Device {
	w.t.Helper()
	id := author.user().Device(name)
	invited := async(w, author, protocol.DeviceInvite, &protocol.InvitedDeviceRequest{InvitedDeviceName: name})
	claimer := connectClaimer(w, g, author)
	checkCreator(w, author, claimer, protocol.DeviceGetInvitationCreator, &protocol.DeviceGetInvitationCreatorRequest{InvitedDeviceID: id})
	claim, answer := content("claim of "+id.String(), 300), content("answer to "+id.String(), 300)
	claimed := async(w, claimer, protocol.DeviceClaim, &protocol.DeviceClaimRequest{InvitedDeviceID: id, EncryptedClaim: claim})
	if got := wait(w, invited); !bytes.Equal(got.EncryptedClaim, claim) {
		w.t.Errorf("claim of %s: %x", id, got.EncryptedClaim)
	}
	device, request, err := author.device.NewDevice(name, parsec.DeviceLabel{}, w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	ok(w, author, protocol.DeviceCreateV1, parsec2.DeviceCreateV1(request, answer))
	reply := wait(w, claimed)
	if !bytes.Equal(reply.DeviceCertificate, request.DeviceCertificate) || !bytes.Equal(reply.EncryptedAnswer, answer) {
		w.t.Errorf("claimer of %s: other certificate or answer", id)
	}
	return device
}

func connectClaimer(w *world, g generation, author *peer) *parsec2.Conn {
	w.t.Helper()
	conn, err := w.client.DialAnonymous(w.ctx, author.device.Organization, &author.device.RootVerifyKey, g.version)
	if err != nil {
		w.t.Fatalf("connect as claimer: %v", err)
	}
	w.t.Cleanup(conn.CloseNow)
	return conn
}

// checkCreator asks until the invitation is there, and verifies who made it.
// The inviter then listens already.
func checkCreator[Request any](w *world, author *peer, by parsec2.Transport, command *rpc.Command[Request, protocol.InvitationCreatorReply], request *Request) {
	w.t.Helper()
	reply, err := parsec2.Call(w.ctx, by, command, request)
	for errors.Is(err, protocol.Refuse(protocol.StatusNotFound, "")) {
		reply, err = parsec2.Call(w.ctx, by, command, request)
	}
	if err != nil {
		w.t.Fatalf("%T: %v", request, err)
	}
	creator, err := testclient.VerifyInvitationCreator(author.device.RootVerifyKey, reply)
	if err != nil || creator.Devices[0].DeviceID != author.device.ID {
		w.t.Errorf("%T: %+v, %v", request, creator, err)
	}
}

// outcome is what a command comes back with.
type outcome[Reply any] struct {
	reply *Reply
	err   error
}

// async sends a command that waits.
func async[Request, Reply any](w *world, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) <-chan outcome[Reply] {
	done := make(chan outcome[Reply], 1)
	go func() {
		reply, err := parsec2.Call(w.ctx, by, command, request)
		done <- outcome[Reply]{reply, err}
	}()
	return done
}

// wait wants the command to be accepted.
func wait[Reply any](w *world, done <-chan outcome[Reply]) *Reply {
	w.t.Helper()
	result := <-done
	if result.err != nil {
		w.t.Fatalf("%T: %v", result.reply, result.err)
	}
	return result.reply
}
