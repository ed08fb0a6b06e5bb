package parsec2_test

import (
	"testing"

	"parsec-server/internal/testkit/house"
)

// families are the names that a family of commands, or what its rules depend
// on, has in every room.
var families = []string{
	"administration", "authentication", "block", "certificate", "conduit", "device", "enrollment", "event", "find",
	"human_accesses", "invite", "invitev1", "message", "organization", "ping", "realm", "reencryption", "sequester",
	"session", "shamir", "statistics", "user", "vlob",
}

// rooms have files of their own, which are of no family or of all, beside doc.go
// and one with their name.
var rooms = map[string][]string{
	"protocol":  {"client", "command", "compatibility", "handshake", "size", "status", "validate"},
	"rules":     {"store"},
	"memory":    {"store", "tx"},
	"postgres":  {"keys", "prune", "store", "tx", "value"},
	"storetest": {"concurrency", "fixture", "memory", "pgbouncer", "postgres", "transaction"},
	"mail":      {"example"},
	"notice":    {"codec", "table", "topic"},
	"check":     {"rules", "tables"},
	"export":    {"file"},
	"imports":   {"compare", "derive", "logs", "schema", "shared_vlob", "survey", "wing"},
}

// otherNames are those that families had in one room or another.
var otherNames = []string{
	"access", "archiving", "facts", "maintenance", "pki", "reader", "realm_access", "recovery", "rendezvous", "retry", "role",
	"survey", "trustchain", "user_find",
}

// TestNamesOfFiles finds a family by the same name wherever one looks.
func TestNamesOfFiles(t *testing.T) {
	house.CheckFamilies(t, families, rooms, []string{"../server/parsec2", "../client/parsec2"}, otherNames)
}
