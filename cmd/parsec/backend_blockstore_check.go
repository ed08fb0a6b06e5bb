package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/config"
)

const deepHelp = "Read every copy and chunk, compare copies and recompute parities. Otherwise lists of objects tell what to read."

func (p program) blockstoreCheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check",
		Short: "Find blocks that nodes do not have, or not as they should. It changes nothing.",
		Args:  noArguments,
	}
	options, check := &blockstoreOptions{}, scrub.CheckOptions{}
	options.define(command, afterBlock)
	command.Flags().BoolVar(&check.Deep, "deep", false, deepHelp)
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.checkBlockStore(command.Context(), options, check)
	}
	return command
}

func (p program) blockstoreRepairCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "repair",
		Short: "Write copies and chunks again that are missing or wrong, where the others tell what they should be.",
		Args:  noArguments,
	}
	options, check := &blockstoreOptions{}, scrub.CheckOptions{}
	options.define(command, afterBlock)
	command.Flags().BoolVar(&check.Deep, "deep", false, deepHelp)
	command.Flags().BoolVar(&check.Repair, "apply", false, "Write. Otherwise only tell what is wrong, as check does.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.checkBlockStore(command.Context(), options, check)
	}
	return command
}

func (p program) checkBlockStore(ctx context.Context, options *blockstoreOptions, check scrub.CheckOptions) error {
	settings, err := config.LoadBlockstore(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	s, err := p.openSession(ctx, options)
	if err != nil {
		return err
	}
	defer s.close()
	array, end, err := openArray(settings, s.database)
	if err != nil {
		return err
	}
	defer end()
	walk, err := s.walk(ctx)
	if err != nil {
		return err
	}
	last, err := scrub.Check(ctx, walk, array, check)
	words := fmt.Sprintf("%d blocks checked, %s: %s", s.counts.Blocks, byteCount(s.counts.Bytes), s.problemList())
	if check.Repair {
		words += fmt.Sprintf("; %d repaired", s.done)
	}
	return s.finish(blockName(last), err, s.counts, words+".")
}
