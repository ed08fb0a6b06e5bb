package rules

import (
	"bytes"
	"context"
	"crypto/subtle"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// Organization is what this package and all others know of an organization.
type Organization = organization.Organization

// generation is what these rules bind organizations to.
const generation = organization.Parsec2

var errOrganizationNotFound = protocol.Refuse(protocol.StatusNotFound, "No such organization.")

// OrganizationStats sums up the organization of an ADMIN
// (docs/protocol/commands.md §5).
func (r *Rules) OrganizationStats(ctx context.Context, author *Author, _ *protocol.OrganizationStatsRequest) (*protocol.OrganizationStatsReply, error) {
	if err := checkAdministrator(author); err != nil {
		return nil, err
	}
	if _, err := r.existingOrganization(ctx, author.Organization); err != nil {
		return nil, err
	}
	all, err := r.store.OrganizationStatistics(ctx, []parsec.OrganizationID{author.Organization}, nil)
	if err != nil {
		return nil, err
	}
	statistics := &all[0]
	active, revoked := statistics.Users()
	reply := &protocol.OrganizationStatsReply{
		DataSize:     statistics.DataSize,
		MetadataSize: statistics.MetadataSize,
		Realms:       statistics.Realms,
		Users:        active + revoked,
		ActiveUsers:  active,
	}
	for _, profile := range parsec.UserProfiles {
		reply.UsersPerProfileDetail = append(reply.UsersPerProfileDetail, protocol.ProfileDetail{
			Profile: profile, Active: statistics.Active[profile], Revoked: statistics.Revoked[profile],
		})
	}
	return reply, nil
}

// existingOrganization refuses an organization that does not exist.
func (r *Rules) existingOrganization(ctx context.Context, id parsec.OrganizationID) (*Organization, error) {
	organization, err := r.FindOrganization(ctx, id)
	if err != nil {
		return nil, err
	}
	if organization == nil {
		return nil, errOrganizationNotFound
	}
	return organization, nil
}

// OrganizationConfig returns the settings of the organization
// (docs/protocol/commands.md §5).
func (r *Rules) OrganizationConfig(ctx context.Context, author *Author, _ *protocol.OrganizationConfigRequest) (*protocol.OrganizationConfigReply, error) {
	organization, err := r.existingOrganization(ctx, author.Organization)
	if err != nil {
		return nil, err
	}
	reply := &protocol.OrganizationConfigReply{
		UserProfileOutsiderAllowed: organization.UserProfileOutsiderAllowed,
		ActiveUsersLimit:           organization.ActiveUsersLimit,
		MinimumArchivingPeriod:     organization.MinimumArchivingPeriod,
	}
	if !organization.Sequestered() {
		return reply, nil
	}
	services, err := r.store.SequesterServices(ctx, author.Organization)
	if err != nil {
		return nil, err
	}
	reply.SequesterAuthorityCertificate = organization.SequesterAuthorityCertificate
	reply.SequesterServicesCertificates = servicesCertificates(enabledServices(services))
	return reply, nil
}

// OrganizationBootstrap creates the first user of an organization and binds
// its root key (docs/protocol/administration.md §3).
func (r *Rules) OrganizationBootstrap(ctx context.Context, anonymous *Anonymous, request *protocol.OrganizationBootstrapRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	first, err := checkBootstrap(now, request)
	if err != nil {
		return nil, err
	}
	return r.bootstrap(ctx, anonymous.Organization, now, request.BootstrapToken, first)
}

// OrganizationBootstrapV1 is OrganizationBootstrap in the form of API 1.
func (r *Rules) OrganizationBootstrapV1(ctx context.Context, anonymous *Anonymous, request *protocol.OrganizationBootstrapV1Request) (*protocol.EmptyReply, error) {
	now := r.now()
	first, err := checkBootstrapV1(now, request)
	if err != nil {
		return nil, err
	}
	return r.bootstrap(ctx, anonymous.Organization, now, request.BootstrapToken, first)
}

// bootstrap tests and sets in one transaction. The active users limit does not
// count for the first user.
func (r *Rules) bootstrap(ctx context.Context, id parsec.OrganizationID, now parsec.DateTime, token string, first bootstrap) (*protocol.EmptyReply, error) {
	var again bool
	err := r.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) (err error) {
		again = false // the rule may run more than once
		var organization Organization
		if stored, found := tx.Organization(); found {
			organization = *stored
		} else if r.options.Spontaneous(stored) {
			organization = r.options.New(id, now)
		} else {
			return errOrganizationNotFound
		}
		if organization.Expired(now) {
			return ErrSessionOver
		}
		if organization.Bootstrapped() {
			if again, err = sameBootstrap(ctx, tx, &organization, token, first); err != nil || again {
				return err
			}
			return protocol.Refuse(protocol.StatusAlreadyBootstrapped, "The organization is already bootstrapped.")
		}
		if subtle.ConstantTimeCompare([]byte(token), []byte(organization.BootstrapToken)) != 1 {
			return protocol.Refuse(protocol.StatusNotFound, "Invalid bootstrap token.")
		}
		organization.RootVerifyKey = &first.RootVerifyKey
		organization.SequesterAuthorityCertificate = first.SequesterAuthorityCertificate
		organization.SequesterVerifyKeyDER = first.SequesterVerifyKeyDER
		organization.BootstrappedOn = &now
		organization.Generation = generation
		tx.PutOrganization(organization)
		tx.CreateUser(first.User)
		tx.CreateDevice(first.Device)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if again {
		return &protocol.EmptyReply{}, nil
	}
	r.webhooks.Bootstrapped(id, first.Device, first.User.HumanHandle)
	return &protocol.EmptyReply{}, nil
}

// sameBootstrap compares the bootstrap of an organization, whose first user is
// nobody else's.
func sameBootstrap(ctx context.Context, tx Tx, o *Organization, token string, first bootstrap) (bool, error) {
	if token != o.BootstrapToken || *o.RootVerifyKey != first.RootVerifyKey ||
		!bytes.Equal(o.SequesterAuthorityCertificate, first.SequesterAuthorityCertificate) {
		return false, nil
	}
	stored, exists, err := tx.User(ctx, first.User.ID)
	if err != nil || !exists {
		return false, err
	}
	return sameUser(ctx, tx, stored, first.User, first.Device)
}
