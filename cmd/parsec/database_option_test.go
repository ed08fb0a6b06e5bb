package main

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// databaseCommands returns the commands that work on a database, with the other
// options that they need. The files are in a folder of the test.
func databaseCommands(folder string) map[string][]string {
	file := func(name string) string { return filepath.Join(folder, name) }
	id := parsec.UUID{1}.Hex()
	certification := []string{"--service-label", "x", "--service-public-key", file("public"), "--authority-private-key", file("private")}
	return map[string][]string{
		"backend run":                          {"--blockstore", "MOCKED", "--administration-token", testkit.AdministrationToken},
		"backend config":                       {"--blockstore", "MOCKED", "--administration-token", testkit.AdministrationToken},
		"backend migrate":                      nil,
		"backend migrate status":               nil,
		"backend check":                        {"--blockstore", "POSTGRESQL"},
		"backend import":                       {"--from", "postgresql://official"},
		"backend import verify":                {"--from", "postgresql://official"},
		"backend blockstore init":              {"--blockstore", "POSTGRESQL"},
		"backend blockstore check":             {"--blockstore", "POSTGRESQL"},
		"backend blockstore repair":            {"--blockstore", "POSTGRESQL"},
		"backend blockstore orphans":           {"--blockstore", "POSTGRESQL"},
		"backend blockstore copy":              {"--blockstore", "POSTGRESQL", "--to", "s3::region:bucket:key:secret"},
		"human-accesses":                       {"--organization", "Acme"},
		"realm list-deletable":                 {"--organization", "Acme"},
		"realm delete":                         {"--organization", "Acme", "--realm", id, "--blockstore", "POSTGRESQL"},
		"realm delete-due":                     {"--blockstore", "POSTGRESQL"},
		"account list":                         nil,
		"account find":                         {"zoe@example.com"},
		"account delete":                       {"zoe@example.com", "--yes"},
		"export-realm":                         {"--organization", "Acme", "--realm", id, "--blockstore", "POSTGRESQL"},
		"sequester revoke-service":             {"--organization", "Acme", "--service-revocation-certificate", file("revocation")},
		"sequester create-service":             append([]string{"--organization", "Acme"}, certification...),
		"sequester import-service-certificate": {"--organization", "Acme", "--service-certificate", file("certificate")},
		"sequester list-services":              {"--organization", "Acme"},
		"sequester update-service":             {"--organization", "Acme", "--service", id, "--enable"},
		"sequester export-realm": {
			"--organization", "Acme", "--service", id, "--realm", id, "--output", file("export"), "--blockstore", "POSTGRESQL",
		},
	}
}

// rsaKey is a key of the specification, in DER.
type rsaKey struct {
	Private []byte `json:"private_key_pkcs8_der"`
	Public  []byte `json:"public_key_spki_der"`
}

func rsaKeys(t *testing.T) map[string]rsaKey {
	t.Helper()
	return vectors.Load[struct {
		RSA map[string]rsaKey `json:"rsa"`
	}](t, "keys.json").RSA
}

// TestCommandsNeedADatabase says that the option is missing when it is, and
// that MOCKED is none for commands that would work on nothing.
func TestCommandsNeedADatabase(t *testing.T) {
	s, folder := &shell{t: t}, t.TempDir()
	keys := rsaKeys(t)
	for name, block := range map[string]*pem.Block{
		"public":  {Type: "PUBLIC KEY", Bytes: keys["sequester_service"].Public},
		"private": {Type: "PRIVATE KEY", Bytes: keys["sequester_authority"].Private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := databaseCommands(folder)
	s.succeed(append([]string{"sequester", "generate-service-certificate", "-o", filepath.Join(folder, "certificate")},
		commands["sequester create-service"][2:]...)...)
	s.succeed("sequester", "generate-service-revocation-certificate", filepath.Join(folder, "revocation"),
		"--service-id", parsec.UUID{1}.Hex(), "--authority-private-key", filepath.Join(folder, "private"))
	for name, more := range commands {
		arguments := append(strings.Fields(name), more...)
		stdout, _, err := s.run(arguments...)
		if _, usage := errors.AsType[*config.UsageError](err); !usage || !strings.HasPrefix(err.Error(), missingDB) || strings.Contains(err.Error(), "\n") || stdout != "" {
			t.Errorf("%s: printed %q, error %v", name, stdout, err)
		}
		if name == "backend run" || name == "backend config" {
			continue // They take MOCKED.
		}
		_, _, err = s.run(append(arguments, "--db", "MOCKED")...)
		if err == nil || err.Error() != "Invalid value for '--db': this command needs a PostgreSQL database." {
			t.Errorf("%s on MOCKED: %v", name, err)
		}
	}
	p := program{environment: environmentOf(nil), stdout: &testkit.Output{}, stderr: &testkit.Output{}}
	walkCommands(p.rootCommand(), func(command *cobra.Command) {
		path := strings.TrimPrefix(command.CommandPath(), "parsec ")
		_, listed := commands[path]
		_, alias := commands[strings.TrimPrefix(path, "backend ")]
		if root, _, _ := strings.Cut(path, " "); slices.ContainsFunc(officialCommands, func(o officialCommand) bool { return o.name == root }) {
			alias = true // of a command of ours
		}
		asksServer := path == "backend healthcheck"
		option := command.Flags().Lookup("db")
		if command.Runnable() && !listed && !alias && !asksServer && option != nil && !option.Hidden {
			t.Errorf("%s has --db and is not tested", command.CommandPath())
		}
	})
}

// walkCommands visits a command and those below it.
func walkCommands(command *cobra.Command, visit func(*cobra.Command)) {
	visit(command)
	for _, below := range slices.Clone(command.Commands()) {
		walkCommands(below, visit)
	}
}
