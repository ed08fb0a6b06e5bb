package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// deviceCount is how many devices the connections share.
const deviceCount = 4

// versions are what clients of each API major announce.
var versions = map[uint32]parsec.APIVersion{
	1: {Major: 1, Minor: 3},
	2: {Major: 2, Minor: 10},
	3: {Major: 3, Minor: 4},
}

// newClients returns one client for each source address.
func newClients(options *bench.Options) []*parsec2.Client {
	dialers := options.Dialers()
	clients := make([]*parsec2.Client, len(dialers))
	for i, dialer := range dialers {
		dial := dialer.DialContext
		if options.Workload == bench.Connect {
			dial = droppingAtOnce(dialer)
		}
		clients[i] = parsec2.New(options.Address, client.Options{TLS: options.TLS, DialContext: dial})
	}
	return clients
}

// droppingAtOnce has closed connections leave nothing behind: otherwise each
// keeps its port for a minute, and they run out.
func droppingAtOnce(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetLinger(0)
		}
		return conn, err
	}
}

// prepareOrganization creates and bootstraps the organization, its devices
// and, if the workload needs one, the realm that all share.
func (l *load) prepareOrganization(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bench.PreparationTimeout)
	defer cancel()
	id := parsec.NewUUID()
	organization, err := parsec.ParseOrganizationID("bench_" + id.Hex()[:16])
	if err != nil {
		return err
	}
	token, err := l.createOrganization(ctx, organization)
	if err != nil {
		return fmt.Errorf("create organization %s: %w", organization, err)
	}
	l.organization = organization
	address := l.options.Address.BootstrapAddress(organization, token)
	founder, request, err := parsec2.NewOrganization(address, parsec2.Person{}, now())
	if err == nil {
		err = l.clients[0].Bootstrap(ctx, organization, request)
	}
	if err != nil {
		return fmt.Errorf("bootstrap organization %s: %w", organization, err)
	}
	l.devices = []*parsec2.Device{founder}
	conn, err := l.clients[0].DialAuthenticated(ctx, founder, l.version)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	for len(l.devices) < deviceCount {
		device, err := createDevice(ctx, conn, founder)
		if err != nil {
			return fmt.Errorf("create a device: %w", err)
		}
		l.devices = append(l.devices, device)
	}
	if l.options.SharedRealm || l.options.Workload == bench.Fanout {
		l.realm, err = createRealm(ctx, conn, founder)
	}
	return err
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

func createDevice(ctx context.Context, conn *parsec2.Conn, author *parsec2.Device) (*parsec2.Device, error) {
	device, request, err := author.NewDevice(parsec.DeviceName{}, parsec.DeviceLabel{}, now())
	if err != nil {
		return nil, err
	}
	if conn.Version().Major == 1 {
		_, err = parsec2.Call(ctx, conn, protocol.DeviceCreateV1, parsec2.DeviceCreateV1(request, nil))
	} else {
		_, err = parsec2.Call(ctx, conn, protocol.DeviceCreate, request)
	}
	return device, err
}

func createRealm(ctx context.Context, conn *parsec2.Conn, owner *parsec2.Device) (parsec.RealmID, error) {
	realm := parsec.RealmID(parsec.NewUUID())
	request, err := owner.NewRealm(realm, now())
	if err == nil {
		_, err = parsec2.Call(ctx, conn, protocol.RealmCreate, request)
	}
	if err != nil {
		return realm, fmt.Errorf("create a realm: %w", err)
	}
	return realm, nil
}

// removeOrganization deletes what prepareOrganization has made. A server that cannot, such
// as an official one, keeps it.
func (l *load) removeOrganization(ctx context.Context) {
	if l.organization == (parsec.OrganizationID{}) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bench.PreparationTimeout)
	defer cancel()
	_ = l.clients[0].Administration(l.options.AdministrationToken).Remove(ctx, l.organization)
}

// createOrganization returns the bootstrap token. Servers since 2.5 have the
// REST administration, those up to 2.4 a WebSocket of API 1
// (docs/protocol/administration.md §2 and §4).
func (l *load) createOrganization(ctx context.Context, id parsec.OrganizationID) (token string, err error) {
	token, err = l.clients[0].Administration(l.options.AdministrationToken).Create(ctx, id, client.OrganizationSettings{})
	absent := []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUpgradeRequired}
	if answer, ok := errors.AsType[*client.HTTPError](err); !ok || !slices.Contains(absent, answer.Status) {
		return token, err
	}
	conn, err := l.clients[0].DialAdministration(ctx, l.options.AdministrationToken)
	if err != nil {
		return "", err
	}
	defer conn.CloseNow()
	reply, err := parsec2.Call(ctx, conn, protocol.AdministrationCreate, &protocol.AdministrationCreateRequest{OrganizationID: id})
	if err != nil {
		return "", err
	}
	return reply.BootstrapToken, nil
}
