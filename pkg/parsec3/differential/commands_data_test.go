package differential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

func (w *twins) vlobCreate() question {
	realm, vlob := w.realm(), w.vlob()
	author := w.manager(realm)
	request := &protocol.VlobCreateRequest{
		RealmID: realm, VlobID: vlob, KeyIndex: w.keyIndex(realm), Timestamp: w.date(), Blob: w.blob(),
	}
	return func(side *twin) (any, error) {
		reply, err := side.VlobCreate(w.ctx, author, request)
		w.wrote(side, writtenVlob{realm, vlob}, err)
		return reply, err
	}
}

func (w *twins) vlobUpdate() question {
	realm, vlob := w.realm(), w.vlob()
	author := w.manager(realm)
	request := &protocol.VlobUpdateRequest{
		RealmID: realm, VlobID: vlob, KeyIndex: w.keyIndex(realm), Timestamp: w.date(), Blob: w.blob(),
		Version: w.versions[writtenVlob{realm, vlob}] + 1,
	}
	if w.chance(15) {
		request.Version = uint32(w.number(0, 4))
	}
	return func(side *twin) (any, error) {
		reply, err := side.VlobUpdate(w.ctx, author, request)
		w.wrote(side, writtenVlob{realm, vlob}, err)
		return reply, err
	}
}

func (w *twins) blob() []byte {
	return fmt.Append(nil, strings.Repeat("x", w.number(0, 20)), *w.now)
}

// wrote remembers a version that the first side has stored.
func (w *twins) wrote(side *twin, vlob writtenVlob, err error) {
	if side == w.sides[0] && err == nil {
		w.versions[vlob]++
	}
}

func (w *twins) vlobReadBatch() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.VlobReadBatchRequest{RealmID: realm, At: w.since()}
	for range w.number(0, 5) {
		request.Vlobs = append(request.Vlobs, w.vlob())
	}
	return func(side *twin) (any, error) { return side.VlobReadBatch(w.ctx, author, request) }
}

func (w *twins) vlobReadVersions() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.VlobReadVersionsRequest{RealmID: realm}
	for range w.number(0, 5) {
		request.Items = append(request.Items, protocol.VlobNumber{Vlob: w.vlob(), Version: uint32(w.number(0, 4))})
	}
	return func(side *twin) (any, error) { return side.VlobReadVersions(w.ctx, author, request) }
}

// vlobPollChanges does not care for the order.
func (w *twins) vlobPollChanges() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: uint64(w.number(0, 8))}
	return func(side *twin) (any, error) {
		reply, err := side.VlobPollChanges(w.ctx, author, request)
		if err == nil {
			slices.SortFunc(reply.Changes, func(a, b protocol.VlobNumber) int { return slices.Compare(a.Vlob[:], b.Vlob[:]) })
		}
		return reply, err
	}
}

func (w *twins) blockCreate() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.BlockCreateRequest{
		BlockID: w.block(), RealmID: realm, KeyIndex: w.keyIndex(realm), Block: fmt.Append(nil, "block of ", *w.now),
	}
	return func(side *twin) (any, error) { return side.BlockCreate(w.ctx, author, request) }
}

func (w *twins) blockRead() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.BlockReadRequest{BlockID: w.block(), RealmID: realm}
	return func(side *twin) (any, error) {
		var reply *protocol.BlockReadReply
		err := side.BlockRead(w.ctx, author, request, func(head *protocol.BlockReadReply, size uint64) ([]byte, error) {
			reply = head
			reply.Block = make([]byte, size)
			return reply.Block, nil
		})
		return reply, err
	}
}

func (w *twins) freeze() question {
	choice, frozen := organization.UserChoice{ID: w.user().String()}, pick(w, true, false)
	if w.chance(3) {
		choice = organization.UserChoice{Email: new(fmt.Sprintf("user%d@example.com", w.number(0, playUsers-1)))}
	}
	return func(side *twin) (any, error) { return side.SetFrozen(w.ctx, w.organization, choice, frozen) }
}

// changeOrganization closes the organization for some commands at most.
func (w *twins) changeOrganization() question {
	var limit *uint64
	if w.chance(2) {
		limit = new(uint64(w.number(1, playUsers)))
	}
	var expiration *parsec.DateTime
	if w.closed = !w.closed && w.chance(3); w.closed {
		expiration = new(*w.now)
	}
	terms := &organization.TOS{PerLocaleURLs: map[string]string{"en": "https://example.com"}, UpdatedOn: *w.now}
	if w.chance(5) {
		terms = nil
	}
	return func(side *twin) (any, error) {
		err := side.store.ChangeOrganization(w.ctx, w.organization, func(tx organization.Tx) error {
			stored, _ := tx.Organization()
			stored.ActiveUsersLimit, stored.ExpirationDate, stored.TOS = limit, expiration, terms
			tx.PutOrganization(*stored)
			return nil
		})
		return nil, errors.Join(err, w.settle(side))
	}
}

// deleteRealm does what operators may do of realms whose deletion is planned, at once for
// half of them, and of orphaned ones.
func (w *twins) deleteRealm() question {
	scope := rules.Scope{Organization: w.organization, Common: rules.Shared, Realm: w.realm(), RealmLock: rules.Exclusive}
	atOnce, orphaned := w.chance(50), w.chance(50)
	type reply struct {
		deletable []organization.DeletableRealm
		deleted   organization.DeletableRealm
		why       string
	}
	return func(side *twin) (any, error) {
		var told reply
		marked := false
		deletable, err := side.DeletableRealms(w.ctx, w.organization)
		if err != nil {
			return nil, err
		}
		told.deletable = deletable
		if atOnce {
			err = side.store.Update(w.ctx, scope, func(tx rules.Tx) error {
				realm, found := tx.Realm()
				marked = found && !realm.Deleted && realm.Archiving == parsec.ArchivingDeletionPlanned
				if marked {
					tx.MarkRealmDeleted()
				}
				return nil
			})
		} else if told.deleted, err = side.DeleteRealm(w.ctx, w.organization, scope.Realm, orphaned); err != nil {
			told.why, err = err.Error(), nil
		} else {
			marked = true
		}
		// One of the stores erases what the realm holds later.
		if store, later := side.store.(interface {
			Prune(ctx context.Context) error
		}); later && marked && err == nil {
			err = store.Prune(w.ctx)
		}
		return &told, err
	}
}

// webhook is the address of one, or none.
func (w *twins) webhook() string { return pick(w, "", "https://example.com/webhook") }

// createSequesterService signs as the authority, even where there is none.
func (w *twins) createSequesterService() question {
	signed := must(certificate.SequesterService{
		Timestamp: w.date(), ServiceID: w.service(), ServiceLabel: "label", EncryptionKeyDER: w.keys.service.public,
	}.Sign(w.keys.authority.private))
	if w.chance(15) {
		signed = signed[:len(signed)-1]
	}
	webhook := w.webhook()
	return func(side *twin) (any, error) {
		return nil, side.CreateSequesterService(w.ctx, w.organization, signed, webhook)
	}
}

func (w *twins) revokeSequesterService() question {
	signed := must(certificate.SequesterRevokedService{Timestamp: w.date(), ServiceID: w.service()}.Sign(w.keys.authority.private))
	return func(side *twin) (any, error) {
		return nil, side.RevokeSequesterService(w.ctx, w.organization, signed)
	}
}

func (w *twins) configureSequesterService() question {
	service, webhook := w.service(), w.webhook()
	return func(side *twin) (any, error) {
		return nil, side.ConfigureSequesterService(w.ctx, w.organization, service, webhook)
	}
}
