package rules_test

import (
	"context"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// readCounter is a store, and a store of blocks, that counts what it returns
// beside the state of a realm.
type readCounter struct {
	rules.Store
	blocks blockstore.Store
	given  int
}

func (c *readCounter) ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.VlobSelection) (*rules.Realm, *rules.VlobVersion, bool, error) {
	realm, version, found, err := c.Store.ReadVlob(ctx, organization, user, selection)
	if version != nil {
		c.given++
	}
	return realm, version, found, err
}

func (c *readCounter) VlobVersions(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, vlob parsec.VlobID) (*rules.Realm, []rules.VlobVersion, bool, error) {
	realm, versions, found, err := c.Store.VlobVersions(ctx, organization, user, vlob)
	c.given += len(versions)
	return realm, versions, found, err
}

func (c *readCounter) Changes(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, checkpoint uint64) (*rules.Realm, map[parsec.VlobID]uint32, bool, error) {
	facts, changes, found, err := c.Store.Changes(ctx, organization, user, realm, checkpoint)
	c.given += len(changes)
	return facts, changes, found, err
}

func (c *readCounter) RoleCertificates(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*rules.Realm, []rules.RoleCertificate, bool, error) {
	realm, roles, found, err := c.Store.RoleCertificates(ctx, organization, id, user)
	c.given += len(roles)
	return realm, roles, found, err
}

func (c *readCounter) ReencryptionBatch(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.BatchSelection) (*rules.Realm, []protocol.ReencryptionItem, bool, error) {
	realm, items, found, err := c.Store.ReencryptionBatch(ctx, organization, user, selection)
	c.given += len(items)
	return realm, items, found, err
}

func (c *readCounter) OrganizationStatistics(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]rules.Statistics, error) {
	c.given++
	return c.Store.OrganizationStatistics(ctx, organizations, at)
}

func (c *readCounter) FindUsers(ctx context.Context, organization parsec.OrganizationID, query rules.UserQuery) ([]rules.User, uint64, error) {
	c.given++
	return c.Store.FindUsers(ctx, organization, query)
}

func (c *readCounter) SubmittedPKIEnrollments(ctx context.Context, organization parsec.OrganizationID) ([]rules.PKIEnrollment, error) {
	c.given++
	return c.Store.SubmittedPKIEnrollments(ctx, organization)
}

func (c *readCounter) Messages(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, offset, bytes uint64) ([]rules.Message, bool, error) {
	messages, left, err := c.Store.Messages(ctx, organization, user, offset, bytes)
	c.given += len(messages)
	return messages, left, err
}

func (c *readCounter) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *blockstore.Checksum, into ...[]byte) error {
	c.given++
	return c.blocks.Read(ctx, organization, id, checksum, into...)
}

func (c *readCounter) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	return c.blocks.Create(ctx, organization, id, block)
}

// Ready returns what the state does.
func (c *readCounter) Ready(ctx context.Context) error { return c.Store.Ready(ctx) }

// TestNothingIsReadForStrangers has the commands that read sent by somebody who
// has no right to what they read: nothing of it is read.
func TestNothingIsReadForStrangers(t *testing.T) {
	counter := &readCounter{blocks: blockstore.NewMemory()}
	s := newRealmScenario(t, func(s *setup) {
		s.store = func(t testing.TB, bus *event.Bus) rules.Store {
			counter.Store = testkit.NewStore(t, bus)
			return counter
		}
		s.blocks = counter
	})
	ctx := t.Context()
	vlob := s.createVlob(1)
	s.updateVlob(1, 2)
	block := s.blockCreation(2, "block")
	s.ok(s.BlockCreate(ctx, s.alice(), block))
	s.startReencryption(2)
	for name, command := range map[string]struct {
		send func(author *rules.Author) error
		// stranger may not send it; mallory if nil.
		stranger *rules.Author
	}{
		"vlob_read": {send: func(author *rules.Author) error {
			_, err := s.VlobRead(ctx, author, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
			return err
		}},
		"vlob_list_versions": {send: func(author *rules.Author) error {
			_, err := s.VlobListVersions(ctx, author, &protocol.VlobListVersionsRequest{VlobID: vlob})
			return err
		}},
		"vlob_poll_changes": {send: func(author *rules.Author) error {
			_, err := s.VlobPollChanges(ctx, author, &protocol.VlobPollChangesRequest{RealmID: s.realm})
			return err
		}},
		"block_read": {send: func(author *rules.Author) error {
			return s.BlockRead(ctx, author, &protocol.BlockReadRequest{BlockID: block.BlockID}, func(size uint64) ([]byte, error) {
				return make([]byte, size), nil
			})
		}},
		"realm_get_role_certificates": {send: func(author *rules.Author) error {
			_, err := s.RealmGetRoleCertificates(ctx, author, &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm})
			return err
		}},
		"vlob_maintenance_get_reencryption_batch": {send: func(author *rules.Author) error {
			_, err := s.VlobGetReencryptionBatch(ctx, author, &protocol.VlobGetReencryptionBatchRequest{
				RealmID: s.realm, EncryptionRevision: 2, Size: 1000,
			}, saveBytes)
			return err
		}},
		"the same by a CONTRIBUTOR": {stranger: s.bob(), send: func(author *rules.Author) error {
			_, err := s.VlobGetReencryptionBatch(ctx, author, &protocol.VlobGetReencryptionBatchRequest{
				RealmID: s.realm, EncryptionRevision: 2, Size: 1000,
			}, saveBytes)
			return err
		}},
		"organization_stats": {send: func(author *rules.Author) error {
			_, err := s.OrganizationStats(ctx, author, &protocol.OrganizationStatsRequest{})
			return err
		}},
		"human_find": {send: func(author *rules.Author) error {
			_, err := s.HumanFind(ctx, author, &protocol.HumanFindRequest{Page: 1, PerPage: 1})
			return err
		}},
		"user_find": {send: func(author *rules.Author) error {
			_, err := s.UserFind(ctx, author, &protocol.UserFindRequest{Page: 1, PerPage: 1})
			return err
		}},
		"pki_enrollment_list": {send: func(author *rules.Author) error {
			_, err := s.PKIEnrollmentList(ctx, author, &protocol.PKIEnrollmentListRequest{})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stranger := s.mallory()
			if command.stranger != nil {
				stranger = command.stranger
			}
			counter.given = 0
			if got := status(nil, command.send(stranger)); got != protocol.StatusNotAllowed || counter.given != 0 {
				t.Errorf("%s, with %d read", got, counter.given)
			}
			if got := status(nil, command.send(s.alice())); got != protocol.StatusOK || counter.given == 0 {
				t.Errorf("for an owner: %s, with %d read", got, counter.given)
			}
		})
	}
	counter.given = 0
	if reply := must(s.MessageGet(ctx, s.mallory(), &protocol.MessageGetRequest{})); len(reply.Messages)+counter.given != 0 {
		t.Errorf("%d messages, with %d read", len(reply.Messages), counter.given)
	}
	if reply := must(s.MessageGet(ctx, s.bob(), &protocol.MessageGetRequest{})); len(reply.Messages) == 0 {
		t.Error("no message for a participant")
	}
}
