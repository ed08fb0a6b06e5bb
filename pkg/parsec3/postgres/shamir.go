package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// selectRecipients reads the users $2. Each is looked up by its whole key.
	selectRecipients = "SELECT " + userColumns + `
FROM unnest($2::uuid[]) q (user_id)
CROSS JOIN LATERAL (
    SELECT u.* FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = q.user_id LIMIT 1
) u`

	// setupTaken says whether the user $2 has a setup, and whether one has the token $3.
	setupTaken = `
SELECT EXISTS (SELECT 1 FROM parsec3.shamir_setup s WHERE s.organization = $1 AND s.user_id = $2 AND s.deleted_on IS NULL),
    EXISTS (SELECT 1 FROM parsec3.shamir_setup s WHERE s.organization = $1 AND s.reveal_token = $3 AND s.reveal_token > '')`

	setupColumns = "s.user_id, s.created_on, s.threshold, s.reveal_token, s.ciphered_data, s.deleted_on"

	selectSetup = "SELECT " + setupColumns + `
FROM parsec3.shamir_setup s
WHERE s.organization = $1 AND s.user_id = $2 AND s.created_on = $3`

	selectCurrentSetup = "SELECT " + setupColumns + `
FROM parsec3.shamir_setup s
WHERE s.organization = $1 AND s.user_id = $2 AND s.deleted_on IS NULL`

	// selectRevealed reads the setup of the invitation $2, if it is of one, and the wrong
	// tokens.
	selectRevealed = "SELECT g.wrong_on, " + setupColumns + `
FROM parsec3.invitation i
LEFT JOIN parsec3.shamir_guess g ON g.organization = $1 AND g.token = $2
CROSS JOIN LATERAL (
    SELECT s.* FROM parsec3.shamir_setup s
    WHERE s.organization = $1 AND s.user_id = i.claimer_user AND s.created_on = i.setup_date LIMIT 1
) s
WHERE i.organization = $1 AND i.token = $2`

	// selectCurrentShares reads those of the setup of $2 that is not deleted.
	selectCurrentShares = `
SELECT h.recipient, h.shares FROM parsec3.shamir_setup s
CROSS JOIN LATERAL (
    SELECT h.recipient, h.shares FROM parsec3.shamir_share h
    WHERE h.organization = $1 AND h.user_id = s.user_id AND h.created_on = s.created_on
) h
WHERE s.organization = $1 AND s.user_id = $2 AND s.deleted_on IS NULL`

	// selectShares reads those of the setup of $2 of the date $3.
	selectShares = `
SELECT h.recipient, h.shares FROM parsec3.shamir_share h
WHERE h.organization = $1 AND h.user_id = $2 AND h.created_on = $3`

	selectLastShamir = `
SELECT max(s.dated) FROM parsec3.shamir_seen s WHERE s.organization = $1 AND s.user_id = $2`

	insertSetup = `
INSERT INTO parsec3.shamir_setup (organization, user_id, created_on, threshold, reveal_token, ciphered_data)
VALUES ($1, $2, $3, $4, $5, $6)`

	insertShares = `
INSERT INTO parsec3.shamir_share (organization, user_id, created_on, recipient, shares)
SELECT $1, $2, $3, h.recipient, h.shares FROM unnest($4::uuid[], $5::smallint[]) h (recipient, shares)`

	// insertShareCertificates comes after that of the brief, of the same date $2.
	insertShareCertificates = `
INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
SELECT $1, 'shamir_recovery', '00000000-0000-0000-0000-000000000000', $2, h.sequence, h.certificate
FROM unnest($3::smallint[], $4::bytea[]) h (sequence, certificate)`

	// insertSeen has users, $3, see certificates of the date $2.
	insertSeen = `
INSERT INTO parsec3.shamir_seen (organization, user_id, dated, sequence)
SELECT $1, n.user_id, $2, n.sequence FROM unnest($3::uuid[], $4::smallint[]) n (user_id, sequence)`

	deleteSetup = `
UPDATE parsec3.shamir_setup s SET deleted_on = $4, ciphered_data = NULL
WHERE s.organization = $1 AND s.user_id = $2 AND s.created_on = $3 AND s.deleted_on IS NULL`
)

// ofBrief is the sequence of a brief, and of a deletion, among the certificates of its
// date: the shares follow.
const ofBrief = 0

// ShamirFacts implements rules.ShamirTx.
func (t *tx) ShamirFacts(_ context.Context, user parsec3.UserID, recipients []parsec3.UserID, token parsec3.AccessToken) (facts rules.ShamirFacts, err error) {
	secret, err := token.MarshalBinary()
	if err != nil {
		return facts, err
	}
	var found []rules.User
	err = t.Ask(
		database.List(&found, selectRecipients, []any{t.organizationName(), database.Keys(recipients)}, userTargets),
		database.Only(setupTaken, []any{t.organizationName(), database.Key(user), secret}, &facts.Exists, &facts.TokenTaken))
	facts.Recipients = make(map[parsec3.UserID]rules.User, len(found))
	for i := range found {
		facts.Recipients[found[i].ID] = found[i]
	}
	return facts, err
}

// CurrentShamirSetup implements rules.ShamirTx.
func (t *tx) CurrentShamirSetup(_ context.Context, user parsec3.UserID) (*rules.ShamirSetup, bool, error) {
	return t.findSetup(selectCurrentSetup, selectCurrentShares, t.organizationName(), database.Key(user))
}

// ShamirSetup implements rules.ShamirTx.
func (t *tx) ShamirSetup(_ context.Context, user parsec3.UserID, createdOn parsec.DateTime) (*rules.ShamirSetup, bool, error) {
	return t.findSetup(selectSetup, selectShares, t.organizationName(), database.Key(user), int64(createdOn))
}

func (t *tx) findSetup(selectSetup, selectShares string, args ...any) (*rules.ShamirSetup, bool, error) {
	var found bool
	setup := rules.ShamirSetup{Shares: map[parsec3.UserID]uint8{}}
	err := t.Ask(
		database.Row(&found, selectSetup, args, setupTargets(&setup)...),
		database.Statement{SQL: selectShares, Args: args, Rows: func(rows pgx.Rows) error { return scanShares(rows, setup.Shares) }})
	if err != nil || !found {
		return nil, false, err
	}
	return &setup, true, nil
}

// RevealedSetup implements rules.ShamirTx.
func (t *tx) RevealedSetup(context.Context) (*rules.ShamirSetup, []parsec.DateTime, error) {
	invitation := t.Greeting().Invitation
	if invitation == nil || invitation.Setup == nil {
		return nil, nil, nil
	}
	var wrong []int64
	setup := &rules.ShamirSetup{Shares: invitation.Setup.Shares}
	err := t.Ask(database.Only(selectRevealed, []any{t.organizationName(), tokenKey(invitation.Token)}, append([]any{&wrong}, setupTargets(setup)...)...))
	return setup, datesOf(wrong), err
}

// PutWrongReveals implements rules.ShamirTx.
func (t *tx) PutWrongReveals(token parsec3.AccessToken, dates []parsec.DateTime) {
	t.QueueOne(`
INSERT INTO parsec3.shamir_guess (organization, token, wrong_on) VALUES ($1, $2, $3)
ON CONFLICT (organization, token) DO UPDATE SET wrong_on = excluded.wrong_on`,
		t.organizationName(), tokenKey(token), fromDates(dates))
}

func setupTargets(s *rules.ShamirSetup) []any {
	return []any{
		(*database.UUID)(&s.User), (*database.Integer)(&s.CreatedOn), &s.Threshold, token{&s.RevealToken}, &s.CipheredData,
		database.OptionalDate(&s.DeletedOn),
	}
}

func scanShares(rows pgx.Rows, into map[parsec3.UserID]uint8) error {
	var recipient parsec3.UserID
	var shares uint8
	_, err := pgx.ForEachRow(rows, []any{(*database.UUID)(&recipient), &shares}, func() error {
		into[recipient] = shares
		return nil
	})
	return err
}

// LastShamirSeen implements rules.ShamirTx.
func (t *tx) LastShamirSeen(_ context.Context, user parsec3.UserID) (last parsec.DateTime, err error) {
	err = t.Ask(database.Only(selectLastShamir, []any{t.organizationName(), database.Key(user)}, (*database.Integer)(&last)))
	return last, err
}

// CreateShamirSetup implements rules.ShamirTx.
func (t *tx) CreateShamirSetup(setup rules.ShamirSetup, brief rules.Certificate, shares []rules.ShamirShare) {
	secret, err := setup.RevealToken.MarshalBinary()
	if err != nil {
		t.failure = err
		return
	}
	name, user := t.organizationName(), database.Key(setup.User)
	t.QueueOne(insertSetup, name, user, int64(setup.CreatedOn), int16(setup.Threshold), secret, database.NotNull(setup.CipheredData))
	t.certify(shamir, outside, ofBrief, brief)
	var seen, recipients []pgtype.UUID
	var sequences []int16
	for _, user := range setup.Audience() {
		seen, sequences = append(seen, database.Key(user)), append(sequences, ofBrief)
	}
	var counts, places []int16
	var certificates [][]byte
	for i := range shares {
		recipient, place := database.Key(shares[i].Recipient), int16(ofBrief+1+i) // there are 255 at most
		recipients, counts = append(recipients, recipient), append(counts, int16(setup.Shares[shares[i].Recipient]))
		places, certificates = append(places, place), append(certificates, database.NotNull(shares[i].Certificate))
		seen, sequences = append(seen, recipient), append(sequences, place)
	}
	t.QueueAll(len(shares), insertShares, name, user, int64(setup.CreatedOn), recipients, counts)
	t.QueueAll(len(shares), insertShareCertificates, name, int64(brief.Timestamp), places, certificates)
	t.QueueAll(len(seen), insertSeen, name, int64(brief.Timestamp), seen, sequences)
}

// DeleteShamirSetup implements rules.ShamirTx.
func (t *tx) DeleteShamirSetup(setup *rules.ShamirSetup, certificate rules.Certificate) {
	t.QueueOne(deleteSetup, t.organizationName(), database.Key(setup.User), int64(setup.CreatedOn), int64(certificate.Timestamp))
	t.certify(shamir, outside, ofBrief, certificate)
	audience := setup.Audience()
	t.QueueAll(len(audience), insertSeen, t.organizationName(), int64(certificate.Timestamp), database.Keys(audience), make([]int16, len(audience)))
}
