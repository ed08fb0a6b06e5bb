package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// The checks on realms (docs/protocol/commands.md §1.7 and §1.8). Each is one
// row of the tables of the commands, which compose them with cmp.Or in their
// own orders. They look at nothing but the facts that they are given.

var (
	errRealmNotFound         = protocol.Refuse(protocol.StatusNotFound, "No such realm.")
	errRealmExists           = protocol.Refuse(protocol.StatusAlreadyExists, "This realm already exists.")
	errRealmDeleted          = protocol.Refuse(protocol.StatusRealmDeleted, "The realm is deleted.")
	errRealmArchived         = protocol.Refuse(protocol.StatusRealmArchived, "The realm is archived.")
	errInMaintenance         = protocol.Refuse(protocol.StatusInMaintenance, "The realm is in maintenance.")
	errNotInMaintenance      = protocol.Refuse(protocol.StatusNotInMaintenance, "The realm is not in maintenance.")
	errBadEncryptionRevision = protocol.Refuse(protocol.StatusBadEncryptionRevision, "This is not the encryption revision of the realm.")
	errNoRole                = protocol.Refuse(protocol.StatusNotAllowed, "The author has no role in the realm.")
	errRoleTooLow            = protocol.Refuse(protocol.StatusNotAllowed, "The author's role in the realm is too low.")
)

// checkNotDeleted refuses a realm whose deletion date is reached.
func (r *Realm) checkNotDeleted(now parsec.DateTime) error {
	if r.Archiving.Type == parsec.ArchivingDeletionPlanned && *r.Archiving.DeletionDate <= now {
		return errRealmDeleted
	}
	return nil
}

// checkNotArchived refuses data writes to a realm that is archived, or waits
// for its deletion.
func (r *Realm) checkNotArchived() error {
	switch r.Archiving.Type {
	case parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned:
		return errRealmArchived
	default:
		return nil
	}
}

// checkNoMaintenance refuses what no maintenance allows.
func (r *Realm) checkNoMaintenance() error {
	if r.Maintenance.Type != parsec.MaintenanceNone {
		return errInMaintenance
	}
	return nil
}

// checkReadable refuses the reads that a reencryption alone allows.
func (r *Realm) checkReadable() error {
	switch r.Maintenance.Type {
	case parsec.MaintenanceNone, parsec.MaintenanceReencryption:
		return nil
	default:
		return errInMaintenance
	}
}

// checkReadableRevision is checkReadable for a read that gives its revision:
// the data is complete under the revision before a reencryption until that
// ends.
func (r *Realm) checkReadableRevision(revision uint64) error {
	complete := r.EncryptionRevision
	switch r.Maintenance.Type {
	case parsec.MaintenanceNone:
	case parsec.MaintenanceReencryption:
		if revision == r.EncryptionRevision {
			return errInMaintenance
		}
		complete--
	default:
		return errInMaintenance
	}
	if revision != complete {
		return errBadEncryptionRevision
	}
	return nil
}

// checkMaintained refuses the steps of a maintenance outside of it.
func (r *Realm) checkMaintained() error {
	if r.Maintenance.Type == parsec.MaintenanceNone {
		return errNotInMaintenance
	}
	return nil
}

// checkRevision wants the current revision.
func (r *Realm) checkRevision(revision uint64) error {
	if revision != r.EncryptionRevision {
		return errBadEncryptionRevision
	}
	return nil
}

// checkNextRevision wants the revision that a reencryption opens.
func (r *Realm) checkNextRevision(revision uint64) error {
	if revision != r.EncryptionRevision+1 {
		return errBadEncryptionRevision
	}
	return nil
}

// checkReader wants any current role.
func (m *Member) checkReader() error {
	if m.Role == parsec.RoleNone {
		return errNoRole
	}
	return nil
}

// checkWriter wants a role that writes data.
func (m *Member) checkWriter() error {
	switch m.Role {
	case parsec.RoleOwner, parsec.RoleManager, parsec.RoleContributor:
		return nil
	case parsec.RoleNone:
		return errNoRole
	default:
		return errRoleTooLow
	}
}

// checkOwner wants an OWNER.
func (m *Member) checkOwner() error {
	switch m.Role {
	case parsec.RoleOwner:
		return nil
	case parsec.RoleNone:
		return errNoRole
	default:
		return errRoleTooLow
	}
}

// checkRoleChange wants a role that may change another user's from present to
// wanted: only an OWNER touches the roles that manage.
func (m *Member) checkRoleChange(present, wanted parsec.RealmRole) error {
	if m.Role == parsec.RoleManager && !manages(present) && !manages(wanted) {
		return nil
	}
	return m.checkOwner()
}

// manages tells whether a role may change other roles.
func manages(role parsec.RealmRole) bool {
	return role == parsec.RoleOwner || role == parsec.RoleManager
}

// checkAfter is the form of every rule of causality but C2.
func checkAfter(timestamp, last parsec.DateTime) error {
	if timestamp <= last {
		return protocol.RefuseRequireGreaterTimestamp(timestamp, last)
	}
	return nil
}

// checkNotBefore is the form of C2.
func checkNotBefore(timestamp, last parsec.DateTime) error {
	if timestamp < last {
		return protocol.RefuseRequireGreaterTimestamp(timestamp, last)
	}
	return nil
}

// checkRoleCausality is C3, C4, C5 and C6 for the target of a role change, and
// C9 for its author.
//
// C6 also holds from OWNER to MANAGER: otherwise the change could be dated
// before one that only an OWNER may author, and the certificates of the realm
// would not replay (§10, invariant 22).
func checkRoleCausality(author, target *Member, wanted parsec.RealmRole, timestamp parsec.DateTime) error {
	if target.Role == parsec.RoleOwner {
		if err := checkAfter(timestamp, target.LastArchivingChange); err != nil {
			return err
		}
	}
	if err := checkAfter(timestamp, target.RoleCertifiedOn); err != nil {
		return err
	}
	if wanted == parsec.RoleReader || wanted == parsec.RoleNone {
		if err := checkAfter(timestamp, target.LastVlobUpdate); err != nil {
			return err
		}
	}
	if wanted != parsec.RoleOwner {
		if err := checkAfter(timestamp, target.LastRoleChange); err != nil {
			return err
		}
	}
	return checkAfter(timestamp, author.RoleCertifiedOn)
}

// checkArchivingPeriod wants a planned deletion to leave minimum seconds from
// the certificate on.
func (a *Archiving) checkArchivingPeriod(minimum uint64) error {
	if a.Type != parsec.ArchivingDeletionPlanned {
		return nil
	}
	const second = 1_000_000
	period := int64(*a.DeletionDate) - int64(a.ConfiguredOn)
	if period < 0 || uint64(period)/second < minimum {
		return protocol.Refuse(protocol.StatusArchivingPeriodTooShort, "The deletion date is too early.")
	}
	return nil
}
