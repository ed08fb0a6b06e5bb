package testclient

import (
	"bytes"
	"testing"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

func encodedDevice(t testing.TB) []byte {
	t.Helper()
	address, err := parsec.ParseBootstrapAddress("parsec://localhost/CoolOrg?action=bootstrap_organization")
	if err != nil {
		t.Fatal(err)
	}
	device, _, err := parsec2.NewOrganization(address, parsec2.Person{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	content, err := wire.Marshal(device.File())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestDeviceFileMalformed(t *testing.T) {
	for name, change := range map[string]func(file *parsec2.DeviceFile){
		"another type":      func(file *parsec2.DeviceFile) { file.Type = "keys" },
		"no organization":   func(file *parsec2.DeviceFile) { file.Organization = parsec.OrganizationID{} },
		"short signing key": func(file *parsec2.DeviceFile) { file.SigningKey = file.SigningKey[1:] },
		"short private key": func(file *parsec2.DeviceFile) { file.PrivateKey = nil },
	} {
		var file parsec2.DeviceFile
		if err := wire.Unmarshal(encodedDevice(t), &file); err != nil {
			t.Fatal(err)
		}
		change(&file)
		content, err := wire.Marshal(&file)
		if err != nil {
			t.Fatal(err)
		}
		if device, err := decodeDevice(content); err == nil {
			t.Errorf("%s: %+v", name, device)
		}
	}
	content := encodedDevice(t)
	for _, cut := range [][]byte{nil, content[:len(content)-1], append(content, 0)} {
		if device, err := decodeDevice(cut); err == nil {
			t.Errorf("%x: %+v", cut, device)
		}
	}
}

func FuzzDecodeDevice(f *testing.F) {
	f.Add(encodedDevice(f))
	f.Fuzz(func(t *testing.T, content []byte) {
		device, err := decodeDevice(content)
		if err != nil {
			return
		}
		once, err := wire.Marshal(device.File())
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeDevice(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := wire.Marshal(again.File()); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x, %v", once, twice, err)
		}
	})
}
