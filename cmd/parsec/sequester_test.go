//go:build !without_postgresql

package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec3"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// office is a shell with a database, which holds the organizations Sequestered
// and Plain, and with key files.
type office struct {
	*shell
	folder string
	store  *postgres.Store
	root   ed25519.PrivateKey
}

func newOffice(t *testing.T) *office {
	t.Helper()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	_, root, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{
		shell:  &shell{t: t, variables: map[string]string{"PARSEC_DB": dsn}},
		folder: t.TempDir(),
		store:  testkit.OpenPostgres(t, dsn, bus),
		root:   root,
	}
	keys := rsaKeys(t)
	for name, key := range keys {
		o.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key.Private}))
		o.write(name+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key.Public}))
	}
	authority, err := certificate.SequesterAuthority{Timestamp: systemClock(), VerifyKeyDER: keys["sequester_authority"].Public}.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	now, rootVerifyKey := systemClock(), parsec.VerifyKey(root.Public().(ed25519.PublicKey))
	o.put(rules.Organization{
		ID: organizationID(t, "Sequestered"), CreatedOn: now, RootVerifyKey: &rootVerifyKey, BootstrappedOn: &now,
		SequesterAuthorityCertificate: authority, SequesterVerifyKeyDER: keys["sequester_authority"].Public,
	})
	o.put(rules.Organization{ID: organizationID(t, "Plain"), CreatedOn: now, RootVerifyKey: &rootVerifyKey, BootstrappedOn: &now})
	return o
}

func organizationID(t *testing.T, text string) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (o *office) put(organization rules.Organization) {
	o.t.Helper()
	o.change(rules.Scope{Organization: organization.ID, LockOrganization: true}, func(tx rules.Tx) { tx.PutOrganization(organization) })
}

func (o *office) change(scope rules.Scope, effects func(tx rules.Tx)) {
	o.t.Helper()
	err := o.store.Update(o.t.Context(), scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) path(name string) string { return filepath.Join(o.folder, name) }

func (o *office) write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// certify returns the options that certify a service with the keys of these
// names.
func (o *office) certify(encryption, authority string) []string {
	return []string{
		"--service-public-key", o.path(encryption + ".pub"), "--authority-private-key", o.path(authority + ".key"), "--service-label", "Archive",
	}
}

// createService returns the id of a new service of Sequestered.
func (o *office) createService(more ...string) string {
	o.t.Helper()
	before := o.serviceIDs()
	arguments := append([]string{"sequester", "create-service", "--organization", "Sequestered"}, o.certify("sequester_service", "sequester_authority")...)
	if got := o.succeed(append(arguments, more...)...); got != "Service created\n" {
		o.t.Fatalf("printed %q", got)
	}
	for _, id := range o.serviceIDs() {
		if !strings.Contains(strings.Join(before, " "), id) {
			return id
		}
	}
	o.t.Fatal("no new service")
	return ""
}

func (o *office) serviceIDs() (ids []string) {
	o.t.Helper()
	for _, found := range regexp.MustCompile(`\(id: ([0-9a-f]{32})\)`).FindAllStringSubmatch(o.succeed("sequester", "list-services", "--organization", "Sequestered"), -1) {
		ids = append(ids, found[1])
	}
	return ids
}

const anyDate = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`

func TestSequesterServices(t *testing.T) {
	o := newOffice(t)
	if got := o.succeed("sequester", "list-services", "--organization", "Sequestered"); got != "Found 0 sequester service(s)\n" {
		t.Errorf("printed %q", got)
	}
	first := o.createService()
	second := o.createService("--service-type", "webhook", "--webhook-url", "https://example.com/hook")
	update := func(id, option, want string) {
		t.Helper()
		if got := o.succeed("backend", "sequester", "update_service", "--organization", "Sequestered", "--service", id, option); got != want {
			t.Errorf("printed %q", got)
		}
	}
	update(first, "--disable", "Service updated\n")
	want := regexp.MustCompile(`^Found 2 sequester service\(s\)

Service Archive \(id: ` + second + `\)
	Created on: ` + anyDate + `
	Type: WEBHOOK
	Webhook URL: https://example\.com/hook

Service Archive \(id: ` + first + `\)
	Created on: ` + anyDate + `
	Type: STORAGE
	Disabled on: ` + anyDate + `
$`)
	if got := o.succeed("backend", "sequester", "list_services", "--organization", "Sequestered"); !want.MatchString(got) {
		t.Errorf("printed\n%s", got)
	}
	update(first, "--enable", "Service updated\n")
	if got := o.succeed("sequester", "list-services", "--organization", "Sequestered"); strings.Contains(got, "Disabled") {
		t.Errorf("printed\n%s", got)
	}
}

func TestSequesterCertificateFile(t *testing.T) {
	o := newOffice(t)
	file := o.path("certificate")
	o.succeed(append([]string{"sequester", "generate-service-certificate", "-o", file}, o.certify("sequester_service", "sequester_authority")...)...)
	text, err := os.ReadFile(file)
	form := regexp.MustCompile(`^-----BEGIN PARSEC SEQUESTER SERVICE CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)+([A-Za-z0-9+/=]{1,64}\n)?-----END PARSEC SEQUESTER SERVICE CERTIFICATE-----\n$`)
	if err != nil || !form.Match(text) {
		t.Errorf("wrote %s, %v", text, err)
	}
	arguments := []string{"sequester", "import-service-certificate", "--service-certificate", file, "--organization", "Sequestered"}
	if got := o.succeed(arguments...); got != "Service created\n" {
		t.Errorf("printed %q", got)
	}
	if _, _, err := o.run(arguments...); !errors.Is(err, rules.ErrServiceExists) {
		t.Errorf("again: %v", err)
	}
	if ids := o.serviceIDs(); len(ids) != 1 {
		t.Errorf("services %q", ids)
	}
}

// foundParsec3 bootstraps an organization of Parsec 3 that is sequestered, or not.
func (o *office) foundParsec3(name string, sequestered bool) {
	o.t.Helper()
	bus := event.NewBus()
	o.t.Cleanup(bus.Close)
	store := testkit.OpenParsec3Postgres(o.t, o.variables["PARSEC_DB"], bus)
	id, now := organizationID(o.t, name), systemClock()
	err := store.Update(o.t.Context(), parsec3rules.Scope{Organization: id, Founding: true, Common: parsec3rules.Exclusive}, func(tx parsec3rules.Tx) error {
		founded := organization.Founding{}.New(id, now)
		founded.RootVerifyKey, founded.BootstrappedOn, founded.Generation = &parsec.VerifyKey{1}, &now, organization.Parsec3
		var authority *parsec3rules.Certificate
		if sequestered {
			founded.SequesterVerifyKeyDER = rsaKeys(o.t)["sequester_authority"].Public
			founded.SequesterAuthorityCertificate = []byte("authority")
			authority = &parsec3rules.Certificate{Timestamp: now, Bytes: founded.SequesterAuthorityCertificate}
		}
		tx.PutOrganization(founded)
		handle, err := parsec.ParseHumanHandle("alice@example.com", "Alice")
		if err != nil {
			return err
		}
		user := parsec3rules.User{ID: parsec3.UserID{1}, HumanHandle: handle, Profile: parsec.ProfileAdmin, CreatedOn: now}
		device := parsec3rules.Device{ID: parsec3.DeviceID{1}, User: user.ID, CreatedOn: now}
		certified := parsec3rules.Certificate{Timestamp: now, Bytes: []byte("full"), Redacted: []byte("redacted")}
		tx.Found(user, certified, device, certified, authority)
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// TestSequesterServicesOfParsec3 has the commands take the form of certificates that
// the organization wants.
func TestSequesterServicesOfParsec3(t *testing.T) {
	o := newOffice(t)
	o.foundParsec3("New", true)
	o.foundParsec3("NewPlain", false)
	keys := o.certify("sequester_service", "sequester_authority")
	create := append([]string{"sequester", "create-service", "--organization", "New"}, keys...)
	if got := o.succeed(append(create, "--service-type", "webhook", "--webhook-url", "https://example.com/hook")...); got != "Service created\n" {
		t.Errorf("printed %q", got)
	}
	file, older := o.path("certificate"), o.path("older")
	o.succeed(append([]string{"sequester", "generate-service-certificate", "--generation", "3", "-o", file}, keys...)...)
	o.succeed(append([]string{"sequester", "generate-service-certificate", "-o", older}, keys...)...)
	revocation := o.path("revocation")
	o.succeed("sequester", "generate-service-revocation-certificate", revocation, "--service-id", strings.Repeat("0", 32),
		"--authority-private-key", o.path("sequester_authority.key"))
	imported := []string{"sequester", "import-service-certificate", "--organization", "New", "--service-certificate"}
	if got := o.succeed(append(imported, file)...); got != "Service created\n" {
		t.Errorf("printed %q", got)
	}
	want := regexp.MustCompile(`^Found 2 sequester service\(s\)

Service Archive \(id: [0-9a-f]{32}\)
	Created on: ` + anyDate + `
	Service type: SequesterServiceType\.WEBHOOK
	Webhook URL: https://example\.com/hook

Service Archive \(id: [0-9a-f]{32}\)
	Created on: ` + anyDate + `
	Service type: SequesterServiceType\.STORAGE
$`)
	list := []string{"sequester", "list-services", "--organization", "New"}
	if got := o.succeed(list...); !want.MatchString(got) {
		t.Errorf("printed\n%s", got)
	}
	for _, item := range []struct {
		arguments []string
		want      error
	}{
		{append(imported, older), organization.ErrInvalidCertificate},
		{append([]string{"sequester", "create-service", "--organization", "New"}, o.certify("sequester_service", "sequester_other")...), organization.ErrInvalidCertificate},
		{append([]string{"sequester", "create-service", "--organization", "NewPlain"}, keys...), organization.ErrNotSequestered},
		{[]string{"sequester", "list-services", "--organization", "NewPlain"}, organization.ErrNotSequestered},
		{[]string{"sequester", "update-service", "--organization", "New", "--service", strings.Repeat("0", 32), "--disable"}, errOfParsec3},
		{[]string{"sequester", "revoke-service", "--organization", "Sequestered", "--service-revocation-certificate", revocation}, errOfParsec2},
		{[]string{"sequester", "update-service", "--organization", "Sequestered", "--service", strings.Repeat("0", 32), "--service-type", "storage"}, errOfParsec2},
		{[]string{"sequester", "update-service", "--organization", "New", "--service", strings.Repeat("0", 32), "--service-type", "storage"}, organization.ErrServiceNotFound},
		{[]string{"sequester", "revoke-service", "--organization", "New", "--service-revocation-certificate", revocation}, organization.ErrServiceNotFound},
	} {
		if stdout, _, err := o.run(item.arguments...); stdout != "" || !errors.Is(err, item.want) {
			t.Errorf("%q: printed %q, error %v, want %v", item.arguments, stdout, err, item.want)
		}
	}
	if _, _, err := o.run(append(imported, file)...); !errors.As(err, new(*organization.GreaterTimestampError)) {
		t.Errorf("again: %v", err)
	}
	if got := o.succeed(list...); !want.MatchString(got) {
		t.Errorf("left\n%s", got)
	}
}

// TestOfficialSequesterCommands of Parsec 3 go together, in a folder of their own
// (docs/protocol/v5/administration.md §3).
func TestOfficialSequesterCommands(t *testing.T) {
	o := newOffice(t)
	o.foundParsec3("New", true)
	t.Chdir(t.TempDir())
	written := func(what, id, printed string) string {
		t.Helper()
		name := regexp.MustCompile(`^Service ` + what + ` certificate written to (\S*sequester_service_\w+-` + id + `-` + anyDate + `\.pem)\n$`)
		found := name.FindStringSubmatch(strings.Replace(printed, "Service certificate", "Service  certificate", 1))
		if found == nil {
			t.Fatalf("printed %q", printed)
		}
		return found[1]
	}
	sequester := func(name string, more ...string) []string { return append([]string{"sequester", name}, more...) }
	made := written("", "[0-9a-f]{32}", o.succeed(append(sequester("generate_service_certificate"), o.certify("sequester_service", "sequester_authority")...)...))
	if got := o.succeed(sequester("create_service", "--service-certificate", made, "--organization", "New")...); got != "Service created\n" {
		t.Errorf("printed %q", got)
	}
	list := o.succeed(sequester("list_services", "--organization", "New")...)
	id := regexp.MustCompile(`\(id: ([0-9a-f]{32})\)`).FindStringSubmatch(list)[1]
	if !strings.HasPrefix(made, "sequester_service_certificate-"+id) {
		t.Errorf("the certificate of %s is %s", id, made)
	}
	update := sequester("update-service", "--organization", "New", "--service", id)
	for _, kind := range [][]string{{"webhook", "--webhook-url", "https://example.com/hook"}, {"storage"}} {
		if got := o.succeed(append(append(update, "--service-type"), kind...)...); got != "Service updated\n" {
			t.Errorf("printed %q", got)
		}
		list = o.succeed(sequester("list_services", "--organization", "New")...)
		if !strings.Contains(list, "\tService type: SequesterServiceType."+strings.ToUpper(kind[0])+"\n") || strings.Contains(list, "example.com") != (kind[0] == "webhook") {
			t.Errorf("printed\n%s", list)
		}
	}
	folder := o.path("")
	revoke := sequester("generate_service_revocation_certificate", "--service-id", id, "--authority-private-key", o.path("sequester_authority.key"), folder)
	made = written("revocation", id, o.succeed(revoke...))
	if filepath.Dir(made) != filepath.Clean(folder) || !strings.HasPrefix(filepath.Base(made), "sequester_service_revocation_certificate-"+id) {
		t.Errorf("wrote %s", made)
	}
	text := string(must(os.ReadFile(made)))
	if !strings.HasPrefix(text, "-----BEGIN PARSEC SEQUESTER SERVICE REVOCATION CERTIFICATE-----\n") {
		t.Errorf("wrote %s", text)
	}
	arguments := sequester("revoke_service", "--service-revocation-certificate", made, "--organization", "New")
	if got := o.succeed(arguments...); got != "Service revoked\n" {
		t.Errorf("printed %q", got)
	}
	if _, _, err := o.run(arguments...); !errors.As(err, new(*organization.GreaterTimestampError)) {
		t.Errorf("again: %v", err)
	}
	want := regexp.MustCompile(`^Found 1 sequester service\(s\)

Service Archive \(id: ` + id + `\)
	Created on: ` + anyDate + `
	Service type: SequesterServiceType\.STORAGE
	Revoked on: ` + anyDate + `
$`)
	if got := o.succeed(sequester("list_services", "--organization", "New")...); !want.MatchString(got) {
		t.Errorf("printed\n%s", got)
	}
}

func TestSequesterRefusals(t *testing.T) {
	o := newOffice(t)
	id := o.createService()
	create := func(encryption, authority string, more ...string) []string {
		return append(append([]string{"create-service", "--organization", "Sequestered"}, o.certify(encryption, authority)...), more...)
	}
	in := func(organization string, arguments []string) []string {
		return append(arguments, "--organization", organization)
	}
	fine := create("sequester_service", "sequester_authority")
	o.write("broken", []byte("-----BEGIN X-----\n"))
	o.write("other", pem.EncodeToMemory(&pem.Block{Type: "X"}))
	update := []string{"update-service", "--organization", "Sequestered", "--service", id}
	keysOfService := []string{"--service-label", "x", "--service-public-key", "x", "--authority-private-key", "x"}
	for _, item := range []struct {
		arguments []string
		usage     bool
		want      string
	}{
		{in("Unknown", fine), false, "There is no organization Unknown in the database "},
		{in("Plain", fine), false, "The organization Plain is not sequestered"},
		{in("a b", fine), true, "Invalid value for '--organization'"},
		{create("sequester_service", "sequester_other"), false, "the authority of the organization has not signed this certificate"},
		{create("none", "sequester_authority"), true, "Invalid value for '--service-public-key'"},
		{create("sequester_service", "none"), true, "Invalid value for '--authority-private-key'"},
		{append(fine, "--service-public-key", o.path("broken")), true, "not one block of PEM"},
		{append(fine, "--service-public-key", o.path("other")), true, "Invalid value for '--service-public-key'"},
		{append(fine, "--service-label", ""), true, "Missing option '--service-label'."},
		{append(fine, "--webhook-url", "https://example.com"), true, "goes with --service-type webhook only"},
		{append(fine, "--service-type", "webhook"), true, "Missing option '--webhook-url'."},
		{append(fine, "--service-type", "webhook", "--webhook-url", "ftp://x"), true, "Invalid value for '--webhook-url'"},
		{append(fine, "--service-type", "other"), true, "Invalid value for '--service-type'"},
		{append(fine, "--db", "MOCKED"), true, "needs a PostgreSQL database"},
		{append(fine, "--db-max-connections", "2", "--db-min-connections", "3"), true, "must not be greater"},
		{[]string{"create-service"}, true, "Missing option '--organization'."},
		{append(fine, "--service-certificate", o.path("other")), true, "--service-certificate goes without keys and label"},
		{in("Sequestered", []string{"create-service", "--service-certificate", o.path("other")}), true, "a X, not a PARSEC SEQUESTER SERVICE CERTIFICATE"},
		{[]string{"generate-service-certificate"}, true, "Missing option '--service-public-key'."},
		{append([]string{"generate-service-certificate", "x", "-o", "y"}, keysOfService...), true, "Either OUTPUT or --output."},
		{[]string{"generate-service-certificate", "x", "y"}, true, "Got unexpected extra argument (y)"},
		{[]string{"generate-service-revocation-certificate"}, true, "Missing option '--service-id'."},
		{[]string{"generate-service-revocation-certificate", "--service-id", "x", "--authority-private-key", "x"}, true, "Invalid value for '--service-id'"},
		{[]string{"generate-service-revocation-certificate", "--service-id", id}, true, "Missing option '--authority-private-key'."},
		{[]string{"generate-service-revocation-certificate", "--service-id", id, "--authority-private-key", o.path("broken")}, true, "Invalid value for '--authority-private-key'"},
		{[]string{"revoke-service", "--organization", "Sequestered"}, true, "Missing option '--service-revocation-certificate'."},
		{[]string{"revoke-service"}, true, "Missing option '--organization'."},
		{[]string{"revoke-service", "--organization", "Sequestered", "--service-revocation-certificate", o.path("other")}, true, "a X, not a PARSEC SEQUESTER SERVICE REVOCATION CERTIFICATE"},
		{[]string{"generate-service-certificate", "-o", "x"}, true, "Missing option '--service-public-key'."},
		{append([]string{"generate-service-certificate", "-o", "x", "--generation", "4"}, keysOfService...), true, "Invalid value for '--generation': neither 2 nor 3"},
		{[]string{"import-service-certificate", "--organization", "Sequestered"}, true, "Missing option '--service-certificate'."},
		{[]string{"import-service-certificate", "--organization", "Sequestered", "--service-certificate", o.path("other")}, true, "a X, not a PARSEC SEQUESTER SERVICE CERTIFICATE"},
		{[]string{"list-services"}, true, "Missing option '--organization'."},
		{[]string{"list-services", "--organization", "Plain"}, false, "The organization Plain is not sequestered"},
		{[]string{"list-services", "--organization", "Unknown"}, false, "There is no organization Unknown in the database "},
		{update, true, "Either --enable, --disable or --service-type is needed."},
		{append(update, "--enable", "--disable"), true, "Either --enable, --disable or --service-type is needed."},
		{append(update, "--enable", "--service-type", "storage"), true, "Either --enable, --disable or --service-type is needed."},
		{append(update, "--service-type", "webhook"), true, "Missing option '--webhook-url'."},
		{append(update, "--webhook-url", "https://example.com"), true, "Invalid value for '--service-type'"},
		{append(update, "--enable"), false, "already enabled"},
		{append(update, "--enable", "--service", strings.Repeat("0", 32)), false, "no such sequester service"},
		{append(update, "--enable", "--service", "x"), true, "Invalid value for '--service'"},
	} {
		stdout, _, err := o.run(append([]string{"sequester"}, item.arguments...)...)
		_, usage := errors.AsType[*config.UsageError](err)
		if err == nil || stdout != "" || usage != item.usage || !strings.Contains(err.Error(), item.want) {
			t.Errorf("%q: printed %q, error %v", item.arguments, stdout, err)
		}
	}
	if got := o.succeed("sequester", "list-services", "--organization", "Sequestered"); !strings.HasPrefix(got, "Found 1 ") || strings.Contains(got, "Disabled") {
		t.Errorf("left\n%s", got)
	}
}
