package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/addresses"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	parsec3client "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/config"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	parsec3protocol "parsec-server/pkg/parsec3/protocol"
)

// readingToken may only read, on the server of a shell.
const readingToken = "reading-token"

// shell runs commands against a server of its own.
type shell struct {
	t         *testing.T
	address   parsec.ServerAddress
	variables map[string]string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	var options testkit.GenerationsOptions
	options.Parsec3.InitialOutsiderAllowed = true
	options.NamedTokens = func() ([]organization.NamedToken, error) {
		return []organization.NamedToken{{Name: "reader", Token: readingToken, ReadOnly: true}}, nil
	}
	instance := testkit.StartGenerations(t, options)
	return &shell{t, instance.Address, map[string]string{
		"PARSEC_ADDR":                 instance.Address.String(),
		"PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken,
	}}
}

// run returns what was written and the error of the command.
func (s *shell) run(arguments ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	var out, failures bytes.Buffer
	p := program{
		environment: environmentOf(s.variables),
		stdout:      &out,
		stderr:      &failures,
		serve:       serve,
	}
	root := p.rootCommand()
	root.SetArgs(arguments)
	err = root.ExecuteContext(s.t.Context())
	return out.String(), failures.String(), err
}

func (s *shell) succeed(arguments ...string) string {
	s.t.Helper()
	stdout, _, err := s.run(arguments...)
	if err != nil {
		s.t.Fatalf("%q: %v", arguments, err)
	}
	return stdout
}

// create returns the URL to bootstrap a new organization with.
func (s *shell) create(organization string) string {
	s.t.Helper()
	url, _ := s.createForBoth(organization)
	return url
}

// createForBoth returns the URL of clients of API 1 to 3, and that of Parsec 3.
func (s *shell) createForBoth(organization string) (url, url3 string) {
	s.t.Helper()
	stdout := s.succeed("organization", "create", organization)
	printed := regexp.MustCompile(`^Bootstrap organization url: (\S+)\nBootstrap organization url of Parsec 3: (\S+)\n$`).FindStringSubmatch(stdout)
	if printed == nil {
		s.t.Fatalf("created: %q", stdout)
	}
	return printed[1], printed[2]
}

func bootstrapArguments(url string, more ...string) []string {
	return append([]string{
		"organization", "bootstrap", url,
		"--human-label", "Alice", "--human-email", "alice@example.com", "--device-label", "Laptop",
	}, more...)
}

func TestOrganizationFromNothing(t *testing.T) {
	s := newShell(t)
	keys := filepath.Join(t.TempDir(), "keys")
	url := s.create("CoolOrg")
	if !regexp.MustCompile(`^parsec://127\.0\.0\.1:\d+/CoolOrg\?no_ssl=true&action=bootstrap_organization&token=[0-9a-f]{32}$`).MatchString(url) {
		t.Errorf("url %s", url)
	}
	parsed, err := parsec.ParseBootstrapAddress(url)
	if err != nil {
		t.Fatal(err)
	}
	// As an e-mail would have it.
	stdout := s.succeed(bootstrapArguments(parsed.HTTPRedirection(), "--output", keys)...)
	printed := regexp.MustCompile(`^Organization url: (\S+)\nDevice: (\S+)\nKeys: (\S+)\n$`).FindStringSubmatch(stdout)
	if printed == nil {
		t.Fatalf("printed %q", stdout)
	}
	device, err := testclient.LoadDevice(keys)
	if err != nil {
		t.Fatal(err)
	}
	address, err := addresses.ParseOrganization(printed[1])
	if err != nil || address.RootVerifyKey() != device.RootVerifyKey || printed[2] != device.ID.String() || printed[3] != keys {
		t.Errorf("printed %q, %v", printed, err)
	}
	reached := parsec2.New(s.address, client.Options{})
	defer reached.Close()
	conn, err := reached.DialAuthenticated(t.Context(), device)
	if err != nil {
		t.Fatalf("connect with the keys: %v", err)
	}
	conn.Close()
}

// TestOrganizationForPrograms has every command that prints something print it in JSON.
func TestOrganizationForPrograms(t *testing.T) {
	s := newShell(t)
	var bootstraps []string
	for _, row := range []struct{ line, want string }{
		{"create CoolOrg --active-users-limit 3", `{"organization_id": "CoolOrg"}`},
		{"bootstrap-link CoolOrg", `{"organization_id": "CoolOrg"}`},
		{"status CoolOrg", `{"organization_id": "CoolOrg", "is_bootstrapped": true, "is_expired": false, "active_users_limit": 3, "minimum_archiving_period": 2592000, "tos": null}`},
		{"stats CoolOrg", `{"organization_id": "CoolOrg", "users": 1, "active_users": 1, "data_size": 0}`},
		{"stats CoolOrg --at 2999-01-31", `{"organization_id": "CoolOrg", "users": 1}`},
		{"update CoolOrg --active-users-limit none", `{"organization_id": "CoolOrg", "active_users_limit": null}`},
		{"update CoolOrg --minimum-archiving-period 2d", `{"minimum_archiving_period": 172800}`},
		{"update CoolOrg --minimum-archiving-period 1h30m", `{"minimum_archiving_period": 5400}`},
		{"update CoolOrg --minimum-archiving-period 90", `{"minimum_archiving_period": 90}`},
		{"expire CoolOrg", `{"organization_id": "CoolOrg", "is_expired": true}`},
		{"unexpire CoolOrg", `{"organization_id": "CoolOrg", "is_expired": false}`},
		{"freeze CoolOrg --user-email alice@example.com", `{"user_email": "alice@example.com", "user_name": "Alice", "frozen": true}`},
		{"unfreeze CoolOrg --user-email alice@example.com", `{"user_email": "alice@example.com", "frozen": false}`},
	} {
		var got, want map[string]any
		text := s.succeed(append([]string{"organization"}, strings.Fields(row.line+" --json")...)...)
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v in %s", row.line, err, text)
		}
		if err := json.Unmarshal([]byte(row.want), &want); err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if found, there := got[name]; !there || found != value {
				t.Errorf("%s: %s is %v, want %v, in %s", row.line, name, found, value, text)
			}
		}
		if link, is := got["bootstrap_url_of_parsec2"].(string); is {
			bootstraps = append(bootstraps, link)
			if current, _ := got["bootstrap_url"].(string); !strings.HasPrefix(current, "parsec3://") {
				t.Errorf("%s: %s", row.line, text)
			}
		}
		if len(bootstraps) == 2 && got["bootstrap_url"] != nil {
			s.succeed(bootstrapArguments(bootstraps[1])...)
		}
	}
	for _, line := range []string{"create X --websocket", "status CoolOrg --websocket", "stats CoolOrg --websocket", "update CoolOrg --websocket --no-expiration"} {
		_, _, err := s.run(append([]string{"organization"}, strings.Fields(line+" --json")...)...)
		if usage, is := errors.AsType[*config.UsageError](err); !is || usage.Message != "--json does not go with --websocket." {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestOrganizationStatusAndUpdate(t *testing.T) {
	s := newShell(t)
	s.succeed("organization", "create", "CoolOrg", "--active-users-limit", "7", "--minimum-archiving-period", "60", "--user-profile-outsider-allowed=false")
	const form = "is_bootstrapped: false\nis_expired: %t\nuser_profile_outsider_allowed: %t\nactive_users_limit: %s\nminimum_archiving_period: %d\n"
	for _, item := range []struct {
		update []string
		want   string
	}{
		{nil, fmt.Sprintf(form, false, false, "7", 60)},
		{[]string{"--is-expired"}, fmt.Sprintf(form, true, false, "7", 60)},
		{[]string{"--is-expired=false", "--user-profile-outsider-allowed"}, fmt.Sprintf(form, false, true, "7", 60)},
		{[]string{"--active-users-limit", "none"}, fmt.Sprintf(form, false, true, "none", 60)},
		{[]string{"--active-users-limit", "0", "--minimum-archiving-period", "0"}, fmt.Sprintf(form, false, true, "0", 0)},
	} {
		if item.update != nil {
			s.succeed(append([]string{"organization", "update", "CoolOrg"}, item.update...)...)
		}
		for _, command := range []string{"status", "show"} {
			if stdout := s.succeed("organization", command, "CoolOrg"); stdout != item.want {
				t.Errorf("after %q:\n%s", item.update, stdout)
			}
		}
	}
}

func TestOrganizationOverWebSocket(t *testing.T) {
	s := newShell(t)
	if url := s.succeed("organization", "create", "CoolOrg", "--websocket", "--expiration-date", "2990-01-02T03:04:05Z"); !strings.Contains(url, "/CoolOrg?") {
		t.Errorf("printed %q", url)
	}
	const form = "is_bootstrapped: false\nexpiration_date: %s\nuser_profile_outsider_allowed: %t\n"
	for _, item := range []struct {
		update []string
		want   string
	}{
		{nil, fmt.Sprintf(form, "2990-01-02T03:04:05.000000Z", true)},
		{[]string{"--user-profile-outsider-allowed=false"}, fmt.Sprintf(form, "2990-01-02T03:04:05.000000Z", false)},
		{[]string{"--expiration-date", "2991-01-02"}, fmt.Sprintf(form, "2991-01-02T00:00:00.000000Z", false)},
		{[]string{"--expiration-date", "2991-01-02T03:04:05Z"}, fmt.Sprintf(form, "2991-01-02T03:04:05.000000Z", false)},
		{[]string{"--no-expiration", "--user-profile-outsider-allowed"}, fmt.Sprintf(form, "none", true)},
	} {
		if item.update != nil {
			s.succeed(append([]string{"organization", "update", "CoolOrg", "--websocket"}, item.update...)...)
		}
		if stdout := s.succeed("organization", "status", "CoolOrg", "--websocket"); stdout != item.want {
			t.Errorf("after %q:\n%s", item.update, stdout)
		}
	}
	want := "users: 0\ndata_size: 0\nmetadata_size: 0\nworkspaces: 0\n"
	if stdout := s.succeed("organization", "stats", "CoolOrg", "--websocket"); stdout != want {
		t.Errorf("printed\n%s", stdout)
	}
	_, _, err := s.run("organization", "status", "CoolOrg", "--websocket", "--administration-token", "wrong")
	if err == nil || !strings.Contains(err.Error(), "refused the administration token") {
		t.Errorf("error %v", err)
	}
}

func TestOrganizationStats(t *testing.T) {
	s := newShell(t)
	_, stderr, err := s.run(bootstrapArguments(s.create("CoolOrg"))...)
	if err != nil || !strings.Contains(stderr, "keys of the device are lost") {
		t.Errorf("bootstrap without output: %q, %v", stderr, err)
	}
	want := "data_size: 0\nmetadata_size: 0\nrealms: 0\nusers: 1\nactive_users: 1\nusers_per_profile_detail:\n" +
		"  ADMIN: 1 active, 0 revoked\n  STANDARD: 0 active, 0 revoked\n  OUTSIDER: 0 active, 0 revoked\n"
	if stdout := s.succeed("organization", "stats", "CoolOrg"); stdout != want {
		t.Errorf("printed\n%s", stdout)
	}
	s.create("Other")
	if stdout := s.succeed("organization", "stats", "CoolOrg", "--at", "2999-01-01"); stdout != want {
		t.Errorf("at a date printed\n%s", stdout)
	}
	for _, name := range []string{"CoolOrg", "None"} {
		if stdout, _, err := s.run("organization", "stats", name, "--at", "2000-01-01T00:00:00Z"); stdout != "" || !errors.Is(err, client.ErrNoSuchTime) {
			t.Errorf("before %s: printed %q, error %v", name, stdout, err)
		}
	}
}

func TestServerStats(t *testing.T) {
	s := newShell(t)
	s.create("CoolOrg")
	file := filepath.Join(t.TempDir(), "stats")
	const header = "organization_id,data_size,metadata_size,realms,active_users,admin_users_active,admin_users_revoked," +
		"standard_users_active,standard_users_revoked,outsider_users_active,outsider_users_revoked\r\n"
	const row = "CoolOrg,0,0,0,0,0,0,0,0,0,0\r\n"
	for range 2 { // the second time the file exists
		if stdout := s.succeed("organization", "server-stats", "--format", "csv", "--output", file); stdout != "" {
			t.Errorf("printed %s", stdout)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != header+row {
			t.Errorf("wrote %q, %v", got, err)
		}
	}
	if got := s.succeed("organization", "server-stats", "--format", "csv", "--at", "2000-01-01T00:00:00Z"); got != header {
		t.Errorf("printed %q", got)
	}
	if got := s.succeed("organization", "server-stats", "--format", "csv", "--at", "2000-01-01"); got != header {
		t.Errorf("of a day: printed %q", got)
	}
	if got := s.succeed("organization", "server-stats"); !strings.HasPrefix(got, `{"stats": [{"organization_id":"CoolOrg",`) {
		t.Errorf("printed %q", got)
	}
	_, _, err := s.run("organization", "server-stats", "--output", file, "--administration-token", "wrong")
	if got, _ := os.ReadFile(file); err == nil || string(got) != header+row {
		t.Errorf("error %v, then the file is %q", err, got)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
		t.Errorf("files %q, %v", left, err)
	}
}

func TestOrganizationUsers(t *testing.T) {
	s := newShell(t)
	arguments := bootstrapArguments(s.create("CoolOrg"))
	arguments[slices.Index(arguments, "Alice")] = "Al\nice\x1b"
	if _, _, err := s.run(arguments...); err != nil {
		t.Fatal(err)
	}
	// listed returns the id and the state of the only user of the list.
	listed := func() (id, state string) {
		t.Helper()
		list := s.succeed("organization", "list-users", "CoolOrg")
		row := regexp.MustCompile(`^USER +E-MAIL +NAME +PROFILE +STATE +DEVICES +CREATED +LAST SEEN\n(\S+) +alice@example.com +Al\\nice\\x1b +ADMIN +(\w+) +1 +\d+-\d+-\d+ +now\n$`).FindStringSubmatch(list)
		if row == nil {
			t.Fatalf("printed %q", list)
		}
		return row[1], row[2]
	}
	id, _ := listed()
	list := id + `: Al\nice\x1b <alice@example.com>` + "\n"
	frozen := strings.TrimSuffix(list, "\n") + " (frozen)\n"
	for _, item := range []struct{ command, option, value, want string }{
		{"freeze", "--user-id", id, frozen},
		{"unfreeze", "--user-email", "alice@example.com", list},
		{"freeze", "--user-email", "alice@example.com", frozen},
	} {
		if got := s.succeed("organization", item.command, "CoolOrg", item.option, item.value); got != item.want {
			t.Errorf("%s printed %q", item.command, got)
		}
		if _, state := listed(); (state == "frozen") != (item.want == frozen) {
			t.Errorf("after %s it is %s", item.command, state)
		}
	}
}

func TestOrganizationRefusals(t *testing.T) {
	s := newShell(t)
	url := s.create("CoolOrg")
	s.succeed(bootstrapArguments(url)...)
	keys := filepath.Join(t.TempDir(), "keys")
	for _, item := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"organization", "create", "CoolOrg"}, "There is an organization CoolOrg on "},
		{[]string{"organization", "status", "None"}, "There is no organization None on "},
		{[]string{"organization", "stats", "None"}, "There is no organization None on "},
		{[]string{"organization", "update", "None", "--is-expired"}, "There is no organization None on "},
		{[]string{"organization", "update", "None", "--websocket", "--no-expiration"}, "There is no organization None on "},
		{[]string{"organization", "list-users", "None"}, "There is no organization None on "},
		{[]string{"organization", "freeze", "CoolOrg", "--user-id", "nobody"}, "There is no such user in the organization CoolOrg on "},
		{[]string{"organization", "status", "CoolOrg", "--administration-token", "wrong"}, "refused the administration token (from the command line)"},
		{[]string{"organization", "expire", "CoolOrg", "--administration-token", readingToken}, "may only read, and "},
		{[]string{"organization", "status", "CoolOrg", "--websocket", "--administration-token", readingToken}, "may only read, which --websocket cannot"},
		{bootstrapArguments(url, "--output", keys), "is bootstrapped already"},
		{bootstrapArguments(strings.Replace(url, "CoolOrg", "None", 1), "--output", keys), "knows no organization None that waits"},
		{[]string{"organization", "status", "CoolOrg", "--addr", "parsec://" + unused(t) + "?no_ssl=true"}, "No server answers at "},
	} {
		stdout, _, err := s.run(item.arguments...)
		if err == nil || stdout != "" || !strings.Contains(err.Error(), item.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: printed %q, error %v", item.arguments, stdout, err)
		}
		if _, usage := errors.AsType[*config.UsageError](err); usage {
			t.Errorf("%q: %v is no mistake of usage", item.arguments, err)
		}
		// A second attempt must not meet the file of the first.
		if _, err := os.Stat(keys); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: keys of no organization, %v", item.arguments, err)
		}
	}
}

// TestOrganizationOfParsec3 has the link of the other generation lead to an organization
// of its own.
func TestOrganizationOfParsec3(t *testing.T) {
	s := newShell(t)
	s.variables["PARSEC_ADDR"] = parsec.Parsec3Scheme.PrintServerAddress(s.address)
	folder := t.TempDir()
	for name, form := range map[string]func(parsec3.Address) string{
		"Link": parsec3.Address.String, "E-mail": parsec3.Address.HTTPRedirection,
	} {
		url, url3 := s.createForBoth(name)
		address, err := parsec3.ParseAddress(url3)
		if err != nil {
			t.Fatal(err)
		}
		keys := filepath.Join(folder, name)
		stdout := s.succeed(bootstrapArguments(form(address), "--output", keys)...)
		printed := regexp.MustCompile(`^Organization url: (\S+)\nDevice: ([0-9a-f]{32})\nKeys: (\S+)\n$`).FindStringSubmatch(stdout)
		if printed == nil {
			t.Fatalf("printed %q", stdout)
		}
		device, err := testclient3.LoadDevice(keys)
		if err != nil {
			t.Fatal(err)
		}
		founded, err := parsec3.ParseAddress(printed[1])
		if err != nil || founded.Target != (parsec3.OrganizationTarget{RootVerifyKey: device.RootVerifyKey}) || printed[2] != device.ID.String() {
			t.Errorf("printed %q, %v", printed, err)
		}
		reached := parsec3client.New(s.address, parsec3client.LatestVersion, client.Options{})
		defer reached.Close()
		if _, err := parsec3client.Call(t.Context(), reached.Authenticated(device), parsec3protocol.Ping, &parsec3protocol.PingRequest{Ping: "x"}); err != nil {
			t.Errorf("ping with the keys: %v", err)
		}
		s.wantNoOther(name, url, url3, filepath.Join(folder, "other"))
	}
	if got := s.succeed("organization", "list-users", "Link"); !regexp.MustCompile(`(?m)^[0-9a-f]{32} +alice@example.com +Alice +ADMIN +active `).MatchString(got) {
		t.Errorf("users %q", got)
	}
	want := "is_bootstrapped: true\nis_expired: false\nuser_profile_outsider_allowed: true\nactive_users_limit: none\nminimum_archiving_period: 2592000\n"
	if got := s.succeed("organization", "status", "Link"); got != want {
		t.Errorf("status %q", got)
	}
	if got := s.succeed("organization", "stats", "Link"); !strings.Contains(got, "ADMIN") {
		t.Errorf("statistics %q", got)
	}
	for _, item := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"organization", "create", "Link"}, "There is an organization Link on "},
		{[]string{"organization", "freeze", "Link", "--user-email", "nobody@example.com"}, "There is no such user in the organization Link on "},
		{bootstrapArguments(parsec.Parsec3Scheme.PrintServerAddress(s.address)), "Invalid value for 'URL'"},
		{bootstrapArguments("parsec3://localhost/Link?a=async_enrollment"), "not the link of a new organization"},
	} {
		if _, _, err := s.run(item.arguments...); err == nil || !strings.Contains(err.Error(), item.want) {
			t.Errorf("%q: %v", item.arguments, err)
		}
	}
}

// wantNoOther has neither link bootstrap the organization once more, nor leave keys.
func (s *shell) wantNoOther(name, url, url3, keys string) {
	s.t.Helper()
	for _, link := range []string{url, url3} {
		if _, _, err := s.run(bootstrapArguments(link, "--output", keys)...); err == nil {
			s.t.Errorf("%s: bootstrapped twice", name)
		}
		if _, err := os.Stat(keys); !errors.Is(err, os.ErrNotExist) {
			s.t.Errorf("%s: keys of no organization, %v", name, err)
		}
	}
}

// unused returns a port that nobody listens to.
func unused(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + testkit.FreePort(t)
}

// TestOrganizationBootstrapInDoubt has a server that fails when it may have
// done the bootstrap.
func TestOrganizationBootstrapInDoubt(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer broken.Close()
	s := &shell{t: t}
	keys := filepath.Join(t.TempDir(), "keys")
	url := "parsec://" + broken.Listener.Addr().String() + "/CoolOrg?no_ssl=true&action=bootstrap_organization&token=x"
	_, _, err := s.run(bootstrapArguments(url, "--output", keys)...)
	if err == nil || !strings.Contains(err.Error(), keys) {
		t.Errorf("error %v", err)
	}
	if _, err := testclient.LoadDevice(keys); err != nil {
		t.Error(err)
	}
}

func TestOrganizationUsage(t *testing.T) {
	s := &shell{t: t, variables: map[string]string{
		"PARSEC_ADDR": "parsec://localhost:1", "PARSEC_ADMINISTRATION_TOKEN": "x",
	}}
	url := "parsec://localhost:1/CoolOrg?action=bootstrap_organization&token=x"
	for _, item := range []struct {
		without   string // of the variables
		arguments []string
		want      string
	}{
		{"", []string{"create"}, "Missing argument 'ORGANIZATION'."},
		{"", []string{"create", "CoolOrg", "x"}, "Got unexpected extra argument (x)"},
		{"", []string{"create", "Cool Org"}, "Invalid value for 'ORGANIZATION'"},
		{"PARSEC_ADMINISTRATION_TOKEN", []string{"create", "CoolOrg"}, "Missing option '--administration-token'."},
		{"", []string{"create", "CoolOrg", "--addr", "http://localhost"}, "Invalid value for '--addr'"},
		{"", []string{"create", "CoolOrg", "--what"}, "No such option: --what"},
		{"", []string{"update", "CoolOrg"}, "Nothing to change: "},
		{"", []string{"update", "CoolOrg", "--websocket"}, "Nothing to change: "},
		{"", []string{"update", "CoolOrg", "--active-users-limit", "few"}, "Invalid value for '--active-users-limit'"},
		{"", []string{"update", "CoolOrg", "--no-expiration"}, "--no-expiration needs --websocket."},
		{"", []string{"update", "CoolOrg", "--websocket", "--is-expired"}, "--is-expired does not go with --websocket."},
		{"", []string{"update", "CoolOrg", "--websocket", "--expiration-date", "tomorrow"}, "Invalid value for '--expiration-date'"},
		{"", []string{"update", "CoolOrg", "--websocket", "--expiration-date", "2990-01-02T03:04:05Z", "--no-expiration"}, "are both given."},
		{"", []string{"create", "CoolOrg", "--expiration-date", "2990-01-02T03:04:05Z"}, "--expiration-date needs --websocket."},
		{"", []string{"create", "CoolOrg", "--websocket", "--user-profile-outsider-allowed"}, "does not go with --websocket."},
		{"", []string{"create", "CoolOrg", "--active-users-limit", "-1"}, "Invalid value for '--active-users-limit'"},
		{"", []string{"freeze", "CoolOrg"}, "Either --user-id or --user-email is needed."},
		{"", []string{"unfreeze", "CoolOrg", "--user-id", "a", "--user-email", "b"}, "Either --user-id or --user-email is needed."},
		{"", []string{"server-stats", "--format", "xml"}, "Invalid value for '--format'"},
		{"", []string{"stats", "CoolOrg", "--at", "yesterday"}, "Invalid value for '--at'"},
		{"", []string{"stats", "CoolOrg", "--at", "2020-01-01", "--websocket"}, "--at goes without --websocket."},
		{"", []string{"server-stats", "--at", "yesterday"}, "Invalid value for '--at': must be a date such as 2030-01-31 (0:00 UTC), or with its time and zone"},
		{"", []string{"server-stats", "--at", "2030-01-32"}, "Invalid value for '--at': must be a date such as"},
		{"", []string{"server-stats", "--at", "2030-01-31T00:00:00"}, "Invalid value for '--at': must be a date such as"},
		{"", bootstrapArguments("parsec3://example.com/CoolOrg?a=organization_bootstrap&p=x")[1:], "Invalid value for 'URL': invalid `a` param value"},
		{"", []string{"server-stats", "--output", filepath.Join(t.TempDir(), "none", "x")}, "Invalid value for '--output'"},
		{"", []string{"bootstrap"}, "Missing argument 'URL'."},
		{"", bootstrapArguments("parsec://localhost:1/CoolOrg")[1:], "Invalid value for 'URL'"},
		{"", bootstrapArguments(url, "--human-label", "")[1:], "Missing option '--human-label'."},
		{"", bootstrapArguments(url, "--human-email", "")[1:], "Missing option '--human-email'."},
		{"", bootstrapArguments(url, "--device-label", "")[1:], "Missing option '--device-label'."},
		{"", bootstrapArguments(url, "--human-email", "alice")[1:], "invalid e-mail address"},
		{"", bootstrapArguments(url, "--device-label", "a\nb")[1:], "Invalid value for '--device-label'"},
	} {
		run := &shell{t: t, variables: maps.Clone(s.variables)}
		delete(run.variables, item.without)
		stdout, _, err := run.run(append([]string{"organization"}, item.arguments...)...)
		usage, ok := errors.AsType[*config.UsageError](err)
		if !ok || stdout != "" || !strings.Contains(usage.Message, item.want) {
			t.Errorf("%q: printed %q, error %v", item.arguments, stdout, err)
		}
	}
}
