package check

import (
	"slices"

	"parsec-server/pkg/check"
	"parsec-server/pkg/parsec3/replay"
)

const (
	// derived is for what follows from certificates.
	derived = "The certificates say what is right. " + check.Restore
	// counted is for what is counted beside what it counts.
	counted = "Only numbers that administrators read, and limits, are wrong."
	// dataLost is for data that is not there.
	dataLost = "What is missing is lost to clients. " + check.Restore
)

// The rules of tables, by the invariants of docs/protocol/v5/commands.md §13.
var (
	CertificateRow = &check.Rule{
		Name: "v5_certificate_row", Invariant: "v5.15", Remedy: derived,
		Says: "The row of a certificate has its date.",
	}
	OrganizationRow = &check.Rule{
		Name: "v5_organization_row", Invariant: "v5.1", Remedy: derived,
		Says: "An organization has the date of its first user, and the sequester authority of its certificates.",
	}
	TopicRow = &check.Rule{
		Name: "v5_topic_row", Invariant: "v5.2, v5.44", Remedy: derived,
		Says: "A topic has the date of its last certificate.",
	}
	UserRow = &check.Rule{
		Name: "v5_user_row", Invariant: "v5.15", Remedy: derived,
		Says: "The name, the profiles and the dates of a user are those of its certificates.",
	}
	DeviceRow = &check.Rule{
		Name: "v5_device_row", Invariant: "v5.15", Remedy: derived,
		Says: "The owner, the key and the date of a device are those of its certificate.",
	}
	ServiceRow = &check.Rule{
		Name: "v5_service_row", Invariant: "v5.15", Remedy: derived,
		Says: "The label and the dates of a sequester service are those of its certificates.",
	}
	Signed = &check.Rule{
		Name: "v5_last_signed", Invariant: "v5.12",
		Says:   "When a user has last signed something is known: its revocation must be later.",
		Remedy: "Its revocation may be accepted too early, and then clients refuse what it has signed. " + check.Restore,
	}
	UserCounts = &check.Rule{
		Name: "v5_user_counts", Invariant: "v5.5, v5.54", Remedy: counted,
		Says: "Users are counted by profile.",
	}
	Emails = &check.Rule{
		Name: "v5_emails", Invariant: "v5.6", Remedy: "Have an ADMIN revoke all of them but one.",
		Says: "No two active users have one e-mail address.",
	}
	Administrator = &check.Rule{
		Name: "v5_administrator", Invariant: "v5.9", Remedy: "Nobody can create or revoke users any more: begin a new organization, or restore a backup of before.",
		Says: "An organization has an active ADMIN.",
	}

	RealmRow = &check.Rule{
		Name: "v5_realm_row", Invariant: "v5.19", Remedy: derived,
		Says: "The dates, the key index, the name and the archiving of a realm are those of its certificates.",
	}
	RealmExists = &check.Rule{
		Name: "v5_realm_exists", Invariant: "v5.18", Remedy: dataLost,
		Says: "A realm has its row, its counter and its certificates.",
	}
	RealmMembers = &check.Rule{
		Name: "v5_realm_members", Invariant: "v5.20", Remedy: derived,
		Says: "The members of a realm are those of its role certificates.",
	}
	AnOwner = &check.Rule{
		Name: "v5_an_owner", Invariant: "v5.22", Remedy: "Have a member promote itself, or restore a backup of before.",
		Says: "A realm has an OWNER, revoked or not.",
	}
	KeysBundles = &check.Rule{
		Name: "v5_keys_bundles", Invariant: "v5.25", Remedy: "Have an OWNER rotate the key of the realm. Who joins later reads no data of the keys that are missing.",
		Says: "Each rotation of a realm has its keys bundle, and there is no other.",
	}
	KeysAccesses = &check.Rule{
		Name: "v5_keys_accesses", Invariant: "v5.26, v5.27, v5.28", Remedy: "Have an OWNER rotate the key of the realm.",
		Says: "Who is a member at a rotation, or becomes one, has an access to its keys bundle, and nobody else.",
	}
	ServiceAccesses = &check.Rule{
		Name: "v5_service_accesses", Invariant: "v5.26, v5.48", Remedy: "Have an OWNER rotate the key of the realm.",
		Says: "A sequester service has an access to each keys bundle of a realm from its first one on, until it is revoked.",
	}
	DeletedRealm = &check.Rule{
		Name: "v5_deleted_realm", Invariant: "v5.33", Remedy: "Nobody can read what is left; it only takes room.",
		Says: "What a deleted realm holds is gone, or about to go, and counts no more.",
	}

	Versions = &check.Rule{
		Name: "v5_versions", Invariant: "v5.36", Remedy: dataLost,
		Says: "The versions of a vlob are 1 to n without gap, and n is its latest one.",
	}
	Log = &check.Rule{
		Name: "v5_log", Invariant: "v5.37", Remedy: "Clients may miss changes. " + check.Restore,
		Says: "Each version has a number in the log of its realm, without gap.",
	}
	DataKey = &check.Rule{
		Name: "v5_data_key", Invariant: "v5.29", Remedy: dataLost,
		Says: "Data is encrypted with a key that the realm has, later than its rotation; later versions with no earlier key.",
	}
	RealmCounter = &check.Rule{
		Name: "v5_realm_counter", Invariant: "v5.54", Remedy: counted,
		Says: "The sizes that a realm counts, and the date of its last vlob, are those of what it holds.",
	}
	Usage = &check.Rule{
		Name: "v5_usage", Invariant: "v5.54", Remedy: counted,
		Says: "What an organization holds is the sum of its realms.",
	}
	Blocks = &check.Rule{
		Name: "v5_blocks", Invariant: "v5.41", Remedy: dataLost,
		Says: "A block is by a known device, with a key that its realm has.",
	}
	Orphans = &check.Rule{
		Name: "v5_orphans", Invariant: "v5.18", Remedy: dataLost,
		Says: "What is of a realm, user or organization is of one that exists.",
	}

	ShamirRow = &check.Rule{
		Name: "v5_shamir_row", Invariant: "v5.43", Remedy: derived,
		Says: "Shamir recoveries, and their shares, are those of the certificates; one that is deleted reveals nothing.",
	}
	ShamirSeen = &check.Rule{
		Name: "v5_shamir_seen", Invariant: "v5.45", Remedy: derived,
		Says: "The owner and the recipients of a Shamir recovery see its certificates, and of the shares each its own.",
	}
	Invitations = &check.Rule{
		Name: "v5_invitations", Invariant: "invite.md §5", Remedy: "Cancel the invitation, and invite again.",
		Says: "Nobody has two pending invitations, or one to a Shamir recovery that is deleted, or greets who is not its to greet.",
	}
	Enrollments = &check.Rule{
		Name: "v5_enrollments", Invariant: "enrollment.md §2.7", Remedy: "Have an ADMIN reject it, or the newcomer submit another one.",
		Says: "An enrollment that waits can be read, and one that is accepted has its user.",
	}
	Cryptpad = &check.Rule{
		Name: "v5_cryptpad", Invariant: "v5.29", Remedy: "The session is replaced when the document is edited again.",
		Says: "A session is by a known device, with a key that the realm has.",
	}
	Accounts = &check.Rule{
		Name: "v5_accounts", Invariant: "account.md §2", Remedy: "The owner cannot open its vault: have it recover the account by e-mail.",
		Says: "An account has its current vault, which counts what it holds, and an active method there; at most one active password.",
	}
)

// Rules are all that are checked.
var Rules = append(slices.Clone(replay.Rules),
	CertificateRow, OrganizationRow, TopicRow, UserRow, DeviceRow, ServiceRow, Signed, UserCounts, Emails, Administrator,
	RealmRow, RealmExists, RealmMembers, AnOwner, KeysBundles, KeysAccesses, ServiceAccesses, DeletedRealm,
	Versions, Log, DataKey, RealmCounter, Usage, Blocks, Orphans,
	ShamirRow, ShamirSeen, Invitations, Enrollments, Cryptpad, Accounts)
