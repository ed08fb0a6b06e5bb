package postgres

import (
	"context"

	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// invitationColumns are of a row that may be missing; u is the greeter.
const invitationColumns = `i.token, i.type, u.user_id, i.claimer_email, i.created_on, i.deleted_on, i.deleted_reason,
    (SELECT k.user_id FROM user_ k WHERE k.id = i.claimer),
    ARRAY (SELECT g.user_id FROM conduit c JOIN user_ g ON g.id = c.greeter WHERE c.invitation = i.id ORDER BY g.user_id),
    ARRAY (SELECT g.revoked_on IS NOT NULL FROM conduit c JOIN user_ g ON g.id = c.greeter WHERE c.invitation = i.id ORDER BY g.user_id),
    ARRAY (SELECT c.claimer_heard IS NOT NULL OR c.claimer_taken IS NOT NULL AND c.last_exchange + 1 = c.exchange AND NOT c.received
        FROM conduit c JOIN user_ g ON g.id = c.greeter WHERE c.invitation = i.id ORDER BY g.user_id)`

// userID is an item of an array of user ids.
type userID parsec.UserID

// ScanBytes implements pgtype.BytesScanner.
func (u *userID) ScanBytes(value []byte) error {
	return database.Parsed((*parsec.UserID)(u)).ScanBytes(value)
}

type invitationRow struct {
	value    rules.Invitation
	greeters []userID
	revoked  []bool
	owes     []bool
}

func (r *invitationRow) targets() []any {
	i := &r.value
	return []any{
		(*database.UUID)(&i.Token), database.Parsed(&i.Type), database.Parsed(&i.Greeter), (*database.Text)(&i.ClaimerEmail), (*database.Integer)(&i.CreatedOn),
		database.OptionalDate(&i.DeletedOn), (*database.Text)(&i.DeletedReason), database.Parsed(&i.Claimer), &r.greeters, &r.revoked, &r.owes,
	}
}

func (r *invitationRow) facts() *rules.Invitation {
	i := r.value
	i.Greeters = make([]rules.InvitationGreeter, len(r.greeters))
	for at, greeter := range r.greeters {
		i.Greeters[at] = rules.InvitationGreeter{User: parsec.UserID(greeter), Revoked: r.revoked[at], Owes: r.owes[at]}
	}
	return &i
}

// Invitation implements rules.InviteReader.
func (s *Store) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (rules.InvitationFacts, error) {
	var found bool
	var inOrganization rules.Organization
	var invitation invitationRow
	var greeter rules.User
	var threshold uint64
	var recipients []rules.RecoveryRecipient
	args := []any{organization.String(), database.Key(token)}
	err := s.Snapshot(ctx, database.Row(&found, "SELECT "+organizationstore.Columns+", "+invitationColumns+", "+userColumns+`, s.threshold
FROM organization o
LEFT JOIN invitation i ON i.organization = o.id AND i.token = $2
LEFT JOIN user_ u ON u.id = i.greeter
LEFT JOIN shamir_recovery s ON s.owner = i.claimer AND s.current
WHERE o.organization_id = $1`,
		args,
		append(append(append(organizationstore.Targets(&inOrganization), invitation.targets()...), userTargets(&greeter)...), (*database.Unsigned)(&threshold))...),
		database.List(&recipients, selectRecipients, args, recipientTargets))
	if err != nil || !found {
		return rules.InvitationFacts{}, err
	}
	facts := rules.InvitationFacts{Organization: &inOrganization}
	if invitation.value.Type == "" {
		return facts, nil
	}
	facts.Invitation, facts.Greeter = invitation.facts(), &greeter
	if threshold > 0 {
		facts.Recovery = &rules.Recovery{Threshold: threshold, Recipients: recipients}
	}
	return facts, nil
}

// Invitation implements rules.InviteTx.
func (t *tx) Invitation() (*rules.Invitation, bool) {
	if t.invitation == nil {
		return nil, false
	}
	return t.invitation.facts(), true
}

// PendingInvitation implements rules.InviteTx.
func (t *tx) PendingInvitation(_ context.Context, kind parsec.InvitationType, greeter parsec.UserID, claimerEmail string) (*rules.Invitation, bool, error) {
	var found bool
	var invitation invitationRow
	err := t.Ask(database.Row(&found, "SELECT "+invitationColumns+`
FROM organization o
JOIN user_ u ON u.organization = o.id
JOIN invitation i ON i.greeter = u.id AND i.deleted_on IS NULL
WHERE o.organization_id = $1 AND u.user_id = $2 AND i.type = $3 AND i.claimer_email = $4
ORDER BY i.created_on, i.token LIMIT 1`,
		[]any{t.organizationName(), greeter.String(), string(kind), []byte(claimerEmail)}, invitation.targets()...))
	if err != nil || !found {
		return nil, false, err
	}
	return invitation.facts(), true, nil
}

// PutInvitation implements rules.InviteTx.
func (t *tx) PutInvitation(invitation rules.Invitation) {
	t.QueueOne(`
INSERT INTO invitation (organization, token, type, greeter, claimer_email, created_on, deleted_on, deleted_reason, claimer)
SELECT o.id, $2, $4, u.id, $5, $6, $7, $8, k.id
FROM organization o
JOIN user_ u ON u.organization = o.id
LEFT JOIN user_ k ON k.organization = o.id AND k.user_id = $9
WHERE o.organization_id = $1 AND u.user_id = $3
ON CONFLICT (organization, token) DO UPDATE SET type = excluded.type, greeter = excluded.greeter,
    claimer_email = excluded.claimer_email, created_on = excluded.created_on, deleted_on = excluded.deleted_on,
    deleted_reason = excluded.deleted_reason, claimer = excluded.claimer`,
		t.organizationName(), database.Key(invitation.Token), invitation.Greeter.String(), string(invitation.Type),
		[]byte(invitation.ClaimerEmail), int64(invitation.CreatedOn), database.Date(invitation.DeletedOn), database.Nullable(string(invitation.DeletedReason)),
		invitation.Claimer.String())
	greeters := make([]string, len(invitation.Greeters))
	for i, greeter := range invitation.Greeters {
		greeters[i] = greeter.User.String()
	}
	t.QueueAll(len(greeters), `
INSERT INTO conduit (invitation, greeter, pending)
SELECT i.id, u.id, i.deleted_on IS NULL
FROM organization o
JOIN invitation i ON i.organization = o.id AND i.token = $2
JOIN user_ u ON u.organization = o.id AND u.user_id = ANY ($3::text[])
WHERE o.organization_id = $1
ON CONFLICT (invitation, greeter) DO UPDATE SET pending = excluded.pending`,
		t.organizationName(), database.Key(invitation.Token), greeters)
}

// Invitations implements rules.InviteReader.
func (s *Store) Invitations(ctx context.Context, organization parsec.OrganizationID, greeter parsec.UserID, now parsec.DateTime) ([]rules.PendingInvitation, error) {
	type row struct {
		invitationRow
		ready bool
	}
	var rows []row
	err := s.One(ctx, database.List(&rows, "SELECT "+invitationColumns+`,
    EXISTS (SELECT FROM claimer_presence p WHERE p.invitation = i.id AND p.until > $3)
FROM organization o
JOIN user_ r ON r.organization = o.id
JOIN conduit n ON n.greeter = r.id AND n.pending
JOIN invitation i ON i.id = n.invitation
JOIN user_ u ON u.id = i.greeter
WHERE o.organization_id = $1 AND r.user_id = $2
ORDER BY i.created_on, i.token`, []any{organization.String(), greeter.String(), int64(now)},
		func(r *row) []any { return append(r.targets(), &r.ready) }))
	pending := make([]rules.PendingInvitation, len(rows))
	for i := range rows {
		pending[i] = rules.PendingInvitation{Invitation: *rows[i].facts(), Ready: rows[i].ready}
	}
	return pending, err
}

// Presences implements rules.InviteTx.
func (t *tx) Presences(_ context.Context, now parsec.DateTime, but parsec.UUID) (uint64, error) {
	var count uint64
	err := t.Ask(database.Only(`
SELECT count(*) FROM organization o
JOIN invitation i ON i.organization = o.id
JOIN claimer_presence p ON p.invitation = i.id
WHERE o.organization_id = $1 AND i.token = $2 AND p.until > $3 AND p.connection <> $4`,
		[]any{t.organizationName(), database.Key(t.scope.Invitation), int64(now), database.Key(but)}, (*database.Unsigned)(&count)))
	return count, err
}

// AddPresence implements rules.InviteTx.
func (t *tx) AddPresence(connection parsec.UUID, until parsec.DateTime) {
	t.QueueOne(`
INSERT INTO claimer_presence (connection, invitation, until)
SELECT $3, i.id, $4 FROM organization o JOIN invitation i ON i.organization = o.id
WHERE o.organization_id = $1 AND i.token = $2`,
		t.organizationName(), database.Key(t.scope.Invitation), database.Key(connection), int64(until))
}

// RemovePresence implements rules.InviteTx.
func (t *tx) RemovePresence(connection parsec.UUID) {
	t.Queue("DELETE FROM claimer_presence WHERE connection = $1", database.Key(connection))
}

// DropPresences implements rules.InviteTx.
func (t *tx) DropPresences(now parsec.DateTime) {
	t.Queue(`
DELETE FROM claimer_presence p USING organization o, invitation i
WHERE o.organization_id = $1 AND i.organization = o.id AND i.token = $2 AND p.invitation = i.id AND p.until <= $3`,
		t.organizationName(), database.Key(t.scope.Invitation), int64(now))
}

// RenewPresences implements rules.Presences.
func (s *Store) RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error {
	return s.One(ctx, database.Statement{
		SQL:  "UPDATE claimer_presence SET until = $2 WHERE connection = ANY ($1::uuid[])",
		Args: []any{database.Keys(connections), int64(until)},
	})
}

// lapsedPresences bounds how many are read at once.
const lapsedPresences = 100

// LapsedPresences implements rules.InviteReader.
func (s *Store) LapsedPresences(ctx context.Context, now parsec.DateTime) ([]rules.LapsedPresence, error) {
	var lapsed []rules.LapsedPresence
	err := s.One(ctx, database.List(&lapsed, `
SELECT DISTINCT o.organization_id, i.token FROM claimer_presence p
JOIN invitation i ON i.id = p.invitation
JOIN organization o ON o.id = i.organization
WHERE p.until <= $1 LIMIT $2`, []any{int64(now), lapsedPresences},
		func(l *rules.LapsedPresence) []any {
			return []any{database.Parsed(&l.Organization), (*database.UUID)(&l.Token)}
		}))
	return lapsed, err
}
