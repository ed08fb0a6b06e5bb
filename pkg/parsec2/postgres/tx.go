package postgres

import (
	"context"
	"fmt"

	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Tx = (*tx)(nil)

// Update implements rules.Store.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	return s.Database.Update(ctx, func() database.Transaction {
		t := &tx{Tx: organizationstore.Tx{ID: scope.Organization}, scope: scope}
		reads, facts := t.reads()
		return database.Transaction{Reads: reads, Decisions: []database.Decision{func(under *database.Tx) error {
			t.Tx.Tx = under
			if err := facts(); err != nil {
				return err
			}
			return rule(t)
		}}}
	})[0]
}

// tx is one run of a rule. It takes effects and events as database.Tx does.
type tx struct {
	organizationstore.Tx
	scope rules.Scope

	// What comes with the scope; nil is not found.
	author     *rules.User
	realm      *realmRow
	vlob       *vlobRow
	block      blockState
	invitation *invitationRow
	conduit    rules.Conduit
}

const (
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

// reads returns what locks as the scope says, then reads its facts, and what
// makes these the transaction's.
func (t *tx) reads() (reads []database.Statement, facts func() error) {
	var organization rules.Organization
	var author rules.User
	var realm realmRow
	var vlob vlobRow
	var invitation invitationRow
	var device, locked int64
	var organizationFound, lockedFound, realmFound, vlobFound, invitationFound bool

	name, user := t.scope.Organization.String(), t.scope.Author.User().String()
	locks := []database.Statement{database.LockOrganization(t.scope.Organization, t.scope.LockOrganization)}
	asked := []database.Statement{database.Row(&organizationFound, selectAuthor,
		[]any{name, user, t.scope.Author.Name().String()},
		append(append(organizationstore.Targets(&organization), userTargets(&author)...), (*database.Integer)(&device))...)}

	readVlob := database.Row(&vlobFound, selectVlob, []any{name, database.Key(t.scope.Vlob)}, vlob.targets()...)
	if t.scope.By == rules.RealmVlobUpdate {
		locks = append(locks, database.Row(&lockedFound, lockRealmOfVlob, []any{name, database.Key(t.scope.Vlob)}, &locked))
		asked = append(asked, database.Row(&realmFound, selectRealmOfVlob, []any{name, user, database.Key(t.scope.Vlob)}, realm.targets()...), readVlob)
	} else if t.scope.By != rules.NoRealm {
		locks = append(locks, database.Row(&lockedFound, lockRealm, []any{name, database.Key(t.scope.Realm)}, &locked))
		asked = append(asked, database.Row(&realmFound, selectRealm, []any{name, user, database.Key(t.scope.Realm)}, realm.targets()...))
	}
	switch t.scope.By {
	case rules.RealmVlobCreate:
		asked = append(asked, readVlob)
	case rules.RealmData:
		locks = append(locks, database.Statement{SQL: lockBlock, Args: []any{name, database.Key(t.scope.Block)}})
		asked = append(asked, database.Row(&t.block.found, selectBlockState, []any{name, database.Key(t.scope.Block)}, t.block.targets()...))
	}
	if t.scope.Invitation != (parsec.InvitationToken{}) {
		args := []any{name, database.Key(t.scope.Invitation), t.scope.Greeter.String()}
		locks = append(locks, database.Statement{SQL: lockInvitation, Args: args[:2]})
		asked = append(asked, database.Row(&invitationFound, selectInvitation, args, append(invitation.targets(), conduitTargets(&t.conduit)...)...))
	}
	return append(locks, asked...), func() error {
		if realmFound != lockedFound {
			return fmt.Errorf("%w: the realm is created", database.ErrRaced)
		}
		if organizationFound {
			t.Stored = &organization
		}
		if realmFound {
			t.realm = &realm
		}
		if vlobFound {
			t.vlob = &vlob
		}
		if invitationFound {
			t.invitation = &invitation
		}
		if device != 0 {
			t.author = &author
		}
		return nil
	}
}

// organizationName returns the argument by which most statements find rows.
func (t *tx) organizationName() string { return t.scope.Organization.String() }

// selectAuthor reads an organization, a user of it, and whether the user has
// the device.
const selectAuthor = "SELECT " + organizationstore.Columns + ", " + userColumns + ", d.id" + `
FROM organization o
LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = $2
LEFT JOIN device d ON d.user_ = u.id AND d.name = $3
WHERE o.organization_id = $1`
