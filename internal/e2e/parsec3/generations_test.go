package parsec3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	words "parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// writers of each generation write at the same time, each some vlobs in several
	// versions and some blocks, all in one realm.
	writers       = 4
	vlobsEach     = 8
	versionsEach  = 4
	blocksEach    = 4
	smallBlock    = 10_000
	wrongsEach    = 40
	vlobBytes     = 500
	clearOverhead = 40
)

// load is what both generations write, under the same ids.
type load struct {
	realm  parsec.RealmID
	vlobs  [writers][vlobsEach]parsec.VlobID
	blocks [writers][blocksEach]parsec.BlockID
}

func newLoad() *load {
	l := &load{realm: parsec.RealmID(parsec.NewUUID())}
	for i := range writers {
		for j := range l.vlobs[i] {
			l.vlobs[i][j] = parsec.VlobID(parsec.NewUUID())
		}
		for j := range l.blocks[i] {
			l.blocks[i][j] = parsec.BlockID(parsec.NewUUID())
		}
	}
	return l
}

// of is what a generation writes under an id.
func of(generation int, id parsec.UUID, version uint32, size int) []byte {
	return content(fmt.Sprintf("%d %s %d", generation, id.Hex(), version), size)
}

// TestBothGenerationsInMemory has clients of API 3 and API 5 on one server at once.
func TestBothGenerationsInMemory(t *testing.T) {
	t.Parallel()
	together(newWorld(t, testkit.StartParsec(t, program)))
}

// together has each generation write, read and listen in an organization of its own,
// while others try the organization of the other generation.
func together(w *world) {
	l := newLoad()
	younger, older := newYounger(w, l), newOlder(w, l)
	group, ctx := errgroup.WithContext(w.ctx)
	for i := range writers {
		group.Go(func() error { return younger.write(ctx, i) })
		group.Go(func() error { return older.write(ctx, i) })
	}
	group.Go(func() error { return younger.listen(ctx) })
	group.Go(func() error { return older.listen(ctx) })
	group.Go(func() error { return tryOthers(ctx, younger, older) })
	w.do("write, read and listen", group.Wait())
	younger.wantNothingElse()
	w.wantStatistics(younger.organization, younger.device.Organization, writers*vlobsEach*versionsEach, 2)
	w.wantStatistics(older.organization, older.device.Organization, writers*vlobsEach*versionsEach, 1)
}

// younger is a client of API 5, with what its organization is called.
type younger struct {
	*load
	w            *world
	organization string
	device       *client3.Device
	writer       *testclient3.Resident
	// reader listens, as another user.
	reader *peer
}

func newYounger(w *world, l *load) *younger {
	w.t.Helper()
	device := w.found("alice")
	owner := w.login("alice", device)
	reader, err := owner.AddUser(w.ctx, person("bob"), parsec.ProfileStandard)
	w.do("add bob", err)
	_, err = client3.Call(w.ctx, owner.RPC(), protocol.RealmCreate, must(device.NewRealm(l.realm, now())))
	w.do("create a realm", err)
	w.do("poll", owner.Poll(w.ctx))
	w.do("rotate", owner.RotateKey(w.ctx, l.realm))
	w.do("share", owner.Share(w.ctx, l.realm, reader.User, parsec.RoleReader))
	return &younger{load: l, w: w, organization: "API 5", device: device, writer: owner.Resident, reader: w.login("bob", reader)}
}

func (y *younger) write(ctx context.Context, writer int) error {
	for version := uint32(1); version <= versionsEach; version++ {
		for _, vlob := range y.vlobs[writer] {
			data := of(5, parsec.UUID(vlob), version, vlobBytes)
			upload := y.writer.Upload(ctx, y.realm, vlob, data)
			if version > 1 {
				upload = y.writer.Update(ctx, y.realm, vlob, version, data)
			}
			if upload != nil {
				return upload
			}
			read, err := y.reader.Read(ctx, y.realm, nil, vlob)
			if err != nil {
				return err
			}
			if there := read[vlob]; there.Number != version || !bytes.Equal(there.Content, data) {
				return fmt.Errorf("API 5 reads version %d of %s", there.Number, vlob)
			}
		}
	}
	for _, block := range y.blocks[writer] {
		data := of(5, parsec.UUID(block), 1, smallBlock)
		if err := y.writer.UploadBlock(ctx, y.realm, y.vlobs[writer][0], block, data); err != nil {
			return err
		}
		if read, err := y.reader.ReadBlock(ctx, y.realm, block); err != nil || !bytes.Equal(read, data) {
			return fmt.Errorf("API 5 reads another block %s: %w", block, err)
		}
	}
	return nil
}

// listen wants each version once, in order, and nothing of anybody else.
func (y *younger) listen(ctx context.Context) error {
	seen := map[parsec.VlobID]uint32{}
	for heard := 0; heard < writers*vlobsEach*versionsEach; {
		select {
		case message := <-y.reader.messages:
			event, is := message.Event.(*protocol.VlobEvent)
			if !is { // the end of what prepared all this
				continue
			}
			if seen[event.VlobID]++; event.Version != seen[event.VlobID] || event.Author != y.device.ID || event.RealmID != y.realm {
				return fmt.Errorf("API 5 hears %+v after version %d", event, seen[event.VlobID]-1)
			}
			heard++
		case <-y.reader.Stopped():
			return y.reader.Err()
		case <-ctx.Done():
			return errors.New("API 5 waits in vain for an event")
		}
	}
	return nil
}

// wantNothingElse has a certificate be what is heard next.
func (y *younger) wantNothingElse() {
	y.w.t.Helper()
	y.w.do("rename", y.writer.Rename(y.w.ctx, y.realm, "Renamed", false))
	if event, is := y.reader.next().(*protocol.RealmCertificateEvent); !is {
		y.w.t.Errorf("API 5 hears %+v", event)
	}
}

// older is a client of API 3.
type older struct {
	*load
	organization string
	client       *parsec2.Client
	device       *parsec2.Device
	writer       *parsec2.Conn
	// events are those of another device of the user.
	events *parsec2.EventStream
}

var api3 = parsec.APIVersion{Major: 3, Minor: 4}

func newOlder(w *world, l *load) *older {
	w.t.Helper()
	id := must(parsec.ParseOrganizationID("OldOrg"))
	token, err := w.administration().Create(w.ctx, id, client.OrganizationSettings{})
	w.do("create", err)
	address := w.addresses[0]
	o := &older{load: l, organization: "API 3", client: parsec2.New(address, client.Options{})}
	w.t.Cleanup(o.client.Close)
	founder := parsec2.Person{
		Label:       must(parsec.ParseDeviceLabel("alice")),
		HumanHandle: must(parsec.ParseHumanHandle(email("alice"), "alice")),
	}
	device, request, err := parsec2.NewOrganization(address.BootstrapAddress(id, token), founder, now())
	w.do("found", err)
	w.do("bootstrap", o.client.Bootstrap(w.ctx, id, request))
	o.device = device
	o.writer, err = o.client.DialAuthenticated(w.ctx, device, api3)
	w.do("connect", err)
	w.t.Cleanup(o.writer.CloseNow)
	phone, added, err := device.NewDevice(parsec.DeviceName{}, parsec.DeviceLabel{}, now())
	w.do("make a device", err)
	_, err = parsec2.Call(w.ctx, o.writer, words.DeviceCreate, added)
	w.do("add a device", err)
	o.events, err = o.client.Events(w.ctx, phone, api3)
	w.do("listen", err)
	_, err = parsec2.Call(w.ctx, o.writer, words.RealmCreate, must(device.NewRealm(l.realm, now())))
	w.do("create a realm", err)
	told := <-o.events.Notifications() // which may come late, among what is written next
	if _, is := told.Event.(*words.RealmRolesUpdatedEvent); !is {
		w.t.Fatalf("API 3 hears %+v of its realm", told)
	}
	return o
}

func (o *older) write(ctx context.Context, writer int) error {
	rpc := o.client.AuthenticatedRPC(o.device, api3)
	for version := uint32(1); version <= versionsEach; version++ {
		for _, vlob := range o.vlobs[writer] {
			data := of(3, parsec.UUID(vlob), version, vlobBytes)
			var err error
			if version == 1 {
				_, err = parsec2.Call(ctx, o.writer, words.VlobCreate, &words.VlobCreateRequest{
					RealmID: o.realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Blob: data,
				})
			} else {
				_, err = parsec2.Call(ctx, rpc, words.VlobUpdate, &words.VlobUpdateRequest{
					EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: version, Blob: data,
				})
			}
			if err != nil {
				return fmt.Errorf("API 3 writes: %w", err)
			}
			read, err := parsec2.Call(ctx, o.writer, words.VlobRead, &words.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
			if err != nil {
				return fmt.Errorf("API 3 reads: %w", err)
			}
			if read.Version != version || !bytes.Equal(read.Blob, data) || read.Author != o.device.ID {
				return fmt.Errorf("API 3 reads version %d of %s by %s", read.Version, vlob, read.Author)
			}
		}
	}
	for _, block := range o.blocks[writer] {
		data := of(3, parsec.UUID(block), 1, smallBlock+clearOverhead)
		if _, err := parsec2.Call(ctx, rpc, words.BlockCreate, &words.BlockCreateRequest{RealmID: o.realm, BlockID: block, Block: data}); err != nil {
			return fmt.Errorf("API 3 writes a block: %w", err)
		}
		if read, err := parsec2.Call(ctx, o.writer, words.BlockRead, &words.BlockReadRequest{BlockID: block}); err != nil || !bytes.Equal(read.Block, data) {
			return fmt.Errorf("API 3 reads another block %s: %w", block, err)
		}
	}
	return nil
}

// listen wants each version once, in order.
func (o *older) listen(ctx context.Context) error {
	seen, checkpoint := map[parsec.VlobID]uint32{}, uint64(0)
	for range writers * vlobsEach * versionsEach {
		select {
		case told := <-o.events.Notifications():
			event, is := told.Event.(*words.RealmVlobsUpdatedEvent)
			if checkpoint++; !is || event.RealmID != o.realm || event.Checkpoint != checkpoint {
				return fmt.Errorf("API 3 hears %+v after checkpoint %d", told, checkpoint-1)
			}
			if seen[event.SourceID]++; event.SourceVersion != seen[event.SourceID] {
				return fmt.Errorf("API 3 hears %+v after version %d", event, seen[event.SourceID]-1)
			}
		case <-ctx.Done():
			return fmt.Errorf("API 3 waits in vain after checkpoint %d", checkpoint)
		}
	}
	return nil
}

// tryOthers has clients ask for the organization of the other generation, by routes
// that both have, and over WebSocket.
func tryOthers(ctx context.Context, y *younger, o *older) error {
	strayed5, strayed3 := *y.device, *o.device
	strayed5.Organization, strayed3.Organization = o.device.Organization, y.device.Organization
	c := y.reader.client
	for range wrongsEach {
		for what, ask := range map[string]func() error{
			"5.6 anonymous":     func() error { return ping5(ctx, c.Anonymous(strayed5.Organization)) },
			"5.6 authenticated": func() error { return ping5(ctx, c.Authenticated(&strayed5)) },
			"5.6 tos": func() error {
				_, err := client3.Call(ctx, c.TOS(&strayed5), protocol.TOSGet, &protocol.TOSGetRequest{})
				return err
			},
			"5.6 events": func() error {
				_, err := c.Authenticated(&strayed5).Events(ctx, "")
				return err
			},
			"3.4 anonymous":     func() error { return ping3(ctx, o.client.AnonymousRPC(strayed3.Organization, api3)) },
			"3.4 authenticated": func() error { return ping3(ctx, o.client.AuthenticatedRPC(&strayed3, api3)) },
			"3.4 events": func() error {
				_, err := o.client.AuthenticatedRPC(&strayed3, api3).ServerSentEvents(ctx)
				return err
			},
		} {
			// What the organization is of is named, and that alone.
			wanted := map[byte]string{'5': "2.10;3.4", '3': "5.6"}[what[0]]
			err := ask()
			if failure, answered := errors.AsType[*client.HTTPError](err); !answered || failure.Status != 422 || failure.SupportedAPIVersions != wanted {
				return strayed(what, err)
			}
		}
		_, err := o.client.DialAuthenticated(ctx, &strayed3, api3)
		if refused, is := errors.AsType[*parsec2.HandshakeError](err); !is || refused.Result != "bad_protocol" {
			return strayed("a handshake", err)
		}
	}
	return nil
}

// strayed is the error of what is answered otherwise.
func strayed(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s is accepted in an organization of the other generation", what)
	}
	return fmt.Errorf("%s in an organization of the other generation: %w", what, err)
}

func ping5(ctx context.Context, to *client3.RPC) error {
	_, err := client3.Call(ctx, to, protocol.Ping, &protocol.PingRequest{})
	return err
}

func ping3(ctx context.Context, to *parsec2.RPC) error {
	_, err := parsec2.Call(ctx, to, words.Ping, &words.PingRequest{})
	return err
}

// wantStatistics wants what was written to one organization, and nothing of the
// other.
func (w *world) wantStatistics(what string, organization parsec.OrganizationID, versions, users uint64) {
	w.t.Helper()
	found, err := w.administration().Statistics(w.ctx, organization)
	w.do("statistics", err)
	if found.Users != users || found.Realms != 1 || found.DataSize != writers*blocksEach*(smallBlock+clearOverhead) ||
		found.MetadataSize < versions*vlobBytes || found.MetadataSize > versions*(vlobBytes+500) {
		w.t.Errorf("%s: %+v", what, found)
	}
}
