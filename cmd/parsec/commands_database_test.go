//go:build !without_postgresql

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestGoldenOnDatabase has a file for each command that does its work on a database with a
// realm that is due.
func TestGoldenOnDatabase(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	due := e.addRealm("Two", longAgo, 3)
	e.addRealm("Three", "", 2, estateBob)
	c := &commandTest{t: t, folder: t.TempDir()}
	for _, line := range []string{
		"backend blockstore init",
		"backend blockstore check",
		"backend blockstore repair --apply",
		"backend blockstore orphans",
		"realm list-deletable --organization Two",
		"realm list-deletable --organization Three --json",
		"realm delete --organization Two --realm " + due.hex() + " --dry-run",
		"realm delete-due --dry-run",
		"realm delete-due",
		"human-accesses --organization Two",
		"human-accesses --organization Nope",
		"account list",
		"account list --json",
		"account find zoe@example.com",
		"account delete zoe@example.com --yes",
		"sequester list-services --organization Two",
		"sequester list-services --organization Three",
	} {
		words := strings.Fields(line)
		text := c.section("on a database", words, executeWith(t.Context(), idle, e.variables, words...))
		name := strings.NewReplacer(" ", "-", "--", "", due.hex(), "ID", "@", "-at-").Replace(line)
		golden(t, filepath.Join("testdata", "commands", "database", name+".golden"), changingDatabase.ReplaceAllString(text, "database NAME at PLACE"))
	}
}
