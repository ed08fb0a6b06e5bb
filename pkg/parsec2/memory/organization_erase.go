package memory

import (
	"context"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/parsec"
)

// EraseOrganization forgets all that an organization has, but for its settings. It
// returns what the block store has of it.
func (s *Store) EraseOrganization(ctx context.Context, id parsec.OrganizationID) (objects []erasure.Object, err error) {
	o, err := s.lock(ctx, id)
	defer o.Unlock()
	if err != nil {
		return nil, err
	}
	for block, known := range o.blocks {
		objects = append(objects, erasure.Object{Block: block, Size: int64(known.Size)})
	}
	for block, upload := range o.uploads {
		objects = append(objects, erasure.Object{Block: block, DueOn: upload.Until})
	}
	o.State = nil
	return objects, nil
}
