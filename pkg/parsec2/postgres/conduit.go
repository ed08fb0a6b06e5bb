package postgres

import (
	"context"

	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	conduitColumns = `n.state, n.exchange, n.last_state, n.last_exchange, n.received,
    n.greeter_said, n.greeter_heard, n.greeter_taken, n.greeter_speaker,
    n.claimer_said, n.claimer_heard, n.claimer_taken, n.claimer_speaker`

	lockInvitation = `
SELECT 1 FROM organization o JOIN invitation i ON i.organization = o.id
WHERE o.organization_id = $1 AND i.token = $2
FOR NO KEY UPDATE OF i`

	selectInvitation = "SELECT " + invitationColumns + ", " + conduitColumns + `
FROM organization o
JOIN invitation i ON i.organization = o.id
JOIN user_ u ON u.id = i.greeter
LEFT JOIN user_ r ON r.organization = o.id AND r.user_id = $3
LEFT JOIN conduit n ON n.invitation = i.id AND n.greeter = r.id
WHERE o.organization_id = $1 AND i.token = $2`
)

// conduitOf completes an update of a conduit.
const conduitOf = `
FROM organization o
JOIN invitation i ON i.organization = o.id
JOIN user_ r ON r.organization = o.id
WHERE o.organization_id = $1 AND i.token = $2 AND r.user_id = $3 AND n.invitation = i.id AND n.greeter = r.id`

// takeHeard is rules.Conduit.TakeHeard, with the number of the exchange that
// comes after. It is one statement for both sides, so that it is prepared once.
const takeHeard = `
UPDATE conduit n SET greeter_heard = CASE WHEN $5 THEN NULL ELSE n.greeter_heard END,
    greeter_taken = CASE WHEN $5 THEN n.greeter_heard ELSE n.greeter_taken END,
    claimer_heard = CASE WHEN $5 THEN n.claimer_heard END,
    claimer_taken = CASE WHEN $5 THEN n.claimer_taken ELSE n.claimer_heard END` + conduitOf + `
    AND n.exchange = $4 AND CASE WHEN $5 THEN n.greeter_heard ELSE n.claimer_heard END IS NOT NULL`

func conduitTargets(c *rules.Conduit) []any {
	greeter, claimer := &c.Halves[rules.GreeterSide], &c.Halves[rules.ClaimerSide]
	return []any{
		(*database.Text)(&c.State), (*database.Unsigned)(&c.Exchange), (*database.Text)(&c.Last.State), (*database.Unsigned)(&c.Last.Number), (*database.Flag)(&c.Received),
		&greeter.Said, &greeter.Heard, &greeter.Taken, (*database.UUID)(&greeter.Speaker),
		&claimer.Said, &claimer.Heard, &claimer.Taken, (*database.UUID)(&claimer.Speaker),
	}
}

// Conduit implements rules.ConduitTx.
func (t *tx) Conduit() (*rules.Conduit, bool) {
	if t.conduit.State == "" {
		return nil, false
	}
	return new(t.conduit), true
}

// PutConduit implements rules.ConduitTx.
func (t *tx) PutConduit(conduit rules.Conduit) {
	greeter, claimer := conduit.Halves[rules.GreeterSide], conduit.Halves[rules.ClaimerSide]
	t.QueueOne(`
UPDATE conduit n SET state = $4, exchange = $5, last_state = $6, last_exchange = $7,
    received = $8, greeter_said = $9, greeter_heard = $10, greeter_taken = $11, greeter_speaker = $12,
    claimer_said = $13, claimer_heard = $14, claimer_taken = $15, claimer_speaker = $16`+conduitOf,
		t.organizationName(), database.Key(t.scope.Invitation), t.scope.Greeter.String(), string(conduit.State), database.Bounded(conduit.Exchange),
		string(conduit.Last.State), database.Bounded(conduit.Last.Number), conduit.Received,
		greeter.Said, greeter.Heard, greeter.Taken, database.Key(greeter.Speaker),
		claimer.Said, claimer.Heard, claimer.Taken, database.Key(claimer.Speaker))
}

// MarkReceived implements rules.ConduitTx.
func (t *tx) MarkReceived(connection parsec.UUID) {
	t.Queue(`
UPDATE conduit n SET received = true FROM organization o, invitation i
WHERE o.organization_id = $1 AND i.organization = o.id AND i.token = $2 AND n.invitation = i.id
    AND n.claimer_speaker = $3`,
		t.organizationName(), database.Key(t.scope.Invitation), database.Key(connection))
}

// holdsWords is the condition of the index conduit_forgotten.
const holdsWords = `NOT n.pending AND (n.greeter_said IS NOT NULL OR n.greeter_heard IS NOT NULL OR n.greeter_taken IS NOT NULL
    OR n.claimer_said IS NOT NULL OR n.claimer_heard IS NOT NULL OR n.claimer_taken IS NOT NULL)`

// ForgetConduits implements rules.Conduits. Several stores that do it at once lock
// the rows in one order.
func (s *Store) ForgetConduits(ctx context.Context, deleted parsec.DateTime) error {
	return s.Repeat(ctx, `
UPDATE conduit SET greeter_said = NULL, greeter_heard = NULL, greeter_taken = NULL, greeter_speaker = NULL,
    claimer_said = NULL, claimer_heard = NULL, claimer_taken = NULL, claimer_speaker = NULL
WHERE (invitation, greeter) IN (
    SELECT n.invitation, n.greeter FROM conduit n JOIN invitation i ON i.id = n.invitation
    WHERE `+holdsWords+` AND i.deleted_on <= $2
    ORDER BY n.invitation, n.greeter LIMIT $1 FOR NO KEY UPDATE OF n
)`, int64(deleted))
}

// TakeHeard implements rules.Conduits. The lock is that of transactions.
func (s *Store) TakeHeard(ctx context.Context, organization parsec.OrganizationID, of rules.ConduitKey, side rules.Side, exchange uint64) (rules.ConduitFacts, error) {
	var found, organizationFound bool
	var inOrganization rules.Organization
	var invitation invitationRow
	var conduit rules.Conduit
	args := []any{organization.String(), database.Key(of.Token), of.Greeter.String()}
	err := s.Together(ctx,
		database.Statement{SQL: lockInvitation, Args: args[:2]},
		organizationstore.Select(&organizationFound, &inOrganization, organization),
		database.Row(&found, selectInvitation, args, append(invitation.targets(), conduitTargets(&conduit)...)...),
		database.Statement{SQL: takeHeard, Args: append(args, database.Bounded(exchange+1), side == rules.GreeterSide)})
	if err != nil || !organizationFound {
		return rules.ConduitFacts{}, err
	}
	facts := rules.ConduitFacts{InvitationFacts: rules.InvitationFacts{Organization: &inOrganization}}
	if found {
		facts.Invitation = invitation.facts()
	}
	if conduit.State != "" {
		facts.Conduit = &conduit
	}
	return facts, nil
}
