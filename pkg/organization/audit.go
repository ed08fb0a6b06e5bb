package organization

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"parsec-server/pkg/parsec"
)

// audit logs what an administrator did: who, what, to which organization, and
// the rest. Secrets are no part of it.
func (a *Administration) audit(ctx context.Context, by Administrator, action string, id parsec.OrganizationID, rest ...slog.Attr) {
	attributes := append([]slog.Attr{
		slog.String("action", action),
		slog.String("administrator", by.Name),
		slog.String("address", by.Address.String()),
		slog.String("organization", id.String()),
	}, rest...)
	a.logger.LogAttrs(ctx, slog.LevelInfo, "audit", attributes...)
}

// auditChange is audit with what differs between before and after, which have
// the same keys in the same order. Nothing is logged when nothing does.
func (a *Administration) auditChange(ctx context.Context, by Administrator, action string, id parsec.OrganizationID, before, after []slog.Attr, rest ...slog.Attr) {
	var was, is []slog.Attr
	for i := range before {
		if !before[i].Equal(after[i]) {
			was, is = append(was, before[i]), append(is, after[i])
		}
	}
	if len(was) == 0 {
		return
	}
	rest = append(rest, slog.GroupAttrs("before", was...), slog.GroupAttrs("after", is...))
	a.audit(ctx, by, action, id, rest...)
}

// settings returns what an administrator may change. The last one is no attribute for an
// organization without terms of service.
func settings(o *Organization) []slog.Attr {
	expiration, limit := slog.StringValue("none"), slog.StringValue("none")
	var terms slog.Attr
	if o.TOS != nil {
		var urls []slog.Attr // a map cannot be compared
		for _, locale := range slices.Sorted(maps.Keys(o.TOS.PerLocaleURLs)) {
			urls = append(urls, slog.String(locale, o.TOS.PerLocaleURLs[locale]))
		}
		terms = slog.GroupAttrs("tos", slog.GroupAttrs("per_locale_urls", urls...), slog.String("updated_on", o.TOS.UpdatedOn.String()))
	}
	if o.ExpirationDate != nil {
		expiration = slog.StringValue(o.ExpirationDate.String())
	}
	if o.ActiveUsersLimit != nil {
		limit = slog.Uint64Value(*o.ActiveUsersLimit)
	}
	return []slog.Attr{
		{Key: "expiration_date", Value: expiration},
		slog.Bool("user_profile_outsider_allowed", o.UserProfileOutsiderAllowed),
		{Key: "active_users_limit", Value: limit},
		slog.Uint64("minimum_archiving_period", o.MinimumArchivingPeriod),
		terms,
	}
}
