package bench_test

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// founded is an organization of a server, with its first device.
type founded struct {
	server  *testkit.Parsec
	address parsec.ServerAddress
	device  *client3.Device
	rpc     *client3.RPC
}

func found(b *testing.B, server *testkit.Parsec) *founded {
	b.Helper()
	c := client3.New(server.Address, client3.LatestVersion, client.Options{})
	b.Cleanup(c.Close)
	id := must(parsec.ParseOrganizationID("bench" + parsec.NewUUID().Hex()[:16]))
	token, err := c.Administration(testkit.AdministrationToken).Create(b.Context(), id, client.OrganizationSettings{})
	check(b, err)
	device, request, err := client3.NewOrganization(client3.Founding{Organization: id, Token: new(must(parsec3.ParseAccessToken(token)))},
		client3.Person{Label: must(parsec3.ParseDeviceLabel("bench")), HumanHandle: must(parsec3.ParseHumanHandle("bench@example.com", "Bench"))}, now())
	check(b, err)
	check(b, call(b.Context(), c.Anonymous(id), protocol.OrganizationBootstrap, request))
	return &founded{server: server, address: server.Address, device: device, rpc: c.Authenticated(device)}
}

// newDevice returns another device of the first user.
func (o *founded) newDevice(b *testing.B) *client3.Device {
	b.Helper()
	device, request, err := o.device.NewDevice(o.device.Label, now())
	check(b, err)
	check(b, call(b.Context(), o.rpc, protocol.DeviceCreate, request))
	return device
}

// side returns one of the organization, without connections; database is nil for none.
func (o *founded) side(name string, database testkit.ProcessorTime) *side {
	return &side{name: name, server: o.server.ProcessorTime, database: database}
}

func call[Request, Reply any](ctx context.Context, to *client3.RPC, command *rpc.Command[Request, Reply], request *Request) error {
	_, err := client3.Call(ctx, to, command, request)
	return err
}

func (o *founded) createRealm(b *testing.B, realm parsec.RealmID) {
	b.Helper()
	check(b, call(b.Context(), o.rpc, protocol.RealmCreate, must(o.device.NewRealm(realm, now()))))
}

var kibibyte = bytes.Repeat([]byte{0xa5}, 1<<10)

func (o *founded) createVlob(b *testing.B, realm parsec.RealmID, vlob parsec.VlobID) {
	b.Helper()
	check(b, call(b.Context(), o.rpc, protocol.VlobCreate, &protocol.VlobCreateRequest{RealmID: realm, VlobID: vlob, Timestamp: now(), Blob: kibibyte}))
}

// processorTime is that of this process so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// must is for what does not depend on the server.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
