package testkit

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/pkg/config"
)

// SwiftVariable is a block store string, of a Swift to test with instead of
// starting one. Its container is created where it does not exist.
const SwiftVariable = "PARSEC_TEST_SWIFT"

const (
	// TempAuth calls accounts what comes first in <user>:<tenant>.
	swiftUser     = "account"
	swiftTenant   = "tester"
	swiftPassword = "parsec-test-secret"
	// swiftLimited is the tenant of a user who may do nothing on their own.
	swiftLimited = "limited"
	installSwift = "apt-get install --no-install-recommends swift-proxy swift-account swift-container swift-object memcached"
)

// Swift returns a container, which may not exist yet, of an OpenStack Swift
// that runs until the test ends, or of the one of PARSEC_TEST_SWIFT; s3 is a
// bucket of the same server, through its other interface, nil for the second.
func Swift(t testing.TB) (container config.Swift, s3 *config.S3) {
	t.Helper()
	if text := os.Getenv(SwiftVariable); text != "" {
		return parseStore(t, SwiftVariable, text, config.BlockstoreSwift).Swift, nil
	}
	folder := t.TempDir()
	owner, err := user.Current()
	if err != nil {
		t.Fatalf("find the current user: %v", err)
	}
	devices := filepath.Join(folder, "devices")
	if err := os.MkdirAll(filepath.Join(devices, "disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	memcachedPort := FreePort(t)
	settings := map[string]string{
		"FOLDER": folder, "DEVICES": devices, "USER": owner.Username, "MEMCACHED": memcachedPort,
		"TENANT": swiftTenant, "LOGIN": swiftUser, "PASSWORD": swiftPassword, "LIMITED": swiftLimited,
	}
	write := func(name, text string) string {
		for setting, value := range settings {
			text = strings.ReplaceAll(text, "{"+setting+"}", value)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("swift.conf", swiftHashes)
	memcached := StartProcess(t, nil, FindProgram(t, "memcached", installSwift),
		"-u", owner.Username, "-l", "127.0.0.1", "-p", memcachedPort, "-m", "16")
	memcached.AwaitPort(t, memcachedPort)

	builder := FindProgram(t, "swift-ring-builder", installSwift)
	servers := make(map[string]*Process)
	start := func(kind, text string) string {
		port := FreePort(t)
		settings["PORT"] = port
		servers[port] = StartProcess(t, nil, FindProgram(t, fmt.Sprintf("swift-%s-server", kind), installSwift), write(kind+".conf", text))
		return port
	}
	for _, kind := range []string{"account", "container", "object"} {
		settings["KIND"] = kind
		port := start(kind, swiftStorage)
		ring := filepath.Join(folder, kind+".builder")
		for _, arguments := range [][]string{
			{ring, "create", "6", "1", "0"},
			{ring, "add", "r1z1-127.0.0.1:" + port + "/disk", "100"},
			{ring, "rebalance"},
		} {
			runTool(t.Context(), t, builder, arguments...)
		}
	}
	proxy := start("proxy", swiftProxy)
	for port, server := range servers {
		server.AwaitPort(t, port)
	}
	endpoint := "http://127.0.0.1:" + proxy
	servers[proxy].Await(t, func(ctx context.Context) error { return GetOK(ctx, endpoint+"/healthcheck") })
	return config.Swift{
			AuthURL:   endpoint + "/auth/v1.0",
			Tenant:    swiftTenant,
			Container: "parsec-test",
			User:      swiftUser,
			Password:  config.NewSecret(swiftPassword),
		}, &config.S3{
			Endpoint: endpoint,
			Region:   "us-east-1",
			Bucket:   "parsec-test-s3",
			Key:      config.NewSecret(swiftUser + ":" + swiftTenant),
			Secret:   config.NewSecret(swiftPassword),
		}
}

// LimitSwift returns a container of the Swift that Swift started by a user who
// may read and write its objects, if it is there, and nothing else.
func LimitSwift(t testing.TB, container config.Swift) config.Swift {
	t.Helper()
	send := func(method, address string, headers map[string]string) http.Header {
		request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Header
	}
	session := send(http.MethodGet, container.AuthURL, map[string]string{
		"X-Auth-User": container.User + ":" + container.Tenant, "X-Auth-Key": container.Password.Reveal(),
	})
	limited := container.User + ":" + swiftLimited
	send(http.MethodPost, session.Get("X-Storage-Url")+"/"+container.Container, map[string]string{
		"X-Auth-Token": session.Get("X-Auth-Token"), "X-Container-Read": limited, "X-Container-Write": limited,
	})
	container.Tenant = swiftLimited
	return container
}

const swiftHashes = `[swift-hash]
swift_hash_path_prefix = parsec
swift_hash_path_suffix = test
`

const swiftStorage = `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {PORT}
user = {USER}
swift_dir = {FOLDER}
devices = {DEVICES}
mount_check = false
workers = 0
[pipeline:main]
pipeline = {KIND}-server
[app:{KIND}-server]
use = egg:swift#{KIND}
`

const swiftProxy = `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {PORT}
user = {USER}
swift_dir = {FOLDER}
workers = 0
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{MEMCACHED}
connect_timeout = 30
io_timeout = 30
error_suppression_interval = 0
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{LOGIN}_{TENANT} = {PASSWORD} .admin
user_{LOGIN}_{LIMITED} = {PASSWORD}
`
