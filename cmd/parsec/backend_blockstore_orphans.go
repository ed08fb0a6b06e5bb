package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
)

const (
	// defaultOrphanAge is far above what the upload of a block may take.
	defaultOrphanAge = 24 * time.Hour
	minOrphanAge     = time.Hour
)

func (p program) blockstoreOrphansCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "orphans",
		Short: "Find objects that belong to no block of the database, and delete them if told to.",
		Args:  noArguments,
	}
	options, orphans := &blockstoreOptions{}, scrub.OrphanOptions{Now: time.Now}
	options.define(command, "Go on after an object, <node>:<name>, that a command stopped at.")
	command.Flags().DurationVar(&orphans.MinAge, "min-age", defaultOrphanAge, "How old an orphan must be, 1h or more.")
	command.Flags().BoolVar(&orphans.Delete, "apply", false, "Delete. Otherwise only tell what there is.")
	command.RunE = func(command *cobra.Command, _ []string) (err error) {
		if orphans.MinAge < minOrphanAge {
			return invalidValue("--min-age", errors.New("uploads may take that long"))
		}
		if orphans.Node, orphans.After, err = parseObjectPosition(options.after); err != nil {
			return invalidValue("--"+afterOption, err)
		}
		ctx := command.Context()
		return p.onArray(ctx, options, func(s *session, array *blockstore.Array) error { return s.findOrphans(ctx, array, orphans) })
	}
	return command
}

func parseObjectPosition(text string) (node int, name string, err error) {
	if text == "" {
		return 0, "", nil
	}
	number, name, found := strings.Cut(text, ":")
	if node, err = strconv.Atoi(number); err != nil || !found || node < 0 {
		return 0, "", errors.New("it is not <node>:<name>")
	}
	return node, name, nil
}

func (s *session) findOrphans(ctx context.Context, array *blockstore.Array, orphans scrub.OrphanOptions) error {
	s.begin(0)
	var counts orphanCounts
	orphans.Registry, orphans.Array = s.blocks, array
	orphans.Report = func(found scrub.Finding, size int64) {
		counts.OrphanBytes += size
		s.report(found)
	}
	orphans.Advance = func(more scrub.OrphanCount) {
		counts.Objects += more.Objects
		counts.Foreign += more.Foreign
		counts.Young += more.Young
		s.progress.advance(more.Objects, 0)
	}
	orphans.Reached = func(node int, name string) { s.progress.reached = objectPosition(node, name) }
	node, name, err := scrub.Orphans(ctx, orphans)
	words := fmt.Sprintf("%d objects, of which %d are foreign and %d too young to tell: %d orphans, %s",
		counts.Objects, counts.Foreign, counts.Young, s.problems[scrub.Orphan]+s.problems[scrub.Undeleted], byteCount(counts.OrphanBytes))
	if orphans.Delete {
		words += fmt.Sprintf("; %d deleted", s.done)
	}
	return s.finish(objectPosition(node, name), err, counts, words+".")
}

func objectPosition(node int, name string) string { return fmt.Sprintf("%d:%s", node, name) }

type orphanCounts struct {
	scrub.OrphanCount
	OrphanBytes int64 `json:"orphan_bytes"`
}
