package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// ReadBlock implements rules.BlockReader.
func (s *Store) ReadBlock(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, id parsec.BlockID) (rules.Standing, *rules.Realm, *rules.Block, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var block *rules.Block
	if stored, found := o.blocks[id]; found && stored.Realm == realm {
		block = &stored
		block.Checksum = organizationstore.CopyOf(block.Checksum)
	}
	return o.standing(author), o.realms[realm].as(o.userOf(author)), block, err
}

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return parsec.NewUUID() }

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	if o.uploads[block].Token == token {
		delete(o.uploads, block)
	}
	return err
}

// Block implements rules.BlockTx.
func (t *tx) Block() (exists bool, upload *rules.BlockUpload) {
	if t.scope.Block == nil {
		return false, nil
	}
	_, exists = t.organization.blocks[*t.scope.Block]
	if under, found := t.organization.uploads[*t.scope.Block]; found {
		upload = &under
	}
	return exists, upload
}

// UploadIsDead implements rules.BlockTx: uploads end with the process.
func (t *tx) UploadIsDead() bool { return false }

// ReserveBlock implements rules.BlockTx.
func (t *tx) ReserveBlock(upload rules.BlockUpload) {
	t.Queue("ReserveBlock", t.mayCreateBlock(upload.ID), func() { t.organization.uploads[upload.ID] = upload })
}

// CreateBlock implements rules.BlockTx.
func (t *tx) CreateBlock(block rules.Block) {
	block.Checksum = organizationstore.CopyOf(block.Checksum)
	t.Queue("CreateBlock", t.mayCreateBlock(block.ID) && block.Realm == t.scope.Realm, func() {
		delete(t.organization.uploads, block.ID)
		t.organization.blocks[block.ID] = block
		t.realm.usage.Data += block.Size
		t.organization.usage.Data += block.Size
	})
}

// mayCreateBlock reports whether the block is that of the scope, and can be
// created.
func (t *tx) mayCreateBlock(id parsec.BlockID) bool {
	_, exists := t.organization.blocks[id]
	return t.holdsRealm() && !t.realm.facts.Deleted && t.scope.Block != nil && id == *t.scope.Block && !exists
}
