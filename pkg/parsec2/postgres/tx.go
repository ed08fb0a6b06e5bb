package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Tx = (*tx)(nil)

const (
	// maxRuns bounds how often a rule runs for one Update.
	maxRuns = 10
	// maxRunPause bounds the pause before each run but the first.
	maxRunPause = 20 * time.Millisecond
)

// Update implements rules.Store. The rule runs again, at most maxRuns times,
// when another transaction was in the way, or when the connection is lost
// before COMMIT is sent.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	patience := acquireLimit
	for run := 1; ; run++ {
		again, err := s.update(ctx, patience, scope, rule)
		if isLost(err) {
			patience = againLimit
		}
		if err == nil || !again || run == maxRuns {
			return err
		}
		if err := pause(ctx, rand.N(maxRunPause)); err != nil {
			return err
		}
	}
}

// update runs the rule once, and tells whether it may run again.
func (s *Store) update(ctx context.Context, patience time.Duration, scope rules.Scope, rule func(rules.Tx) error) (again bool, err error) {
	var t *tx
	err = s.useWithin(ctx, patience, func(ctx context.Context, connection *pgx.Conn) (err error) {
		t = &tx{ctx: ctx, connection: connection, codec: s.delivery.codec, scope: scope}
		returned := false
		defer func() {
			if !returned { // A rule that panics leaves nothing either.
				err = errors.New("the rule panics")
			}
			_ = rolledBack(ctx, connection, err) // The connection is closed if it is not rolled back.
		}()
		err = t.run(rule)
		returned = true
		return err
	})
	if err != nil {
		committing := t != nil && t.committing
		return isRace(err) || isLost(err) && !committing, err
	}
	if len(t.effects)+len(t.events) > 0 {
		s.full.Store(false)
	}
	if len(t.events) > 0 {
		s.delivery.commits.raise()
	}
	return false, nil
}

// isRace tells that the transaction would not fail alike without others.
func isRace(err error) bool {
	if errors.Is(err, errRaced) {
		return true
	}
	refusal, refused := errors.AsType[*pgconn.PgError](err)
	if !refused {
		return false
	}
	switch refusal.Code {
	case "40001", "40P01", "23505": // serialization_failure, deadlock_detected, unique_violation
		return true
	default:
		return false
	}
}

// tx is a transaction. Its methods use a context that does not end with the
// command's.
type tx struct {
	ctx        context.Context
	connection *pgx.Conn
	codec      Codec
	scope      rules.Scope

	// What comes with the scope; nil is not found.
	organization *rules.Organization
	author       *rules.User
	realm        *realmRow
	vlob         *vlobRow
	block        blockState
	invitation   *invitationRow
	conduit      conduitRow

	effects []statement
	events  []event.Event
	// committing tells that the effects, and COMMIT, are sent.
	committing bool
}

func (t *tx) run(rule func(rules.Tx) error) error {
	if err := t.begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := rule(t); err != nil {
		return err
	}
	published, err := outboxInsert(t.codec, t.events)
	if err != nil {
		return err
	}
	t.committing = true
	if err := send(t.ctx, t.connection, append(append(t.effects, published...), statement{sql: commit})...); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

const (
	lockOrganization       = "SELECT pg_advisory_xact_lock($1)"
	lockOrganizationShared = "SELECT pg_advisory_xact_lock_shared($1)"

	lockRealm = `
SELECT r.id FROM organization o JOIN realm r ON r.organization = o.id
WHERE o.organization_id = $1 AND r.realm_id = $2
FOR NO KEY UPDATE OF r`

	// A vlob never changes its realm.
	lockRealmOfVlob = `
SELECT r.id FROM realm r WHERE r.id = (
    SELECT v.realm FROM organization o JOIN vlob v ON v.organization = o.id
    WHERE o.organization_id = $1 AND v.vlob_id = $2)
FOR NO KEY UPDATE OF r`

	lockBlock = `
SELECT 1 FROM organization o JOIN block b ON b.organization = o.id
WHERE o.organization_id = $1 AND b.block_id = $2
FOR NO KEY UPDATE OF b`
)

// begin locks what the scope says, then reads its facts.
func (t *tx) begin() error {
	var organization organizationRow
	var author userRow
	var realm realmRow
	var vlob vlobRow
	var device, locked int64
	var organizationFound, lockedFound, realmFound, vlobFound, blockFound bool

	name, user := t.scope.Organization.String(), t.scope.Author.User().String()
	exclusion := lockOrganizationShared
	if t.scope.LockOrganization {
		exclusion = lockOrganization
	}
	locks := []statement{{sql: begin}, {sql: exclusion, args: []any{advisoryKey("organization " + name)}}}
	facts := []statement{row(&organizationFound, selectAuthor,
		[]any{name, user, t.scope.Author.Name().String()},
		append(append(organization.targets(), author.targets()...), (*integer)(&device))...)}

	readVlob := row(&vlobFound, selectVlob, []any{name, key(t.scope.Vlob)}, vlob.targets()...)
	if t.scope.By == rules.RealmVlobUpdate {
		locks = append(locks, row(&lockedFound, lockRealmOfVlob, []any{name, key(t.scope.Vlob)}, &locked))
		facts = append(facts, row(&realmFound, selectRealmOfVlob, []any{name, user, key(t.scope.Vlob)}, realm.targets()...), readVlob)
	} else if t.scope.By != rules.NoRealm {
		locks = append(locks, row(&lockedFound, lockRealm, []any{name, key(t.scope.Realm)}, &locked))
		facts = append(facts, row(&realmFound, selectRealm, []any{name, user, key(t.scope.Realm)}, realm.targets()...))
	}
	switch t.scope.By {
	case rules.RealmVlobCreate:
		facts = append(facts, readVlob)
	case rules.RealmData:
		locks = append(locks, statement{sql: lockBlock, args: []any{name, key(t.scope.Block)}})
		facts = append(facts, row(&blockFound, selectBlockState, []any{name, key(t.scope.Block)}, t.block.targets()...))
	}
	var invitation invitationRow
	var invitationFound bool
	if t.scope.Invitation != (parsec.InvitationToken{}) {
		args := []any{name, key(t.scope.Invitation), t.scope.Greeter.String()}
		locks = append(locks, statement{sql: lockInvitation, args: args[:2]})
		facts = append(facts, row(&invitationFound, selectInvitation, args, append(invitation.targets(), t.conduit.targets()...)...))
	}
	if err := send(t.ctx, t.connection, append(locks, facts...)...); err != nil {
		return err
	}
	if invitationFound {
		t.invitation = &invitation
	}
	if realmFound != lockedFound {
		return fmt.Errorf("%w: the realm is created", errRaced)
	}
	if organizationFound {
		t.organization = organization.facts()
	}
	if realmFound {
		t.realm = &realm
	}
	if vlobFound {
		t.vlob = &vlob
	}
	t.block.found = blockFound
	if device == 0 {
		return nil
	}
	var err error
	t.author, err = author.facts()
	return err
}

// ask reads more facts.
func (t *tx) ask(read statement) error { return send(t.ctx, t.connection, read) }

// queue adds an effect.
func (t *tx) queue(sql string, args ...any) {
	t.effects = append(t.effects, statement{sql: sql, args: args})
}

// queueOne adds an effect that changes one row, or the rule runs again.
func (t *tx) queueOne(sql string, args ...any) {
	t.effects = append(t.effects, statement{sql: sql, args: args, affected: 1})
}

// Emit implements rules.Tx.
func (t *tx) Emit(e event.Event) { t.events = append(t.events, e) }

// organizationName is what most statements find their rows by.
func (t *tx) organizationName() string { return t.scope.Organization.String() }

// advisoryKey gives each thing to lock a number of its own. Two things with
// one number would only wait for each other without need.
func advisoryKey(thing string) int64 {
	sum := sha256.Sum256([]byte("parsec-server " + thing))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// selectAuthor reads an organization, a user of it, and whether the user has
// the device.
const selectAuthor = "SELECT " + organizationColumns + ", " + userColumns + ", d.id" + `
FROM organization o
LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = $2
LEFT JOIN device d ON d.user_ = u.id AND d.name = $3
WHERE o.organization_id = $1`
