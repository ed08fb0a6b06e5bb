package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/replay"
)

func (c *converter) organization(ctx context.Context) error {
	row := &imports.OrganizationRow{ID: c.one.ID}
	var expiredOn *int64
	var expired bool
	var users int64
	err := c.from.Ask(ctx, database.Only(`
SELECT coalesce(o.bootstrap_token, '')::text, o.root_verify_key, `+micro("o._expired_on")+`, o.is_expired, o.user_profile_outsider_allowed,
    o.active_users_limit::bigint, `+c.from.Since(24, "o.realm_minimum_archiving_period_before_deletion", "o.minimum_archiving_period")+`::bigint,
    o.sequester_authority_certificate, o.sequester_authority_verify_key_der, `+micro("o._created_on")+`,
    coalesce((SELECT min(`+micro("u.created_on")+`) FROM user_ u WHERE u.organization = o._id AND u.user_certifier IS NULL), `+micro("o._bootstrapped_on")+`),
    `+c.from.Since(6, "o.tos_per_locale_urls::text, "+micro("o.tos_updated_on"), "NULL::text, NULL::bigint")+`,
    (SELECT count(*) FROM user_ u WHERE u.organization = o._id)
FROM organization o WHERE o._id = $1::bigint`, []any{c.one.Key}, &row.BootstrapToken, &row.RootVerifyKey, &expiredOn, &expired, &row.OutsiderAllowed,
		&row.ActiveUsersLimit, &row.MinimumArchivingPeriod, &row.SequesterAuthorityCertificate, &row.SequesterVerifyKeyDER,
		(*database.Integer)(&row.CreatedOn), &row.BootstrappedOn, &row.TOSURLs, &row.TOSUpdatedOn, &users))
	if err != nil {
		return err
	}
	if row.CreatedOn == 0 {
		row.CreatedOn = int64(c.choices.At)
	}
	if expired {
		row.ExpirationDate = new(int64(c.choices.At))
		if expiredOn != nil {
			row.ExpirationDate = new(min(*expiredOn, int64(c.choices.At)))
		}
	}
	if row.TOSURLs == nil || row.TOSUpdatedOn == nil || *row.TOSURLs == "{}" {
		row.TOSURLs, row.TOSUpdatedOn = nil, nil // Nobody could accept what has no address.
	}
	c.root(row, users)
	c.authority = row.SequesterAuthorityCertificate
	c.checkAuthority(row.SequesterVerifyKeyDER)
	_, err = c.into.PutOrganization(ctx, organization.Parsec3, row)
	return err
}

// root begins to follow an organization, if it has been bootstrapped.
func (c *converter) root(row *imports.OrganizationRow, users int64) {
	switch {
	case row.RootVerifyKey == nil && users > 0:
		c.one.Stop("missing_row", "organization", "it has users, and no root key")
	case row.RootVerifyKey == nil:
	case len(row.RootVerifyKey) != len(parsec.VerifyKey{}):
		c.one.Stop("certificate", "organization", "its root key has %d bytes", len(row.RootVerifyKey))
	case users == 0:
		c.one.Stop("missing_row", "organization", "it has a root key, and no users")
	default:
		c.of = replay.New(parsec.VerifyKey(row.RootVerifyKey), nil)
	}
}

// sequester follows the topic of the sequester authority.
func (c *converter) sequester(ctx context.Context) error {
	if c.authority == nil {
		return nil
	}
	step := c.of.FollowSequester(c.authority)
	err := c.certify(ctx, "sequester", "sequester", &certificateRow{dated: int64(step.Date), certificate: c.authority}, &step)
	if err != nil || c.of.Authority == nil {
		return err
	}
	revocations := ""
	revocable, err := c.has(ctx, "sequester_service", "sequester_revoked_service_certificate")
	if err != nil {
		return err
	}
	if revocable {
		revocations = `
    UNION ALL
    SELECT ` + micro("s.revoked_on") + `, 1, s._id, s.sequester_revoked_service_certificate FROM sequester_service s
    WHERE s.organization = $1::bigint AND s.sequester_revoked_service_certificate IS NOT NULL`
	}
	return each(ctx, c, `
SELECT '00000000-0000-0000-0000-000000000000'::uuid, coalesce(t.dated, 0), 0::bigint, t.certificate, NULL::bytea FROM (
    SELECT `+micro("s.created_on")+` AS dated, 0 AS kind, s._id, s.service_certificate AS certificate FROM sequester_service s
    WHERE s.organization = $1::bigint`+revocations+`
) t ORDER BY t.dated, t.kind, t._id`, (*certificateRow).targets, func(row *certificateRow) error {
		step := c.of.FollowSequester(row.certificate)
		return c.certify(ctx, "sequester", "sequester", row, &step)
	})
}

var serviceTable = &imports.Table{
	Name:    "parsec3.sequester_service",
	Columns: []string{"organization", "service_id", "label", "webhook_url", "created_on", "revoked_on"},
	Key:     []string{"organization", "service_id"},
}

type serviceRow struct {
	id        database.UUID
	label     []byte
	url       string
	createdOn int64
}

func (r *serviceRow) targets() []any { return []any{&r.id, &r.label, &r.url, &r.createdOn} }

func (c *converter) services(ctx context.Context) error {
	return each(ctx, c, `
SELECT s.service_id, s.service_label::text::bytea, CASE WHEN s.service_type = 'WEBHOOK' THEN coalesce(s.webhook_url, '') ELSE '' END, `+micro("s.created_on")+`
FROM sequester_service s WHERE s.organization = $1::bigint ORDER BY s._id`, (*serviceRow).targets, func(row *serviceRow) error {
		service := c.of.Services[parsec.SequesterServiceID(row.id)]
		subject := "sequester service " + parsec.UUID(row.id).String()
		switch {
		case service == nil:
			c.one.Stop("missing_row", subject, "it has no certificate")
			return nil
		case service.Label != string(row.label) || int64(service.CreatedOn) != row.createdOn:
			c.differs(subject)
		}
		return c.into.Put(ctx, serviceTable, c.name, [16]byte(row.id), []byte(service.Label), row.url, int64(service.CreatedOn), (*int64)(service.RevokedOn))
	})
}

// checkAuthority compares the key of the sequester authority with its certificate.
func (c *converter) checkAuthority(key []byte) {
	if c.authority == nil {
		return
	}
	if read, err := certificate.Read[certificate.SequesterAuthority](c.authority); err == nil && string(read.VerifyKeyDER) != string(key) {
		c.one.Stop("certificate", "sequester authority", "its key is not that of its certificate")
	}
}
