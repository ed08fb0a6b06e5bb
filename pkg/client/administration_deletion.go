package client

import (
	"context"
	"net/http"

	"parsec-server/pkg/parsec"
)

// Deletion is what is left of an organization that is deleted.
type Deletion struct {
	// RowsLeft is false once Blocks and Bytes are all that the block store has of it.
	RowsLeft bool  `json:"rows_left"`
	Blocks   int64 `json:"blocks"`
	Bytes    int64 `json:"bytes"`
}

// Delete deletes an organization that is expired, for good, and returns what is left of
// it, which the server goes on to erase.
func (a *Administration) Delete(ctx context.Context, id parsec.OrganizationID) (*Deletion, error) {
	reply := new(Deletion)
	return reply, a.call(ctx, http.MethodDelete, organizationPath(id), nil, reply)
}

// Deletion returns what is left of an organization that is deleted. Of one of which
// nothing is left the error has the status 404.
func (a *Administration) Deletion(ctx context.Context, id parsec.OrganizationID) (*Deletion, error) {
	reply := new(Deletion)
	return reply, a.call(ctx, http.MethodGet, organizationPath(id)+"/deletion", nil, reply)
}

// Remove closes an organization and deletes it, for whoever has made it for a while.
func (a *Administration) Remove(ctx context.Context, id parsec.OrganizationID) error {
	expired := true
	if err := a.Update(ctx, id, OrganizationSettings{IsExpired: &expired}); err != nil {
		return err
	}
	_, err := a.Delete(ctx, id)
	return err
}
