package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

const (
	attemptColumns = `a.attempt_id, a.token, a.greeter, a.greeter_joined, a.claimer_joined, a.cancelled_by, a.cancelled_on, a.cancelled_for, a.version`

	// selectGreeting reads the attempt $4, for the device $2, and the invitation $3, or
	// that of the attempt if $3 is NULL.
	selectGreeting = "SELECT " + standingColumns + ", i.token IS NOT NULL, " + invitationColumns + ", a.attempt_id IS NOT NULL, " + attemptColumns + `,
    a.greeter_said, a.claimer_said,
    greeter.user_id, greeter.profile, greeter.human_email, greeter.human_label, greeter.created_on, greeter.revoked_on, greeter.frozen,
    greeter.tos_accepted_on` + standingTables + `
LEFT JOIN parsec3.greeting_attempt a ON a.organization = $1 AND a.attempt_id = $4
LEFT JOIN LATERAL (
    SELECT i.* FROM parsec3.invitation i WHERE i.organization = $1 AND i.token = coalesce($3::uuid, a.token) LIMIT 1
) i ON true
LEFT JOIN LATERAL (
    SELECT g.* FROM parsec3.user_ g WHERE g.organization = $1 AND g.user_id = a.greeter LIMIT 1
) greeter ON true` + joinPeople + ofOrganization

	selectActiveAttempts = "SELECT " + attemptColumns + `
FROM parsec3.greeting_attempt a
WHERE a.organization = $1 AND a.token = $2 AND a.cancelled_on IS NULL`

	// selectGreetingSession reads the active attempt of the invitation $2 and the greeter $3, if
	// there is one, and counts those that are cancelled, and of them those by the side $4
	// after $5.
	selectGreetingSession = "SELECT a.attempt_id IS NOT NULL, ended.all_, ended.lately, " + attemptColumns + `
FROM (
    SELECT count(*) AS all_, count(*) FILTER (WHERE e.cancelled_by = $4 AND e.cancelled_on > $5) AS lately
    FROM parsec3.greeting_attempt e
    WHERE e.organization = $1 AND e.token = $2 AND e.greeter = $3 AND e.cancelled_on > 0
) ended
LEFT JOIN parsec3.greeting_attempt a
    ON a.organization = $1 AND a.token = $2 AND a.greeter = $3 AND a.cancelled_on IS NULL`

	eraseAttempts = `
DELETE FROM parsec3.greeting_attempt a
WHERE a.organization = $1 AND a.token = $2 AND a.greeter = $3 AND a.cancelled_on > 0
AND a.attempt_id NOT IN (
    SELECT k.attempt_id FROM parsec3.greeting_attempt k
    WHERE k.organization = $1 AND k.token = $2 AND k.greeter = $3 AND k.cancelled_on > 0
    ORDER BY k.cancelled_on DESC, k.attempt_id LIMIT $4)
AND coalesce(a.greeter_joined, 0) < coalesce((
    SELECT max(j.greeter_joined) FROM parsec3.greeting_attempt j
    WHERE j.organization = $1 AND j.token = $2 AND j.greeter = $3 AND j.greeter_joined IS NOT NULL), 1)`

	insertAttempt = `
INSERT INTO parsec3.greeting_attempt (organization, attempt_id, token, greeter, greeter_joined, claimer_joined, version, greeter_said, claimer_said)
VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', '{}')`

	joinAsGreeter = `
UPDATE parsec3.greeting_attempt a SET greeter_joined = $3, version = a.version + 1
WHERE a.organization = $1 AND a.attempt_id = $2 AND a.greeter_joined IS NULL`
	joinAsClaimer = `
UPDATE parsec3.greeting_attempt a SET claimer_joined = $3, version = a.version + 1
WHERE a.organization = $1 AND a.attempt_id = $2 AND a.claimer_joined IS NULL`

	cancelAttempt = `
UPDATE parsec3.greeting_attempt a
SET cancelled_by = $3, cancelled_on = $4, cancelled_for = $5, version = a.version + 1, greeter_said = '{}', claimer_said = '{}'
WHERE a.organization = $1 AND a.attempt_id = $2 AND coalesce(a.cancelled_on, 0) = 0`

	// say begins with the rows that the speech depends on, each locked, one after the
	// other: one that was changed is not found. The user of the claimer and the organization
	// are not locked: they keep out who comes after their change. Its conditions are in no
	// word those of an index of what is active, which would be gone through for the whole
	// organization.
	say = `
WITH invitation AS (
    SELECT 1 FROM parsec3.invitation i
    WHERE i.organization = $1 AND i.token = $2 AND coalesce(i.ended_on, 0) = 0
    AND coalesce((SELECT c.revoked_on FROM parsec3.user_ c WHERE c.organization = $1 AND c.user_id = i.claimer_user), 0) = 0
    AND (SELECT o.expiration_date FROM organization o WHERE o.organization_id = $1) IS NOT DISTINCT FROM $10 FOR SHARE
), greeter AS (
    SELECT 1 FROM parsec3.user_ u
    WHERE u.organization = $1 AND u.user_id = $3 AND coalesce(u.revoked_on, 0) = 0 AND u.profile = $4 AND u.frozen = $9
    AND EXISTS (SELECT 1 FROM invitation) FOR SHARE
), changed AS (
    UPDATE parsec3.greeting_attempt a SET version = a.version + 1, `
	asGreeter = "greeter_said[$7] = $8"
	asClaimer = "claimer_said[$7] = $8"
	ifSame    = `
    WHERE a.organization = $1 AND a.attempt_id = $5 AND a.version = $6 AND a.token = $2 AND coalesce(a.cancelled_on, 0) = 0
    AND EXISTS (SELECT 1 FROM greeter)
    RETURNING 1
)`
)

// attemptRow is a greeting attempt, with what makes up its pointers.
type attemptRow struct {
	attempt     rules.Attempt
	cancelledOn *parsec.DateTime
	end         rules.AttemptEnd
}

func (r *attemptRow) targets() []any {
	a := &r.attempt
	return []any{
		(*database.UUID)(&a.ID), token{&a.Invitation}, (*database.UUID)(&a.Greeter),
		database.OptionalDate(&a.GreeterJoined), database.OptionalDate(&a.ClaimerJoined),
		database.Parsed(&r.end.Origin), database.OptionalDate(&r.cancelledOn), database.Parsed(&r.end.Reason), (*database.Unsigned)(&a.Version),
	}
}

func (r *attemptRow) facts() *rules.Attempt {
	if r.cancelledOn != nil {
		r.attempt.Cancelled = &rules.AttemptEnd{Origin: r.end.Origin, On: *r.cancelledOn, Reason: r.end.Reason}
	}
	return &r.attempt
}

// greetingRow is what there is of a greeting.
type greetingRow struct {
	standing                 standingRow
	invited, attempted       bool
	invitation               invitationRow
	attempt                  attemptRow
	greeterSaid, claimerSaid [][]byte
	greeter                  rules.User
}

func (r *greetingRow) targets() []any {
	targets := append(append(r.standing.targets(), &r.invited), r.invitation.targets()...)
	targets = append(append(targets, &r.attempted), r.attempt.targets()...)
	return append(append(targets, &r.greeterSaid, &r.claimerSaid), userTargets(&r.greeter)...)
}

func (r *greetingRow) facts() (g rules.Greeting) {
	if r.standing.found {
		g.Organization = new(r.standing.organization)
	}
	if r.invited {
		g.Invitation = r.invitation.facts()
	}
	if r.attempted {
		g.Attempt, g.Greeter, g.GreeterSaid, g.ClaimerSaid = r.attempt.facts(), &r.greeter, r.greeterSaid, r.claimerSaid
	}
	return g
}

func readGreeting(into *greetingRow, organization parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt *parsec3.GreetingAttemptID) database.Statement {
	var tokenArgument, attemptArgument pgtype.UUID
	if token != nil {
		tokenArgument = tokenKey(*token)
	}
	if attempt != nil {
		attemptArgument = database.Key(*attempt)
	}
	return database.Row(&into.standing.found, selectGreeting, args(organization, device, tokenArgument, attemptArgument), into.targets()...)
}

// Greeting implements rules.AttemptReader.
func (s *Store) Greeting(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt parsec3.GreetingAttemptID) (rules.Standing, rules.Greeting, error) {
	var row greetingRow
	err := s.One(ctx, readGreeting(&row, organization, device, token, &attempt))
	return row.standing.facts(), row.facts(), err
}

// Say implements rules.AttemptReader.
func (s *Store) Say(ctx context.Context, speech rules.Speech, events ...event.Event) (bool, error) {
	side := asClaimer
	if speech.Side == protocol.Greeter {
		side = asGreeter
	}
	return s.Publishing(ctx, say+side+ifSame, []any{
		speech.Organization.String(), tokenKey(speech.Invitation), database.Key(speech.Greeter), string(speech.Profile),
		database.Key(speech.Attempt), int64(speech.Version), speech.Step + 1, database.NotNull(speech.Said),
		speech.Frozen, database.Date(speech.Expiration),
	}, speech.Lasts, events)
}

// Greeting implements rules.AttemptTx.
func (t *tx) Greeting() *rules.Greeting { return new(t.greeting.facts()) }

// ActiveAttempts implements rules.AttemptTx.
func (t *tx) ActiveAttempts(_ context.Context, token parsec3.AccessToken) ([]rules.Attempt, error) {
	var rows []attemptRow
	err := t.Ask(database.List(&rows, selectActiveAttempts, []any{t.organizationName(), tokenKey(token)}, (*attemptRow).targets))
	active := make([]rules.Attempt, len(rows))
	for i := range rows {
		active[i] = *rows[i].facts()
	}
	return active, err
}

// GreetingSession implements rules.AttemptTx.
func (t *tx) GreetingSession(_ context.Context, token parsec3.AccessToken, greeter parsec3.UserID, side protocol.Side, after parsec.DateTime) (session rules.GreetingSession, err error) {
	var isActive bool
	var active attemptRow
	err = t.Ask(database.Only(selectGreetingSession, []any{t.organizationName(), tokenKey(token), database.Key(greeter), string(side), int64(after)},
		append([]any{&isActive, &session.Ended, &session.Restarts}, active.targets()...)...))
	if isActive {
		session.Active = active.facts()
	}
	return session, err
}

// EraseAttempts implements rules.AttemptTx.
func (t *tx) EraseAttempts(token parsec3.AccessToken, greeter parsec3.UserID, keep int) {
	t.Queue(eraseAttempts, t.organizationName(), tokenKey(token), database.Key(greeter), keep)
}

const (
	// attemptsKept is how long those of an invitation are kept that has ended, in
	// microseconds: the other side may still ask why.
	attemptsKept = 24 * 3600 * 1_000_000

	// eraseEnded erases what invitations that ended before $2 have left, at most $1 of them.
	eraseEnded = `
WITH over AS (
    SELECT i.organization, i.token FROM parsec3.invitation i
    WHERE i.ended_on < $2 AND NOT i.attempts_erased LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), cancelled AS (
    DELETE FROM parsec3.greeting_attempt a USING over o WHERE a.organization = o.organization AND a.token = o.token AND a.cancelled_on IS NOT NULL
), active AS (
    DELETE FROM parsec3.greeting_attempt a USING over o WHERE a.organization = o.organization AND a.token = o.token AND a.cancelled_on IS NULL
), guesses AS (
    DELETE FROM parsec3.shamir_guess g USING over o WHERE g.organization = o.organization AND g.token = o.token
)
UPDATE parsec3.invitation i SET attempts_erased = true
FROM over o WHERE i.organization = o.organization AND i.token = o.token`
)

// pruneInvitations erases what nobody can go on with.
func (s *Store) pruneInvitations(ctx context.Context) error {
	return s.Repeat(ctx, eraseEnded, int64(s.now())-attemptsKept)
}

// CreateAttempt implements rules.AttemptTx.
func (t *tx) CreateAttempt(created rules.Attempt) {
	t.QueueOne(insertAttempt, t.organizationName(), database.Key(created.ID), tokenKey(created.Invitation), database.Key(created.Greeter),
		database.Date(created.GreeterJoined), database.Date(created.ClaimerJoined), int64(created.Version))
}

// JoinAttempt implements rules.AttemptTx.
func (t *tx) JoinAttempt(id parsec3.GreetingAttemptID, side protocol.Side, on parsec.DateTime) {
	sql := joinAsClaimer
	if side == protocol.Greeter {
		sql = joinAsGreeter
	}
	t.QueueOne(sql, t.organizationName(), database.Key(id), int64(on))
}

// CancelAttempt implements rules.AttemptTx.
func (t *tx) CancelAttempt(id parsec3.GreetingAttemptID, end rules.AttemptEnd) {
	t.QueueOne(cancelAttempt, t.organizationName(), database.Key(id), string(end.Origin), int64(end.On), string(end.Reason))
}
