package replay

import "parsec-server/pkg/check"

const (
	// byClients is what a broken topic means.
	byClients = "Clients refuse the topic from this certificate on. " + check.Restore
	// ofUsers is for what only the loss of the certificate explains.
	ofUsers = "Certificates before it are missing or changed. " + check.Restore
)

// The rules of certificates, by the invariants of docs/protocol/v5/commands.md §13.
var (
	Format = &check.Rule{
		Name: "v5_certificate_format", Invariant: "v5.15", Remedy: byClients,
		Says: "A certificate is stored as it was signed, and can be read.",
	}
	Signature = &check.Rule{
		Name: "v5_certificate_signature", Invariant: "v5.15", Remedy: byClients,
		Says: "A certificate is signed with the key of its author.",
	}
	Author = &check.Rule{
		Name: "v5_certificate_author", Invariant: "v5.11", Remedy: ofUsers,
		Says: "The author of a certificate is a known device that is not younger, and may sign it.",
	}
	AuthorRevoked = &check.Rule{
		Name: "v5_author_revoked", Invariant: "v5.12", Remedy: byClients,
		Says: "Nobody signs anything at or after the date of its own revocation.",
	}
	AuthorProfile = &check.Rule{
		Name: "v5_author_profile", Invariant: "v5.11", Remedy: byClients,
		Says: "Users are created, changed and revoked by who is ADMIN at that date.",
	}
	NotOneself = &check.Rule{
		Name: "v5_not_oneself", Invariant: "v5.10", Remedy: byClients,
		Says: "Nobody revokes itself, or changes its own profile.",
	}
	Dates = &check.Rule{
		Name: "v5_topic_dates", Invariant: "v5.2, v5.19, v5.44", Remedy: byClients,
		Says: "The dates of the certificates of a topic grow strictly.",
	}
	Foundation = &check.Rule{
		Name: "v5_foundation", Invariant: "v5.1", Remedy: ofUsers,
		Says: "The root key signs one user, an ADMIN, its device and the sequester authority, all of one date, and nothing else.",
	}
	FirstDevice = &check.Rule{
		Name: "v5_first_device", Invariant: "v5.3", Remedy: ofUsers,
		Says: "A user comes with its first device, of the same date and author.",
	}
	IDs = &check.Rule{
		Name: "v5_ids", Invariant: "v5.4", Remedy: byClients,
		Says: "No id of a user or device is used twice.",
	}
	Redacted = &check.Rule{
		Name: "v5_redacted", Invariant: "v5.14", Remedy: "OUTSIDERs read names, or refuse the common topic. " + check.Restore,
		Says: "Users and devices have a redacted certificate that says the same but for the name.",
	}
	UserState = &check.Rule{
		Name: "v5_user_state", Invariant: "v5.8", Remedy: byClients,
		Says: "A user exists when it is changed, is revoked once, and gets another profile than it has.",
	}
	RealmFirst = &check.Rule{
		Name: "v5_realm_first", Invariant: "v5.20", Remedy: ofUsers,
		Says: "A realm begins with the certificate by which its creator, no OUTSIDER, becomes OWNER.",
	}
	RealmRoles = &check.Rule{
		Name: "v5_realm_roles", Invariant: "v5.20", Remedy: byClients,
		Says: "Each role is given by who may give it at that date, to a user that exists and has another one.",
	}
	RealmRevoked = &check.Rule{
		Name: "v5_realm_revoked", Invariant: "v5.12", Remedy: byClients,
		Says: "No role is given to who is revoked.",
	}
	RealmOutsider = &check.Rule{
		Name: "v5_realm_outsider", Invariant: "v5.13", Remedy: byClients,
		Says: "No OUTSIDER becomes OWNER or MANAGER.",
	}
	RealmOwnRole = &check.Rule{
		Name: "v5_realm_own_role", Invariant: "v5.21", Remedy: byClients,
		Says: "Nobody changes its own role but by promoting itself to OWNER.",
	}
	RealmPromotion = &check.Rule{
		Name: "v5_realm_promotion", Invariant: "v5.23", Remedy: byClients,
		Says: "Nobody promotes itself while an active member has a higher role.",
	}
	RealmOwner = &check.Rule{
		Name: "v5_realm_owner", Invariant: "v5.20", Remedy: byClients,
		Says: "Keys, names and archiving of a realm are certified by an OWNER.",
	}
	RealmKeys = &check.Rule{
		Name: "v5_realm_keys", Invariant: "v5.25", Remedy: byClients,
		Says: "The keys of a realm are numbered from 1 on, one rotation each, and names use one of them.",
	}
	RealmTopic = &check.Rule{
		Name: "v5_realm_topic", Invariant: "v5.15", Remedy: byClients,
		Says: "A certificate in the topic of a realm is about that realm.",
	}
	RealmDeletion = &check.Rule{
		Name: "v5_realm_deletion", Invariant: "v5.32", Remedy: "Have an OWNER plan the deletion again.",
		Says: "A deletion is planned for a later date than its certificate's.",
	}
	Topic = &check.Rule{
		Name: "v5_topic", Invariant: "v5.15", Remedy: byClients,
		Says: "Each topic has the certificates of its kinds.",
	}
	Services = &check.Rule{
		Name: "v5_sequester_services", Invariant: "v5.48", Remedy: byClients,
		Says: "A sequester service is created once, and revoked once at most.",
	}
	ShamirOwner = &check.Rule{
		Name: "v5_shamir_owner", Invariant: "v5.43", Remedy: byClients,
		Says: "A user sets up its own Shamir recovery, for others, and has one at a time.",
	}
	ShamirRecipients = &check.Rule{
		Name: "v5_shamir_recipients", Invariant: "v5.46", Remedy: byClients,
		Says: "The recipients of a Shamir recovery exist, and are not revoked at its date.",
	}
	ShamirShares = &check.Rule{
		Name: "v5_shamir_shares", Invariant: "v5.45", Remedy: ofUsers,
		Says: "A brief is followed by one share of the same date and author for each recipient.",
	}
	ShamirDeletion = &check.Rule{
		Name: "v5_shamir_deletion", Invariant: "v5.43", Remedy: byClients,
		Says: "A deletion names the current setup of its author and exactly its recipients.",
	}
)

// Rules are all of them.
var Rules = []*check.Rule{
	Format, Signature, Author, AuthorRevoked, AuthorProfile, NotOneself, Dates, Foundation, FirstDevice, IDs, Redacted, UserState,
	RealmFirst, RealmRoles, RealmRevoked, RealmOutsider, RealmOwnRole, RealmPromotion, RealmOwner, RealmKeys, RealmTopic, RealmDeletion,
	Topic, Services, ShamirOwner, ShamirRecipients, ShamirShares, ShamirDeletion, DataAuthor, DataRole,
}
