package rules

import (
	"context"
	"crypto/subtle"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// OrganizationBootstrap creates the first user of an organization, and binds its
// root key and its generation (docs/protocol/v5/commands.md §9.1). The
// organization's own lock, which the other generation takes too, comes first: of
// two bootstraps the second finds what the first has set. Strangers do not get that
// far in an organization that has been bootstrapped, and stays so: they would hold up
// its members.
func (r *Rules) OrganizationBootstrap(ctx context.Context, anonymous *Anonymous, request *protocol.OrganizationBootstrapRequest) (*protocol.OrganizationBootstrapReply, error) {
	now := r.now()
	first, err := loadBootstrap(now, request)
	if err != nil {
		return nil, err
	}
	stored, err := r.find(ctx, anonymous.Organization)
	if err != nil {
		return nil, err
	}
	if err := r.checkBootstrap(stored, now); err != nil {
		return nil, err
	}
	scope := Scope{Organization: anonymous.Organization, Founding: true, Common: Exclusive}
	err = r.store.Update(ctx, scope, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found {
			stored = nil
		}
		if err := r.checkBootstrap(stored, now); err != nil {
			return err
		}
		var o organization.Organization
		if found {
			o = *stored
		} else {
			o = r.options.New(anonymous.Organization, now)
		}
		if !isBootstrapToken(&o, request.BootstrapToken) {
			return protocol.Refuse(protocol.StatusInvalidBootstrapToken)
		}
		o.RootVerifyKey = &request.RootVerifyKey
		o.BootstrappedOn = &first.user.CreatedOn
		o.Generation = generation
		if first.authority != nil {
			o.SequesterAuthorityCertificate = first.authority.Bytes
			o.SequesterVerifyKeyDER = first.authorityKeyDER
		}
		tx.PutOrganization(o)
		tx.Found(first.user, first.userCertificate, first.device, first.deviceCertificate, first.authority)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.webhooks.Bootstrapped(anonymous.Organization, first.device.ID, first.label, first.user.HumanHandle)
	return &protocol.OrganizationBootstrapReply{}, nil
}

// checkBootstrap makes the checks 5 and 6 of organization_bootstrap; nil is an
// organization that does not exist.
func (r *Rules) checkBootstrap(o *organization.Organization, now parsec.DateTime) error {
	if err := r.checkAnonymous(o, now); err != nil {
		return err
	}
	if o != nil && o.Bootstrapped() {
		return protocol.Refuse(protocol.StatusOrganizationAlreadyBootstrapped)
	}
	return nil
}

// isBootstrapToken compares in constant time. An organization has no token only if
// its bootstrap is spontaneous.
func isBootstrapToken(o *organization.Organization, token *parsec3.AccessToken) bool {
	given := ""
	if token != nil {
		given = token.String()
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(o.BootstrapToken)) == 1
}

// bootstrap is what an organization begins with; authority is nil if it is not
// sequestered.
type bootstrap struct {
	newUser
	authority       *Certificate
	authorityKeyDER []byte
}

// loadBootstrap makes the checks 1 to 4 of organization_bootstrap.
func loadBootstrap(now parsec.DateTime, request *protocol.OrganizationBootstrapRequest) (*bootstrap, error) {
	root := request.RootVerifyKey
	loaded, err := loadNewUser(signedUser{
		user: request.UserCertificate, redactedUser: request.RedactedUserCertificate,
		device: request.DeviceCertificate, redactedDevice: request.RedactedDeviceCertificate,
	}, root, parsec3.DeviceID{})
	if err != nil {
		return nil, err
	}
	if loaded.user.Profile != parsec.ProfileAdmin || !loaded.sameDate() || !loaded.sameUser() {
		return nil, errInvalidCertificate
	}
	if err := checkBallpark(now, loaded.user.Timestamp); err != nil {
		return nil, err
	}
	if !loaded.redacts() {
		return nil, errInvalidCertificate
	}
	first := &bootstrap{newUser: loaded.stored()}
	if request.SequesterAuthorityCertificate == nil {
		return first, nil
	}
	authority, err := certificate.LoadSequesterAuthority(request.SequesterAuthorityCertificate, root)
	if err != nil {
		return nil, errInvalidCertificate
	}
	if err := checkBallpark(now, authority.Timestamp); err != nil {
		return nil, err
	}
	if authority.Timestamp != loaded.user.Timestamp {
		return nil, errInvalidCertificate
	}
	first.authority = &Certificate{Timestamp: authority.Timestamp, Bytes: request.SequesterAuthorityCertificate}
	first.authorityKeyDER = authority.VerifyKeyDER
	return first, nil
}

// OrganizationInfo returns how many bytes the organization holds
// (docs/protocol/v5/commands.md §8.7).
func (r *Rules) OrganizationInfo(ctx context.Context, author *Author, _ *protocol.OrganizationInfoRequest) (*protocol.OrganizationInfoReply, error) {
	now := r.now()
	standing, usage, err := r.store.Usage(ctx, author.Organization, author.Device)
	if err != nil {
		return nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, err
	}
	return &protocol.OrganizationInfoReply{TotalMetadataBytes: usage.Metadata, TotalBlockBytes: usage.Data}, nil
}

// Usage is how many bytes an organization holds, without realms that are deleted
// (docs/protocol/v5/commands.md §8.7).
type Usage struct {
	// Metadata is the length of the blobs of all versions of vlobs, Data that of
	// blocks.
	Metadata, Data uint64
}

// OrganizationReader reads about organizations.
type OrganizationReader interface {
	// Usage reads what the organization holds.
	Usage(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (Standing, Usage, error)
	// StatisticsOf is that of organization.Wing.
	StatisticsOf(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]organization.Statistics, error)
}

// OrganizationTx is for organizations.
type OrganizationTx interface {
	// Found bootstraps the organization of a founding scope: it creates the
	// topics, with the first user, the first device, and, if it is not nil, the
	// certificate of the sequester authority. The organization itself is put by
	// PutOrganization.
	Found(user User, certificate Certificate, device Device, deviceCertificate Certificate, authority *Certificate)
}
