package imports

import (
	"context"
	"fmt"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
)

// sharedVlobs finds vlobs that are in two realms: nothing stops clients of official servers
// from creating one. It takes what follows IN for organizations.
const sharedVlobs = `
SELECT 'vlob ' || x.vlob_id, 'it is in ' || count(DISTINCT r._id) || ' realms: ' || string_agg(DISTINCT r.realm_id::text, ', ')
FROM vlob_atom x` + ofRealm + ` WHERE r.organization IN %s AND x.version = 1 GROUP BY x.vlob_id HAVING count(DISTINCT r._id) > 1`

// shareVlobs tells of them: where the operator has chosen so, the realm that clients have
// got so far keeps the vlob.
func (c *converter) shareVlobs(ctx context.Context) error {
	return each(ctx, c, fmt.Sprintf(sharedVlobs, "($1::bigint)"), (*answer).targets, func(row *answer) error {
		if c.choices.KeepFirstVlob {
			c.one.Repair("vlob_in_two_realms", row.subject, "%s; that of its first version keeps it", row.detail)
		} else {
			c.one.Stop("vlob_in_two_realms", row.subject, "%s: leave the organization out, or give --same-vlob=keep-first", row.detail)
		}
		return nil
	})
}

type answer struct{ subject, detail string }

func (a *answer) targets() []any { return []any{&a.subject, &a.detail} }

// lost is a vlob in a realm that does not keep it.
type lost struct {
	realm int64
	vlob  database.UUID
}

func (l *lost) targets() []any { return []any{&l.realm, &l.vlob} }

// selectLost finds them: the realm of the lowest number keeps the vlob.
const selectLost = `
SELECT DISTINCT s.realm, s.vlob_id FROM (
    SELECT r._id::bigint AS realm, x.vlob_id, first_value(r._id) OVER (PARTITION BY r.organization, x.vlob_id ORDER BY x._id) AS keeper
    FROM vlob_atom x` + ofRealm + ` WHERE r.organization IN (%s) AND x.version = 1
) s WHERE s.realm <> s.keeper`

// allKept is the condition of keptVlobs where each realm keeps all of its vlobs.
const allKept = "true"

// keptVlobs returns a condition that versions x of the realm r are of vlobs that it keeps.
// Organizations with such vlobs come by the choice of the operator alone.
func keptVlobs(ctx context.Context, from *imports.Snapshot, keys string) (condition string, err error) {
	var left []lost
	if err := from.Ask(ctx, database.List(&left, fmt.Sprintf(selectLost, keys), nil, (*lost).targets)); err != nil || len(left) == 0 {
		return allKept, err
	}
	pairs := make([]string, len(left))
	for i, one := range left {
		pairs[i] = fmt.Sprintf("(%d, '%s'::uuid)", one.realm, parsec.UUID(one.vlob))
	}
	return "(r._id, x.vlob_id) NOT IN (" + strings.Join(pairs, ", ") + ")", nil
}
