package imports

import "parsec-server/pkg/imports"

// tables are those that the import reads, with the step that added each column, in the
// notation of imports.ParseTables (docs/protocol/import.md §6).
var tables = map[string]string{
	"organization@1": "_id organization_id bootstrap_token root_verify_key _expired_on is_expired user_profile_outsider_allowed active_users_limit " +
		"_bootstrapped_on _created_on sequester_authority_certificate sequester_authority_verify_key_der minimum_archiving_period@1-23 " +
		"realm_minimum_archiving_period_before_deletion@24 tos_updated_on@6 tos_per_locale_urls@6",
	"common_topic@1": "_id organization last_timestamp",
	"realm_topic@1":  "_id organization realm last_timestamp",
	"human@1":        "_id organization email label",
	"user_@1": "_id organization user_id user_certificate redacted_user_certificate user_certifier created_on revoked_on revoked_user_certificate " +
		"revoked_user_certifier human initial_profile current_profile@3 frozen tos_accepted_on@6 totp_setup_completed@21 totp_secret@21 totp_reset_token@21",
	"profile@1":                            "_id user_ profile profile_certificate certified_by certified_on",
	"device@1":                             "_id organization user_ device_id device_label verify_key device_certificate redacted_device_certificate device_certifier created_on",
	"realm@1":                              "_id organization realm_id key_index status@22",
	"realm_user_role@1":                    "_id realm user_ role certificate certified_by certified_on",
	"realm_name@1":                         "_id realm realm_name_certificate certified_by certified_on",
	"realm_archiving@1":                    "_id realm configuration deletion_date certificate certified_by certified_on",
	"realm_keys_bundle@1":                  "_id realm key_index realm_key_rotation_certificate certified_by certified_on keys_bundle",
	"realm_keys_bundle_access@1":           "_id realm user_ realm_keys_bundle access from_sharing@10",
	"realm_sequester_keys_bundle_access@1": "_id sequester_service realm_keys_bundle access",
	// When services came to be revoked, their columns did: they are looked for.
	"sequester_service@1":     "_id service_id organization service_certificate service_label created_on webhook_url service_type",
	"vlob_atom@1":             "_id realm key_index vlob_id version blob size author created_on",
	"realm_vlob_update@1":     "_id realm index vlob_atom",
	"block@1":                 "_id block_id realm author size created_on key_index",
	"block_data@1":            "_id organization_id block_id data",
	"shamir_recovery_setup@1": "_id organization user_ brief_certificate reveal_token threshold ciphered_data created_on@7 deleted_on@7 deletion_certificate@7",
	"shamir_recovery_share@1": "_id organization shamir_recovery recipient share_certificate shares",
	"invitation@1": "_id organization token type created_by_device user_invitation_claimer_email created_on deleted_on deleted_reason shamir_recovery " +
		"created_by_service_label@9 device_invitation_claimer@9",
	"account@13": "_id email human_handle_label deleted_on",
	"vault@13":   "_id account",
	"vault_authentication_method@13": "_id auth_method_id vault created_on created_by_ip created_by_user_agent mac_key vault_key_access password_algorithm " +
		"password_algorithm_argon2id_opslimit password_algorithm_argon2id_memlimit_kb password_algorithm_argon2id_parallelism disabled_on",
	"vault_item@13":           "_id vault fingerprint data",
	"pki_x509_certificate@19": "sha256_fingerprint parent der_content",
	"async_enrollment@20": "_id organization enrollment_id submitted_on submit_payload submit_payload_requested_human_handle_email submit_payload_signature_type " +
		"submit_payload_signature_pki_signature submit_payload_signature_pki_author_x509_certificate submit_payload_signature_openbao_signature " +
		"submit_payload_signature_openbao_author_entity_id state accepted_on accept_payload accept_payload_signature_type accept_payload_signature_pki_signature " +
		"accept_payload_signature_pki_author_x509_certificate accept_payload_signature_openbao_signature accept_payload_signature_openbao_author_entity_id " +
		"rejected_on cancelled_on",
	"totp_opaque_key@21":  "_id user_ opaque_key_id opaque_key",
	"cryptpad_session@26": "",
}

var schema = &imports.Schema{
	Named:  map[int]string{2: "user_human_always_present"},
	Latest: 26,
	Releases: map[int]string{
		1: "before v3.0", 2: "before v3.0", 3: "before v3.0", 4: "before v3.0", 5: "v3.0", 6: "v3.1, v3.2", 7: "before v3.3", 8: "before v3.3", 9: "before v3.3",
		10: "v3.3.0 to v3.3.2", 11: "v3.3.3, v3.4", 12: "before v3.5", 13: "before v3.5", 14: "v3.5", 15: "v3.6", 16: "before v3.7", 17: "before v3.7", 18: "v3.7",
		19: "before v3.8", 20: "before v3.8", 21: "v3.8", 22: "before v3.9", 23: "before v3.9", 24: "v3.9", 25: "after v3.9.3", 26: "after v3.9.3",
	},
	Tables: imports.ParseTables(tables),
}
