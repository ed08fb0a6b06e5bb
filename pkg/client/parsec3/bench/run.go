package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// Workloads lists what clients of API 5 can do.
func Workloads() []bench.Workload {
	return []bench.Workload{
		bench.Ping, bench.VlobCreate, bench.VlobUpdate, bench.VlobRead, bench.BlockCreate, bench.BlockRead,
		bench.CertificateGet, bench.Fanout, bench.Mix,
	}
}

// load is one run.
type load struct {
	bench.Run

	options bench.Options
	// organization is the one that was made, zero before.
	organization parsec.OrganizationID
	devices      []*client3.Device
	// realm is the one that all share, zero when each worker has its own.
	realm   parsec.RealmID
	payload []byte
	workers []*worker
}

// Run prepares an organization, has the connections work, and reports what was
// measured. When ctx ends during the work, the report covers the part that was
// done; before, the error is that of ctx.
//
// Wrong options are errors, and so is whatever keeps the work from beginning.
// What goes wrong later is counted in the report: unless options say to
// reconnect, a connection that is lost stays lost, and the others go on.
func Run(ctx context.Context, options bench.Options) (*bench.Report, error) {
	if options.API != client3.LatestVersion.Major {
		return nil, fmt.Errorf("the API must be %d", client3.LatestVersion.Major)
	}
	if err := options.Check(Workloads()); err != nil {
		return nil, err
	}
	l := &load{
		Run: bench.Run{
			Duration: options.Duration, Operations: options.Operations, Reconnect: options.Reconnect,
			NameOf: nameOf, Progress: options.Progress,
		},
		options: options,
		payload: make([]byte, options.Payload()),
	}
	defer l.removeOrganization(ctx)
	if err := l.prepareOrganization(ctx); err != nil {
		return nil, err
	}
	for i := range options.Connections {
		w := newWorker(l, i)
		defer w.Close()
		l.workers, l.Meters = append(l.workers, w), append(l.Meters, &w.Meter)
	}
	defer l.Follow()()
	report, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	report.Workload, report.API, report.Size = string(options.Workload), options.API, len(l.payload)
	return report, nil
}

func (l *load) run(ctx context.Context) (*bench.Report, error) {
	if l.options.Workload == bench.Fanout {
		return l.fanout(ctx)
	}
	return l.Steady(ctx, func(i int) bench.Connection { return l.workers[i] })
}

// deviceCount is how many devices the connections share.
const deviceCount = 4

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
	c := l.newClient(0)
	defer c.Close()
	text, err := c.Administration(l.options.AdministrationToken).Create(ctx, organization, client.OrganizationSettings{})
	if err != nil {
		return fmt.Errorf("create organization %s: %w", organization, err)
	}
	l.organization = organization
	token, err := parsec3.ParseAccessToken(text)
	if err != nil {
		return fmt.Errorf("%w: the bootstrap token %w", client.ErrProtocol, err)
	}
	founder, err := bootstrap(ctx, c, organization, token)
	if err != nil {
		return fmt.Errorf("bootstrap organization %s: %w", organization, err)
	}
	l.devices = []*client3.Device{founder}
	for len(l.devices) < deviceCount {
		device, err := createDevice(ctx, c, founder)
		if err != nil {
			return fmt.Errorf("create a device: %w", err)
		}
		l.devices = append(l.devices, device)
	}
	if l.options.SharedRealm || l.options.Workload == bench.Fanout {
		l.realm, err = createRealm(ctx, c.Authenticated(founder), founder)
	}
	return err
}

// removeOrganization deletes what prepareOrganization has made. A server that cannot, such
// as an official one, keeps it.
func (l *load) removeOrganization(ctx context.Context) {
	if l.organization == (parsec.OrganizationID{}) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bench.PreparationTimeout)
	defer cancel()
	c := l.newClient(0)
	defer c.Close()
	_ = c.Administration(l.options.AdministrationToken).Remove(ctx, l.organization)
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

func bootstrap(ctx context.Context, c *client3.Client, organization parsec.OrganizationID, token parsec3.AccessToken) (*client3.Device, error) {
	handle, err := parsec3.ParseHumanHandle("bench@example.com", "Bench")
	if err != nil {
		return nil, err
	}
	label, err := parsec3.ParseDeviceLabel("bench")
	if err != nil {
		return nil, err
	}
	founder, request, err := client3.NewOrganization(client3.Founding{Organization: organization, Token: &token},
		client3.Person{Label: label, HumanHandle: handle}, now())
	if err == nil {
		_, err = client3.Call(ctx, c.Anonymous(organization), protocol.OrganizationBootstrap, request)
	}
	return founder, err
}

func createDevice(ctx context.Context, c *client3.Client, author *client3.Device) (*client3.Device, error) {
	device, request, err := author.NewDevice(author.Label, now())
	if err == nil {
		_, err = client3.Call(ctx, c.Authenticated(author), protocol.DeviceCreate, request)
	}
	return device, err
}

// createRealm creates a realm whose keys have the index 0, as that of a user.
func createRealm(ctx context.Context, by *client3.RPC, owner *client3.Device) (parsec.RealmID, error) {
	realm := parsec.RealmID(parsec.NewUUID())
	request, err := owner.NewRealm(realm, now())
	if err == nil {
		_, err = client3.Call(ctx, by, protocol.RealmCreate, request)
	}
	if err != nil {
		return realm, fmt.Errorf("create a realm: %w", err)
	}
	return realm, nil
}

// errStreamEnded is of a stream of events whose server stops in order: clients open
// it again.
var errStreamEnded = errors.New("stream ended")

// nameOf returns the name under which an error is counted.
func nameOf(err error) string {
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok {
		return string(refusal.Status)
	}
	if answer, ok := errors.AsType[*client.HTTPError](err); ok {
		return "HTTP " + strconv.Itoa(answer.Status)
	}
	switch {
	case errors.Is(err, errStreamEnded):
		return errStreamEnded.Error()
	case errors.Is(err, client.ErrProtocol):
		return "protocol broken"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	default:
		return "connection lost"
	}
}
