package postgres

import (
	"context"
	"sync"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// mostKeys bounds what a keyCache remembers, to some MiB.
const mostKeys = 1 << 14

// account is a user of an organization, as clients name it.
type account struct {
	organization parsec.OrganizationID
	user         parsec.UserID
}

// accountKeys are the ids of its rows, user nil when there is no such user.
// The ids of rows never change, and are never given again: these are the only facts
// that may be remembered. Where nothing is found by them, an organization of that name
// may have been deleted and created anew.
type accountKeys struct {
	organization int32
	user         *int64
}

// keyCache remembers the keys of accounts that exist, so that a hot statement
// does not look them up. The zero value is empty.
type keyCache struct {
	mu   sync.Mutex // guards keys
	keys map[account]accountKeys
}

func (c *keyCache) get(of account) (accountKeys, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys, found := c.keys[of]
	return keys, found
}

func (c *keyCache) put(of account, keys accountKeys) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= mostKeys {
		c.keys = make(map[account]accountKeys)
	}
	c.keys[of] = keys
}

// drop forgets one account.
func (c *keyCache) drop(of account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, of)
}

// forget empties the cache: a database that comes back may have been restored,
// with other rows.
func (c *keyCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = nil
}

// keysOf returns the keys of an account, found false when there is no such
// organization, and whether they were remembered.
func (s *Store) keysOf(ctx context.Context, of account) (keys accountKeys, found, remembered bool, err error) {
	if keys, found = s.keys.get(of); found {
		return keys, true, true, nil
	}
	err = s.One(ctx, database.Row(&found, `
SELECT o.id, u.id
FROM organization o LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = $2
WHERE o.organization_id = $1`, []any{of.organization.String(), of.user.String()}, &keys.organization, &keys.user))
	if err == nil && keys.user != nil {
		s.keys.put(of, keys)
	}
	return keys, found, false, err
}
