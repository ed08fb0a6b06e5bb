package imports

import (
	"strings"

	"parsec-server/pkg/imports"
)

// hashed is the expression of a sum over rows.
func hashed(expression string) string { return imports.Hashed(expression) }

// keptRealm is the condition that the realm r is not deleted, for sources of all steps.
const keptRealm = "coalesce(to_jsonb(r) ->> 'status', '') <> 'DELETED'"

// ofRealmsCompared has comparisons for sources that have no realms of OUTSIDERs, and for those
// that may.
func ofRealmsCompared(all []imports.Comparison) []imports.Comparison {
	var both []imports.Comparison
	for _, one := range all {
		old := one
		one.From, old.Steps = max(one.From, 11), imports.Steps{From: 1, To: 10}
		old.Source = strings.ReplaceAll(one.Source, "{kept}", "NOT "+outsiderRealm)
		old.Source = strings.ReplaceAll(old.Source, "{all}", "NOT "+outsiderRealm)
		one.Source = strings.NewReplacer("{kept}", keptRealm, "{all}", "true").Replace(one.Source)
		both = append(both, one, old)
	}
	return both
}

var comparisons = append([]imports.Comparison{
	{Rule: "users", Steps: always, Source: `
SELECT ('user ' || u.user_id) COLLATE "C", (u.revoked_on IS NOT NULL) || ' ' || u.frozen || ' ' || md5(u.user_certificate)
FROM user_ u WHERE u.organization = $1 ORDER BY 1`, Target: `
SELECT ('user ' || u.user_id) COLLATE "C", (u.revoked_on IS NOT NULL) || ' ' || u.frozen || ' ' || md5(c.certificate)
FROM parsec3.user_ u JOIN parsec3.certificate c ON c.organization = u.organization AND c.topic = 'common' AND c.dated = u.created_on AND c.sequence = 0
WHERE u.organization = $1 ORDER BY 1`},
	{Rule: "devices", Steps: always, Source: `
SELECT ('device ' || d.device_id) COLLATE "C", md5(d.verify_key) || ' ' || ` + micro("d.created_on") + ` FROM device d WHERE d.organization = $1 ORDER BY 1`, Target: `
SELECT ('device ' || d.device_id) COLLATE "C", md5(d.verify_key) || ' ' || d.created_on FROM parsec3.device d WHERE d.organization = $1 ORDER BY 1`},
	{Rule: "common_certificates", Steps: always, Source: `
SELECT 'common topic', count(*) || ' ' || coalesce(` + hashed("t.dated || ':' || md5(t.certificate) || ':' || coalesce(md5(t.redacted), '')") + `, '0') FROM (
    SELECT ` + micro("u.created_on") + ` AS dated, u.user_certificate AS certificate, u.redacted_user_certificate AS redacted FROM user_ u WHERE u.organization = $1
    UNION ALL SELECT ` + micro("d.created_on") + `, d.device_certificate, d.redacted_device_certificate FROM device d WHERE d.organization = $1
    UNION ALL SELECT ` + micro("p.certified_on") + `, p.profile_certificate, NULL FROM profile p JOIN user_ u ON u._id = p.user_ WHERE u.organization = $1
    UNION ALL SELECT ` + micro("u.revoked_on") + `, u.revoked_user_certificate, NULL FROM user_ u WHERE u.organization = $1 AND u.revoked_on IS NOT NULL
) t`, Target: `
SELECT 'common topic', count(*) || ' ' || coalesce(` + hashed("c.dated || ':' || md5(c.certificate) || ':' || coalesce(md5(c.redacted), '')") + `, '0')
FROM parsec3.certificate c WHERE c.organization = $1 AND c.topic = 'common'`},
	{Rule: "services", Steps: always, Source: `
SELECT ('service ' || s.service_id) COLLATE "C", s.service_label::text FROM sequester_service s WHERE s.organization = $1 ORDER BY 1`, Target: `
SELECT ('service ' || s.service_id) COLLATE "C", convert_from(s.label, 'UTF8') FROM parsec3.sequester_service s WHERE s.organization = $1 ORDER BY 1`},
	{Rule: "invitations", Steps: always, Source: `
SELECT ('invitation ' || i.token) COLLATE "C", i.type || ' ' || ` + micro("i.created_on") + ` FROM invitation i WHERE i.organization = $1 ORDER BY 1`, Target: `
SELECT ('invitation ' || replace(i.token::text, '-', '')) COLLATE "C", i.type || ' ' || i.created_on FROM parsec3.invitation i WHERE i.organization = $1 ORDER BY 1`},
	{Rule: "shamir_recoveries", Steps: always, Source: `
SELECT ('token ' || replace(s.reveal_token::text, '-', '')) COLLATE "C", u.user_id || ' ' || s.threshold || ' ' || coalesce(md5(s.ciphered_data), '')
FROM shamir_recovery_setup s JOIN user_ u ON u._id = s.user_ WHERE s.organization = $1 ORDER BY 1`, Target: `
SELECT ('token ' || encode(s.reveal_token, 'hex')) COLLATE "C", s.user_id || ' ' || s.threshold || ' ' || coalesce(md5(nullif(s.ciphered_data, '')), '')
FROM parsec3.shamir_setup s WHERE s.organization = $1 ORDER BY 1`},
	{Rule: "enrollments", Steps: from(20), Source: `
SELECT ('enrollment ' || e.enrollment_id) COLLATE "C", ` + micro("e.submitted_on") + `::text FROM async_enrollment e WHERE e.organization = $1 ORDER BY 1`, Target: `
SELECT ('enrollment ' || e.enrollment_id) COLLATE "C", e.submitted_on::text FROM parsec3.enrollment e WHERE e.organization = $1 ORDER BY 1`},
	{Rule: "one_time_passwords", Steps: from(21), Source: `
SELECT ('user ' || u.user_id || ' key ' || k.opaque_key_id) COLLATE "C", md5(k.opaque_key) || ' ' || u.totp_setup_completed || ' ' || coalesce(md5(u.totp_secret), '')
FROM totp_opaque_key k JOIN user_ u ON u._id = k.user_ WHERE u.organization = $1 ORDER BY 1`, Target: `
SELECT ('user ' || k.user_id || ' key ' || k.key_id) COLLATE "C", md5(k.key) || ' ' || coalesce(t.completed, false) || ' ' || coalesce(md5(t.secret), '')
FROM parsec3.totp_key k LEFT JOIN parsec3.totp t ON t.organization = k.organization AND t.user_id = k.user_id WHERE k.organization = $1 ORDER BY 1`},
}, ofRealmsCompared([]imports.Comparison{
	{Rule: "realm_certificates", Source: `
SELECT ('realm ' || r.realm_id) COLLATE "C", count(*) || ' ' || ` + hashed("t.dated || ':' || md5(t.certificate)") + ` FROM (
    SELECT x.realm, ` + micro("x.certified_on") + ` AS dated, x.certificate FROM realm_user_role x
    UNION ALL SELECT x.realm, ` + micro("x.certified_on") + `, x.realm_key_rotation_certificate FROM realm_keys_bundle x
    UNION ALL SELECT x.realm, ` + micro("x.certified_on") + `, x.realm_name_certificate FROM realm_name x
    UNION ALL SELECT x.realm, ` + micro("x.certified_on") + `, x.certificate FROM realm_archiving x
) t JOIN realm r ON r._id = t.realm WHERE r.organization = $1 AND {all} GROUP BY 1 ORDER BY 1`, Target: `
SELECT ('realm ' || c.realm_id) COLLATE "C", count(*) || ' ' || ` + hashed("c.dated || ':' || md5(c.certificate)") + `
FROM parsec3.certificate c WHERE c.organization = $1 AND c.topic = 'realm' GROUP BY 1 ORDER BY 1`},
	{Rule: "checkpoints", Source: `
SELECT ('realm ' || r.realm_id) COLLATE "C", coalesce(max(u.index), 0) || ' of key ' || r.key_index
FROM realm r LEFT JOIN realm_vlob_update u ON u.realm = r._id WHERE r.organization = $1 AND {kept} GROUP BY r.realm_id, r.key_index ORDER BY 1`, Target: `
SELECT ('realm ' || r.realm_id) COLLATE "C", k.checkpoint || ' of key ' || r.key_index
FROM parsec3.realm r JOIN parsec3.realm_counter k ON k.organization = r.organization AND k.realm_id = r.realm_id
WHERE r.organization = $1 AND NOT r.deleted ORDER BY 1`},
	{Rule: "versions", Source: `
SELECT ('realm ' || r.realm_id) COLLATE "C", count(*) || ' ' || ` + hashed("x.vlob_id || ':' || x.version || ':' || x.key_index || ':' || md5(x.blob)") + `
FROM vlob_atom x JOIN realm r ON r._id = x.realm WHERE r.organization = $1 AND {kept} GROUP BY 1 ORDER BY 1`, Target: `
SELECT ('realm ' || a.realm_id) COLLATE "C", count(*) || ' ' || ` + hashed("a.vlob_id || ':' || a.version || ':' || a.key_index || ':' || md5(a.blob)") + `
FROM parsec3.vlob_atom a WHERE a.organization = $1 GROUP BY 1 ORDER BY 1`},
	{Rule: "blocks", Source: `
SELECT ('block ' || x.block_id) COLLATE "C", '' FROM block x JOIN realm r ON r._id = x.realm WHERE r.organization = $1 AND {kept} GROUP BY 1 ORDER BY 1`, Target: `
SELECT ('block ' || b.block_id) COLLATE "C", '' FROM parsec3.block b WHERE b.organization = $1 AND b.upload_token IS NULL ORDER BY 1`},
	{Rule: "keys_bundles", Source: `
SELECT ('realm ' || r.realm_id || ' key ' || b.key_index) COLLATE "C", md5(b.keys_bundle)
FROM realm_keys_bundle b JOIN realm r ON r._id = b.realm WHERE r.organization = $1 AND {kept} ORDER BY 1`, Target: `
SELECT ('realm ' || b.realm_id || ' key ' || b.key_index) COLLATE "C", md5(b.bundle) FROM parsec3.keys_bundle b WHERE b.organization = $1 ORDER BY 1`},
})...)
