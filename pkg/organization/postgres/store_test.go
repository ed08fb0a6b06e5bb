//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"log/slog"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/wire"
)

func TestStore(t *testing.T) {
	organizationtest.Exercise(t, func(t *testing.T, bus *event.Bus) organization.Store {
		opened, err := database.Open(t.Context(), database.Options{
			Source:         database.Source{DSN: testkit.NewPostgres(t, testkit.Unsound), Logger: slog.New(slog.DiscardHandler)},
			MaxConnections: 7,
			Codec:          codec{},
		}, bus)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return postgres.New(opened)
	})
}

// codec is of the one event that organizations have.
type codec struct{}

const kind = "organization.expiration"

func (codec) Encode(body event.Body) (string, []byte, error) {
	if _, ok := body.(event.OrganizationExpiration); !ok {
		return "", nil, fmt.Errorf("organizations emit no %T", body)
	}
	data, err := wire.Marshal(body)
	return kind, data, err
}

func (codec) Decode(found string, data []byte) (event.Body, error) {
	if found != kind {
		return nil, fmt.Errorf("an event of the kind %s", found)
	}
	var body event.OrganizationExpiration
	err := wire.Unmarshal(data, &body)
	return body, err
}
