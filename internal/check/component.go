package main

import (
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
	install  string
}

const postgreSQLTag = "without_postgresql"

var components = []component{
	{
		name: "PostgreSQL", tag: postgreSQLTag, variable: "PARSEC_TEST_DB",
		programs: []string{"initdb", "/usr/lib/postgresql/*/bin/initdb"},
		install:  "apt-get install postgresql",
	},
	{
		name: "MinIO", tag: "without_minio", variable: "PARSEC_TEST_S3",
		programs: []string{"minio", "$GOPATH/bin/minio"},
		install:  "go install github.com/minio/minio@latest",
	},
	{
		name: "OpenStack Swift", tag: "without_swift", variable: "PARSEC_TEST_SWIFT",
		programs: []string{"swift-proxy-server"},
		install:  "apt-get install swift-proxy swift-account swift-container swift-object memcached",
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
		name: "systemd", tag: "without_systemd",
		programs: []string{"systemd-analyze"},
		install:  "apt-get install systemd",
	},
}

func (c component) found(gopath string) bool {
	if c.variable != "" && os.Getenv(c.variable) != "" {
		return true
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
	return false
}

// missingTags are the tags of the components that are not there. Continuous
// integration may miss none.
func missingTags(out io.Writer, gopath string) ([]string, error) {
	var tags []string
	for _, c := range components {
		if c.found(gopath) {
			continue
		}
		if os.Getenv("CI") != "" {
			return nil, fmt.Errorf("%s is missing: %s", c.name, c.install)
		}
		fmt.Fprintf(out, "check: no %s here, so its tests are left out; to run them: %s\n", c.name, c.install)
		tags = append(tags, c.tag)
	}
	return tags, nil
}
