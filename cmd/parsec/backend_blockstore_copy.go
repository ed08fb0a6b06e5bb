package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/config"
)

const toOption = "to"

func (p program) blockstoreCopyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "copy",
		Short: "Copy the blocks that another store, or RAID, does not have yet. It overwrites nothing else.",
		Args:  noArguments,
	}
	options := &blockstoreOptions{}
	options.define(command, afterBlock)
	flags := command.Flags()
	to := flags.StringArray(toOption, nil, "Where to copy to, in the form of --blockstore, given once for each node of a RAID; in the variable separated by spaces.")
	describe(flags, toOption, flagNotes{kind: config.Text, variables: []string{config.CopyTargetVariable}, required: true})
	apply := flags.Bool("apply", false, "Copy. Otherwise only tell how much there is to copy.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		texts := *to
		if len(texts) == 0 {
			text, _ := p.environment.Lookup(config.CopyTargetVariable)
			texts = strings.Fields(text)
		}
		return p.copyBlockStore(command.Context(), options, texts, *apply)
	}
	return command
}

func (p program) copyBlockStore(ctx context.Context, options *blockstoreOptions, to []string, apply bool) error {
	from, err := config.LoadBlockstore(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	target, err := config.ParseBlockstore(to)
	if err != nil {
		return invalidValue("--to", err)
	}
	if sharesNode(from, target) {
		return &config.UsageError{Message: "--blockstore and --to share a node: the copy would overwrite what it reads."}
	}
	s, err := p.openSession(ctx, options)
	if err != nil {
		return err
	}
	defer s.close()
	source, endSource, err := openBlockStore(from, s.database)
	if err != nil {
		return err
	}
	defer endSource()
	written, endWritten, err := s.openTarget(target)
	if err != nil {
		return err
	}
	defer endWritten()
	walk, err := s.walk(ctx)
	if err != nil {
		return err
	}
	counts := copyCounts{walkCounts: &s.counts}
	written.DryRun, written.Copied = !apply, func(block blockstore.Block) {
		counts.CopiedBlocks++
		counts.CopiedBytes += block.Size
	}
	last, err := scrub.Copy(ctx, walk, source, written)
	words := fmt.Sprintf("%d blocks, %s", s.counts.Blocks, byteCount(s.counts.Bytes))
	what := "to be copied by --apply"
	if apply {
		what = "copied"
	}
	words += fmt.Sprintf("; %s: %d, %s", what, counts.CopiedBlocks, byteCount(counts.CopiedBytes))
	if len(s.problems) > 0 {
		words += "; " + s.problemList()
	}
	return s.finish(blockName(last), err, counts, words+".")
}

// openTarget opens what is copied to. The caller ends it with the function that it gets.
func (s *session) openTarget(settings config.Blockstore) (target scrub.Target, end func(), err error) {
	if settings.Uses(config.BlockstoreMemory) {
		return target, nil, errMemoryBlockstore
	}
	target.Store, target.Array, end, err = openBlocks(settings, blockStoreOptions{database: s.database, logger: slog.New(slog.DiscardHandler)})
	return target, end, err
}

// copyCounts are the blocks that are done, and those of them that were copied,
// or would be.
type copyCounts struct {
	*walkCounts
	CopiedBlocks int64 `json:"copied_blocks"`
	CopiedBytes  int64 `json:"copied_bytes"`
}
