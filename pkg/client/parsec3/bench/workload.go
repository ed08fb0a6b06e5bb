package bench

import (
	"context"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// steadyWorkload is a workload whose connections repeat one operation, after a
// preparation that is not measured.
type steadyWorkload struct {
	prepare, operate func(*worker, context.Context) error
}

var steadyWorkloads = map[bench.Workload]steadyWorkload{
	bench.Ping:           {(*worker).connect, (*worker).ping},
	bench.VlobCreate:     {(*worker).enterRealm, (*worker).createVlob},
	bench.VlobUpdate:     {(*worker).storeVlobs, (*worker).updateVlob},
	bench.VlobRead:       {(*worker).storeVlobs, (*worker).readVlob},
	bench.Mix:            {(*worker).storeVlobs, (*worker).mix},
	bench.BlockCreate:    {(*worker).enterRealm, (*worker).createBlock},
	bench.BlockRead:      {(*worker).storeBlock, (*worker).readBlock},
	bench.CertificateGet: {(*worker).enterRealm, (*worker).getCertificates},
}

// The heads of the requests, made once.
var (
	pingHead           = headOf(protocol.Ping.Form)
	vlobCreateHead     = headOf(protocol.VlobCreate.Form)
	vlobUpdateHead     = headOf(protocol.VlobUpdate.Form)
	vlobReadHead       = headOf(protocol.VlobReadBatch.Form)
	blockCreateHead    = headOf(protocol.BlockCreate.Form)
	blockReadHead      = headOf(protocol.BlockRead.Form)
	certificateGetHead = headOf(protocol.CertificateGet.Form)
)

func headOf(command *rpc.Form) []wire.Field {
	return []wire.Field{{Key: "cmd", Value: command.Name}}
}

var (
	pingRequest           = &protocol.PingRequest{Ping: "bench"}
	certificateGetRequest = &protocol.CertificateGetRequest{RealmAfter: map[parsec.RealmID]parsec.DateTime{}}
)

func (w *worker) ping(ctx context.Context) error { return w.send(ctx, pingHead, pingRequest) }

func (w *worker) getCertificates(ctx context.Context) error {
	return w.send(ctx, certificateGetHead, certificateGetRequest)
}

// enterRealm opens the connection, and a realm unless all share one.
func (w *worker) enterRealm(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if w.load.realm != (parsec.RealmID{}) {
		return nil
	}
	var err error
	w.realm, err = createRealm(ctx, w.rpc, w.device)
	return err
}

// storeVlobs also stores what will be read and updated.
func (w *worker) storeVlobs(ctx context.Context) error {
	if err := w.enterRealm(ctx); err != nil {
		return err
	}
	for range w.vlobs {
		if err := w.createVlob(ctx); err != nil {
			return err
		}
	}
	return nil
}

// nextVlob returns the one whose turn it is.
func (w *worker) nextVlob() *vlob {
	w.turn++
	return &w.vlobs[w.turn%vlobCount]
}

func (w *worker) createVlob(ctx context.Context) error {
	target := w.nextVlob()
	*target = vlob{parsec.VlobID(w.ids.Next()), 1}
	w.createVlobs = protocol.VlobCreateRequest{
		RealmID: w.realm, VlobID: target.id, Timestamp: now(), Blob: w.load.payload,
	}
	return w.send(ctx, vlobCreateHead, &w.createVlobs)
}

func (w *worker) updateVlob(ctx context.Context) error {
	target := w.nextVlob()
	w.updateVlobs = protocol.VlobUpdateRequest{
		RealmID: w.realm, VlobID: target.id, Timestamp: now(), Version: target.version + 1, Blob: w.load.payload,
	}
	err := w.send(ctx, vlobUpdateHead, &w.updateVlobs)
	if err == nil {
		target.version++
	}
	return err
}

// readVlob reads one, as official clients do.
func (w *worker) readVlob(ctx context.Context) error {
	w.readVlob1[0] = w.nextVlob().id
	w.readVlobs = protocol.VlobReadBatchRequest{RealmID: w.realm, Vlobs: w.readVlob1[:]}
	return w.send(ctx, vlobReadHead, &w.readVlobs)
}

// mix spreads seven reads, two updates and one creation over ten operations.
func (w *worker) mix(ctx context.Context) error {
	switch w.turn % 10 {
	case 2, 7:
		return w.updateVlob(ctx)
	case 5:
		return w.createVlob(ctx)
	default:
		return w.readVlob(ctx)
	}
}

func (w *worker) storeBlock(ctx context.Context) error {
	if err := w.enterRealm(ctx); err != nil {
		return err
	}
	return w.createBlock(ctx)
}

func (w *worker) createBlock(ctx context.Context) error {
	w.block = parsec.BlockID(w.ids.Next())
	return w.send(ctx, blockCreateHead, &protocol.BlockCreateRequest{
		BlockID: w.block, RealmID: w.realm, Block: w.load.payload,
	})
}

func (w *worker) readBlock(ctx context.Context) error {
	return w.send(ctx, blockReadHead, &protocol.BlockReadRequest{BlockID: w.block, RealmID: w.realm})
}
