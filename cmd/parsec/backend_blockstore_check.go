package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
)

const deepHelp = "Read every copy and chunk, compare copies and recompute parities. Otherwise lists of objects tell what to read."

func (p program) blockstoreCheckCommand() *cobra.Command {
	command, _ := p.newCheckCommand("check", "Find blocks that nodes do not have, or not as they should. It changes nothing.")
	return command
}

func (p program) blockstoreRepairCommand() *cobra.Command {
	command, check := p.newCheckCommand("repair", "Write copies and chunks again that are missing or wrong, where the others tell what they should be.")
	command.Flags().BoolVar(&check.Repair, "apply", false, "Write. Otherwise only tell what is wrong, as check does.")
	return command
}

// newCheckCommand makes a command that checks as the options say when it runs.
func (p program) newCheckCommand(name, short string) (*cobra.Command, *scrub.CheckOptions) {
	command := &cobra.Command{Use: name, Short: short, Args: noArguments}
	options, check := &blockstoreOptions{}, &scrub.CheckOptions{}
	options.define(command, afterBlock)
	command.Flags().BoolVar(&check.Deep, "deep", false, deepHelp)
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx := command.Context()
		return p.onArray(ctx, options, func(s *session, array *blockstore.Array) error { return s.check(ctx, array, *check) })
	}
	return command, check
}

func (s *session) check(ctx context.Context, array *blockstore.Array, check scrub.CheckOptions) error {
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
