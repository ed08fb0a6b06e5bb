package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

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

// shares is how many transactions with writers of data one organization has at the same
// time: while the disk is synced for one, the other is prepared. A writer of more than
// sharedSize bytes has its realm for itself: connections carry large ones side by side.
const (
	shares     = 2
	sharedSize = 64 << 10
)

// share is of writers of data in an organization; those of one realm are in the same.
type share struct {
	organization parsec.OrganizationID
	number       byte
}

// Update implements rules.Store. What waits for one topic is run in one transaction:
// behind one lock, and with one commit. So is what writes data in several realms, as far
// as no realm has to be waited for.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	of := work{scope, rule}
	alone := func() error {
		errs, _ := s.run(ctx, false, func() []work { return []work{of} })
		return errs[0]
	}
	topic, gathered := scope.Topic()
	if !gathered {
		return alone()
	}
	ofTopic := func() error { return s.updates.Do(ctx, topic, of, scope.Size, alone) }
	if !isOfData(&scope) || scope.Size > sharedSize {
		return ofTopic()
	}
	return s.data.Do(ctx, share{scope.Organization, scope.Realm[0] % shares}, of, scope.Size, ofTopic)
}

// Gathered counts the transactions that wait for others of their topic, or are run
// together with another one.
func (s *Store) Gathered() int { return s.updates.Gathered() + s.data.Gathered() }

// runTopic and runData have the members each alone that fail together for no fault of
// their own, or whose realm is locked.
func (s *Store) runTopic(ctx context.Context, take func() []*gather.Member[work]) {
	s.runMembers(ctx, false, take)
}

func (s *Store) runData(ctx context.Context, take func() []*gather.Member[work]) {
	s.runMembers(ctx, true, take)
}

func (s *Store) runMembers(ctx context.Context, passing bool, take func() []*gather.Member[work]) {
	errs, failed := s.run(ctx, passing, func() []work {
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
		if errors.Is(errs[i], errRealmLocked) || failed && len(errs) > 1 && database.IsUndone(errs[i]) {
			m.DoAlone()
		}
	}
}

// run runs rules in one transaction, and returns the error of each. It has failed when
// that is not what its rule has returned. Passing realms that are locked, instead of
// waiting, the error is errRealmLocked.
func (s *Store) run(ctx context.Context, passing bool, take func() []work) (errs []error, failed bool) {
	var b *batch
	errs = s.Database.Update(ctx, func() database.Transaction {
		b = newBatch(take(), passing)
		return b.transaction()
	})
	for i, err := range errs {
		failed = failed || !errors.Is(err, b.refusals[i])
	}
	return errs, failed
}

// errRealmLocked is of a writer whose realm another transaction has locked.
var errRealmLocked = errors.New("the realm is locked")

// batch is one run of rules: those of one topic, or of writers of data. Their
// transactions share the locks.
type batch struct {
	work []work
	txs  []*tx
	// refusals are what the rules have returned.
	refusals []error
	// scope has the locks of all, and the organization.
	scope    rules.Scope
	inCommon *lock
	// realms are those of the transactions, in the order of their ids. Passing those
	// that are locked, the batch does not wait for them.
	realms  []*realmInBatch
	passing bool

	// Of data, the facts of all are read at first, and what changes them is kept here
	// and with the realms: it is written together. Everything else that a transaction
	// leaves is read again for the next one.
	vlobs       map[vlobInRealm]uint32 // the latest versions
	blocks      map[parsec.BlockID]blockState
	blockWrites map[parsec.BlockID]blockWrite
	// services are nil until they are asked for. They are locked, or belong to no
	// transaction in particular.
	services []rules.SequesterService
}

// realmInBatch is a realm, if the transactions have one, and what they do there.
type realmInBatch struct {
	id parsec.RealmID
	// locked reports that there was a row to lock, or nothing had to be locked.
	locked bool
	// created reports that a transaction has created it.
	created bool
	// versions are to be written, in the order of their checkpoints.
	versions []rules.VlobVersion
}

// vlobInRealm is the key of a vlob in its organization.
type vlobInRealm struct {
	realm parsec.RealmID
	vlob  parsec.VlobID
}

func newBatch(all []work, passing bool) *batch {
	b := &batch{
		work: all, refusals: make([]error, len(all)), passing: passing,
		vlobs: map[vlobInRealm]uint32{}, blocks: map[parsec.BlockID]blockState{}, blockWrites: map[parsec.BlockID]blockWrite{},
	}
	for i := range all {
		scope := all[i].scope
		if i == 0 {
			b.scope = scope
		}
		b.scope.Sequester, b.scope.Shamir = max(b.scope.Sequester, scope.Sequester), max(b.scope.Shamir, scope.Shamir)
		b.scope.Enrollment = max(b.scope.Enrollment, scope.Enrollment)
		b.txs = append(b.txs, &tx{Tx: organizationstore.Tx{ID: scope.Organization}, scope: scope, batch: b, in: b.in(scope.Realm)})
	}
	slices.SortFunc(b.realms, func(a, b *realmInBatch) int { return bytes.Compare(a.id[:], b.id[:]) })
	return b
}

// in returns a realm of the batch.
func (b *batch) in(id parsec.RealmID) *realmInBatch {
	i := slices.IndexFunc(b.realms, func(r *realmInBatch) bool { return r.id == id })
	if i < 0 {
		i = len(b.realms)
		b.realms = append(b.realms, &realmInBatch{id: id})
	}
	return b.realms[i]
}

// isOfData reports whether transactions write vlobs and blocks, and nothing else: the
// locks keep all else as it is.
func isOfData(scope *rules.Scope) bool {
	return scope.RealmLock == rules.Shared && scope.Common != rules.Exclusive
}

func (b *batch) ofData() bool { return isOfData(&b.scope) }

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
	if b.scope.Founding && !isLeftOut(lockOfFounding) {
		locks = append(locks, database.LockOrganization(b.scope.Organization, true))
	}
	for _, l := range []*lock{
		b.inCommon,
		newLock("Q", b.scope.Sequester, selectTopic, name, string(sequester)),
		newLock("S", b.scope.Shamir, selectTopic, name, string(shamir)),
		newLock("E", b.scope.Enrollment, selectTopic, name, string(enrollment)),
		newLock("I", b.scope.Invitations, selectTopic, name, string(invitation)),
		b.lockOfInvitation(),
	} {
		if l != nil {
			locks = append(locks, l.statement())
		}
		if l == b.inCommon {
			locks = append(locks, b.locksOfRealms()...)
		}
	}
	locks = append(locks, locksOfTOTP(&b.scope)...)
	if blocks := blocksOf(b.txs); len(blocks) > 0 && !isLeftOut(lockOfBlock) {
		locks = append(locks, database.Statement{SQL: lockBlocks, Args: []any{name, database.Keys(blocks)}})
	}
	return locks
}

// locksOfRealms returns what locks the realms, in their order.
func (b *batch) locksOfRealms() []database.Statement {
	l := newLock("R", b.scope.RealmLock, "")
	if l == nil {
		for _, r := range b.realms {
			r.locked = true
		}
		return nil
	}
	sql := lockRealms + l.sql
	if b.passing {
		sql += passLocked
	}
	return []database.Statement{{SQL: sql + endLockRealms, Args: []any{b.scope.Organization.String(), database.Keys(b.realmIDs())}, Rows: func(rows pgx.Rows) error {
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&number}, func() error {
			b.realms[number-1].locked = true
			return nil
		})
		return err
	}}}
}

func (b *batch) realmIDs() []parsec.RealmID {
	ids := make([]parsec.RealmID, len(b.realms))
	for i, r := range b.realms {
		ids[i] = r.id
	}
	return ids
}

// facts returns what reads those of transactions.
func (b *batch) facts(of []*tx) []database.Statement {
	name := b.scope.Organization.String()
	var facts []database.Statement
	if blocks := blocksOf(of); len(blocks) > 0 {
		facts = append(facts, readBlocks(b.blocks, name, blocks))
	}
	authors := distinct(of, func(t *tx) (authorInRealm, bool) { return t.authorInRealm(), true })
	found := make([]authorFacts, len(authors))
	facts = append(facts, readAuthors(found, name, authors))
	for _, t := range of {
		t.author = &found[slices.Index(authors, t.authorInRealm())]
	}
	if scope := of[0].scope; scope.Invitation != nil || scope.Attempt != nil {
		of[0].greeting = greetingRow{}
		facts = append(facts, readGreeting(&of[0].greeting, scope.Organization, parsec3.DeviceID{}, scope.Invitation, scope.Attempt))
	}
	// The id of a vlob may be zero: clients choose it.
	vlobs := distinct(of, func(t *tx) (vlobInRealm, bool) { return t.vlobInRealm(), t.scope.Block == nil })
	if len(vlobs) > 0 && b.ofData() {
		facts = append(facts, readLatest(b.vlobs, name, vlobs))
	}
	return facts
}

func (t *tx) authorInRealm() authorInRealm { return authorInRealm{t.scope.Author, t.scope.Realm} }

func (t *tx) vlobInRealm() vlobInRealm { return vlobInRealm{t.scope.Realm, t.scope.Vlob} }

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
	switch {
	case t.in.created || t.in.locked || !t.author.exists:
	case b.passing:
		return errRealmLocked
	default:
		return fmt.Errorf("%w: the realm is created", database.ErrRaced)
	}
	t.Stored = t.author.standing.facts().Organization
	if t.author.exists && t.scope.RealmLock != rules.Unlocked {
		t.realm = new(t.author.realm)
		t.realm.Checkpoint += uint64(len(t.in.versions))
		for i := range t.in.versions {
			t.realm.LastVlob = max(t.realm.LastVlob, t.in.versions[i].Timestamp)
		}
	}
	t.vlob = b.vlobs[t.vlobInRealm()]
	if t.scope.Block != nil {
		t.block = b.blocks[*t.scope.Block]
	}
	return nil
}

// keep has the effects of a transaction stand.
func (b *batch) keep(t *tx) {
	t.in.created = t.in.created || t.creates
	t.in.versions = append(t.in.versions, t.versions...)
	for i := range t.versions {
		b.vlobs[vlobInRealm{t.in.id, t.versions[i].Vlob}] = t.versions[i].Version
	}
	if write := t.blockWrite; write != nil {
		id := *t.scope.Block
		b.blocks[id] = write.state()
		if earlier, again := b.blockWrites[id]; again {
			write.before = earlier.before
		}
		b.blockWrites[id] = *write
	}
}
