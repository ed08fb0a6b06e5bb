package protocol

import "parsec-server/pkg/parsec"

// archivingMinor is the minor of API 5 since which clients know realms that are
// archived or deleted.
const archivingMinor = 5

// ForClient returns what a client of the version must be told instead of refusal,
// which rules return in the form of the latest release. It is the one place that
// knows what older clients understand.
func ForClient(client parsec.APIVersion, refusal *Refusal) *Refusal {
	switch refusal.Status {
	case StatusRealmArchived, StatusRealmDeleted:
		// docs/protocol/v5/commands.md §1: an unknown status stops the client's
		// monitor of the workspace. Every realm command has author_not_allowed.
		if client.Minor < archivingMinor {
			return Refuse(StatusAuthorNotAllowed)
		}
	}
	return refusal
}
