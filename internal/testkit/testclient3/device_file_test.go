package testclient3

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	parsec3words "parsec-server/pkg/parsec3"
)

// The keys of a device come back as they were saved, and nothing is overwritten.
func TestDeviceFile(t *testing.T) {
	organization, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	label, _ := parsec3words.ParseDeviceLabel("laptop")
	human, _ := parsec3words.ParseHumanHandle("alice@example.com", "Alice")
	device, _, err := parsec3.NewOrganization(parsec3.Founding{Organization: organization}, parsec3.Person{Label: label, HumanHandle: human}, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := device.Save(path); err != nil {
		t.Fatal(err)
	}
	if information, err := os.Stat(path); err != nil || information.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", information, err)
	}
	loaded, err := LoadDevice(path)
	if err != nil || !reflect.DeepEqual(loaded, device) {
		t.Errorf("loaded %+v, %v, want %+v", loaded, err, device)
	}
	if device.Save(path) == nil {
		t.Error("overwritten")
	}
	if err := os.WriteFile(path, []byte("\x80"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDevice(path); err == nil {
		t.Error("loaded from nothing")
	}
}
