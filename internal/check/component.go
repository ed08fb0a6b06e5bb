package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// component is a program that tests run against. Where it is missing, its tests
// are built out by a tag, and check says so; continuous integration has all.
type component struct {
	name string
	// tag is the build tag that leaves its tests out.
	tag string
	// variable points the tests to a server that runs already; "" for none.
	variable string
	// programs are tried in PATH, and as patterns of paths.
	programs []string
	// brings are other programs of it, that tests start.
	brings []string
	// command succeeds where tests find the component by another way.
	command []string
	// root reports whether only root can start it.
	root    bool
	install string
	// rights are what the component needs besides, that a runner of continuous
	// integration may not have; "" for none.
	rights string
}

const (
	postgreSQLTag     = "without_postgresql"
	installPostgreSQL = "apt-get install postgresql"
)

var postgreSQLPrograms = []string{"initdb", "/usr/lib/postgresql/*/bin/initdb"}

var components = []component{
	{
		name: "PostgreSQL", tag: postgreSQLTag, variable: "PARSEC_TEST_DB",
		programs: postgreSQLPrograms,
		command:  []string{"docker", "version"},
		install:  installPostgreSQL,
	},
	{
		name: "PostgreSQL to stop and start", tag: "without_postgresql_programs",
		programs: postgreSQLPrograms,
		install:  installPostgreSQL,
	},
	{
		name: "PgBouncer", tag: "without_pgbouncer",
		programs: []string{"pgbouncer", "/usr/sbin/pgbouncer"},
		install:  "apt-get install pgbouncer",
	},
	{
		name: "packet filter", tag: "without_packet_filter",
		command: []string{"unshare", "--net", "sh", "-c", "ip link set lo up && nft add table inet filter"},
		install: "apt-get install nftables iproute2",
		rights:  ", as root with the right to make networks",
	},
	{
		name: "volumes to mount", tag: "without_mount",
		command: []string{"unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"},
		brings:  []string{"unshare", "mount"},
		install: "apt-get install mount",
		rights:  ", as root with the right to mount",
	},
	{
		name: "MinIO", tag: "without_minio", variable: "PARSEC_TEST_S3",
		programs: []string{"minio", "$GOPATH/bin/minio"},
		install:  "go install github.com/minio/minio@latest",
	},
	{
		name: "VersityGW", tag: "without_versitygw",
		programs: []string{"versitygw", "$GOPATH/bin/versitygw"},
		install:  "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
	},
	{
		name: "OpenStack Swift", tag: "without_swift", variable: "PARSEC_TEST_SWIFT",
		programs: []string{"swift-proxy-server"},
		brings:   []string{"memcached", "swift-ring-builder"},
		install:  "apt-get install swift-proxy swift-account swift-container swift-object memcached",
	},
	{
		name: "bash", tag: "without_bash",
		programs: []string{"bash"},
		install:  "apt-get install bash",
	},
	{
		name: "curl", tag: "without_curl",
		programs: []string{"curl"},
		install:  "apt-get install curl",
	},
	{
		name: "Chromium", tag: "without_chromium",
		programs: []string{"chromium"},
		install:  "apt-get install chromium",
	},
	{
		name: "nginx", tag: "without_nginx",
		programs: []string{"nginx", "/usr/sbin/nginx"},
		install:  "apt-get install nginx-light",
	},
	{
		name: "Caddy", tag: "without_caddy",
		programs: []string{"caddy"},
		install:  "apt-get install caddy",
	},
	{
		name: "HAProxy", tag: "without_haproxy",
		programs: []string{"haproxy", "/usr/sbin/haproxy"},
		install:  "apt-get install haproxy",
	},
	{
		name: "Prometheus", tag: "without_prometheus",
		programs: []string{"prometheus"},
		brings:   []string{"promtool"},
		install:  "apt-get install prometheus",
	},
	{
		name: "Postfix", tag: "without_postfix",
		programs: []string{"/usr/sbin/postfix"},
		brings:   []string{"postconf", "saslauthd"},
		root:     true,
		install:  "apt-get install postfix sasl2-bin libsasl2-modules, and be root",
	},
	{
		name: "systemd", tag: "without_systemd",
		programs: []string{"systemd-analyze"},
		brings:   []string{"systemd-socket-activate"},
		install:  "apt-get install systemd",
	},
}

func (c component) found(ctx context.Context, gopath string) bool {
	if c.variable != "" && os.Getenv(c.variable) != "" {
		return true
	}
	if c.root && os.Geteuid() != 0 {
		return false
	}
	for _, program := range c.programs {
		if _, err := exec.LookPath(program); err == nil {
			return true
		}
		matches, err := filepath.Glob(strings.ReplaceAll(program, "$GOPATH", gopath))
		if err == nil && len(matches) > 0 && filepath.IsAbs(matches[0]) {
			return true
		}
	}
	return len(c.command) > 0 && exec.CommandContext(ctx, c.command[0], c.command[1:]...).Run() == nil
}

// missingTags returns the tags of the components that are not there. Continuous
// integration may miss none.
func missingTags(ctx context.Context, out io.Writer, gopath string) ([]string, error) {
	var tags []string
	for _, c := range components {
		if c.found(ctx, gopath) {
			continue
		}
		if os.Getenv("CI") != "" && c.rights == "" {
			return nil, fmt.Errorf("%s is missing: %s", c.name, c.install)
		}
		fmt.Fprintf(out, "check: no %s here, so its tests are left out; to run them: %s%s\n", c.name, c.install, c.rights)
		tags = append(tags, c.tag)
	}
	return tags, nil
}
