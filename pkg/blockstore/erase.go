package blockstore

import (
	"context"

	"parsec-server/pkg/parsec"
)

// Erase deletes the copies or chunks of a block from every node that may have one, and
// with eitherSpelling those under the name that v2.7.0 and v2.8.0 gave. What is not
// there is no error. The caller keeps everybody from writing the block meanwhile.
func (a *Array) Erase(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, eitherSpelling bool) error {
	k := key{organization, id}
	names := []string{k.objectName()}
	if eitherSpelling {
		names = append(names, k.unhyphenatedName())
	}
	return a.onEach(func(node int) error {
		if !a.holds(node, id) {
			return nil
		}
		for _, name := range names {
			if err := a.nodes[node].Delete(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
}
