package memory

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return parsec.NewUUID() }

// ReserveBlock implements rules.BlockUploads.
func (s *Store) ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	var facts rules.BlockReservation
	var found bool
	facts.Realm, found = o.realms[realm].seenBy(user)
	_, facts.Exists = o.blocks[upload.ID]
	if present, taken := o.uploads[upload.ID]; found && !facts.Exists && (!taken || present.YieldsTo(upload, now, false)) {
		o.uploads[upload.ID] = upload
		facts.Reserved = true
	}
	return facts, err
}

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	if o.uploads[block].Token == token {
		delete(o.uploads, block)
	}
	return err
}

// Block implements rules.BlockReader.
func (s *Store) Block(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.BlockID) (*rules.Realm, *rules.Block, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	block, found := o.blocks[id]
	if !found {
		return nil, nil, false, err
	}
	r, _ := o.realms[block.Realm].seenBy(user)
	return r, &block, true, err
}

// Block implements rules.BlockTx.
func (t *tx) Block() (exists bool, upload *rules.BlockUpload) {
	_, exists = t.organization.blocks[t.scope.Block]
	if under, found := t.organization.uploads[t.scope.Block]; found {
		upload = &under
	}
	return exists, upload
}

// CreateBlock implements rules.BlockTx.
func (t *tx) CreateBlock(block rules.Block) {
	_, exists := t.organization.blocks[block.ID]
	allowed := t.scope.By == rules.RealmData && t.realm != nil && block.Realm == t.scope.Realm &&
		block.ID == t.scope.Block && !exists
	t.Queue("CreateBlock", allowed, func() {
		delete(t.organization.uploads, block.ID)
		t.organization.blocks[block.ID] = block
		t.realm.blocksSize += block.Size
		t.organization.dataSize += block.Size
	})
}
