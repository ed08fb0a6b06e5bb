package rules_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var bob2ID = deviceID("bob@phone")

func (c *deviceCreation) shift(by time.Duration) {
	c.device.Timestamp = c.device.Timestamp.Add(by)
	c.redacted.Timestamp = c.redacted.Timestamp.Add(by)
}

func (c *deviceCreation) rename(id parsec.DeviceID) {
	c.device.DeviceID, c.redacted.DeviceID = id, id
}

func TestDeviceCreate(t *testing.T) {
	cases := map[string]struct {
		spoil func(*deviceCreation)
		empty bool
		want  protocol.Status
		dated bool
	}{
		"ok": {want: protocol.StatusOK},
		"1 another key": {
			spoil: func(c *deviceCreation) { c.key = signingKey(aliceID); c.shift(-time.Hour) },
			want:  protocol.StatusInvalidCertification,
		},
		"1 another author": {
			spoil: func(c *deviceCreation) { c.device.Author = aliceID }, want: protocol.StatusInvalidCertification,
		},
		"1 another author of the redacted form": {
			spoil: func(c *deviceCreation) { c.redacted.Author = aliceID }, want: protocol.StatusInvalidCertification,
		},
		"1 empty redacted form": {empty: true, want: protocol.StatusInvalidCertification},
		"2 too old": {
			spoil: func(c *deviceCreation) { c.shift(-320 * time.Second); c.rename(carolID) },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"2 too early": {
			spoil: func(c *deviceCreation) { c.shift(300 * time.Second) },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"3 another user": {
			spoil: func(c *deviceCreation) { c.rename(aliceID); c.redacted.VerifyKey[0]++ }, want: protocol.StatusBadUserID,
		},
		"4 redacted key": {
			spoil: func(c *deviceCreation) { c.redacted.VerifyKey[0]++; c.rename(bobID) }, want: protocol.StatusInvalidData,
		},
		"4 redacted label": {
			spoil: func(c *deviceCreation) { c.redacted.DeviceLabel = c.device.DeviceLabel; c.rename(bobID) },
			want:  protocol.StatusInvalidData,
		},
		"5 same device": {spoil: func(c *deviceCreation) { c.rename(bobID) }, want: protocol.StatusAlreadyExists},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.events.watch(notice.DeviceInviteTopic(acme, bob2ID))
			creation := f.deviceCreation(f.bob(), bob2ID)
			if c.spoil != nil {
				c.spoil(creation)
			}
			request := creation.request()
			if c.empty {
				request.RedactedDeviceCertificate = []byte{}
			}
			_, err := f.DeviceCreate(t.Context(), f.bob(), request)
			checkOutcome(t, err, c.want, c.dated)

			events := f.events.take()
			if c.want != protocol.StatusOK {
				if len(events) > 0 {
					t.Errorf("refused, but published %v", events)
				}
				return
			}
			if len(events) != 1 || events[0].Author != bobID ||
				!bytes.Equal(events[0].Body.(notice.DeviceCreated).DeviceCertificate, request.DeviceCertificate) {
				t.Errorf("events %v", events)
			}
			want := rules.Device{
				ID: bob2ID, Label: creation.device.DeviceLabel, VerifyKey: verifyKey(signingKey(bob2ID)),
				Certificate: request.DeviceCertificate, RedactedCertificate: request.RedactedDeviceCertificate,
				Certifier: bobID, CreatedOn: creation.device.Timestamp,
			}
			if devices := f.facts(bobID.User()).Devices; len(devices) != 2 || !reflect.DeepEqual(devices[1], want) {
				t.Errorf("devices %+v, want %+v as the second", devices, want)
			}
		})
	}
}

func TestDeviceCreateV1(t *testing.T) {
	label := must(parsec.ParseDeviceLabel("laptop"))
	cases := map[string]struct {
		spoil func(*deviceCreation)
		want  protocol.Status
		dated bool
	}{
		"ok": {want: protocol.StatusOK},
		"1 another key": {
			spoil: func(c *deviceCreation) { c.key = signingKey(aliceID); c.shift(-time.Hour) },
			want:  protocol.StatusInvalidCertification,
		},
		"2 too old": {
			spoil: func(c *deviceCreation) { c.shift(-time.Hour); c.redacted.DeviceLabel = label },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"label before user": {
			spoil: func(c *deviceCreation) { c.redacted.DeviceLabel = label; c.rename(aliceID) },
			want:  protocol.StatusInvalidData,
		},
		"3 another user": {spoil: func(c *deviceCreation) { c.rename(aliceID) }, want: protocol.StatusBadUserID},
		"5 same device":  {spoil: func(c *deviceCreation) { c.rename(bobID) }, want: protocol.StatusAlreadyExists},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.events.watch(notice.DeviceInviteTopic(acme, bob2ID))
			creation := f.deviceCreation(f.bob(), bob2ID)
			if c.spoil != nil {
				c.spoil(creation)
			}
			request := creation.requestV1([]byte("answer"))
			_, err := f.DeviceCreateV1(t.Context(), f.bob(), request)
			checkOutcome(t, err, c.want, c.dated)
			var want []event.Body
			if c.want == protocol.StatusOK {
				want = []event.Body{notice.DeviceCreated{
					Device: bob2ID, DeviceCertificate: request.DeviceCertificate, EncryptedAnswer: []byte("answer"),
				}}
			}
			if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
		})
	}
}
