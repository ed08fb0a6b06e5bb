package parsec3_test

import (
	"testing"

	"parsec-server/internal/testkit/house"
)

// families are the names that a family of commands, or what its rules depend
// on, has in every room.
var families = []string{
	"account", "authentication", "block", "certificate", "cryptpad", "device", "enrollment", "event", "export", "human_accesses",
	"invite", "mail", "organization", "ping", "presence", "realm", "scws", "sequester", "server", "session", "shamir", "statistics", "tos", "totp", "user", "vlob",
}

// rooms have files of their own, which are of no family or of all, beside doc.go
// and one with their name.
var rooms = map[string][]string{
	"certificate":  {"algorithm", "zstd"},
	"check":        {"rules", "tables"},
	"replay":       {"rules"},
	"protocol":     {"command", "compatibility", "size", "status"},
	"export":       {"data", "file", "plan"},
	"imports":      {"compare", "derive", "logs", "schema", "survey", "wing"},
	"mail":         {"example", "kind", "language"},
	"rules":        {"store"},
	"memory":       {"store", "tx"},
	"postgres":     {"batch", "facts", "lock", "lock_all", "lock_left_out", "reads", "store", "token", "tx", "writes"},
	"storetest":    {"concurrency", "fixture", "gather", "memory", "postgres", "sharing", "transaction"},
	"differential": {"commands", "commands_data", "draw", "stores", "twins"},
	"notice":       {"codec", "table", "topic"},
}

// otherNames are those that families had in one room or another.
var otherNames = []string{"archiving", "frozen", "info", "keys_bundle", "reader", "recovery", "role", "rotation", "terms", "workspace"}

// TestNamesOfFiles finds a family by the same name wherever one looks.
func TestNamesOfFiles(t *testing.T) {
	house.CheckFamilies(t, families, rooms, []string{"../server/parsec3", "../client/parsec3"}, otherNames)
}
