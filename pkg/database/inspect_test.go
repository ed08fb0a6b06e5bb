//go:build !without_postgresql

package database_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// TestInspect reads by two cursors at once, of one instant, without the limits of
// commands, directly and through a pooler of transactions.
func TestInspect(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	pooled := testkit.StartPgBouncer(t, "transaction").DSN(dsn) + " default_query_exec_mode=exec"
	writer := testkit.Connect(t, dsn)
	testkit.Execute(t, writer, "CREATE TABLE public.number (value bigint)")
	defer testkit.Execute(t, writer, "DROP TABLE public.number")
	for name, from := range map[string]string{"direct": dsn, "pooled": pooled} {
		t.Run(name, func(t *testing.T) {
			testkit.Execute(t, writer, "TRUNCATE public.number")
			testkit.Execute(t, writer, "INSERT INTO public.number SELECT generate_series(1, 1000)")
			opened := open(t, options(from), nil)
			err := opened.Inspect(t.Context(), func(ctx context.Context, on *database.Inspection) error {
				targets := func(value *int64) []any { return []any{value} }
				up, err := database.NewCursor(ctx, on, "SELECT value FROM public.number WHERE value > $1 ORDER BY value", []any{10}, targets)
				if err != nil {
					return err
				}
				testkit.Execute(t, writer, "INSERT INTO public.number VALUES (1001)")
				down, err := database.NewCursor(ctx, on, "SELECT value FROM public.number ORDER BY value DESC", nil, targets)
				if err != nil {
					return err
				}
				upward, downward := int64(0), int64(0)
				if err := up.Each(ctx, func(value *int64) bool { return *value < 500 }, func(value *int64) error {
					upward++
					return down.Each(ctx, func(value *int64) bool { return *value > 1000-2*upward }, func(*int64) error {
						downward++
						return nil
					})
				}); err != nil {
					return err
				}
				if upward != 489 || downward != 978 {
					t.Errorf("%d upward and %d downward", upward, downward)
				}
				last, err := up.Peek(ctx)
				if err != nil || last == nil || *last != 500 {
					t.Errorf("stands at %v: %v", last, err)
				}
				var limit string
				if err := on.Ask(ctx, database.Only("SELECT current_setting('statement_timeout')", nil, &limit)); err != nil || limit != "0" {
					t.Errorf("a statement may take %q: %v", limit, err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = opened.Inspect(t.Context(), func(ctx context.Context, on *database.Inspection) error {
				return on.Ask(ctx, database.Statement{SQL: "DELETE FROM public.number"})
			})
			if err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("a write: %v", err)
			}
			wrong := errors.New("wrong")
			if err := opened.Inspect(t.Context(), func(context.Context, *database.Inspection) error { return wrong }); !errors.Is(err, wrong) {
				t.Errorf("a failure: %v", err)
			}
		})
	}
}
