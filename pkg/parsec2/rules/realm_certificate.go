package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// checkRealmCreate returns the first role of the realm, its author's
// (docs/protocol/certificates.md §6).
func checkRealmCreate(author *Author, now parsec.DateTime, request *protocol.RealmCreateRequest) (RoleCertificate, error) {
	role, err := checkRole(author, now, request.RoleCertificate)
	if err != nil {
		return RoleCertificate{}, err
	}
	if role.User != author.User() || role.Role != parsec.RoleOwner {
		return RoleCertificate{}, protocol.Refuse(protocol.StatusInvalidData, "The certificate must make its author owner of the realm.")
	}
	return role, nil
}

// checkRealmUpdateRoles returns the new role of another user
// (docs/protocol/certificates.md §6).
func checkRealmUpdateRoles(author *Author, now parsec.DateTime, request *protocol.RealmUpdateRolesRequest) (RoleCertificate, error) {
	if author.Profile == parsec.ProfileOutsider {
		return RoleCertificate{}, protocol.Refuse(protocol.StatusNotAllowed, "Outsiders may not change roles.")
	}
	role, err := checkRole(author, now, request.RoleCertificate)
	if err != nil {
		return RoleCertificate{}, err
	}
	if role.User == author.User() {
		return RoleCertificate{}, protocol.Refuse(protocol.StatusInvalidData, "Users cannot change their own role.")
	}
	return role, nil
}

// checkRole makes the checks that realm_create and realm_update_roles share.
func checkRole(author *Author, now parsec.DateTime, signed []byte) (RoleCertificate, error) {
	role, err := certificate.LoadRealmRole(signed, author.VerifyKey, author.Device)
	if err != nil {
		return RoleCertificate{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	if !parsec.InBallpark(now, role.Timestamp) {
		return RoleCertificate{}, protocol.RefuseBadTimestamp(now, role.Timestamp)
	}
	return RoleCertificate{
		Realm:       role.RealmID,
		User:        role.UserID,
		Role:        role.Role,
		Certificate: signed,
		Author:      author.Device,
		CertifiedOn: role.Timestamp,
	}, nil
}

// checkRealmUpdateArchiving returns which realm to archive, and how
// (docs/protocol/certificates.md §6). What to store with it is the request's
// certificate.
func checkRealmUpdateArchiving(author *Author, now parsec.DateTime, request *protocol.RealmUpdateArchivingRequest) (parsec.RealmID, Archiving, error) {
	archiving, err := certificate.LoadRealmArchiving(request.ArchivingCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return parsec.RealmID{}, Archiving{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	if !parsec.InBallpark(now, archiving.Timestamp) {
		return parsec.RealmID{}, Archiving{}, protocol.RefuseBadTimestamp(now, archiving.Timestamp)
	}
	return archiving.RealmID, Archiving{
		Type:         archiving.Type,
		DeletionDate: archiving.DeletionDate,
		ConfiguredOn: archiving.Timestamp,
		ConfiguredBy: author.Device,
	}, nil
}
