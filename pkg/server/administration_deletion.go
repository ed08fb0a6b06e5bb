package server

import (
	"errors"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// deletionForm is what is left of an organization that is deleted.
type deletionForm struct {
	RowsLeft bool  `json:"rows_left"`
	Blocks   int64 `json:"blocks"`
	Bytes    int64 `json:"bytes"`
}

// deleteOrganization answers what is left to be erased, which goes on. So does a request
// that comes again.
func deleteOrganization(call *administrationCall) error {
	id, err := call.named()
	if err != nil {
		return err
	}
	if err := call.server.organizations.Delete(call.r.Context(), call.by, id); err != nil {
		return err
	}
	left, err := call.server.organizations.Deletion(call.r.Context(), id)
	if err != nil && !errors.Is(err, organization.ErrNotFound) { // It may have ended meanwhile.
		return err
	}
	return call.reply(deletionForm{left.Rows, left.Blocks, left.Bytes})
}

func showDeletion(call *administrationCall) error {
	id, err := call.named()
	if err != nil {
		return err
	}
	left, err := call.server.organizations.Deletion(call.r.Context(), id)
	if err != nil {
		return err
	}
	return call.reply(deletionForm{left.Rows, left.Blocks, left.Bytes})
}

// named returns the id in the path, of an organization that may be being deleted. The
// answer has the form of its generation.
func (call *administrationCall) named() (parsec.OrganizationID, error) {
	id, valid := PathOrganization(call.r)
	if !valid {
		return id, errInvalidID
	}
	bound, err := call.server.organizations.BoundTo(call.r.Context(), id)
	if err == nil {
		call.form = bound
	}
	return id, err
}
