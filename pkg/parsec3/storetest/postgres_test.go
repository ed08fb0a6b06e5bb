//go:build !without_postgresql

package storetest

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3/rules"
)

func TestPostgres(t *testing.T) {
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		return testkit.OpenParsec3Postgres(t, testkit.NewPostgres(t), bus)
	})
}
