package bench

import (
	"context"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
)

// load is one run.
type load struct {
	bench.Run

	options bench.Options
	version parsec.APIVersion
	clients []*parsec2.Client
	devices []*parsec2.Device
	// organization is what was made for the run, zero before.
	organization parsec.OrganizationID
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
	if err := check(&options); err != nil {
		return nil, err
	}
	l := &load{
		Run: bench.Run{
			Duration: options.Duration, Operations: options.Operations, Reconnect: options.Reconnect,
			NameOf: nameOf, Progress: options.Progress,
		},
		options: options,
		version: versions[options.API],
		clients: newClients(&options),
		payload: make([]byte, options.Payload()),
	}
	defer l.close()
	defer l.removeOrganization(ctx)
	if err := l.prepareOrganization(ctx); err != nil {
		return nil, err
	}
	for i := range options.Connections {
		w := newWorker(l, i)
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
	switch l.options.Workload {
	case bench.Fanout:
		return l.fanout(ctx)
	case bench.Idle:
		return l.idle(ctx)
	default:
		return l.Steady(ctx, func(i int) bench.Connection { return l.workers[i] })
	}
}

// close drops every connection.
func (l *load) close() {
	for _, w := range l.workers {
		w.Close()
	}
	for _, c := range l.clients {
		c.Close()
	}
}
