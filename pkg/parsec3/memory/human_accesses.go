package memory

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
)

// RealmIDs implements rules.HumanAccessesReader.
func (s *Store) RealmIDs(ctx context.Context, id parsec.OrganizationID, after parsec.RealmID, most int) ([]parsec.RealmID, error) {
	o, err := s.read(ctx, id)
	defer o.RUnlock()
	var realms []parsec.RealmID
	for realm := range o.realms {
		if bytes.Compare(realm[:], after[:]) > 0 {
			realms = append(realms, realm)
		}
	}
	slices.SortFunc(realms, func(a, b parsec.RealmID) int { return bytes.Compare(a[:], b[:]) })
	return head(realms, most), err
}
