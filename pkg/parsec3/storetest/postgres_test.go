//go:build !without_postgresql

package storetest

import (
	"context"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// TestPostgres also has every statement name the organization, as $1, for each of
// its tables.
func TestPostgres(t *testing.T) {
	proxy := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		return testkit.OpenParsec3Postgres(t, proxy.DSN, bus)
	})
	checkStatements(t, proxy.Statements())
}

// TestPostgresModes has the ways to send statements that DSNs may ask for, such as
// for PgBouncer.
func TestPostgresModes(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
				return testkit.OpenParsec3Postgres(t, testkit.NewPostgres(t, testkit.Unsound)+" default_query_exec_mode="+mode, bus)
			})
		})
	}
}

// TestTwoPostgres has every second change made by another server.
func TestTwoPostgres(t *testing.T) {
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		dsn := testkit.NewPostgres(t, testkit.Unsound)
		first := testkit.OpenParsec3Postgres(t, dsn, bus)
		return &alternating{Store: first, janitor: first, writers: [2]rules.Store{first, testkit.OpenParsec3Postgres(t, dsn, testkit.NewBus(t))}}
	})
}

// alternating writes through two stores in turn, and reads from one.
type alternating struct {
	rules.Store
	janitor
	writers [2]rules.Store
	writes  atomic.Uint64
}

func (a *alternating) next() rules.Store { return a.writers[a.writes.Add(1)%2] }

func (a *alternating) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	return a.next().Update(ctx, scope, rule)
}

func (a *alternating) UpdateAccount(ctx context.Context, scope rules.AccountScope, rule func(rules.AccountTx) error) error {
	return a.next().UpdateAccount(ctx, scope, rule)
}

func (a *alternating) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return a.next().ChangeOrganization(ctx, id, rule)
}

func (a *alternating) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	return a.next().ReleaseBlock(ctx, organization, block, token)
}

func (a *alternating) Say(ctx context.Context, speech rules.Speech, events ...event.Event) (bool, error) {
	return a.next().Say(ctx, speech, events...)
}

func (a *alternating) Publish(ctx context.Context, e event.Event) error {
	return a.next().Publish(ctx, e)
}

// acrossOrganizations are the statements that do not name one organization, by a
// text in each: those of statistics, of which administrators ask for several, those
// of what is done each minute for all, and what the readiness of a server looks at.
var acrossOrganizations = map[string]string{
	"selectSums":       "WHERE r.organization = ANY($1) AND NOT r.deleted",
	"selectCounts":     "WHERE c.organization = ANY($1)",
	"selectPastSums":   "FROM unnest($1::text[]) asked (organization)",
	"selectPastCounts": "WHERE u.organization = ANY($1) AND u.created_on <= $2",
	"reservations":     "WHERE upload_token IS NOT NULL AND upload_until <= $2 LIMIT $1",
	"sumUp":            "WHERE c.unsummed LIMIT $1",
	"insertPresent":    "FROM unnest($1::text[], $2::uuid[]) q (organization, user_id)\nON CONFLICT",
	"deletePresent":    "WHERE p.organization = q.organization AND p.user_id = q.user_id",
	"deleteAllPresent": "WHERE p.instance = $1",
	"prunePresence":    "WHERE n.lock = p.instance AND n.vanished_on IS NULL)\n    LIMIT $1",
	"pruneInvitations": "WHERE i.ended_on < $2 AND NOT i.attempts_erased LIMIT $1",
	"isImporting":      "SELECT coalesce(bool_and(o.importing), false) FROM organization o",
	"pruneEnrollments": "WHERE o.payload IS NULL AND o.ended_on < $2 LIMIT $1",
}

func checkStatements(t *testing.T, statements []string) {
	t.Helper()
	met := map[string]bool{}
	named := 0
	for _, statement := range statements {
		if strings.Contains(statement, "parsec3.account") {
			continue // of no organization
		}
		if name, across := acrossing(statement); across {
			met[name] = true
			continue
		}
		tables, problem := namesOrganization(statement)
		if problem != "" {
			t.Errorf("%s in:%s", problem, statement)
		}
		named += tables
	}
	const least = 60
	if named < least {
		t.Errorf("only %d tables are named", named)
	}
	for name := range acrossOrganizations {
		if !met[name] {
			t.Errorf("no statement is like %s", name)
		}
	}
}

func acrossing(statement string) (name string, across bool) {
	for name, text := range acrossOrganizations {
		if strings.Contains(statement, text) {
			return name, true
		}
	}
	return "", false
}

var (
	table     = regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE|USING)\s+(parsec3\.\w+|organization)\b(?:\s+(?:AS\s+)?([a-z]\w*))?`)
	insertion = regexp.MustCompile(`\bINTO\s+parsec3\.\w+(?:\s+AS\s+\w+)?\s*(\([^)]*\))\s*(?:VALUES\s*\(|SELECT\s+)([^,]*),`)
	into      = regexp.MustCompile(`\bINTO\s+parsec3\.`)
)

// namesOrganization returns how many tables of Parsec 3 a statement has, and the
// first for which it does not name the organization.
func namesOrganization(statement string) (tables int, problem string) {
	aliases := map[string]int{}
	for _, match := range table.FindAllStringSubmatch(statement, -1) {
		tables++
		aliases[match[2]]++
		column := ".organization = $1"
		if match[1] == "organization" {
			column = ".organization_id = $1"
		}
		if match[2] == "" || strings.Count(statement, " "+match[2]+column) < aliases[match[2]] {
			return tables, match[0] + " without organization"
		}
	}
	insertions := insertion.FindAllStringSubmatch(statement, -1)
	if len(insertions) != len(into.FindAllString(statement, -1)) {
		return tables, "an insertion that is not understood"
	}
	for _, match := range insertions {
		tables++
		if !strings.HasPrefix(match[1], "(organization,") || match[2] != "$1" {
			return tables, match[0] + " begins otherwise"
		}
	}
	return tables, ""
}

// TestOrganizationIsMissed has the check of statements find what it looks for.
func TestOrganizationIsMissed(t *testing.T) {
	for _, statement := range []string{
		"SELECT 1 FROM parsec3.vlob v WHERE v.vlob_id = $2",
		"SELECT 1 FROM parsec3.vlob WHERE organization = $1",
		"SELECT 1 FROM parsec3.vlob v JOIN parsec3.realm r ON r.realm_id = v.realm_id WHERE v.organization = $1",
		"SELECT (SELECT 1 FROM parsec3.topic t), (SELECT 2 FROM parsec3.topic t WHERE t.organization = $1)",
		"SELECT 1 FROM organization o WHERE o.id = $1",
		"UPDATE parsec3.realm r SET named = true WHERE r.realm_id = $2",
		"DELETE FROM parsec3.block b WHERE b.block_id = $2",
		"INSERT INTO parsec3.vlob (realm_id, organization) VALUES ($2, $1)",
		"INSERT INTO parsec3.vlob (organization, realm_id) SELECT v.organization, $2 FROM parsec3.vlob v WHERE v.organization = $1",
		"INSERT INTO parsec3.vlob TABLE old",
	} {
		if _, problem := namesOrganization(statement); problem == "" {
			t.Errorf("nothing is missed in %s", statement)
		}
	}
}
