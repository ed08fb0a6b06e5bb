package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"parsec-server/pkg/database"
	"parsec-server/pkg/gather"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// work is a rule with the scope of its transaction.
type work struct {
	scope rules.Scope
	rule  func(rules.Tx) error
}

// Update implements rules.Store. What waits for one topic is run in one transaction:
// behind one lock, and with one commit.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	of := work{scope, rule}
	alone := func() error {
		errs, _ := s.run(ctx, func() []work { return []work{of} })
		return errs[0]
	}
	topic, gathered := scope.Topic()
	if !gathered {
		return alone()
	}
	return s.updates.Do(ctx, topic, of, scope.Size, alone)
}

// Gathered counts the transactions that wait for others of their topic, or are run
// together with another one.
func (s *Store) Gathered() int { return s.updates.Gathered() }

// runMembers has the members each alone that fail together for no fault of their own.
func (s *Store) runMembers(ctx context.Context, take func() []*gather.Member[work]) {
	errs, failed := s.run(ctx, func() []work {
		var all []work
		for _, m := range take() {
			all = append(all, work{m.Work.scope, func(tx rules.Tx) error {
				return gather.Guard(func() error { return m.Work.rule(tx) })
			}})
		}
		return all
	})
	for i, m := range take() {
		m.Err = errs[i]
		if failed && len(errs) > 1 && database.IsUndone(errs[i]) {
			m.DoAlone()
		}
	}
}

// run runs rules of one topic in one transaction, and returns the error of each. It has
// failed when that is not what its rule has returned.
func (s *Store) run(ctx context.Context, take func() []work) (errs []error, failed bool) {
	var b *batch
	errs = s.Database.Update(ctx, func() database.Transaction {
		b = newBatch(take())
		return b.transaction()
	})
	for i, err := range errs {
		failed = failed || !errors.Is(err, b.refusals[i])
	}
	return errs, failed
}

// batch is one run of rules of one topic. Their transactions share the locks.
type batch struct {
	work []work
	txs  []*tx
	// refusals are what the rules have returned.
	refusals []error
	// scope has the locks of all, and the organization and the realm.
	scope             rules.Scope
	inCommon, inRealm *lock
	// created reports that a transaction has created the realm.
	created bool

	// Of data, the facts of all are read at first, and what changes them is kept here:
	// it is written together. Everything else that a transaction leaves is read again
	// for the next one.
	vlobs  map[parsec.VlobID]uint32
	blocks map[parsec.BlockID]blockState
	writes writes
	// services are nil until they are asked for. They are locked, or belong to no
	// transaction in particular.
	services []rules.SequesterService
}

func newBatch(all []work) *batch {
	b := &batch{work: all, refusals: make([]error, len(all)), vlobs: map[parsec.VlobID]uint32{}, blocks: map[parsec.BlockID]blockState{}}
	for i := range all {
		scope := all[i].scope
		if i == 0 {
			b.scope = scope
		}
		b.scope.Sequester, b.scope.Shamir = max(b.scope.Sequester, scope.Sequester), max(b.scope.Shamir, scope.Shamir)
		b.scope.Enrollment = max(b.scope.Enrollment, scope.Enrollment)
		b.txs = append(b.txs, &tx{Tx: organizationstore.Tx{ID: scope.Organization}, scope: scope, batch: b})
	}
	return b
}

// ofData reports whether the transactions write vlobs and blocks, and nothing else: the
// locks keep all else as it is.
func (b *batch) ofData() bool {
	return b.scope.RealmLock == rules.Shared && b.scope.Common != rules.Exclusive
}

func (b *batch) transaction() database.Transaction {
	if len(b.txs) == 0 {
		return database.Transaction{}
	}
	first := b.txs[:1]
	if b.ofData() {
		first = b.txs
	}
	t := database.Transaction{Reads: append(b.locks(), b.facts(first)...)}
	for i := range b.txs {
		t.Decisions = append(t.Decisions, func(under *database.Tx) error {
			b.refusals[i] = b.decide(i, under)
			return b.refusals[i]
		})
	}
	if b.ofData() {
		t.Conclude = b.writeAll
	}
	return t
}

// locks returns what locks as the scope says.
func (b *batch) locks() (locks []database.Statement) {
	name := b.scope.Organization.String()
	b.inCommon = newLock("C", b.scope.Common, selectTopic, name, string(common))
	b.inRealm = newLock("R", b.scope.RealmLock, selectRow, name, database.Key(b.scope.Realm))
	if b.scope.Founding && !isLeftOut(lockOfFounding) {
		locks = append(locks, database.LockOrganization(b.scope.Organization, true))
	}
	for _, l := range []*lock{
		b.inCommon, b.inRealm,
		newLock("Q", b.scope.Sequester, selectTopic, name, string(sequester)),
		newLock("S", b.scope.Shamir, selectTopic, name, string(shamir)),
		newLock("E", b.scope.Enrollment, selectTopic, name, string(enrollment)),
		newLock("I", b.scope.Invitations, selectTopic, name, string(invitation)),
		b.lockOfInvitation(),
	} {
		if l != nil {
			locks = append(locks, l.statement())
		}
	}
	locks = append(locks, locksOfTOTP(&b.scope)...)
	if blocks := blocksOf(b.txs); len(blocks) > 0 && !isLeftOut(lockOfBlock) {
		locks = append(locks, database.Statement{SQL: lockBlocks, Args: []any{name, keys(blocks)}})
	}
	return locks
}

// facts returns what reads those of transactions.
func (b *batch) facts(of []*tx) []database.Statement {
	name, realm := b.scope.Organization.String(), database.Key(b.scope.Realm)
	var facts []database.Statement
	if blocks := blocksOf(of); len(blocks) > 0 {
		facts = append(facts, readBlocks(b.blocks, name, blocks))
	}
	authors := distinct(of, func(t *tx) (parsec3.DeviceID, bool) { return t.scope.Author, true })
	found := make([]authorFacts, len(authors))
	facts = append(facts, readAuthors(found, name, keys(authors), realm))
	for _, t := range of {
		t.author = &found[slices.Index(authors, t.scope.Author)]
	}
	if scope := of[0].scope; scope.Invitation != nil || scope.Attempt != nil {
		of[0].greeting = greetingRow{}
		facts = append(facts, readGreeting(&of[0].greeting, scope.Organization, parsec3.DeviceID{}, scope.Invitation, scope.Attempt))
	}
	// The id of a vlob may be zero: clients choose it.
	vlobs := distinct(of, func(t *tx) (parsec.VlobID, bool) { return t.scope.Vlob, t.scope.Block == nil })
	if len(vlobs) > 0 && b.ofData() {
		facts = append(facts, readLatest(b.vlobs, name, realm, vlobs))
	}
	return facts
}

// decide runs one rule.
func (b *batch) decide(i int, under *database.Tx) error {
	t := b.txs[i]
	t.Tx.Tx = under
	if i > 0 && !b.ofData() {
		if err := under.Ask(b.facts(b.txs[i : i+1])...); err != nil {
			return err
		}
	}
	if err := b.begin(t); err != nil {
		return err
	}
	if err := b.work[i].rule(t); err != nil {
		return err
	}
	if t.failure != nil {
		return t.failure
	}
	b.keep(t)
	if !b.ofData() {
		b.writeAll(under)
	}
	return nil
}

// begin gives a transaction its facts. What was made since its lock was asked for is
// not locked, unless it was made by the same batch.
func (b *batch) begin(t *tx) error {
	if !b.inCommon.holds(t.author.topics.Common != 0) {
		return fmt.Errorf("%w: the organization is bootstrapped", database.ErrRaced)
	}
	if !b.created && !b.inRealm.holds(t.author.exists) {
		return fmt.Errorf("%w: the realm is created", database.ErrRaced)
	}
	t.Stored = t.author.standing.facts().Organization
	if t.author.exists && t.scope.RealmLock != rules.Unlocked {
		t.realm = new(t.author.realm)
		t.realm.Checkpoint += uint64(len(b.writes.versions))
		for i := range b.writes.versions {
			t.realm.LastVlob = max(t.realm.LastVlob, b.writes.versions[i].Timestamp)
		}
	}
	t.vlob = b.vlobs[t.scope.Vlob]
	if t.scope.Block != nil {
		t.block = b.blocks[*t.scope.Block]
	}
	return nil
}

// keep has the effects of a transaction stand.
func (b *batch) keep(t *tx) {
	b.created = b.created || t.creates
	b.writes.versions = append(b.writes.versions, t.writes.versions...)
	for i := range t.writes.versions {
		b.vlobs[t.writes.versions[i].Vlob] = t.writes.versions[i].Version
	}
	for id, write := range t.writes.blocks {
		b.blocks[id] = write.state()
		if earlier, again := b.writes.blocks[id]; again {
			write.before = earlier.before
		}
		b.writes.setBlock(id, write)
	}
}
