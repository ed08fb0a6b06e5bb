package rules

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// AdmissionLimit is how long one look at who sends a request may take.
const AdmissionLimit = 10 * time.Second

// Applicant is who has sent a token that was verified a moment ago, and is not admitted
// by that: everything about them may have changed since. No rule takes an applicant for
// an author; those that take one admit them first.
type Applicant struct {
	Organization parsec.OrganizationID
	// User is whose device it was.
	User  parsec3.UserID
	Token *Token
	API   parsec.APIVersion
}

// Recognize returns who has sent a token, if it was verified in that organization a
// moment ago. It reads nothing.
func (r *Rules) Recognize(organization parsec.OrganizationID, token *Token, api parsec.APIVersion) (*Applicant, bool) {
	by, found := r.tokens.signer(token, r.now())
	if !found || by.organization != organization {
		return nil, false
	}
	return &Applicant{Organization: organization, User: by.user, Token: token, API: api}, true
}

// VlobReadBatchAtOnce admits who asks, and is VlobReadBatch then. Who asks for one vlob,
// as official clients do, is read with it by one statement, so that the checks of
// admission and those of the command are of one snapshot, in the order that they have
// one after the other.
func (r *Rules) VlobReadBatchAtOnce(ctx context.Context, applicant *Applicant, request *protocol.VlobReadBatchRequest) (*protocol.VlobReadBatchReply, error) {
	looking, cancel := context.WithTimeout(ctx, AdmissionLimit)
	defer cancel()
	if len(request.Vlobs) != 1 { // What takes long must not look as if nobody could say who asks.
		standing, err := r.Standing(looking, applicant.Organization, applicant.Token.Device)
		if err != nil {
			return nil, err
		}
		author, err := r.Admit(&standing, applicant.Token, applicant.API)
		if err != nil {
			return nil, err
		}
		return r.VlobReadBatch(ctx, author, request)
	}
	reading, err := r.store.ReadVlobs(looking, applicant.Organization, applicant.Token.Device, request.RealmID, request.Vlobs, request.At, maxBatchBytes)
	if err != nil {
		return nil, err
	}
	author, err := r.Admit(&reading.Standing, applicant.Token, applicant.API)
	if err != nil {
		return nil, err
	}
	return r.vlobBatch(author, request, &reading)
}
