package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

func (c *converter) organization(ctx context.Context) error {
	row := &imports.OrganizationRow{ID: c.one.ID}
	var expiredOn *int64
	var expired bool
	err := c.from.Ask(ctx, database.Only(`
SELECT o.bootstrap_token, o.root_verify_key, `+c.from.Since(8, micro("o._expired_on"), micro("o.expiration_date"))+`,
    `+c.from.Since(8, "o.is_expired", "false")+`, `+c.from.Since(6, "o.user_profile_outsider_allowed", "false")+`,
    `+c.from.Since(7, "o.active_users_limit::bigint", "NULL::bigint")+`, `+c.from.Since(14, "o.minimum_archiving_period::bigint", "2592000::bigint")+`,
    `+c.from.Since(11, "o.sequester_authority_certificate, o.sequester_authority_verify_key_der", "NULL::bytea, NULL::bytea")+`,
    `+c.from.Since(8, micro("o._created_on")+", "+micro("o._bootstrapped_on"), "NULL::bigint, NULL::bigint")+`,
    (SELECT min(`+micro("u.created_on")+`) FROM user_ u WHERE u.organization = o._id AND u.user_certifier IS NULL),
    (SELECT min(`+micro("u.created_on")+`) FROM user_ u WHERE u.organization = o._id)
FROM organization o WHERE o._id = $1`, []any{c.one.Key}, &row.BootstrapToken, &row.RootVerifyKey, &expiredOn, &expired, &row.OutsiderAllowed,
		&row.ActiveUsersLimit, &row.MinimumArchivingPeriod, &row.SequesterAuthorityCertificate, &row.SequesterVerifyKeyDER,
		(*nullable)(&row.CreatedOn), &row.BootstrappedOn, &c.begun, &c.first))
	if err != nil {
		return err
	}
	c.expire(row, expiredOn, expired)
	if row.CreatedOn == 0 {
		row.CreatedOn = int64(c.choices.At)
		if c.first != nil {
			row.CreatedOn = *c.first
		}
	}
	if row.BootstrappedOn == nil {
		row.BootstrappedOn = c.begun
	}
	if row.RootVerifyKey != nil {
		if len(row.RootVerifyKey) != len(parsec.VerifyKey{}) {
			c.one.Stop("certificate", "organization", "its root key has %d bytes", len(row.RootVerifyKey))
			return nil
		}
		c.root = new(parsec.VerifyKey(row.RootVerifyKey))
	} else if c.first != nil {
		c.one.Stop("missing_row", "organization", "it has users, and no root key")
	}
	c.checkAuthority(row)
	c.number, err = c.into.PutOrganization(ctx, organization.Parsec2, row)
	return err
}

// expire settles the expiration date: the source has said whether it is expired, since
// step 8, and before since when.
func (c *converter) expire(row *imports.OrganizationRow, expiredOn *int64, expired bool) {
	switch {
	case c.from.Step < 8:
		row.ExpirationDate = expiredOn
	case expired && expiredOn == nil:
		row.ExpirationDate = new(int64(c.choices.At))
	case expired:
		row.ExpirationDate = expiredOn
		if *expiredOn > int64(c.choices.At) {
			c.one.Note("expired_by_migration", "organization",
				"the official server has it expired, though its date is %s: `parsec organization update --is-expired=false` opens it again", parsec.DateTime(*expiredOn))
			// It stays expired, as its users know it.
			row.ExpirationDate = new(int64(c.choices.At))
		}
	}
}

// nullable is an integer that is 0 for NULL.
type nullable = database.Integer

func (c *converter) checkAuthority(row *imports.OrganizationRow) {
	if row.SequesterAuthorityCertificate == nil || c.root == nil {
		return
	}
	loaded, err := certificate.LoadSequesterAuthority(row.SequesterAuthorityCertificate, *c.root)
	switch {
	case err != nil:
		c.one.Stop("certificate", "sequester authority", "%s", err)
	case string(loaded.VerifyKeyDER) != string(row.SequesterVerifyKeyDER):
		c.one.Stop("certificate", "sequester authority", "its key is not that of its certificate")
	}
}

var serviceTable = &imports.Table{
	Name:    "sequester_service",
	Columns: []string{"organization", "service_id", "label", "certificate", "webhook_url", "created_on", "disabled_on"},
	Key:     []string{"organization", "service_id"},
}

type serviceRow struct {
	id                 database.UUID
	label, certificate []byte
	url                string
	createdOn          int64
	disabledOn         *int64
	authority          []byte
}

func (r *serviceRow) targets() []any {
	return []any{&r.id, &r.label, &r.certificate, &r.url, &r.createdOn, &r.disabledOn, &r.authority}
}

func (c *converter) services(ctx context.Context) error {
	if c.from.Step < 11 {
		return nil
	}
	url := c.from.Since(12, "CASE WHEN s.service_type = 'WEBHOOK' THEN coalesce(s.webhook_url, '') ELSE '' END", "''")
	return each(ctx, c, `
SELECT s.service_id, s.service_label::text::bytea, s.service_certificate, `+url+`, `+micro("s.created_on")+`, `+micro("s.disabled_on")+`,
    o.sequester_authority_verify_key_der
FROM sequester_service s JOIN organization o ON o._id = s.organization WHERE s.organization = $1::bigint ORDER BY s._id`,
		(*serviceRow).targets, func(row *serviceRow) error {
			c.checkService(row)
			return c.into.Put(ctx, serviceTable, int32(c.number), [16]byte(row.id), row.label, row.certificate, row.url, row.createdOn, row.disabledOn)
		})
}

func (c *converter) checkService(row *serviceRow) {
	subject := "sequester service " + parsec.UUID(row.id).String()
	key, err := parsec.ParseRSAPublicKey(row.authority)
	if err != nil {
		c.one.Stop("certificate", subject, "the key of the authority: %s", err)
		return
	}
	loaded, err := certificate.LoadSequesterService(row.certificate, key)
	switch {
	case err != nil:
		c.one.Stop("certificate", subject, "%s", err)
	case loaded.ServiceID != parsec.SequesterServiceID(row.id) || loaded.ServiceLabel != string(row.label):
		c.one.Stop("certificate", subject, "its row is not what its certificate says")
	}
}
