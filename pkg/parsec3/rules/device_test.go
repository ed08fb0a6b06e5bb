package rules_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// deviceCreate has bob add a device.
type deviceCreate struct {
	command
	*deviceCreation
}

func newDeviceCreate(t *testing.T) *deviceCreate {
	t.Helper()
	f := newFixture(t)
	return &deviceCreate{command{f, f.bob()}, f.deviceCreation(f.bob(), deviceID("bob@phone"))}
}

func (s *deviceCreate) run() error {
	_, err := s.DeviceCreate(s.t.Context(), s.author, s.request())
	return err
}

func TestDeviceCreateTable(t *testing.T) {
	checkTable(t, "device_create", newDeviceCreate, append(standingRows[*deviceCreate](),
		row[*deviceCreate]{"1", "another key", func(s *deviceCreate) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		row[*deviceCreate]{"2", "out of the ballpark", func(s *deviceCreate) { s.at(s.clock.now().Add(outOfBallpark)) }, protocol.StatusTimestampOutOfBallpark},
		row[*deviceCreate]{"3", "another user", func(s *deviceCreate) { s.device.UserID, s.redacted.UserID = aliceID, aliceID }, protocol.StatusInvalidCertificate},
		row[*deviceCreate]{"4", "device exists", func(s *deviceCreate) {
			s.device.DeviceID, s.redacted.DeviceID = alicePhone, alicePhone
		}, protocol.StatusDeviceAlreadyExists},
		row[*deviceCreate]{"5", "not later than the topic", func(s *deviceCreate) { s.at(s.lastCommon()) }, protocol.StatusRequireGreaterTimestamp},
	), standingApart...)
}

// TestDeviceCreateRedaction refuses redacted forms that are none, or not of the full
// one, and certificates that do not load.
func TestDeviceCreateRedaction(t *testing.T) {
	for name, spoil := range map[string]func(s *deviceCreate){
		"redacted one has a label": func(s *deviceCreate) { s.redacted = s.device },
		"full one has no label":    func(s *deviceCreate) { s.device = s.redacted },
		"another date":             func(s *deviceCreate) { s.redacted.Timestamp++ },
		"another user":             func(s *deviceCreate) { s.redacted.UserID = aliceID },
		"another device":           func(s *deviceCreate) { s.redacted.DeviceID = bobLaptop },
		"another verify key":       func(s *deviceCreate) { s.redacted.VerifyKey[0]++ },
		"another purpose":          func(s *deviceCreate) { s.redacted.Purpose = parsec3.PurposeRegistration },
		"another author":           func(s *deviceCreate) { s.redacted.Author = alicePhone },
	} {
		s := newDeviceCreate(t)
		spoil(s)
		if got := status(nil, s.run()); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
	}
	s := newDeviceCreate(t)
	request := s.request()
	request.RedactedDeviceCertificate = request.RedactedDeviceCertificate[1:]
	if got := status(s.DeviceCreate(t.Context(), s.author, request)); got != protocol.StatusInvalidCertificate {
		t.Errorf("a redacted one that does not load: got %s", got)
	}
}

// TestDeviceCreate has the device work, and everybody told.
func TestDeviceCreate(t *testing.T) {
	s := newDeviceCreate(t)
	s.device.Purpose, s.redacted.Purpose = parsec3.PurposePassphraseRecovery, parsec3.PurposePassphraseRecovery
	request := s.request()
	s.ok(s.DeviceCreate(t.Context(), s.author, request))
	if got, want := s.events.bodies(), []event.Body{notice.CommonCertificate{Timestamp: s.device.Timestamp}}; !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	full, redacted := s.common(s.alice()), s.common(s.mallory())
	if last := len(full) - 1; !bytes.Equal(full[last], request.DeviceCertificate) || !bytes.Equal(redacted[last], request.RedactedDeviceCertificate) {
		t.Error("the certificates are not the last ones")
	}
	s.clock.advance(time.Second)
	phone := s.fixture.author(deviceID("bob@phone"))
	s.ok(s.DeviceCreate(t.Context(), phone, s.fixture.deviceCreation(phone, deviceID("bob@tablet")).request()))
}
