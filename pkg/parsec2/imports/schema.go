package imports

import "parsec-server/pkg/imports"

// tables are those that the import reads, with the step that added each column: name, then
// @ and the first step and, after a hyphen, the last one; without, it is there as long as
// its table (docs/protocol/import.md §2).
var tables = map[string]string{
	"organization@1": "_id organization_id bootstrap_token root_verify_key expiration_date@1-7 _expired_on@8 is_expired@8 user_profile_outsider_allowed@6 " +
		"active_users_limit@7 _bootstrapped_on@8 _created_on@8 sequester_authority_certificate@11 sequester_authority_verify_key_der@11 minimum_archiving_period@14",
	"human@3": "_id organization email label",
	"user_@1": "_id organization user_id is_admin@1-4 profile@5 user_certificate redacted_user_certificate@5 user_certifier created_on revoked_on " +
		"revoked_user_certificate revoked_user_certifier human@3 shamir_recovery@13 frozen@15",
	"device@1":                       "_id organization user_ device_id device_certificate redacted_device_certificate@5 device_certifier created_on device_label@5",
	"user_invitation@1-7":            "_id organization user_id creator created_on",
	"device_invitation@1-7":          "_id organization device_id creator created_on",
	"invitation@4":                   "_id organization token type greeter claimer_email created_on deleted_on deleted_reason shamir_recovery@13",
	"message@1":                      "_id organization recipient timestamp index sender body",
	"realm@1":                        "_id organization realm_id encryption_revision maintenance_started_by maintenance_started_on maintenance_type",
	"realm_user_role@1":              "_id realm user_ role certificate certified_by certified_on",
	"realm_user_change@9":            "_id realm user_ last_role_change last_vlob_update last_archiving_change@14",
	"realm_archiving@14":             "_id realm configuration deletion_date certificate certified_by certified_on",
	"vlob_encryption_revision@1":     "_id realm encryption_revision",
	"vlob_atom@1":                    "_id organization vlob_encryption_revision vlob_id version blob size author created_on",
	"realm_vlob_update@1":            "_id realm index vlob_atom",
	"sequester_service@11":           "_id service_id organization service_certificate service_label created_on disabled_on webhook_url@12 service_type@12",
	"sequester_service_vlob_atom@11": "_id vlob_atom service blob",
	"block@1":                        "_id organization block_id realm author size created_on",
	"block_data@1":                   "_id organization_id block_id data",
	"shamir_recovery_setup@13":       "_id organization user_ brief_certificate reveal_token threshold shares ciphered_data",
	"shamir_recovery_share@13":       "_id organization shamir_recovery recipient share_certificate shares",
	"pki_enrollment@10": "_id organization enrollment_id submitter_der_x509_certificate submit_payload_signature submit_payload submitted_on accepter " +
		"submitter_accepted_device enrollment_state info_accepted info_rejected info_cancelled",
}

var schema = &imports.Schema{
	Named:      map[int]string{2: "add_migration_table"},
	Unrecorded: "vlob_encryption_revision",
	Latest:     15,
	Releases: map[int]string{
		1: "v1.0 to v1.12", 2: "before v1.13", 3: "v1.13", 4: "before v1.14", 5: "v1.14 to v2.3", 6: "v2.4", 7: "before v2.5", 8: "v2.5",
		9: "v2.6, v2.7", 10: "v2.8 to v2.10", 11: "v2.11, v2.12", 12: "v2.13 to v2.15", 13: "before v2.16", 14: "v2.16", 15: "v2.17",
	},
	Tables: imports.ParseTables(tables),
}
