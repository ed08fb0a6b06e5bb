package check

import "parsec-server/pkg/check"

const (
	// byClients is what a wrong certificate means.
	byClients = "Clients refuse what the certificate is about. " + check.Restore
	// derived is for what follows from certificates.
	derived = "The certificates say what is right. " + check.Restore
	// counted is for what is counted beside what it counts.
	counted = "Only numbers that administrators read, and limits, are wrong."
	// dataLost is for data that is not there.
	dataLost = "What is missing is lost to clients. " + check.Restore
)

// The rules, by the invariants of docs/protocol/commands.md §10.
var (
	Format = &check.Rule{
		Name: "v2_certificate_format", Invariant: "17", Remedy: byClients,
		Says: "A certificate is stored as it was signed, and can be read.",
	}
	Signature = &check.Rule{
		Name: "v2_certificate_signature", Invariant: "17", Remedy: byClients,
		Says: "A certificate is signed with the key of its author.",
	}
	Author = &check.Rule{
		Name: "v2_certificate_author", Invariant: "17", Remedy: byClients,
		Says: "A certificate is by the device that its row names, which is known and may sign it.",
	}
	AuthorRevoked = &check.Rule{
		Name: "v2_author_revoked", Invariant: "13", Remedy: byClients,
		Says: "No certificate is dated after the revocation of its author; clocks may differ.",
	}
	AuthorProfile = &check.Rule{
		Name: "v2_author_profile", Invariant: "certificates.md §9", Remedy: byClients,
		Says: "Users are created and revoked by another user, who is ADMIN, and devices by their own user or an ADMIN.",
	}
	Foundation = &check.Rule{
		Name: "v2_foundation", Invariant: "1", Remedy: byClients,
		Says: "The root key signs one user, an ADMIN, its device and the sequester authority, of one date, and nothing else.",
	}
	Chain = &check.Rule{
		Name: "v2_chain", Invariant: "certificates.md §9", Remedy: byClients,
		Says: "Signatures lead from every device to the root key.",
	}
	CertificateRow = &check.Rule{
		Name: "v2_certificate_row", Invariant: "17", Remedy: derived,
		Says: "The row of a certificate says what the certificate says.",
	}
	Redacted = &check.Rule{
		Name: "v2_redacted", Invariant: "16", Remedy: "OUTSIDERs read names, or refuse the user. " + check.Restore,
		Says: "A redacted certificate says the same but for the name; one of API 1 is the full one.",
	}
	FirstDevice = &check.Rule{
		Name: "v2_first_device", Invariant: "7", Remedy: dataLost,
		Says: "A user has a device of its own date and author.",
	}
	UserCounts = &check.Rule{
		Name: "v2_user_counts", Invariant: "3", Remedy: counted,
		Says: "Users are counted by profile and state.",
	}
	Emails = &check.Rule{
		Name: "v2_emails", Invariant: "5", Remedy: "Have an ADMIN revoke all of them but one.",
		Says: "No two active users have one e-mail address.",
	}
	Administrator = &check.Rule{
		Name: "v2_administrator", Invariant: "11", Remedy: "Nobody can create or revoke users any more: begin a new organization, or restore a backup of before.",
		Says: "An organization has an active ADMIN.",
	}
	Messages = &check.Rule{
		Name: "v2_messages", Invariant: "50", Remedy: dataLost,
		Says: "The messages of a user are numbered from 1 on without gap.",
	}

	RealmFirst = &check.Rule{
		Name: "v2_realm_first", Invariant: "22", Remedy: byClients,
		Says: "A realm begins with the certificate by which its creator becomes OWNER.",
	}
	RealmRoles = &check.Rule{
		Name: "v2_realm_roles", Invariant: "22", Remedy: byClients,
		Says: "Each role is given by who may give it at that date, to another user that has another one.",
	}
	RealmDates = &check.Rule{
		Name: "v2_realm_dates", Invariant: "19, 30", Remedy: byClients,
		Says: "The role certificates of a user in a realm, and the archiving certificates of a realm, have growing dates.",
	}
	RealmRevoked = &check.Rule{
		Name: "v2_realm_revoked", Invariant: "26", Remedy: byClients,
		Says: "No role is given to who is revoked; clocks may differ.",
	}
	RealmOutsider = &check.Rule{
		Name: "v2_realm_outsider", Invariant: "27", Remedy: byClients,
		Says: "No OUTSIDER becomes MANAGER or OWNER of a realm that it did not create.",
	}
	RealmArchiving = &check.Rule{
		Name: "v2_realm_archiving", Invariant: "24", Remedy: byClients,
		Says: "A realm is archived by who is OWNER at that date.",
	}
	RealmDeletion = &check.Rule{
		Name: "v2_realm_deletion", Invariant: "32", Remedy: "Have an OWNER plan the deletion again.",
		Says: "A deletion is planned for a later date than its certificate's.",
	}
	RealmMembers = &check.Rule{
		Name: "v2_realm_members", Invariant: "22, 25", Remedy: derived,
		Says: "The members of a realm are those of its role certificates, and what they have done last is known.",
	}
	RealmRow = &check.Rule{
		Name: "v2_realm_row", Invariant: "30", Remedy: derived,
		Says: "The date and the archiving of a realm are those of its certificates.",
	}
	AnOwner = &check.Rule{
		Name: "v2_an_owner", Invariant: "21", Remedy: check.Restore,
		Says: "A realm has an OWNER, revoked or not.",
	}
	DeletedRealm = &check.Rule{
		Name: "v2_deleted_realm", Invariant: "32", Remedy: "Nobody can read what is left; it only takes room.",
		Says: "What a deleted realm holds is gone, or about to go, and counts no more.",
	}

	Versions = &check.Rule{
		Name: "v2_versions", Invariant: "43", Remedy: dataLost,
		Says: "The versions of a vlob are 1 to n without gap, with dates that never decrease, and n is its latest one.",
	}
	Log = &check.Rule{
		Name: "v2_log", Invariant: "44", Remedy: "Clients may miss changes. " + check.Restore,
		Says: "Each version has a number in the log of its realm, without gap.",
	}
	DataRole = &check.Rule{
		Name: "v2_data_role", Invariant: "23",
		Says: "A version of a vlob is by a known device, of a user who has a role that writes at its date.",
	}
	Reencryption = &check.Rule{
		Name: "v2_reencryption", Invariant: "36, 37, 38", Remedy: dataLost,
		Says: "All versions are there under the encryption revision that is complete, and those that are saved under the next one are counted.",
	}
	RealmSizes = &check.Rule{
		Name: "v2_realm_sizes", Invariant: "46, 48", Remedy: counted,
		Says: "The sizes that a realm counts are those of what was uploaded to it.",
	}
	Blocks = &check.Rule{
		Name: "v2_blocks", Invariant: "48", Remedy: dataLost,
		Says: "A block is of a realm, and by a device, of its organization.",
	}
	Copies = &check.Rule{
		Name: "v2_sequester_copies", Invariant: "47", Remedy: "What the service exports is wrong or not complete. " + check.Restore,
		Says: "A copy for a sequester service is of a version that exists, in its realm.",
	}
	Orphans = &check.Rule{
		Name: "v2_orphans", Invariant: "15", Remedy: dataLost,
		Says: "What is of a realm, vlob or user is of one that exists, in one organization.",
	}

	Shamir = &check.Rule{
		Name: "v2_shamir", Invariant: "invite.md §8", Remedy: "Have its owner set the recovery up again.",
		Says: "A Shamir recovery and its shares are what its certificates say, for others than its owner, who has one.",
	}
	Invitations = &check.Rule{
		Name: "v2_invitations", Invariant: "55", Remedy: "Cancel the invitation, and invite again.",
		Says: "An invitation is of a kind that there is, and one to recover has a recovery.",
	}
	Enrollments = &check.Rule{
		Name: "v2_enrollments", Invariant: "14", Remedy: "Have an ADMIN reject it, or the newcomer submit another one.",
		Says: "An enrollment that waits can be read, and one that is accepted has its device.",
	}
)

// Rules are all that are checked.
var Rules = []*check.Rule{
	Format, Signature, Author, AuthorRevoked, AuthorProfile, Foundation, Chain, CertificateRow, Redacted, FirstDevice,
	UserCounts, Emails, Administrator, Messages,
	RealmFirst, RealmRoles, RealmDates, RealmRevoked, RealmOutsider, RealmArchiving, RealmDeletion, RealmMembers, RealmRow, AnOwner, DeletedRealm,
	Versions, Log, DataRole, Reencryption, RealmSizes, Blocks, Copies, Orphans, Shamir, Invitations, Enrollments,
}
