package check

import (
	"context"

	"parsec-server/pkg/database"
)

// Question is a statement that finds the faults of one rule: each row is the subject and
// the detail of one.
type Question struct {
	Rule *Rule
	SQL  string
}

// answer is a row of a question.
type answer struct{ subject, detail string }

func (a *answer) targets() []any { return []any{&a.subject, &a.detail} }

// Ask asks questions that take the same arguments, and tells what they find.
func Ask(ctx context.Context, on *database.Inspection, questions []Question, args []any, fault func(rule *Rule, subject, detail string)) error {
	for _, question := range questions {
		cursor, err := database.NewCursor(ctx, on, question.SQL, args, (*answer).targets)
		if err != nil {
			return err
		}
		err = cursor.Each(ctx, nil, func(row *answer) error {
			fault(question.Rule, row.subject, row.detail)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
