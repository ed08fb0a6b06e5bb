package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// invitationColumns are of a row that may be missing, its creator and its claimer.
	invitationColumns = `i.token, i.type, i.created_by, creator.human_email, creator.human_label, i.created_on,
    i.claimer_email, i.claimer_user, i.setup_date, i.ended_on, i.ended_as,
    setup.threshold, setup.deleted_on, setup.recipients, setup.shares,
    claimer.user_id, claimer.profile, claimer.human_email, claimer.human_label, claimer.created_on, claimer.revoked_on, claimer.frozen,
    claimer.tos_accepted_on`

	// joinPeople adds the creator and the claimer of an invitation, and the setup.
	joinPeople = `
LEFT JOIN LATERAL (
    SELECT c.human_email, c.human_label FROM parsec3.user_ c
    WHERE c.organization = $1 AND c.user_id = i.created_by LIMIT 1
) creator ON true
LEFT JOIN LATERAL (
    SELECT c.* FROM parsec3.user_ c WHERE c.organization = $1 AND c.user_id = i.claimer_user LIMIT 1
) claimer ON true
LEFT JOIN LATERAL (
    SELECT s.threshold, s.deleted_on,
        ARRAY(SELECT h.recipient FROM parsec3.shamir_share h
            WHERE h.organization = $1 AND h.user_id = i.claimer_user AND h.created_on = i.setup_date ORDER BY h.recipient) AS recipients,
        ARRAY(SELECT h.shares FROM parsec3.shamir_share h
            WHERE h.organization = $1 AND h.user_id = i.claimer_user AND h.created_on = i.setup_date ORDER BY h.recipient) AS shares
    FROM parsec3.shamir_setup s
    WHERE s.organization = $1 AND s.user_id = i.claimer_user AND s.created_on = i.setup_date LIMIT 1
) setup ON true`

	selectInvited = "SELECT " + organizationstore.Columns + ", i.token IS NOT NULL, " + invitationColumns + `
FROM organization o
LEFT JOIN parsec3.invitation i ON i.organization = $1 AND i.token = $2` + joinPeople + ofOrganization

	// selectAdministrators reads whoever may greet the claimer of the invitation $2, if
	// it is of a user.
	selectAdministrators = "SELECT " + userColumns + `, (
    SELECT max(a.greeter_joined) FROM parsec3.greeting_attempt a
    WHERE a.organization = $1 AND a.token = $2 AND a.greeter = u.user_id AND a.greeter_joined IS NOT NULL), ` + isPresent + `
FROM parsec3.user_ u
WHERE u.organization = $1 AND u.profile = 'ADMIN' AND u.revoked_on IS NULL AND EXISTS (
    SELECT 1 FROM parsec3.invitation i WHERE i.organization = $1 AND i.token = $2 AND i.type = 'USER')`

	// selectRecipientsOf reads the recipients of the setup of the invitation $2, if it is
	// of one.
	selectRecipientsOf = "SELECT " + userColumns + ", NULL::bigint, " + isPresent + `
FROM parsec3.invitation i
CROSS JOIN LATERAL (
    SELECT h.recipient FROM parsec3.shamir_share h
    WHERE h.organization = $1 AND h.user_id = i.claimer_user AND h.created_on = i.setup_date
) h
CROSS JOIN LATERAL (
    SELECT u.* FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = h.recipient LIMIT 1
) u
WHERE i.organization = $1 AND i.token = $2`

	// endless is what stands for the end of an invitation that has none.
	endless = "coalesce(i.ended_on, 9223372036854775807)"

	// selectInvitations reads those that the user of the device $2 may have listed, but
	// for those that ended before $3.
	selectInvitations = "SELECT " + invitationColumns + `
FROM (
    SELECT i.* FROM parsec3.invitation i
    WHERE i.organization = $1 AND i.type = 'USER' AND ` + endless + ` >= $3
    UNION ALL
    SELECT i.* FROM parsec3.invitation i
    WHERE i.organization = $1 AND i.claimer_user = ` + theUser + ` AND i.type = 'DEVICE' AND ` + endless + ` >= $3
    UNION ALL
    SELECT i.* FROM parsec3.shamir_share h
    CROSS JOIN LATERAL (
        SELECT i.* FROM parsec3.invitation i
        WHERE i.organization = $1 AND i.claimer_user = h.user_id AND i.setup_date = h.created_on AND ` + endless + ` >= $3
    ) i
    WHERE h.organization = $1 AND h.recipient = ` + theUser + `
) i` + joinPeople + `
WHERE coalesce(setup.deleted_on, 9223372036854775807) >= $3
ORDER BY i.created_on, i.number`

	lockInvitation = "SELECT 1 FROM parsec3.invitation i WHERE i.organization = $1 AND i.token = $2"
	lockOfAttempt  = `SELECT 1 FROM parsec3.invitation i WHERE i.organization = $1 AND i.token = (
    SELECT a.token FROM parsec3.greeting_attempt a WHERE a.organization = $1 AND a.attempt_id = $2)`
)

// lockOfInvitation returns the lock on the row of the invitation of the scope. That of
// an attempt is always the same.
func (b *batch) lockOfInvitation() *lock {
	name := b.scope.Organization.String()
	l := &lock{name: lockOfInvitation}
	switch {
	case isLeftOut(lockOfInvitation):
		return nil
	case b.scope.Invitation != nil:
		l.sql, l.args = lockInvitation+forUpdate, []any{name, tokenKey(*b.scope.Invitation)}
	case b.scope.Attempt != nil:
		l.sql, l.args = lockOfAttempt+forUpdate, []any{name, database.Key(*b.scope.Attempt)}
	default:
		return nil
	}
	return l
}

// pendingOf are the conditions of the invitations of a claimer, which is $2, and of
// its setup $3.
var pendingOf = map[parsec.InvitationType]string{
	parsec.InvitationUser:           `lower(i.claimer_email) = $2 AND i.type = 'USER' AND i.ended_on IS NULL`,
	parsec.InvitationDevice:         `i.claimer_user = $2 AND i.type = 'DEVICE' AND i.ended_on IS NULL`,
	parsec.InvitationShamirRecovery: `i.claimer_user = $2 AND i.setup_date = $3 AND i.ended_on IS NULL`,
}

// pendingArgs are those of pendingOf.
func pendingArgs(organization string, claimer rules.Claimer) []any {
	switch claimer.Type {
	case parsec.InvitationUser:
		return []any{organization, parsec3.Mailbox(claimer.Email)}
	case parsec.InvitationDevice:
		return []any{organization, database.Key(claimer.User)}
	default:
		return []any{organization, database.Key(claimer.User), int64(claimer.Setup)}
	}
}

// invitationRow is an invitation, with what makes up its pointers.
type invitationRow struct {
	invitation rules.Invitation
	claimer    rules.User
	endedOn    *parsec.DateTime
	end        rules.InvitationEnd
	// What follows is of the setup.
	threshold  *int16
	deletedOn  *parsec.DateTime
	recipients []pgtype.UUID
	shares     []int16
}

func (r *invitationRow) targets() []any {
	i := &r.invitation
	creator := &handle{into: &i.CreatedBy.HumanHandle}
	return append([]any{
		token{&i.Token}, database.Parsed(&i.Claimer.Type), (*database.UUID)(&i.CreatedBy.User), (*database.Text)(&creator.email), creator,
		(*database.Integer)(&i.CreatedOn), (*database.Text)(&i.Claimer.Email), (*database.UUID)(&i.Claimer.User),
		(*database.Integer)(&i.Claimer.Setup), database.OptionalDate(&r.endedOn), database.Parsed(&r.end.Status),
		&r.threshold, database.OptionalDate(&r.deletedOn), &r.recipients, &r.shares,
	}, userTargets(&r.claimer)...)
}

func (r *invitationRow) facts() *rules.Invitation {
	if r.invitation.Claimer.Type != parsec.InvitationUser {
		r.invitation.ClaimerUser = &r.claimer
	}
	if r.endedOn != nil {
		r.invitation.End = &rules.InvitationEnd{On: *r.endedOn, Status: r.end.Status}
	}
	if r.threshold != nil {
		r.invitation.Setup = r.setup()
	}
	return &r.invitation
}

// setup returns that of the invitation, but for what it reveals.
func (r *invitationRow) setup() *rules.ShamirSetup {
	setup := &rules.ShamirSetup{
		User: r.invitation.Claimer.User, CreatedOn: r.invitation.Claimer.Setup, Threshold: uint8(*r.threshold),
		Shares: map[parsec3.UserID]uint8{}, DeletedOn: r.deletedOn,
	}
	for i, recipient := range r.recipients {
		setup.Shares[recipient.Bytes] = uint8(r.shares[i])
	}
	return setup
}

func invitations(rows []invitationRow) []rules.Invitation {
	list := make([]rules.Invitation, len(rows))
	for i := range rows {
		list[i] = *rows[i].facts()
	}
	return list
}

// invitedRow is who comes by a token, if found.
type invitedRow struct {
	found, invited bool
	organization   organization.Organization
	row            invitationRow
}

func (r *invitedRow) facts() (standing rules.InvitedStanding) {
	if r.found {
		standing.Organization = &r.organization
	}
	if r.invited {
		standing.Invitation = r.row.facts()
	}
	return standing
}

func readInvited(into *invitedRow, of parsec.OrganizationID, by parsec3.AccessToken) database.Statement {
	targets := append(append(organizationstore.Targets(&into.organization), &into.invited), into.row.targets()...)
	return database.Row(&into.found, selectInvited, []any{of.String(), tokenKey(by)}, targets...)
}

// Invited implements rules.InvitationReader.
func (s *Store) Invited(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, error) {
	var invited invitedRow
	err := s.One(ctx, readInvited(&invited, organization, token))
	return invited.facts(), err
}

// InvitationGreeters implements rules.InvitationReader.
func (s *Store) InvitationGreeters(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, []rules.InvitationGreeter, error) {
	var invited invitedRow
	var administrators, recipients []greeterRow
	arguments := []any{organization.String(), tokenKey(token)}
	err := s.Snapshot(ctx, readInvited(&invited, organization, token),
		database.List(&administrators, selectAdministrators, arguments, (*greeterRow).targets),
		database.List(&recipients, selectRecipientsOf, arguments, (*greeterRow).targets))
	greeters := make([]rules.InvitationGreeter, 0, len(administrators)+len(recipients))
	for _, row := range append(administrators, recipients...) {
		row.greeter.Online = s.onlineStatus(row.isPresent)
		greeters = append(greeters, row.greeter)
	}
	return invited.facts(), greeters, err
}

// greeterRow is who may greet the claimer of an invitation.
type greeterRow struct {
	greeter   rules.InvitationGreeter
	isPresent bool
}

func (r *greeterRow) targets() []any {
	return append(userTargets(&r.greeter.User), database.OptionalDate(&r.greeter.LastJoined), &r.isPresent)
}

// Invitations implements rules.InvitationReader.
func (s *Store) Invitations(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, ended parsec.DateTime) (rules.Standing, []rules.Invitation, error) {
	var standing standingRow
	var rows []invitationRow
	err := s.Snapshot(ctx, readStanding(&standing, organization, author),
		database.List(&rows, selectInvitations, args(organization, author, int64(ended)), (*invitationRow).targets))
	return standing.facts(), invitations(rows), err
}

// PendingInvitations implements rules.InvitationTx.
func (t *tx) PendingInvitations(_ context.Context, claimer rules.Claimer) ([]rules.Invitation, error) {
	condition, arguments := pendingOf[claimer.Type], pendingArgs(t.organizationName(), claimer)
	var rows []invitationRow
	read := database.List(&rows, "SELECT "+invitationColumns+`
FROM parsec3.invitation i`+joinPeople+`
WHERE i.organization = $1 AND `+condition+`
ORDER BY i.created_on, i.number`, arguments, (*invitationRow).targets)
	lock := database.Statement{SQL: "SELECT 1 FROM parsec3.invitation i WHERE i.organization = $1 AND " + condition + " ORDER BY i.token" + forUpdate, Args: arguments}
	err := t.Ask(lock, read)
	return invitations(rows), err
}

// IsEnrolled implements rules.InvitationTx.
func (t *tx) IsEnrolled(_ context.Context, email string) (enrolled bool, err error) {
	err = t.Ask(database.Only(`
SELECT EXISTS (SELECT 1 FROM parsec3.user_ u
    WHERE u.organization = $1 AND lower(u.human_email) = $2 AND lower(u.human_email) > '' AND u.revoked_on IS NULL)`,
		[]any{t.organizationName(), parsec3.Mailbox(email)}, &enrolled))
	return enrolled, err
}

// CreateInvitation implements rules.InvitationTx.
func (t *tx) CreateInvitation(created rules.Invitation) {
	claimer := created.Claimer
	isUser, isShamir := claimer.Type == parsec.InvitationUser, claimer.Type == parsec.InvitationShamirRecovery
	t.QueueOne(`
INSERT INTO parsec3.invitation (organization, token, type, created_by, created_on, claimer_email, claimer_user, setup_date)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.organizationName(), tokenKey(created.Token), string(claimer.Type), database.Key(created.CreatedBy.User), int64(created.CreatedOn),
		pgtype.Text{String: claimer.Email, Valid: isUser}, pgtype.UUID{Bytes: claimer.User, Valid: !isUser},
		pgtype.Int8{Int64: int64(claimer.Setup), Valid: isShamir})
}

// EndInvitation implements rules.InvitationTx.
func (t *tx) EndInvitation(token parsec3.AccessToken, end rules.InvitationEnd) {
	t.QueueOne(`
UPDATE parsec3.invitation i SET ended_on = $3, ended_as = $4
WHERE i.organization = $1 AND i.token = $2`,
		t.organizationName(), tokenKey(token), int64(end.On), string(end.Status))
}
