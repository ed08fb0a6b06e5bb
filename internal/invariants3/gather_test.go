//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// How much later than the last certificate official clients date what they sign again
// (docs/protocol/v5/commands.md §5).
const (
	stepOfVlobs   = 100 * time.Millisecond
	stepOfDevices = 500 * time.Millisecond
)

// asOfficial sends what sign makes for a date, as official clients do: until it is not
// refused for its date any more. It returns the date that counts.
func asOfficial[Request, Reply any](ctx context.Context, by *parsec3.RPC, command *rpc.Command[Request, Reply], step time.Duration, sign func(parsec.DateTime) (*Request, error)) (parsec.DateTime, error) {
	for on := systemClock(); ; {
		request, err := sign(on)
		if err != nil {
			return 0, err
		}
		_, err = parsec3.Call(ctx, by, command, request)
		last, refused := requiredDate(err)
		if !refused {
			return on, err
		}
		on = max(systemClock(), last.Add(step))
	}
}

// TestDevicesAsFastAsAnswered has eight devices create devices as fast as they are
// answered: the common topic does not outrun the clock, and others can write.
func TestDevicesAsFastAsAnswered(t *testing.T) { everywhere(t, devicesAsFastAsAnswered) }

func devicesAsFastAsAnswered(w *world) {
	const devices, mostAhead = 8, 2 * time.Second
	duration := 3 * time.Second
	if testkit.Long() {
		duration = time.Minute
	}
	realm := w.alice.addRealmWith(parsec.RoleReader)
	label := must(vocabulary.ParseDeviceLabel("another"))
	var authors []*parsec3.Device
	for range devices {
		device, request, err := w.alice.NewDevice(label, now())
		w.no(err)
		w.ok(send(w.alice.on[0], protocol.DeviceCreate, request))
		authors = append(authors, device)
	}
	ctx, cancel := context.WithTimeout(w.ctx, duration)
	defer cancel()
	var created [devices]int
	var worst atomic.Int64 // by which the topic is ahead
	var group sync.WaitGroup
	for i, author := range authors {
		group.Go(func() {
			for ctx.Err() == nil {
				date, err := asOfficial(w.ctx, w.clients[i%2].Authenticated(author), protocol.DeviceCreate, stepOfDevices,
					func(on parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
						_, request, err := author.NewDevice(label, on)
						return request, err
					})
				if err != nil {
					w.Errorf("device %d: %v", i, err)
					return
				}
				created[i]++
				ahead := int64(date.Sub(systemClock()))
				for last := worst.Load(); ahead > last && !worst.CompareAndSwap(last, ahead); last = worst.Load() {
				}
			}
		})
	}
	for written := 0; ctx.Err() == nil; written++ {
		begun := systemClock()
		date, err := asOfficial(w.ctx, w.alice.on[written%2], protocol.VlobCreate, stepOfVlobs,
			func(on parsec.DateTime) (*protocol.VlobCreateRequest, error) {
				return &protocol.VlobCreateRequest{RealmID: realm, VlobID: newVlobID(), KeyIndex: 1, Timestamp: on, Blob: []byte("vlob")}, nil
			})
		if err != nil || date.Sub(begun) > mostAhead {
			w.Errorf("a vlob is dated %s after it is written: %v", date.Sub(begun), err)
		}
	}
	group.Wait()
	if ahead := time.Duration(worst.Load()); ahead > mostAhead {
		w.Errorf("the common topic is %s ahead of the clock", ahead)
	}
	for i, count := range created {
		if count == 0 {
			w.Errorf("device %d has created nothing", i)
		}
	}
	w.Logf("devices created: %v, at most %s ahead", created, time.Duration(worst.Load()))
	w.coherent(w.alice)
}

// TestKilledBetweenCommitAndReplies kills a process that has committed what several
// clients have sent, before it can tell them: what was acknowledged is there, and
// nothing is there twice when they send it again.
func TestKilledBetweenCommitAndReplies(t *testing.T) {
	const clients = 16
	for _, test := range []struct {
		name string
		// again is what a client is told of what is there.
		again protocol.Status
		// prepare returns the calls of clients through an instance, and what counts
		// what is there of each.
		prepare func(w *world) (calls func(instance int) []call, there func() []int)
	}{
		{"vlobs", protocol.StatusVlobAlreadyExists, vlobsOf(clients)},
		{"devices", protocol.StatusDeviceAlreadyExists, devicesOf(clients)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := openPostgres(t, testkit.NewPostgres(t))
			proxy := testkit.StartPostgresProxy(t, h.dsn)
			killed := h.start(t, 0, proxy.DSN+" default_query_exec_mode=exec", theCommand())
			h.start(t, 1, h.dsn, theCommand())
			w := newWorld(t, h)
			calls, there := test.prepare(w)
			dead := make(chan struct{})
			// The first one is on its way, and all others wait.
			all := calls(0)
			got := w.stalled(func() {
				proxy.Lose(testkit.PostgresFault{Statement: "\x00COMMIT\x00", Executed: true, Then: func() {
					killed.Kill()
					close(dead)
				}})
			}, all[:1], all[1:])
			<-dead
			before := there()
			unknown := 0
			for i, status := range got {
				if status == protocol.StatusOK && before[i] != 1 {
					t.Errorf("what was acknowledged is there %d times", before[i])
				}
				if status != protocol.StatusOK && before[i] == 1 {
					unknown++
				}
			}
			if unknown < 2 {
				t.Errorf("%d are there that nobody was told of: %v", unknown, got)
			}
			h.metrics = h.metrics[1:]
			for i, call := range calls(1) {
				want := protocol.StatusOK
				if before[i] == 1 {
					want = test.again
				}
				w.want(want, call)
			}
			for i, count := range there() {
				if count != 1 {
					t.Errorf("number %d is there %d times", i, count)
				}
			}
			w.alice.knowledge(1)
		})
	}
}

// vlobsOf has one client write vlobs of one realm on several connections.
func vlobsOf(count int) func(w *world) (calls func(instance int) []call, there func() []int) {
	return func(w *world) (calls func(instance int) []call, there func() []int) {
		realm := w.alice.addRealmWith(parsec.RoleReader)
		vlobs := make([]parsec.VlobID, count)
		for i := range vlobs {
			vlobs[i] = newVlobID()
		}
		calls = func(instance int) []call {
			return each(count, func(i, _ int) call { return w.alice.createsVlob(instance, realm, vlobs[i], 1, anytime) })
		}
		return calls, func() []int {
			counts := make([]int, count)
			reply := ask(w.alice, 1, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
			if int(reply.CurrentCheckpoint) != len(reply.Changes) {
				w.Errorf("%d writes of %d vlobs", reply.CurrentCheckpoint, len(reply.Changes))
			}
			for _, change := range reply.Changes {
				for i, vlob := range vlobs {
					if change.Vlob == vlob && change.Version == 1 {
						counts[i]++
					}
				}
			}
			return counts
		}
	}
}

// devicesOf has one client create devices.
func devicesOf(count int) func(w *world) (calls func(instance int) []call, there func() []int) {
	return func(w *world) (calls func(instance int) []call, there func() []int) {
		made := make([]certificate.Device, count)
		for i := range made {
			device, _, err := w.alice.NewDevice(must(vocabulary.ParseDeviceLabel(fmt.Sprint("device ", i))), now())
			w.no(err)
			made[i] = certificate.Device{
				Author: w.alice.ID, UserID: device.User, DeviceID: device.ID, DeviceLabel: device.Label,
				VerifyKey: device.VerifyKey(), Purpose: vocabulary.PurposeStandard,
			}
		}
		calls = func(instance int) []call {
			return each(count, func(i, _ int) call {
				return dated(w.alice.on[instance], protocol.DeviceCreate, anytime, func(on parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
					device := made[i]
					device.Timestamp = on
					return &protocol.DeviceCreateRequest{
						DeviceCertificate:         must(device.Sign(w.alice.SigningKey)),
						RedactedDeviceCertificate: must(device.Redacted().Sign(w.alice.SigningKey)),
					}, nil
				})
			})
		}
		return calls, func() []int {
			counts := make([]int, count)
			reply := ask(w.alice, 1, protocol.CertificateGet, &protocol.CertificateGetRequest{})
			for _, signed := range reply.CommonCertificates {
				device, err := certificate.LoadDevice(signed, w.alice.VerifyKey(), w.alice.ID)
				if err != nil {
					continue // a user, or the first device
				}
				for i := range made {
					if made[i].DeviceID == device.DeviceID {
						counts[i]++
					}
				}
			}
			return counts
		}
	}
}
