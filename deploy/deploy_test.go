package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// patience bounds a whole test.
const patience = 5 * time.Minute

// application is the folder of an application as buildpacks leave it: what they
// build is in bin.
var application string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if application, err = os.MkdirTemp("", "parsec-test-application-"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(application) }() // a leftover in the temporary folder harms nobody
	packages, err := toInstall()
	if err != nil {
		return 0, err
	}
	build := exec.Command("go", "install", packages)
	build.Dir = ".."
	build.Env = append(os.Environ(), "GOBIN="+filepath.Join(application, "bin"))
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w\n%s", err, output)
	}
	return m.Run(), nil
}

// toInstall returns what go.mod tells buildpacks to build.
func toInstall() (string, error) {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^// \+heroku install (\S+)$`).FindSubmatch(module)
	if found == nil {
		return "", fmt.Errorf("go.mod tells buildpacks nothing: %s", module)
	}
	return string(found[1]), nil
}

// found creates an organization as the administrator, and returns the device of
// its first user.
func found(ctx context.Context, t *testing.T, c *parsec2.Client, address parsec.ServerAddress, token string) *parsec2.Device {
	t.Helper()
	id := must(parsec.ParseOrganizationID("Acme"))
	bootstrapToken, err := c.Administration(token).Create(ctx, id, client.OrganizationSettings{})
	if err != nil {
		t.Fatalf("create an organization: %v", err)
	}
	founder := parsec2.Person{
		Label:       must(parsec.ParseDeviceLabel("laptop")),
		HumanHandle: must(parsec.ParseHumanHandle("alice@example.com", "Alice")),
	}
	device, request, err := parsec2.NewOrganization(address.BootstrapAddress(id, bootstrapToken), founder, now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Bootstrap(ctx, id, request); err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	return device
}

// stored is a block that the server has.
type stored struct {
	id      parsec.BlockID
	content []byte
}

// store writes the largest block that there can be, in a realm of its own.
func store(ctx context.Context, t *testing.T, commands parsec2.Transport, device *parsec2.Device) stored {
	t.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	create, err := device.NewRealm(realm, now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsec2.Call(ctx, commands, protocol.RealmCreate, create); err != nil {
		t.Fatalf("create a realm: %v", err)
	}
	block := stored{parsec.BlockID(parsec.NewUUID()), make([]byte, 1<<20)}
	_, _ = rand.Read(block.content) // never fails
	if _, err := parsec2.Call(ctx, commands, protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block.id, RealmID: realm, Block: block.content}); err != nil {
		t.Fatalf("create a block: %v", err)
	}
	return block
}

func (s stored) read(ctx context.Context, t *testing.T, commands parsec2.Transport) {
	t.Helper()
	read, err := parsec2.Call(ctx, commands, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: s.id})
	if err != nil {
		t.Fatalf("read a block: %v", err)
	}
	if !bytes.Equal(read.Block, s.content) {
		t.Errorf("read %d bytes that are not the %d written", len(read.Block), len(s.content))
	}
}

// get returns the answer to a request without its body.
func get(ctx context.Context, t *testing.T, transport http.RoundTripper, url string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// must is for values that cannot be wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
