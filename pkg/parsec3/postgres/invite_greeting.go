package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const attemptColumns = `a.attempt_id, a.token, a.greeter, a.greeter_joined, a.claimer_joined, a.cancelled_by, a.cancelled_on, a.cancelled_for`

// attemptRow is a greeting attempt, with what makes up its pointers.
type attemptRow struct {
	attempt     rules.Attempt
	cancelledOn *parsec.DateTime
	end         rules.AttemptEnd
}

func (r *attemptRow) targets() []any {
	a := &r.attempt
	return []any{
		(*database.UUID)(&a.ID), token{&a.Invitation}, (*database.UUID)(&a.Greeter),
		database.OptionalDate(&a.GreeterJoined), database.OptionalDate(&a.ClaimerJoined),
		database.Parsed(&r.end.Origin), database.OptionalDate(&r.cancelledOn), database.Parsed(&r.end.Reason),
	}
}

func (r *attemptRow) facts() *rules.Attempt {
	if r.cancelledOn != nil {
		r.attempt.Cancelled = &rules.AttemptEnd{Origin: r.end.Origin, On: *r.cancelledOn, Reason: r.end.Reason}
	}
	return &r.attempt
}

// ActiveAttempts implements rules.AttemptTx.
func (t *tx) ActiveAttempts(_ context.Context, token parsec3.AccessToken) ([]rules.Attempt, error) {
	var rows []attemptRow
	err := t.Ask(database.List(&rows, "SELECT "+attemptColumns+`
FROM parsec3.greeting_attempt a
WHERE a.organization = $1 AND a.token = $2 AND a.cancelled_on IS NULL`,
		[]any{t.organizationName(), tokenKey(token)}, (*attemptRow).targets))
	active := make([]rules.Attempt, len(rows))
	for i := range rows {
		active[i] = *rows[i].facts()
	}
	return active, err
}
