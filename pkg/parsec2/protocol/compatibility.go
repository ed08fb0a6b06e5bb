package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
)

// ForClient returns what a client must be told, at the instant now, instead of
// refusal, which rules return in the form of the latest release. It is the one
// place that knows what older clients understand.
func ForClient(command *rpc.Form, client Client, now parsec.DateTime, refusal *Refusal) *Refusal {
	api := client.API
	switch refusal.Status {
	case StatusBadTimestamp:
		// docs/protocol/certificates.md §5: before API 2.4 the date of a
		// certificate is part of its validity. The dates of vlobs and
		// maintenances always had a status of their own.
		if !parsec.BadTimestamps.In(api) && certifies(command) {
			return Refuse(StatusInvalidCertification, "Invalid timestamp in certificate.")
		}
	case StatusRequireGreaterTimestamp:
		// docs/protocol/commands.md §1.5: before API 2.3 the client goes
		// offline and tries again later.
		details, ok := refusal.Details.(*RequireGreaterTimestampDetails)
		if ok && !parsec.GreaterTimestamps.In(api) && command == VlobUpdate.Form {
			told := RefuseBadTimestamp(now, details.Refused)
			told.Reason = refusal.Reason
			return told
		}
	case StatusRealmArchived, StatusRealmDeleted:
		// docs/protocol/commands.md §1.7: to older clients the realm is
		// read-only. Every realm command has not_allowed.
		if !parsec.Archiving.In(api) {
			return Refuse(StatusNotAllowed, refusal.Reason)
		}
	case StatusParticipantMismatch:
		// docs/protocol/commands.md §6: clients retry on the name they know.
		if client.knowsPluralOnly() {
			return Refuse(StatusParticipantsMismatch, refusal.Reason)
		}
	case StatusIDAlreadyUsed:
		// docs/protocol/invite.md §7: the same API versions before and after.
		if client.Release.before(2, 15) {
			return Refuse(StatusEnrollmentIDAlreadyUsed, refusal.Reason)
		}
	}
	return refusal
}

// knowsPluralOnly reports whether the client is older than the singular of
// participant_mismatch. Where the release is not named the version decides, which
// 2.11 and 2.12 share with those after.
func (c Client) knowsPluralOnly() bool {
	if (c.Release != Release{}) {
		return c.Release.before(2, 13)
	}
	return !parsec.ParticipantMismatches.In(c.API)
}

func certifies(command *rpc.Form) bool {
	switch command {
	case RealmCreate.Form, RealmUpdateRoles.Form, OrganizationBootstrap.Form, OrganizationBootstrapV1.Form:
		return true
	default:
		return false
	}
}
