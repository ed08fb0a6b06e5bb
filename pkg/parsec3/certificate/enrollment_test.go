package certificate_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

// recordedPayloads are those of enrollments in the requests of commands.json, by the key
// that has them.
func recordedPayloads(t testing.TB) map[string][][]byte {
	t.Helper()
	type payloads struct {
		Submit []byte `wire:"submit_payload,optional"`
		Accept []byte `wire:"accept_payload,optional"`
	}
	found := map[string][][]byte{}
	for _, command := range vectors.Load[struct {
		Current []struct {
			Command  string                 `json:"cmd"`
			Requests []struct{ Raw []byte } `json:"requests"`
		} `json:"current"`
	}](t, "v5/commands.json").Current {
		if command.Command != "async_enrollment_submit" && command.Command != "async_enrollment_accept" {
			continue
		}
		for _, request := range command.Requests {
			var of payloads
			if err := wire.Microseconds.Unmarshal(request.Raw, &of); err != nil {
				t.Fatal(err)
			}
			if of.Submit != nil {
				found["submit"] = append(found["submit"], of.Submit)
			} else {
				found["accept"] = append(found["accept"], of.Accept)
			}
		}
	}
	if len(found["submit"]) == 0 || len(found["accept"]) == 0 {
		t.Fatal("no payloads")
	}
	return found
}

// again packs what a payload says, as it is loaded: the same map.
func again[T interface{ Pack() ([]byte, error) }](t *testing.T, packed []byte, load func([]byte) (T, error)) T {
	t.Helper()
	value, err := load(packed)
	if err != nil {
		t.Fatal(err)
	}
	repacked, err := value.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := decodePayload(t, repacked), decodePayload(t, packed); !reflect.DeepEqual(got, want) {
		t.Errorf("packed again\n got %v\nwant %v", got, want)
	}
	return value
}

func TestEnrollmentPayloads(t *testing.T) {
	recorded := recordedPayloads(t)
	for _, packed := range recorded["submit"] {
		submit := again(t, packed, certificate.LoadEnrollmentSubmit)
		if submit.HumanHandle.Email() != "alice@example.com" || submit.DeviceLabel.String() != "My dev1 machine" || submit.VerifyKey == (parsec.VerifyKey{}) || submit.PublicKey == (parsec.PublicKey{}) {
			t.Errorf("got %+v", submit)
		}
		if _, err := certificate.LoadEnrollmentAccept(packed); !errors.Is(err, certificate.FailureSchema) {
			t.Errorf("the other payload: %v", err)
		}
	}
	for _, packed := range recorded["accept"] {
		accept := again(t, packed, certificate.LoadEnrollmentAccept)
		if accept.Profile != parsec.ProfileAdmin || accept.UserID == (parsec3.UserID{}) || accept.RootVerifyKey == (parsec.VerifyKey{}) {
			t.Errorf("got %+v", accept)
		}
		for name, spoil := range map[string]func(*certificate.EnrollmentAccept){
			"user":   func(a *certificate.EnrollmentAccept) { a.UserID = parsec3.UserID{} },
			"device": func(a *certificate.EnrollmentAccept) { a.DeviceID = parsec3.DeviceID{} },
			"human":  func(a *certificate.EnrollmentAccept) { a.HumanHandle = parsec.HumanHandle{} },
			"label":  func(a *certificate.EnrollmentAccept) { a.DeviceLabel = parsec3.DeviceLabel{} },
		} {
			spoilt := accept
			spoil(&spoilt)
			if packed, err := spoilt.Pack(); err == nil {
				t.Errorf("no %s: packed as %x", name, packed)
			}
		}
	}
	for packed, want := range map[string]certificate.Failure{"": certificate.FailureFormat, "\x01": certificate.FailureFormat, "\x00none": certificate.FailureZstd} {
		if _, err := certificate.LoadEnrollmentSubmit([]byte(packed)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", packed, err, want)
		}
	}
}

// FuzzEnrollment loads any map as a payload. What loads can be packed again, and is then
// the same.
func FuzzEnrollment(f *testing.F) {
	for _, packed := range recordedPayloads(f) {
		for _, one := range packed {
			f.Add(decompress(f, one))
		}
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		packed, err := certificate.Pack(encoded)
		if err != nil {
			return
		}
		if submit, err := certificate.LoadEnrollmentSubmit(packed); err == nil {
			if same := again(t, mustPack(t, submit), certificate.LoadEnrollmentSubmit); same != submit {
				t.Errorf("%+v, want %+v", same, submit)
			}
		}
		if accept, err := certificate.LoadEnrollmentAccept(packed); err == nil {
			if same := again(t, mustPack(t, accept), certificate.LoadEnrollmentAccept); same != accept {
				t.Errorf("%+v, want %+v", same, accept)
			}
		}
	})
}

func mustPack(t *testing.T, value interface{ Pack() ([]byte, error) }) []byte {
	t.Helper()
	packed, err := value.Pack()
	if err != nil || !bytes.HasPrefix(packed, []byte{0}) {
		t.Fatalf("packed as %x: %v", packed, err)
	}
	return packed
}
