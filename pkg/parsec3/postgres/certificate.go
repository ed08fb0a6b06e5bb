package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// commonSeen and sequesterSeen take the date to begin after, $3. Nobody who
	// is unknown sees any.
	commonSeen = `
SELECT c.dated, c.sequence, CASE
    WHEN (SELECT u.profile FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = ` + theUser + `) = 'OUTSIDER'
    THEN coalesce(c.redacted, c.certificate) ELSE c.certificate
END AS body
FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = 'common' AND c.realm_id = '00000000-0000-0000-0000-000000000000'
    AND c.dated > $3 AND ` + theUser + ` IS NOT NULL
ORDER BY c.dated, c.sequence`

	sequesterSeen = `
SELECT c.dated, c.sequence, c.certificate AS body FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = 'sequester' AND c.realm_id = '00000000-0000-0000-0000-000000000000'
    AND c.dated > $3 AND ` + theUser + ` IS NOT NULL
ORDER BY c.dated, c.sequence`

	// shamirSeen takes that date, too.
	shamirSeen = `
SELECT s.dated, s.sequence, c.body
FROM parsec3.shamir_seen s
CROSS JOIN LATERAL (` + seenCertificate + `) c
WHERE s.organization = $1 AND s.user_id = ` + theUser + ` AND s.dated > $3
ORDER BY s.dated, s.sequence`

	// seenCertificate is that of a row of shamir_seen.
	seenCertificate = `
    SELECT c.certificate AS body FROM parsec3.certificate c
    WHERE c.organization = $1 AND c.topic = 'shamir_recovery' AND c.realm_id = '00000000-0000-0000-0000-000000000000'
        AND c.dated = s.dated AND c.sequence = s.sequence
    LIMIT 1`

	// ofRealmsSeen goes through the realms where the user has, or had, a role. It
	// takes realms $3, and the dates to begin after in them, $4. Those of one realm
	// come one after the other.
	ofRealmsSeen = `
SELECT m.realm_id, c.dated, c.body, wanted.after
FROM parsec3.realm_member m
LEFT JOIN unnest($3::uuid[], $4::bigint[]) wanted (realm_id, after) ON wanted.realm_id = m.realm_id
CROSS JOIN LATERAL (
    SELECT c.dated, c.certificate AS body FROM parsec3.certificate c
    WHERE c.organization = $1 AND c.topic = 'realm' AND c.realm_id = m.realm_id
        AND c.dated > coalesce(wanted.after, ` + beforeAll + `)
        AND (m.role IS NOT NULL OR c.dated <= m.role_date)
    ORDER BY c.dated
) c
WHERE m.organization = $1 AND m.user_id = ` + theUser

	// beforeAll is earlier than every date.
	beforeAll = "(-9223372036854775808)::bigint"

	// measures are of the bodies of a list.
	measures = `
SELECT count(*), coalesce(sum(octet_length(body)), 0), count(*) FILTER (WHERE octet_length(body) > 255),
    count(*) FILTER (WHERE octet_length(body) > 65535), coalesce(max(dated), 0)`

	measureOfRealms = measures + `, realm_id, coalesce(max(after), ` + beforeAll + `) FROM (` + ofRealmsSeen + `) c GROUP BY realm_id`

	// isOutsider says whether the user sees redacted certificates.
	isOutsider = `SELECT u.profile = 'OUTSIDER' FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = ` + theUser
)

var (
	selectCommon    = head("body", commonSeen, "$4")
	selectSequester = head("body", sequesterSeen, "$4")
	selectShamir    = head("body", shamirSeen, "$4")
	selectOfRealms  = first("realm_id, body", ofRealmsSeen, "$5")

	// selectPage takes a topic $2 of a realm $3, whether redacted forms are wanted $4,
	// the place to begin after $5, $6, and the date to end with $7.
	selectPage = head("dated, sequence, body", `
SELECT c.dated, c.sequence, CASE WHEN $4 THEN coalesce(c.redacted, c.certificate) ELSE c.certificate END AS body
FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = $2 AND c.realm_id = $3 AND (c.dated, c.sequence) > ($5, $6) AND c.dated <= $7
ORDER BY c.dated, c.sequence`, "$8")

	// selectShamirPage takes the user $2, the place to begin after $3, $4, and the date
	// to end with $5.
	selectShamirPage = head("dated, sequence, body", `
SELECT s.dated, s.sequence, c.body
FROM parsec3.shamir_seen s
CROSS JOIN LATERAL (`+seenCertificate+`) c
WHERE s.organization = $1 AND s.user_id = $2 AND (s.dated, s.sequence) > ($3, $4) AND s.dated <= $5
ORDER BY s.dated, s.sequence`, "$6")
)

// head is first for a list that can be cut before it is measured.
func head(columns, list, bytes string) string {
	return first(columns, list+" LIMIT "+strconv.Itoa(rules.MaxPage), bytes)
}

// first selects columns of the first rows of a list, in its order: up to the one that
// makes their bodies as long as a parameter says.
func first(columns, list, bytes string) string {
	return `
SELECT ` + columns + ` FROM (
    SELECT *, sum(octet_length(body)) OVER so_far - octet_length(body) AS before, count(*) OVER so_far AS place
    FROM (` + list + `) c
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
) c
WHERE before < ` + bytes + ` AND place <= ` + strconv.Itoa(rules.MaxPage)
}

// Certificates implements rules.CertificateReader. What it costs depends on what is
// new, and on the realms of the user, on nothing else of the organization.
func (s *Store) Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter, bytes int) (rules.Standing, rules.Certificates, error) {
	var standing standingRow
	var found rules.Certificates
	ids, dates := realmsAfter(after)
	err := s.Snapshot(ctx,
		readStanding(&standing, organization, author),
		database.List(&found.Common, selectCommon, args(organization, author, since(after.Common), bytes), bytesTarget),
		database.List(&found.Sequester, selectSequester, args(organization, author, since(after.Sequester), bytes), bytesTarget),
		database.List(&found.Shamir, selectShamir, args(organization, author, since(after.Shamir), bytes), bytesTarget),
		database.Statement{SQL: selectOfRealms, Args: args(organization, author, ids, dates, bytes), Rows: func(rows pgx.Rows) error {
			found.Realms = map[parsec.RealmID][][]byte{}
			var realm parsec.RealmID
			var certificate []byte
			_, err := pgx.ForEachRow(rows, []any{(*database.UUID)(&realm), &certificate}, func() error {
				found.Realms[realm] = append(found.Realms[realm], certificate)
				return nil
			})
			return err
		}})
	found.MarkCut(bytes)
	return standing.facts(), found, err
}

// CertificateLists implements rules.CertificateReader.
func (s *Store) CertificateLists(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter) (rules.Standing, rules.CertificateLists, error) {
	var standing standingRow
	lists := rules.CertificateLists{
		Common:    rules.CertificateList{Topic: rules.CommonTopic, After: rules.AfterDate(after.Common)},
		Sequester: rules.CertificateList{Topic: rules.SequesterTopic, After: rules.AfterDate(after.Sequester)},
		Shamir:    rules.CertificateList{Topic: rules.ShamirTopic, After: rules.AfterDate(after.Shamir)},
	}
	ids, dates := realmsAfter(after)
	err := s.Snapshot(ctx,
		readStanding(&standing, organization, author),
		database.Only(isOutsider, args(organization, author), &lists.Common.Redacted),
		database.Only(measures+" FROM ("+commonSeen+") c", args(organization, author, since(after.Common)), measureTargets(&lists.Common)...),
		database.Only(measures+" FROM ("+sequesterSeen+") c", args(organization, author, since(after.Sequester)), measureTargets(&lists.Sequester)...),
		database.Only(measures+" FROM ("+shamirSeen+") c", args(organization, author, since(after.Shamir)), measureTargets(&lists.Shamir)...),
		database.List(&lists.Realms, measureOfRealms, args(organization, author, ids, dates), func(list *rules.CertificateList) []any {
			list.Topic, list.After = rules.RealmTopic, rules.AfterDate(nil)
			return append(measureTargets(list), (*database.UUID)(&list.Realm), (*database.Integer)(&list.After.Dated))
		}))
	lists.Shamir.User = standing.user.ID
	return standing.facts(), lists, err
}

// CertificatePage implements rules.CertificateReader.
func (s *Store) CertificatePage(ctx context.Context, organization parsec.OrganizationID, list *rules.CertificateList, from rules.CertificatePlace, bytes int) ([][]byte, rules.CertificatePlace, error) {
	var page [][]byte
	last := from
	sql, args := selectPage, []any{
		organization.String(), string(list.Topic), database.Key(list.Realm), list.Redacted,
		int64(from.Dated), from.Sequence, int64(list.Until), bytes,
	}
	if list.Topic == rules.ShamirTopic {
		sql, args = selectShamirPage, []any{organization.String(), database.Key(list.User), int64(from.Dated), from.Sequence, int64(list.Until), bytes}
	}
	err := s.One(ctx, database.Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) error {
		page, last = nil, from
		var certificate []byte
		_, err := pgx.ForEachRow(rows, []any{(*database.Integer)(&last.Dated), &last.Sequence, &certificate}, func() error {
			page = append(page, certificate)
			return nil
		})
		return err
	}})
	return page, last, err
}

func measureTargets(list *rules.CertificateList) []any {
	return []any{&list.Count, &list.Bytes, &list.Over8, &list.Over16, (*database.Integer)(&list.Until)}
}

func bytesTarget(target *[]byte) []any { return []any{target} }

// since returns the parameter of a date to begin after, before all for nil.
func since(date *parsec.DateTime) int64 { return int64(rules.AfterDate(date).Dated) }

// realmsAfter returns the parameters of the dates to begin after in realms.
func realmsAfter(after rules.CertificatesAfter) ([]pgtype.UUID, []int64) {
	ids, dates := make([]pgtype.UUID, 0, len(after.Realms)), make([]int64, 0, len(after.Realms))
	for id, date := range after.Realms {
		ids, dates = append(ids, database.Key(id)), append(dates, int64(date))
	}
	return ids, dates
}
