package organization

import (
	"context"
	"log/slog"

	"parsec-server/pkg/parsec"
)

// audit logs what an administrator did: who, what, to which organization, and
// the rest. Secrets are no part of it.
func (a *Administration) audit(ctx context.Context, by Administrator, action string, id parsec.OrganizationID, rest ...slog.Attr) {
	attributes := append([]slog.Attr{
		slog.String("action", action),
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

// settings returns what an administrator may change.
func settings(o *Organization) []slog.Attr {
	expiration, limit := slog.StringValue("none"), slog.StringValue("none")
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
	}
}
